//! The keywords of libpq 18 (manual, "Parameter Key Words" and "Environment Variables").

use super::error::ConninfoError;

/// Whether a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrecy {
    Open,
    Secret,
}

/// One keyword of libpq.
#[derive(Debug)]
pub(super) struct Keyword {
    pub(super) name: &'static str,
    /// The environment variable that libpq reads when the keyword is not given.
    pub(super) variable: Option<&'static str>,
    pub(super) secrecy: Secrecy,
}

const fn open(name: &'static str, variable: &'static str) -> Keyword {
    Keyword {
        name,
        variable: Some(variable),
        secrecy: Secrecy::Open,
    }
}

const fn without_variable(name: &'static str) -> Keyword {
    Keyword {
        name,
        variable: None,
        secrecy: Secrecy::Open,
    }
}

const fn secret(name: &'static str, variable: Option<&'static str>) -> Keyword {
    Keyword {
        name,
        variable,
        secrecy: Secrecy::Secret,
    }
}

/// Every keyword, in libpq's order.
pub(super) static KEYWORDS: &[Keyword] = &[
    open("service", "PGSERVICE"),
    open("user", "PGUSER"),
    secret("password", Some("PGPASSWORD")),
    open("passfile", "PGPASSFILE"),
    open("channel_binding", "PGCHANNELBINDING"),
    open("connect_timeout", "PGCONNECT_TIMEOUT"),
    open("dbname", "PGDATABASE"),
    open("host", "PGHOST"),
    open("hostaddr", "PGHOSTADDR"),
    open("port", "PGPORT"),
    open("client_encoding", "PGCLIENTENCODING"),
    open("options", "PGOPTIONS"),
    open("application_name", "PGAPPNAME"),
    without_variable("fallback_application_name"),
    without_variable("keepalives"),
    without_variable("keepalives_idle"),
    without_variable("keepalives_interval"),
    without_variable("keepalives_count"),
    without_variable("tcp_user_timeout"),
    open("sslmode", "PGSSLMODE"),
    open("sslnegotiation", "PGSSLNEGOTIATION"),
    open("sslcompression", "PGSSLCOMPRESSION"),
    open("sslcert", "PGSSLCERT"),
    open("sslkey", "PGSSLKEY"),
    open("sslcertmode", "PGSSLCERTMODE"),
    secret("sslpassword", None),
    open("sslrootcert", "PGSSLROOTCERT"),
    open("sslcrl", "PGSSLCRL"),
    open("sslcrldir", "PGSSLCRLDIR"),
    open("sslsni", "PGSSLSNI"),
    open("requirepeer", "PGREQUIREPEER"),
    open("require_auth", "PGREQUIREAUTH"),
    open("min_protocol_version", "PGMINPROTOCOLVERSION"),
    open("max_protocol_version", "PGMAXPROTOCOLVERSION"),
    open("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    open("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    open("gssencmode", "PGGSSENCMODE"),
    open("krbsrvname", "PGKRBSRVNAME"),
    open("gsslib", "PGGSSLIB"),
    open("gssdelegation", "PGGSSDELEGATION"),
    without_variable("replication"),
    open("target_session_attrs", "PGTARGETSESSIONATTRS"),
    open("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    secret("scram_client_key", None),
    secret("scram_server_key", None),
    without_variable("oauth_issuer"),
    without_variable("oauth_client_id"),
    secret("oauth_client_secret", None),
    without_variable("oauth_scope"),
    without_variable("sslkeylogfile"),
];

/// The keyword of that name, or an error that names the nearest one.
pub(super) fn find(name: &str) -> Result<&'static Keyword, ConninfoError> {
    if let Some(keyword) = KEYWORDS.iter().find(|keyword| keyword.name == name) {
        return Ok(keyword);
    }
    let (distance, nearest) = KEYWORDS
        .iter()
        .map(|keyword| (edit_distance(name, keyword.name), keyword.name))
        .min()
        .expect("the table of keywords is not empty");
    let looks_like_it = distance <= 2 && distance * 2 < nearest.len();
    Err(ConninfoError::UnknownKeyword {
        name: looks_like_it.then(|| name.to_owned()),
        nearest,
    })
}

/// Levenshtein's distance, in characters.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::{edit_distance, find};
    use crate::conninfo::ConninfoError;

    #[test]
    fn distances_count_edits() {
        assert_eq!(edit_distance("sslmod", "sslmode"), 1);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "host"), 4);
    }

    #[test]
    fn an_unknown_keyword_is_repeated_only_when_it_looks_like_a_known_one() {
        assert_eq!(
            find("sslmod").expect_err("unknown"),
            ConninfoError::UnknownKeyword {
                name: Some("sslmod".into()),
                nearest: "sslmode"
            }
        );
        let error = find("hunter2").expect_err("unknown");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
