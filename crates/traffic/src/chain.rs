//! Several adapters in one plan: told in order, released in reverse. Holds always: a hold
//! that fails has released what was held before it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_changes::Side;
use trunkline_migration::traffic::{Step, Traffic, TrafficError};

use crate::failure::Failure;
use crate::limits::{UNDOING_AT_MOST, UNDOING_PART};

/// Adapters in the plan's order.
#[derive(Clone, Debug)]
pub struct Chain {
    links: Vec<Arc<dyn Traffic>>,
}

/// What is left of a step's time.
struct Clock {
    end: Instant,
}

impl Clock {
    fn of(within: Duration) -> Self {
        Clock {
            end: Instant::now() + within,
        }
    }

    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

/// How much of the time for a hold is kept for undoing it.
pub(crate) fn kept_for_undoing(within: Duration) -> Duration {
    UNDOING_AT_MOST.min(within / UNDOING_PART)
}

impl Chain {
    /// The adapters in the plan's order.
    pub fn new(links: Vec<Arc<dyn Traffic>>) -> Self {
        Chain { links }
    }

    async fn hold_all(&self, serves: Side, within: Duration) -> Result<(), TrafficError> {
        let undoing = kept_for_undoing(within);
        let clock = Clock::of(within.saturating_sub(undoing));
        for (at, link) in self.links.iter().enumerate() {
            let held = if clock.left().is_zero() {
                Err(Failure::TooLong(within).at("hold"))
            } else {
                link.hold(serves, clock.left()).await
            };
            let Err(mut error) = held else { continue };
            // The one that failed has undone its own part.
            if let Err(second) = release(&self.links[..at], serves, undoing).await {
                error.why = format!("{}; and then {second}", error.why);
            }
            return Err(error);
        }
        Ok(())
    }

    /// Tells one after the other, and ends with the first that fails.
    async fn tell<'a>(
        &'a self,
        within: Duration,
        step: impl Fn(&'a dyn Traffic, Duration) -> Step<'a>,
    ) -> Result<(), TrafficError> {
        let clock = Clock::of(within);
        for link in &self.links {
            step(link.as_ref(), clock.left()).await?;
        }
        Ok(())
    }
}

/// Releases in reverse order. One that fails does not keep the others held; the first error
/// is told.
async fn release(
    links: &[Arc<dyn Traffic>],
    serves: Side,
    within: Duration,
) -> Result<(), TrafficError> {
    let clock = Clock::of(within);
    let mut result = Ok(());
    for (at, link) in links.iter().enumerate().rev() {
        // A share of what is left, so that one that hangs leaves time for the rest.
        let share = clock.left() / u32::try_from(at + 1).unwrap_or(u32::MAX);
        let released = link.release(serves, share).await;
        result = result.and(released);
    }
    result
}

impl Traffic for Chain {
    fn describe(&self) -> String {
        let each: Vec<String> = self.links.iter().map(|link| link.describe()).collect();
        each.join("; then ")
    }

    fn look(&self, serves: Side, within: Duration) -> Step<'_> {
        Box::pin(self.tell(within, move |link, left| link.look(serves, left)))
    }

    fn hold(&self, serves: Side, within: Duration) -> Step<'_> {
        Box::pin(self.hold_all(serves, within))
    }

    fn point_at(&self, side: Side, within: Duration) -> Step<'_> {
        Box::pin(self.tell(within, move |link, left| link.point_at(side, left)))
    }

    fn release(&self, serves: Side, within: Duration) -> Step<'_> {
        Box::pin(release(&self.links, serves, within))
    }

    fn verify(&self, serves: Side, within: Duration) -> Step<'_> {
        Box::pin(self.tell(within, move |link, left| link.verify(serves, left)))
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Mutex;

    use super::*;

    /// Writes down what it is told; fails at the steps named.
    #[derive(Debug)]
    struct Recorder {
        name: &'static str,
        fails: &'static [&'static str],
        heard: Arc<Mutex<Vec<String>>>,
    }

    impl Recorder {
        fn hear(&self, step: &'static str) -> Step<'_> {
            let mut heard = self.heard.lock().expect("nobody panics with it");
            heard.push(format!("{step} {}", self.name));
            let failed = self.fails.contains(&step);
            let error = Failure::found(format!("{} cannot", self.name)).at(step);
            Box::pin(ready(if failed { Err(error) } else { Ok(()) }))
        }
    }

    impl Traffic for Recorder {
        fn describe(&self) -> String {
            self.name.to_owned()
        }
        fn look(&self, _: Side, _: Duration) -> Step<'_> {
            self.hear("look")
        }
        fn hold(&self, _: Side, _: Duration) -> Step<'_> {
            self.hear("hold")
        }
        fn point_at(&self, _: Side, _: Duration) -> Step<'_> {
            self.hear("switch")
        }
        fn release(&self, serves: Side, _: Duration) -> Step<'_> {
            self.hear(match serves {
                Side::Source => "release",
                Side::Target => "release to the target",
            })
        }
        fn verify(&self, _: Side, _: Duration) -> Step<'_> {
            self.hear("verify")
        }
    }

    fn chain(
        links: &[(&'static str, &'static [&'static str])],
    ) -> (Chain, Arc<Mutex<Vec<String>>>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let links = links.iter().map(|(name, fails)| {
            let heard = Arc::clone(&heard);
            Arc::new(Recorder { name, fails, heard }) as Arc<dyn Traffic>
        });
        (Chain::new(links.collect()), heard)
    }

    fn said(heard: &Arc<Mutex<Vec<String>>>) -> Vec<String> {
        heard.lock().expect("nobody panics with it").clone()
    }

    const WITHIN: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn steps_go_in_order_and_releases_in_reverse() {
        let (chain, heard) = chain(&[("a", &[]), ("b", &[])]);
        chain
            .hold(Side::Source, WITHIN)
            .await
            .expect("nobody fails");
        chain.point_at(Side::Target, WITHIN).await.expect("same");
        chain.release(Side::Source, WITHIN).await.expect("same");
        let order = "hold a,hold b,switch a,switch b,release b,release a";
        assert_eq!(said(&heard).join(","), order);
        assert_eq!(chain.describe(), "a; then b");
    }

    #[tokio::test]
    async fn a_hold_that_fails_releases_in_reverse_what_was_held_before_it() {
        let (chain, heard) = chain(&[("a", &[]), ("b", &[]), ("c", &["hold"]), ("d", &[])]);
        let error = chain.hold(Side::Source, WITHIN).await;
        let error = error.expect_err("c fails");
        assert_eq!(error.to_string(), "traffic: hold: c cannot");
        let order = "hold a,hold b,hold c,release b,release a";
        assert_eq!(said(&heard).join(","), order);
    }

    #[tokio::test]
    async fn a_hold_that_fails_in_a_rollback_releases_clients_to_the_target() {
        let (chain, heard) = chain(&[("a", &[]), ("b", &["hold"])]);
        let held = chain.hold(Side::Target, WITHIN).await;
        held.expect_err("b fails");
        assert_eq!(
            said(&heard),
            ["hold a", "hold b", "release to the target a"]
        );
    }

    #[tokio::test]
    async fn one_that_cannot_release_does_not_keep_the_others_held() {
        let (chain, heard) = chain(&[("a", &[]), ("b", &["release"])]);
        let released = chain.release(Side::Source, WITHIN).await;
        assert!(released.expect_err("b fails").why.contains("b cannot"));
        assert_eq!(said(&heard), ["release b", "release a"]);
    }
}
