//! How a server makes 64 bits of a row, so that two servers make the same of the same row
//! and, but for one chance in 2^64, other ones of any other.
//!
//! What is hashed is a column's value where the type's own hash tells every two values apart
//! (text under "C", bytea, uuid, integers of up to 32 bits), its binary send format where that
//! is exact and the same on all versions, and its text elsewhere (floats, whose NaN has many
//! bit patterns that COPY does not keep; arrays and composites, whose send format carries
//! OIDs). The own hashes of other types take equal for identical (`1.0` and `1.00`, `-0` and
//! `0`) or fold 64 bits to 32.
//!
//! `hash_record_extended` adds the columns' hashes up linearly: over a whole table, two rows
//! that exchange a value would leave the sum as it was. So every row's columns are hashed with
//! a seed made of its key, and where there is no such seed the row's hash is hashed once more.

use trunkline_postgres::{PgError, Session};

/// A value that its type's send format tells apart from every other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// As SQL.
    pub(crate) value: String,
    /// The OID of its type (`pg_type.dat`).
    pub(crate) base_type: u32,
}

/// What is hashed together: values by their send format, and values by their text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Elements {
    pub(crate) sent: Vec<Sent>,
    pub(crate) texts: Vec<String>,
}

/// The function from a row's columns to 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hashing {
    /// Over the columns, each by the server's own hash: from 14 on.
    Columns,
    /// Over the row's bytes: from 14 on, where the two databases have other encodings (a send
    /// format is in the client's).
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
        } else if one.major.min(other.major) >= 14 && one.encoding == other.encoding {
            Hashing::Columns
        } else if one.major.min(other.major) >= 14 {
            Hashing::Bytes
        } else if one.encoding == other.encoding {
            Hashing::Text
        } else {
            Hashing::TextInUtf8
        }
    }

    /// The hash, as SQL, of a whole row, whose key columns are given where it has a key.
    pub(crate) fn of_row(self, all: &Elements, key: &Elements) -> String {
        if self != Hashing::Columns || all.is_empty() {
            return self.of(all);
        }
        match seed(key) {
            Some(seed) => format!("hash_record_extended({}, {seed})", record(all)),
            None => format!(
                "hash_record_extended(ROW(int8send(hash_record_extended({}, 0))), 0)",
                record(all)
            ),
        }
    }

    /// The hash, as SQL, of some columns of one row.
    pub(crate) fn of(self, all: &Elements) -> String {
        match self {
            Hashing::Columns if !all.is_empty() => {
                format!("hash_record_extended({}, 0)", record(all))
            }
            Hashing::Columns | Hashing::Bytes => {
                format!("hash_record_extended(ROW({}), 0)", bytes(all))
            }
            Hashing::Digest => format!(
                "CAST(CAST('x' || encode(substr(sha256({}), 1, 8), 'hex') AS bit(64)) AS bigint)",
                bytes(all)
            ),
            Hashing::Text => format!(
                "hashtextextended({} COLLATE pg_catalog.\"C\", 0)",
                text(all)
            ),
            Hashing::TextInUtf8 => format!(
                "hashtextextended(encode(convert_to({}, 'UTF8'), 'hex') \
                 COLLATE pg_catalog.\"C\", 0)",
                text(all)
            ),
        }
    }
}

impl Elements {
    fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.texts.is_empty()
    }

    fn text_of_texts(&self) -> Option<String> {
        let texts = self.texts.join(", ");
        (!texts.is_empty()).then(|| format!("CAST(ROW({texts}) AS text)"))
    }
}

/// The columns as a row whose own hash is exact.
fn record(all: &Elements) -> String {
    let sent = all.sent.iter().map(exactly_hashed);
    let texts = all.text_of_texts();
    let texts = texts.map(|texts| format!("{texts} COLLATE pg_catalog.\"C\""));
    let each: Vec<String> = sent.chain(texts).collect();
    format!("ROW({})", each.join(", "))
}

fn exactly_hashed(sent: &Sent) -> String {
    let value = &sent.value;
    let send = match sent.base_type {
        18 => "charsend",
        19 => "namesend",
        20 => "int8send",
        25 | 1043 => return format!("{value} COLLATE pg_catalog.\"C\""),
        114 => "json_send",
        650 => "cidr_send",
        774 => "macaddr8_send",
        790 => "cash_send",
        829 => "macaddr_send",
        869 => "inet_send",
        1042 => "bpcharsend",
        1083 => "time_send",
        1114 => "timestamp_send",
        1184 => "timestamptz_send",
        1186 => "interval_send",
        1266 => "timetz_send",
        1560 => "bit_send",
        1562 => "varbit_send",
        1700 => "numeric_send",
        3802 => "jsonb_send",
        // bool, bytea, int2, int4, oid, date, uuid.
        _ => return value.clone(),
    };
    format!("{send}({value})")
}

/// A number made of the key, if its types have functions for that.
fn seed(key: &Elements) -> Option<String> {
    if key.sent.is_empty() || !key.texts.is_empty() {
        return None;
    }
    let mut seed = "0".to_owned();
    for Sent { value, base_type } in &key.sent {
        seed = match base_type {
            20 => format!("hashint8extended({value}, {seed})"),
            21 => format!("hashint2extended({value}, {seed})"),
            23 => format!("hashint4extended({value}, {seed})"),
            25 | 1043 => format!("hashtextextended({value} COLLATE pg_catalog.\"C\", {seed})"),
            26 => format!("hashoidextended({value}, {seed})"),
            2950 => format!("uuid_hash_extended({value}, {seed})"),
            _ => return None,
        };
    }
    Some(seed)
}

/// `record_send` keeps NULL and empty apart, and lets no value run into the next.
fn bytes(all: &Elements) -> String {
    let sent = all.sent.iter().map(|sent| sent.value.clone());
    let each: Vec<String> = sent.chain(all.text_of_texts()).collect();
    format!("record_send(ROW({}))", each.join(", "))
}

fn text(all: &Elements) -> String {
    let sent = all.sent.iter().map(|sent| sent.value.as_str());
    let each: Vec<&str> = sent.chain(all.texts.iter().map(String::as_str)).collect();
    format!("CAST(ROW({}) AS text)", each.join(", "))
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
        assert_eq!(choose(facts(14, "UTF8", 1)), Hashing::Columns);
        assert_eq!(choose(facts(14, "LATIN1", 1)), Hashing::Bytes);
        assert_eq!(choose(facts(13, "UTF8", 1)), Hashing::Text);
        assert_eq!(choose(facts(13, "LATIN1", 1)), Hashing::TextInUtf8);
        assert_eq!(choose(facts(17, "UTF8", 2)), Hashing::Digest);
    }

    fn sent(value: &str, base_type: u32) -> Sent {
        Sent {
            value: value.to_owned(),
            base_type,
        }
    }

    #[test]
    fn a_row_is_hashed_with_its_key_as_seed_or_once_more() {
        let all = Elements {
            sent: vec![sent("t.id", 23), sent("t.n", 20)],
            texts: vec!["t.f".to_owned()],
        };
        let key = Elements {
            sent: vec![sent("t.id", 23)],
            texts: Vec::new(),
        };
        let row = "ROW(t.id, int8send(t.n), CAST(ROW(t.f) AS text) COLLATE pg_catalog.\"C\")";
        assert_eq!(
            Hashing::Columns.of_row(&all, &key),
            format!("hash_record_extended({row}, hashint4extended(t.id, 0))")
        );
        assert_eq!(
            Hashing::Columns.of_row(&all, &Elements::default()),
            format!("hash_record_extended(ROW(int8send(hash_record_extended({row}, 0))), 0)")
        );
    }
}
