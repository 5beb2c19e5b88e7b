//! Whether a decoder that is not the server's own can do the work: `test_decoding` is a
//! contributed module, which no catalog lists.

use trunkline_capture::slot::Plugin;
use trunkline_changes::{Side, quote_literal};
use trunkline_postgres::{PgError, Session};

use super::finding::Finding;
use super::limits::DECODER_TRIAL;

/// What the trial showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loaded {
    /// The server has it.
    Yes,
    /// The server has no such library.
    Missing,
    /// It cannot be told, in the server's words.
    Unknown(String),
    /// A slot of it stands, or the server cannot make one yet.
    NotTried,
}

/// Makes a temporary slot and drops it: the decoder is loaded before the slot waits for open
/// transactions, so a time-out says yes, too.
pub(super) async fn try_out(session: &mut Session, decoder: Plugin) -> Result<Loaded, PgError> {
    let name = format!("trunkline_trial_{}", session.process_id());
    let (name, plugin) = (quote_literal(&name), quote_literal(decoder.name()));
    let patience = DECODER_TRIAL.as_millis();
    let make =
        format!("SELECT pg_catalog.pg_create_logical_replication_slot({name}, {plugin}, true)");
    session
        .batch(&format!("SET statement_timeout = {patience}"))
        .await?;
    let tried = session.batch(&make).await;
    session.batch("SET statement_timeout = 0").await?;
    Ok(match tried {
        Ok(_) => {
            let drop = format!("SELECT pg_catalog.pg_drop_replication_slot({name})");
            session.batch(&drop).await?;
            Loaded::Yes
        }
        Err(error) => match error.sqlstate().map(trunkline_postgres::SqlState::as_str) {
            // query_canceled
            Some("57014") => Loaded::Yes,
            // undefined_file
            Some("58P01") => Loaded::Missing,
            Some(_) => Loaded::Unknown(error.to_string()),
            None => return Err(error),
        },
    })
}

pub(super) fn judge(loaded: &Loaded, encoding: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let plugin = "test_decoding";
    match loaded {
        Loaded::Yes | Loaded::NotTried => {}
        Loaded::Missing => findings.push(
            Finding::blocker(
                "decoder-missing",
                "the server has no test_decoding, which the plan's [stream] names as the decoder",
            )
            .about(plugin)
            .mend(
                "-- install PostgreSQL's contributed modules on the source (postgresql-contrib),\n\
                 -- or set decoder = \"pgoutput\" in the plan",
            ),
        ),
        Loaded::Unknown(why) => findings.push(
            Finding::warning(
                "decoder-unknown",
                format!("cannot tell whether test_decoding can be loaded: {why}"),
            )
            .about(plugin),
        ),
    }
    if !matches!(encoding, "UTF8" | "SQL_ASCII") {
        let message = format!(
            "the database's encoding is {encoding}: test_decoding prints the stream in it, and only pgoutput's \
             text is converted"
        );
        findings.push(
            Finding::blocker("decoder-encoding", message)
                .about(plugin)
                .mend("-- set decoder = \"pgoutput\" in the plan"),
        );
    }
    let on_source = findings.into_iter();
    on_source.map(|finding| finding.on(Side::Source)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(loaded: &Loaded, encoding: &str) -> Vec<&'static str> {
        let found = judge(loaded, encoding);
        found.into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn a_decoder_that_is_missing_or_unknown_is_said_and_one_that_loads_is_not() {
        assert_eq!(codes(&Loaded::Missing, "UTF8"), ["decoder-missing"]);
        let unknown = Loaded::Unknown("no slot is free".to_owned());
        assert_eq!(codes(&unknown, "UTF8"), ["decoder-unknown"]);
        assert!(codes(&Loaded::Yes, "UTF8").is_empty());
    }

    #[test]
    fn text_that_would_come_in_another_encoding_is_refused() {
        assert_eq!(codes(&Loaded::Yes, "LATIN1"), ["decoder-encoding"]);
        assert!(codes(&Loaded::NotTried, "SQL_ASCII").is_empty());
    }
}
