//! The password file (manual, "The Password File").

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::secret::Secret;

/// The entries of a password file, in order.
#[derive(Debug, Default)]
pub(super) struct Passfile {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    host: String,
    port: String,
    database: String,
    user: String,
    password: Secret,
}

impl Passfile {
    /// Reads the file; like libpq, a file that is missing, not a plain file, or readable by
    /// others counts as empty, the last two with a warning.
    pub(super) fn read(path: &Path) -> Self {
        let Ok(metadata) = fs::metadata(path) else {
            return Self::default();
        };
        if !metadata.is_file() {
            tracing::warn!(path = %path.display(), "the password file is not a plain file: ignored");
            return Self::default();
        }
        if metadata.mode() & 0o077 != 0 {
            tracing::warn!(
                path = %path.display(),
                "the password file is readable by group or others: ignored; mode 0600 or less is needed"
            );
            return Self::default();
        }
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(cause) => {
                tracing::warn!(path = %path.display(), %cause, "the password file cannot be read");
                Self::default()
            }
        }
    }

    fn parse(text: &str) -> Self {
        let entries = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .filter_map(parse_line)
            .collect();
        Self { entries }
    }

    /// The password of the first entry that matches. `host` is the socket's directory for unix
    /// sockets, `localhost` for the default one.
    pub(super) fn password(
        &self,
        host: &str,
        port: u16,
        database: &str,
        user: &str,
    ) -> Option<&Secret> {
        let port = port.to_string();
        let matches = |pattern: &str, value: &str| pattern == "*" || unescape(pattern) == value;
        self.entries
            .iter()
            .find(|entry| {
                matches(&entry.host, host)
                    && matches(&entry.port, &port)
                    && matches(&entry.database, database)
                    && matches(&entry.user, user)
            })
            .map(|entry| &entry.password)
    }
}

/// `host:port:database:user:password`; the first four stay escaped, so that `\*` is no wildcard.
fn parse_line(line: &str) -> Option<Entry> {
    let mut fields = Vec::with_capacity(4);
    let mut start = 0;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ':' if fields.len() < 4 => {
                fields.push(line[start..at].to_owned());
                start = at + 1;
            }
            _ => {}
        }
    }
    let [host, port, database, user] = <[String; 4]>::try_from(fields).ok()?;
    Some(Entry {
        host,
        port,
        database,
        user,
        // As libpq: an unescaped colon ends the password.
        password: Secret::new(unescape_until_colon(&line[start..])),
    })
}

fn unescape(text: &str) -> String {
    let mut characters = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(c) = characters.next() {
        match c {
            '\\' => plain.extend(characters.next()),
            _ => plain.push(c),
        }
    }
    plain
}

fn unescape_until_colon(text: &str) -> String {
    let mut characters = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(c) = characters.next() {
        match c {
            '\\' => plain.extend(characters.next()),
            ':' => break,
            _ => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::Passfile;

    #[test]
    fn the_first_entry_that_matches_wins() {
        let file = Passfile::parse(
            "# comment\n\
             db:5432:app:anna:one\n\
             db:*:*:anna:two\n\
             ::1:5432:app:anna:never\n\
             \\:\\:1:5432:app:anna:six\n\
             *:*:*:*:a\\:b\\\\c\n\
             broken line\n",
        );
        let find = |host: &str, port, database: &str, user: &str| {
            file.password(host, port, database, user)
                .map(|secret| secret.reveal().to_owned())
        };
        assert_eq!(find("db", 5432, "app", "anna").as_deref(), Some("one"));
        assert_eq!(find("db", 5433, "app", "anna").as_deref(), Some("two"));
        assert_eq!(find("::1", 5432, "app", "anna").as_deref(), Some("six"));
        assert_eq!(find("x", 1, "y", "z").as_deref(), Some(r"a:b\c"));
    }

    #[test]
    fn debug_never_shows_a_password() {
        let file = Passfile::parse("*:*:*:*:hunter2\n");
        assert!(!format!("{file:?}").contains("hunter2"));
    }
}
