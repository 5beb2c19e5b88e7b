//! The smoke tests of a plan file: `[[cutover.smoke]]`.

use std::time::Duration;

use trunkline_migration::Error;
use trunkline_migration::smoke::{Probe, SmokeTest, When};

use crate::plan_file::SmokeTable;
use crate::resolve::{duration, one_of, plan_error};

/// How long a smoke test may take unless the plan says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

const BEFORE: &str = "before switch";
const AFTER: &str = "after release";
const BOTH: &str = "both";

/// The tests as they are meant; the error names the one that is not understood.
pub(crate) fn tests(tables: &[SmokeTable]) -> Result<Vec<SmokeTest>, Error> {
    let mut tests: Vec<SmokeTest> = Vec::new();
    for table in tables {
        let test = test(table)?;
        if tests.iter().any(|other| other.name == test.name) {
            return Err(plan_error(
                format!("two smoke tests are named `{}`", test.name),
                "give each a name of its own: the report lists them by it",
            ));
        }
        tests.push(test);
    }
    Ok(tests)
}

fn test(table: &SmokeTable) -> Result<SmokeTest, Error> {
    let name = table.name.trim();
    if name.is_empty() {
        return Err(plan_error(
            "a smoke test has no name",
            "add `name` to each [[cutover.smoke]]",
        ));
    }
    let probe = match (&table.sql, &table.command) {
        (Some(sql), None) => Probe::Sql(sql.clone()),
        (None, Some(command)) => Probe::Command(command.clone()),
        _ => {
            return Err(plan_error(
                format!("the smoke test `{name}` needs either `sql` or `command`"),
                "give one of them",
            ));
        }
    };
    one_of("when", table.when.as_deref(), &[BEFORE, AFTER, BOTH])?;
    Ok(SmokeTest {
        name: name.to_owned(),
        probe,
        expect: table.expect.clone(),
        timeout: duration("timeout", table.timeout.as_deref(), TIMEOUT)?,
        when: match table.when.as_deref() {
            Some(AFTER) => When::AfterRelease,
            Some(BOTH) => When::Both,
            _ => When::BeforeSwitch,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> SmokeTable {
        SmokeTable {
            name: name.to_owned(),
            sql: Some("SELECT 1".to_owned()),
            ..SmokeTable::default()
        }
    }

    #[test]
    fn a_smoke_test_is_before_the_switch_and_short_unless_the_plan_says_otherwise() {
        let after = SmokeTable {
            when: Some("after release".to_owned()),
            timeout: Some("1min".to_owned()),
            ..table("b")
        };
        let tests = tests(&[table("a"), after]).expect("they are understood");
        let read: Vec<_> = tests.iter().map(|test| (test.when, test.timeout)).collect();
        let minute = Duration::from_mins(1);
        assert_eq!(
            read,
            [(When::BeforeSwitch, TIMEOUT), (When::AfterRelease, minute)]
        );
    }

    #[test]
    fn a_smoke_test_that_is_not_clear_is_refused() {
        let both = SmokeTable {
            command: Some("true".to_owned()),
            ..table("both")
        };
        let when = SmokeTable {
            when: Some("after relaese".to_owned()),
            ..table("when")
        };
        for tables in [
            vec![table("")],
            vec![both],
            vec![when],
            vec![table("a"), table("a")],
        ] {
            assert!(tests(&tables).is_err(), "{tables:?}");
        }
    }
}
