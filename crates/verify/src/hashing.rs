//! How a server makes 64 bits of a row, so that two servers make the same of the same row
//! and, but for one chance in 2^64, other ones of any other.
//!
//! The bytes that are hashed are the columns' binary send format where it tells every two
//! values apart and is the same on all versions, and their text elsewhere (floats, whose NaN
//! has many bit patterns that COPY does not keep; arrays and composites, whose send format
//! carries OIDs). `hash_record_extended` over the columns themselves would be no slower and
//! takes equal for identical (`1.0` and `1.00`, `-0` and `0`), folds 64-bit numbers to 32
//! bits, and adds the columns' hashes up linearly, so that two rows that exchange a value
//! leave the sum over the table as it was. Over one bytea of the whole row it is
//! `hash_any_extended`, the same on all versions from 14 on for machines of one byte order.

use trunkline_postgres::{PgError, Session};

/// The function from a row's columns to 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hashing {
    /// Over the bytes, by the server's own hash: from 14 on.
    Bytes,
    /// Over the row's text: before 14 no hash of a bytea has 64 bits.
    Text,
    /// The same where the two databases have other encodings.
    TextInUtf8,
    /// SHA-256 of the bytes, where the machines' byte orders differ.
    Digest,
}

/// What decides on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HashingFacts {
    major: u32,
    encoding: String,
    /// The hash of something fixed, in ASCII: machines of another byte order give another.
    sample: i64,
}

impl HashingFacts {
    /// Asks a server.
    pub(crate) async fn read(session: &mut Session) -> Result<Self, PgError> {
        let major = session.version().major();
        let row = session
            .query_one(
                "SELECT pg_catalog.current_setting('server_encoding'), \
                 hashtextextended('a sample of some length' COLLATE \"C\", 0)",
                &[],
            )
            .await?;
        Ok(HashingFacts {
            major,
            encoding: row.get(0)?,
            sample: row.get(1)?,
        })
    }
}

impl Hashing {
    /// What both servers compute alike.
    pub(crate) fn for_both(one: &HashingFacts, other: &HashingFacts) -> Hashing {
        if one.sample != other.sample {
            Hashing::Digest
        } else if one.major.min(other.major) >= 14 {
            Hashing::Bytes
        } else if one.encoding == other.encoding {
            Hashing::Text
        } else {
            Hashing::TextInUtf8
        }
    }

    /// The hash, as SQL, of some columns: `sent` go by their send format, `texts` by their text.
    pub(crate) fn of(self, sent: &[String], texts: &[String]) -> String {
        match self {
            Hashing::Bytes => format!("hash_record_extended(ROW({}), 0)", bytes(sent, texts)),
            Hashing::Digest => format!(
                "CAST(CAST('x' || encode(substr(sha256({}), 1, 8), 'hex') AS bit(64)) AS bigint)",
                bytes(sent, texts)
            ),
            Hashing::Text => format!(
                "hashtextextended({} COLLATE pg_catalog.\"C\", 0)",
                text(sent, texts)
            ),
            Hashing::TextInUtf8 => format!(
                "hashtextextended(encode(convert_to({}, 'UTF8'), 'hex') \
                 COLLATE pg_catalog.\"C\", 0)",
                text(sent, texts)
            ),
        }
    }
}

/// `record_send` keeps NULL and empty apart, and lets no value run into the next.
fn bytes(sent: &[String], texts: &[String]) -> String {
    let mut all = sent.to_vec();
    if !texts.is_empty() {
        all.push(format!("CAST(ROW({}) AS text)", texts.join(", ")));
    }
    format!("record_send(ROW({}))", all.join(", "))
}

fn text(sent: &[String], texts: &[String]) -> String {
    let all: Vec<&str> = sent.iter().chain(texts).map(String::as_str).collect();
    format!("CAST(ROW({}) AS text)", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(major: u32, encoding: &str, sample: i64) -> HashingFacts {
        HashingFacts {
            major,
            encoding: encoding.to_owned(),
            sample,
        }
    }

    #[test]
    fn the_older_server_and_the_encodings_decide() {
        let new = facts(17, "UTF8", 1);
        let choose = |other| Hashing::for_both(&new, &other);
        assert_eq!(choose(facts(14, "UTF8", 1)), Hashing::Bytes);
        assert_eq!(choose(facts(14, "LATIN1", 1)), Hashing::Bytes);
        assert_eq!(choose(facts(13, "UTF8", 1)), Hashing::Text);
        assert_eq!(choose(facts(13, "LATIN1", 1)), Hashing::TextInUtf8);
        assert_eq!(choose(facts(17, "UTF8", 2)), Hashing::Digest);
    }
}
