//! The URI form (manual, "Connection URIs"). Nothing of the authority is repeated in an error:
//! where a password is not percent-encoded, a piece of it stands where the host should.

use super::error::ConninfoError;

const ENCODE: &str =
    "(a password with any of @ : / ? # [ ] % must be percent-encoded, or kept out of the URI)";

/// The text after `postgres://` or `postgresql://`, if it is a URI.
pub(super) fn strip_scheme(text: &str) -> Option<&str> {
    text.strip_prefix("postgresql://")
        .or_else(|| text.strip_prefix("postgres://"))
}

/// Reads what follows the scheme into pairs; later pairs win over earlier ones.
pub(super) fn parse(rest: &str) -> Result<Vec<(String, String)>, ConninfoError> {
    let mut pairs = Vec::new();
    let userinfo_end = rest.find(['@', '/']).unwrap_or(rest.len());
    let after_userinfo = match rest[userinfo_end..].strip_prefix('@') {
        Some(after) => {
            let userinfo = &rest[..userinfo_end];
            let (user, password) = match userinfo.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (userinfo, None),
            };
            push(&mut pairs, "user", decode(user)?);
            if let Some(password) = password {
                push(&mut pairs, "password", decode(password)?);
            }
            after
        }
        None => rest,
    };
    let after_hosts = parse_hosts(after_userinfo, &mut pairs)?;
    let (path, query) = match after_hosts.split_once('?') {
        Some((path, query)) => (path, query),
        None => (after_hosts, ""),
    };
    let database = path.strip_prefix('/').unwrap_or(path);
    if database.contains('@') {
        return Err(ConninfoError::syntax(format!(
            "a \"@\" in the database name {ENCODE}"
        )));
    }
    push(&mut pairs, "dbname", decode(database)?);
    parse_query(query, &mut pairs)?;
    Ok(pairs)
}

fn push(pairs: &mut Vec<(String, String)>, name: &str, value: String) {
    if !value.is_empty() {
        pairs.push((name.to_owned(), value));
    }
}

/// Reads `host:port,host:port` up to the path or the query, which it returns.
fn parse_hosts<'a>(
    mut rest: &'a str,
    pairs: &mut Vec<(String, String)>,
) -> Result<&'a str, ConninfoError> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    loop {
        let (host, after) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (address, after) = bracketed
                    .split_once(']')
                    .filter(|(address, _)| !address.is_empty())
                    .ok_or_else(|| {
                        ConninfoError::syntax(format!("a \"[\" without an IPv6 address {ENCODE}"))
                    })?;
                (address, after)
            }
            None => rest.split_at(rest.find([':', '/', '?', ',']).unwrap_or(rest.len())),
        };
        if host.contains('@') || !(after.is_empty() || after.starts_with([':', '/', '?', ','])) {
            return Err(ConninfoError::syntax(format!(
                "an unexpected character after the host {ENCODE}"
            )));
        }
        hosts.push(decode(host)?);
        let (port, after) = match after.strip_prefix(':') {
            Some(text) => text.split_at(text.find(['/', '?', ',']).unwrap_or(text.len())),
            None => ("", after),
        };
        if !port.chars().all(|c| c.is_ascii_digit()) {
            return Err(ConninfoError::syntax(format!(
                "the port is not a number {ENCODE}"
            )));
        }
        ports.push(port);
        let Some(next) = after.strip_prefix(',') else {
            push(pairs, "host", joined(&hosts));
            push(pairs, "port", joined(&ports));
            return Ok(after);
        };
        rest = next;
    }
}

/// The list joined by commas; empty if all of it is.
fn joined<S: AsRef<str>>(items: &[S]) -> String {
    if items.iter().all(|item| item.as_ref().is_empty()) {
        return String::new();
    }
    items
        .iter()
        .map(AsRef::as_ref)
        .collect::<Vec<_>>()
        .join(",")
}

fn parse_query(query: &str, pairs: &mut Vec<(String, String)>) -> Result<(), ConninfoError> {
    if query.is_empty() {
        return Ok(());
    }
    for parameter in query.split('&') {
        let pair = parameter.split_once('=');
        let Some((name, value)) = pair.filter(|(_, value)| !value.contains('=')) else {
            return Err(ConninfoError::syntax(
                "each parameter after \"?\" is name=value, joined by \"&\", with \"=\" in values \
                 written %3D",
            ));
        };
        let (name, value) = (decode(name)?, decode(value)?);
        match (name.as_str(), value.as_str()) {
            // What JDBC's URIs say, as libpq takes it.
            ("ssl", "true") => pairs.push(("sslmode".to_owned(), "require".to_owned())),
            _ => pairs.push((name, value)),
        }
    }
    Ok(())
}

fn decode(text: &str) -> Result<String, ConninfoError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let decoded = rest
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .filter(|byte| *byte != 0)
            .ok_or_else(|| {
                ConninfoError::syntax(
                    "a \"%\" that two hexadecimal digits (not 00) do not follow; a \"%\" itself \
                     is written %25",
                )
            })?;
        bytes.push(decoded);
        rest = &rest[2..];
    }
    String::from_utf8(bytes)
        .map_err(|_| ConninfoError::syntax("percent-encoded text that is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::{parse, strip_scheme};

    fn read(text: &str) -> Vec<(String, String)> {
        parse(strip_scheme(text).expect("a URI")).expect(text)
    }

    #[test]
    fn uris_are_read_as_libpq_reads_them() {
        // From the manual and libpq's own tests (src/interfaces/libpq/t/001_uri.pl).
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("postgresql://", &[]),
            ("postgresql://localhost", &[("host", "localhost")]),
            (
                "postgresql://localhost:5433",
                &[("host", "localhost"), ("port", "5433")],
            ),
            (
                "postgres://uri-user:secret@host:12345/db",
                &[
                    ("user", "uri-user"),
                    ("password", "secret"),
                    ("host", "host"),
                    ("port", "12345"),
                    ("dbname", "db"),
                ],
            ),
            (
                "postgresql://other@h1:123,h2/db?connect_timeout=10&application_name=my%20app",
                &[
                    ("user", "other"),
                    ("host", "h1,h2"),
                    ("port", "123,"),
                    ("dbname", "db"),
                    ("connect_timeout", "10"),
                    ("application_name", "my app"),
                ],
            ),
            (
                "postgresql:///mydb?host=localhost&port=5433",
                &[("dbname", "mydb"), ("host", "localhost"), ("port", "5433")],
            ),
            (
                "postgresql://[2001:db8::1234]:5433/database",
                &[
                    ("host", "2001:db8::1234"),
                    ("port", "5433"),
                    ("dbname", "database"),
                ],
            ),
            (
                "postgresql://[::1],b/db",
                &[("host", "::1,b"), ("dbname", "db")],
            ),
            (
                "postgresql://%2Fvar%2Flib%2Fpostgresql/dbname",
                &[("host", "/var/lib/postgresql"), ("dbname", "dbname")],
            ),
            (
                "postgresql://u:p%40ss%2F%3A@h",
                &[("user", "u"), ("password", "p@ss/:"), ("host", "h")],
            ),
            (
                "postgresql://h?ssl=true",
                &[("host", "h"), ("sslmode", "require")],
            ),
            ("postgresql://@h", &[("host", "h")]),
            ("postgresql://:12345/", &[("port", "12345")]),
        ];
        for (text, expected) in cases {
            let pairs = read(text);
            let pairs: Vec<(&str, &str)> = pairs
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            assert_eq!(pairs, *expected, "{text}");
        }
    }

    #[test]
    fn a_password_that_is_not_encoded_is_an_error_that_does_not_repeat_it() {
        for text in [
            "postgres://user:hun@ter2@host/db",
            "postgres://user:hun/ter2@host/db",
            "postgres://user:hun/ter2",
            "postgres://user:12/hunter2@host/db",
            "postgres://user:h%unter2@host/db",
            "postgres://user:x[hunter2/",
            "postgres://[hunter2",
            "postgres://host/db?hunter2",
            "postgres://host/db?a=b=hunter2",
        ] {
            let error = parse(strip_scheme(text).expect("a URI")).expect_err(text);
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("ter2") && !shown.contains("hun"), "{shown}");
        }
    }
}
