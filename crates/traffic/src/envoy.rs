//! Envoy, by the files that it watches: the cluster's endpoint, then the filter chain in
//! front of it, so that old sessions are drained. Holds always: a file that Envoy refused is
//! put back, because Envoy goes on with what it had. It holds nobody.

mod admin;
mod files;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use trunkline_changes::Side;
use trunkline_migration::traffic::{Step, Traffic};

use crate::address::{Address, AddressError, Addresses, named};
use crate::failure::{Failure, on_files, settled, within};
use crate::limits::SETTLES_WITHIN;
use crate::replace;
use admin::Updates;

/// One Envoy of a plan.
#[derive(Clone, Debug)]
pub struct EnvoyPlan {
    /// `host:port` of its admin interface.
    pub admin: String,
    /// The cluster's name.
    pub cluster: String,
    /// The file of `eds_config`'s `path_config_source`.
    pub endpoints: PathBuf,
    /// The file of `lds_config`'s; without it old sessions are left to the fence.
    pub listeners: Option<PathBuf>,
    /// Both sides, as Envoy reaches them: IP addresses.
    pub addresses: Addresses,
}

/// Moves the clients of one Envoy.
#[derive(Clone, Debug)]
pub struct Envoy {
    plan: EnvoyPlan,
}

impl Envoy {
    /// The adapter for one Envoy, whose endpoints are addresses.
    pub fn new(mut plan: EnvoyPlan) -> Result<Self, AddressError> {
        plan.addresses = plan.addresses.numeric()?;
        Ok(Envoy { plan })
    }

    fn found(&self, text: &str) -> Failure {
        Failure::found(format!("Envoy at {}: {text}", self.plan.admin))
    }

    /// The counters of the cluster's endpoints; Envoy writes `_` for `:` in names.
    fn cluster_counters(&self) -> String {
        format!("cluster.{}", self.plan.cluster.replace(':', "_"))
    }

    async fn updates(&self, counters: &str) -> Result<Updates, Failure> {
        let found = admin::updates(&self.plan.admin, counters).await?;
        found.ok_or_else(|| {
            self.found(&format!(
                "it does not count {counters}.update_attempt: it takes this from no file"
            ))
        })
    }

    /// Replaces a file, and waits until Envoy has taken it up or refused it.
    async fn replace(
        &self,
        path: &Path,
        counters: &str,
        change: impl FnOnce(&mut Value) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let before = self.updates(counters).await?;
        let old = replace::read(path)?;
        let mut file = parsed(path, &old)?;
        change(&mut file)?;
        let new = format!("{file:#}\n");
        write(path, new).await?;
        let taken_up = settled(SETTLES_WITHIN, || async {
            let now = self.updates(counters).await?;
            // Envoy counts a refusal before the next attempt.
            if now.rejected > before.rejected || now.failed > before.failed {
                return Ok(());
            }
            if now.succeeded > before.succeeded {
                return Ok(());
            }
            let attempts = now.attempted - before.attempted.min(now.attempted);
            Err(self.found(&format!(
                "it has not taken up {} ({attempts} attempts); is it the file that it watches?",
                path.display()
            )))
        });
        taken_up.await?;
        let now = self.updates(counters).await?;
        if now.rejected > before.rejected || now.failed > before.failed {
            write(path, old).await?;
            return Err(self.found(&format!(
                "it refused {} ({counters}.update_rejected), and goes on with what it had; its \
                 log says why. The file is as it was",
                path.display()
            )));
        }
        Ok(())
    }

    async fn point_files_at(&self, side: Side) -> Result<(), Failure> {
        let (plan, address) = (&self.plan, self.plan.addresses.of(side));
        let change = |file: &mut Value| files::point(file, &plan.cluster, address);
        self.replace(&plan.endpoints, &self.cluster_counters(), change)
            .await?;
        settled(SETTLES_WITHIN, || self.goes_to(side)).await?;
        let Some(listeners) = &plan.listeners else {
            return Ok(());
        };
        // After the endpoint, so that who is drained comes back to the right side.
        let change = |file: &mut Value| files::mark(file, &plan.cluster, side);
        self.replace(listeners, "listener_manager.lds", change)
            .await
    }

    async fn goes_to(&self, side: Side) -> Result<(), Failure> {
        let address = self.plan.addresses.of(side);
        let wanted = endpoint(address);
        let hosts = admin::hosts(&self.plan.admin, &self.plan.cluster).await?;
        if hosts == [wanted] {
            return Ok(());
        }
        let (cluster, hosts, side) = (&self.plan.cluster, hosts.join(", "), named(side));
        Err(self.found(&format!(
            "cluster {cluster:?} goes to [{hosts}], not to the {side} {address}"
        )))
    }

    async fn look_at_all(&self, serves: Side) -> Result<(), Failure> {
        let plan = &self.plan;
        let text = replace::read(&plan.endpoints)?;
        let mut file = parsed(&plan.endpoints, &text)?;
        let in_file = files::pointed_at(&mut file, &plan.cluster)?;
        let address = plan.addresses.of(serves);
        if in_file != format!("{}:{}", address.host, address.port) {
            let (path, side) = (plan.endpoints.display(), named(serves));
            return Err(Failure::found(format!(
                "{path}: cluster {:?} is at {in_file}, not at the {side} {address}",
                plan.cluster
            )));
        }
        replace::can_replace(&plan.endpoints)?;
        if let Some(listeners) = &plan.listeners {
            let text = replace::read(listeners)?;
            files::mark(&mut parsed(listeners, &text)?, &plan.cluster, serves)?;
            replace::can_replace(listeners)?;
            self.updates("listener_manager.lds").await?;
        }
        self.updates(&self.cluster_counters()).await?;
        self.goes_to(serves).await
    }
}

fn parsed(path: &Path, text: &str) -> Result<Value, Failure> {
    files::parse(text).map_err(|why| Failure::found(format!("{}: {why}", path.display())))
}

async fn write(path: &Path, content: String) -> Result<(), Failure> {
    let path = path.to_owned();
    on_files(move || replace::replace(&path, &content)).await
}

/// As Envoy shows it.
fn endpoint(address: &Address) -> String {
    match address.ip() {
        Some(ip) => std::net::SocketAddr::new(ip, address.port).to_string(),
        None => address.to_string(),
    }
}

impl Traffic for Envoy {
    fn describe(&self) -> String {
        format!(
            "Envoy at {} holds nobody: the fence ends the sessions of cluster {}, and new ones \
             fail until it is switched",
            self.plan.admin, self.plan.cluster
        )
    }

    fn look(&self, serves: Side, time: Duration) -> Step<'_> {
        Box::pin(async move {
            let looked = within(time, self.look_at_all(serves)).await;
            looked.map_err(|failure| failure.at("look"))
        })
    }

    fn hold(&self, _serves: Side, _time: Duration) -> Step<'_> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn point_at(&self, side: Side, time: Duration) -> Step<'_> {
        Box::pin(async move {
            let pointed = within(time, self.point_files_at(side)).await;
            pointed.map_err(|failure| failure.at("switch"))
        })
    }

    fn release(&self, _serves: Side, _time: Duration) -> Step<'_> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn verify(&self, serves: Side, time: Duration) -> Step<'_> {
        Box::pin(async move {
            let verified = settled(time.min(SETTLES_WITHIN), || self.goes_to(serves)).await;
            verified.map_err(|failure| failure.at("verify"))
        })
    }
}
