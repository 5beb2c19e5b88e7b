//! The server's version as a number that can be compared.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::PgError;

/// `server_version_num` (manual, "Preset Options"): 150018 is 15.18, 90624 is 9.6.24.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServerVersion(pub u32);

impl ServerVersion {
    /// The number that users call the version: 15 for 15.18, 9 for 9.6.
    pub fn major(self) -> u32 {
        self.0 / 10_000
    }

    /// The minor release: 18 for 15.18.
    pub fn minor(self) -> u32 {
        self.0 % 10_000
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.major() >= 10 {
            write!(f, "{}.{}", self.major(), self.minor())
        } else {
            let (middle, last) = (self.0 / 100 % 100, self.0 % 100);
            write!(f, "{}.{middle}.{last}", self.major())
        }
    }
}

impl FromStr for ServerVersion {
    type Err = PgError;

    /// Reads `server_version` ("15.18 (Debian …)", "18beta1", "9.6.24") or `server_version_num`.
    fn from_str(text: &str) -> Result<Self, PgError> {
        parse(text.trim()).ok_or_else(|| PgError::Conversion {
            what: "server_version".to_owned(),
            why: "it is not a version of PostgreSQL".to_owned(),
        })
    }
}

fn parse(text: &str) -> Option<ServerVersion> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let mut numbers = text[..end]
        .split('.')
        .filter(|part| !part.is_empty())
        .map(|part| part.parse::<u32>().ok());
    let major = numbers.next()??;
    if major >= 90_000 {
        return Some(ServerVersion(major));
    }
    let second = numbers.next().unwrap_or(Some(0))?;
    let third = numbers.next().unwrap_or(Some(0))?;
    if major > 1_000 || second > 9_999 || third > 99 {
        return None;
    }
    Some(ServerVersion(if major >= 10 {
        major * 10_000 + second
    } else {
        major * 10_000 + second * 100 + third
    }))
}

#[cfg(test)]
mod tests {
    use super::ServerVersion;

    #[test]
    fn versions_are_read_from_text_and_from_numbers() {
        let cases = [
            ("15.18 (Debian 15.18-1.pgdg120+1)", 150_018, "15.18"),
            ("150018", 150_018, "15.18"),
            ("18beta1", 180_000, "18.0"),
            ("19devel", 190_000, "19.0"),
            ("9.6.24", 90_624, "9.6.24"),
            ("90624", 90_624, "9.6.24"),
            ("12.22", 120_022, "12.22"),
        ];
        for (text, number, shown) in cases {
            let version: ServerVersion = text.parse().expect(text);
            assert_eq!(version, ServerVersion(number), "{text}");
            assert_eq!(version.to_string(), shown, "{text}");
        }
        for bad in ["", "abc", "5000.1", "10.99999"] {
            assert!(bad.parse::<ServerVersion>().is_err(), "{bad}");
        }
    }
}
