//! Who watches a command: the terminal, and the plan's webhook beside it.

use trunkline_migration::alone::AloneReport;
use trunkline_migration::report::{CutoverOutcome, CutoverReport, EndReport, VerifyReport};
use trunkline_migration::{Error, Phase};
use trunkline_notify::{Ended, Watched, Webhook};

use crate::plan_file::NotifyTable;
use crate::progress::Progress;
use crate::resolve::{Resolved, plan_error};

/// Watches a command on this migration.
pub(crate) fn watch(resolved: &Resolved, json: bool) -> Result<Watched<Progress>, Error> {
    let variable = |name: &str| std::env::var(name).ok();
    let webhook = webhook(&resolved.file.notify, &variable)?;
    Ok(Watched::new(
        Progress::new(json),
        &resolved.plan.name,
        webhook,
    ))
}

/// Ends the watch with what a command reports.
pub(crate) async fn end<T: InPhase>(watched: Watched<Progress>, result: &Result<T, Error>) {
    watched.inner().finish();
    let ended = match result {
        Ok(report) => Ended::Well(report.phase()),
        Err(error) => Ended::Badly(error),
    };
    watched.end(ended).await;
}

/// A report that may say where the migration stands.
pub(crate) trait InPhase {
    /// The phase that the command left the migration in.
    fn phase(&self) -> Option<Phase>;
}

impl InPhase for EndReport {
    fn phase(&self) -> Option<Phase> {
        Some(self.phase)
    }
}

impl InPhase for CutoverReport {
    fn phase(&self) -> Option<Phase> {
        match self.outcome {
            CutoverOutcome::Switched => Some(Phase::Switched),
            CutoverOutcome::RolledBack => Some(Phase::RolledBack),
            CutoverOutcome::Rehearsed | CutoverOutcome::Aborted => None,
        }
    }
}

impl InPhase for VerifyReport {
    fn phase(&self) -> Option<Phase> {
        None
    }
}

impl InPhase for AloneReport {
    fn phase(&self) -> Option<Phase> {
        None
    }
}

/// The webhook that the plan asks for; its secrets come from variables, never from the plan.
fn webhook(
    table: &NotifyTable,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Webhook>, Error> {
    let read = |key: &str, name: &str| {
        variable(name).ok_or_else(|| {
            plan_error(
                format!("notify: the variable {name} named by {key} is not set"),
                format!("export it, or take {key} out of the plan"),
            )
        })
    };
    let url = match (&table.webhook, &table.webhook_env) {
        (Some(url), None) => url.clone(),
        (None, Some(name)) => read("webhook_env", name)?,
        (None, None) if table.token_env.is_none() && table.header_env.is_none() => return Ok(None),
        _ => {
            return Err(plan_error(
                "notify: either `webhook` or `webhook_env` is needed",
                "give one of them in the plan's [notify]",
            ));
        }
    };
    let authorization = match (&table.token_env, &table.header_env) {
        (Some(name), None) => Some(format!("Bearer {}", read("token_env", name)?.trim())),
        (None, Some(name)) => Some(read("header_env", name)?),
        (None, None) => None,
        (Some(_), Some(_)) => {
            return Err(plan_error(
                "notify: `token_env` and `header_env` are both given",
                "use token_env for a bearer token, header_env for any other Authorization header",
            ));
        }
    };
    let webhook = Webhook::new(&url, authorization.as_deref());
    webhook.map(Some).map_err(|error| {
        plan_error(
            format!("notify: {error}"),
            "a URL like https://hooks.example/trunkline is expected",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(table: &NotifyTable) -> Result<Option<Webhook>, Error> {
        webhook(table, &|name| {
            (name == "HOOK").then(|| "http://hooks.example/s3cret".to_owned())
        })
    }

    #[test]
    fn nothing_is_told_unless_the_plan_says_where_to() {
        assert!(matches!(resolved(&NotifyTable::default()), Ok(None)));
        let named = NotifyTable {
            webhook_env: Some("HOOK".to_owned()),
            ..NotifyTable::default()
        };
        assert!(matches!(resolved(&named), Ok(Some(_))));
    }

    #[test]
    fn a_variable_that_is_not_set_and_keys_that_exclude_each_other_are_refused() {
        let hook = || Some("http://hooks.example/".to_owned());
        let unset = NotifyTable {
            webhook: hook(),
            token_env: Some("UNSET".to_owned()),
            ..NotifyTable::default()
        };
        let error = resolved(&unset).expect_err("the variable is not set");
        assert!(error.to_string().contains("UNSET"), "{error}");
        let both = NotifyTable {
            webhook: hook(),
            webhook_env: Some("HOOK".to_owned()),
            ..NotifyTable::default()
        };
        assert!(resolved(&both).is_err());
        let only_token = NotifyTable {
            token_env: Some("HOOK".to_owned()),
            ..NotifyTable::default()
        };
        assert!(resolved(&only_token).is_err());
    }

    #[test]
    fn an_error_about_the_url_does_not_show_it() {
        let bad = NotifyTable {
            webhook: Some("hooks.example/s3cret".to_owned()),
            ..NotifyTable::default()
        };
        let error = resolved(&bad).expect_err("no scheme");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
