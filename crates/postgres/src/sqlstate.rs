//! SQLSTATE codes as a type, with names for those that Trunkline decides by.
//! Source: PostgreSQL manual, appendix A "PostgreSQL Error Codes".

use std::fmt;

/// A five-character SQLSTATE (manual, appendix A).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState([u8; 5]);

macro_rules! known_states {
    ($($name:ident = $code:literal),+ $(,)?) => {
        impl SqlState {
            $(
                #[doc = concat!("SQLSTATE `", stringify!($code), "` (manual, appendix A).")]
                pub const $name: Self = Self(*$code);
            )+
        }
    };
}

known_states! {
    SUCCESSFUL_COMPLETION = b"00000",
    CONNECTION_EXCEPTION = b"08000",
    CONNECTION_DOES_NOT_EXIST = b"08003",
    CONNECTION_FAILURE = b"08006",
    PROTOCOL_VIOLATION = b"08P01",
    FEATURE_NOT_SUPPORTED = b"0A000",
    NOT_NULL_VIOLATION = b"23502",
    FOREIGN_KEY_VIOLATION = b"23503",
    UNIQUE_VIOLATION = b"23505",
    CHECK_VIOLATION = b"23514",
    READ_ONLY_SQL_TRANSACTION = b"25006",
    IN_FAILED_SQL_TRANSACTION = b"25P02",
    IDLE_IN_TRANSACTION_SESSION_TIMEOUT = b"25P03",
    INVALID_AUTHORIZATION = b"28000",
    INVALID_PASSWORD = b"28P01",
    INVALID_CATALOG_NAME = b"3D000",
    SERIALIZATION_FAILURE = b"40001",
    STATEMENT_COMPLETION_UNKNOWN = b"40003",
    DEADLOCK_DETECTED = b"40P01",
    INSUFFICIENT_PRIVILEGE = b"42501",
    SYNTAX_ERROR = b"42601",
    UNDEFINED_COLUMN = b"42703",
    UNDEFINED_OBJECT = b"42704",
    DUPLICATE_OBJECT = b"42710",
    UNDEFINED_FUNCTION = b"42883",
    UNDEFINED_TABLE = b"42P01",
    DUPLICATE_DATABASE = b"42P04",
    DUPLICATE_SCHEMA = b"42P06",
    DUPLICATE_TABLE = b"42P07",
    INVALID_SCHEMA_NAME = b"3F000",
    DISK_FULL = b"53100",
    OUT_OF_MEMORY = b"53200",
    TOO_MANY_CONNECTIONS = b"53300",
    CONFIGURATION_LIMIT_EXCEEDED = b"53400",
    OBJECT_NOT_IN_PREREQUISITE_STATE = b"55000",
    OBJECT_IN_USE = b"55006",
    LOCK_NOT_AVAILABLE = b"55P03",
    QUERY_CANCELED = b"57014",
    ADMIN_SHUTDOWN = b"57P01",
    CRASH_SHUTDOWN = b"57P02",
    CANNOT_CONNECT_NOW = b"57P03",
    DATABASE_DROPPED = b"57P04",
    IDLE_SESSION_TIMEOUT = b"57P05",
    UNDEFINED_FILE = b"58P01",
    INTERNAL_ERROR = b"XX000",
}

impl SqlState {
    /// Reads five ASCII letters and digits; anything else is `None`.
    pub fn from_code(code: &str) -> Option<Self> {
        let bytes: [u8; 5] = code.as_bytes().try_into().ok()?;
        bytes
            .iter()
            .all(u8::is_ascii_alphanumeric)
            .then_some(Self(bytes))
    }

    /// The five characters.
    pub fn as_str(&self) -> &str {
        // A SqlState is made of ASCII only.
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }

    /// The first two characters, which name the class of the error.
    pub fn class(&self) -> &str {
        &self.as_str()[..2]
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqlState({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::SqlState;

    #[test]
    fn a_code_is_five_letters_and_digits() {
        assert_eq!(
            SqlState::from_code("23505"),
            Some(SqlState::UNIQUE_VIOLATION)
        );
        assert_eq!(SqlState::from_code("2350"), None);
        assert_eq!(SqlState::from_code("2350é"), None);
        assert_eq!(SqlState::ADMIN_SHUTDOWN.class(), "57");
    }
}
