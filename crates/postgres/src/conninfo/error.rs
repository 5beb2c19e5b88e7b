//! What is wrong with connection settings. Text that may hold a password is never repeated: the
//! messages name keywords and positions instead.

use std::path::PathBuf;

/// Connection settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConninfoError {
    /// The text is neither a URI nor a list of key=value pairs.
    #[error("connection settings: {0}")]
    Syntax(String),
    /// A keyword that libpq does not know. The keyword itself is repeated only where it looks
    /// like a slip of the pen, because a stray word may be a piece of a password.
    #[error("connection settings: unknown keyword{}; the nearest known one is \"{nearest}\"",
        .name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default())]
    UnknownKeyword {
        /// The keyword as written, if it is close to a known one.
        name: Option<String>,
        /// The known keyword that is nearest to it.
        nearest: &'static str,
    },
    /// A value that its keyword does not allow.
    #[error("connection settings: {keyword} must be {expected}")]
    InvalidValue {
        /// The keyword.
        keyword: &'static str,
        /// What is allowed.
        expected: String,
    },
    /// A setting that libpq has and Trunkline has not.
    #[error("connection settings: {keyword} is not supported: {why}")]
    Unsupported {
        /// The keyword.
        keyword: &'static str,
        /// Why, and what to do instead.
        why: &'static str,
    },
    /// The service cannot be found or read (manual, "The Connection Service File").
    #[error("service \"{name}\": {why}")]
    Service {
        /// The name of the service.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A file that the settings name cannot be used.
    #[error("{keyword} {}: {why}", path.display())]
    File {
        /// The keyword that names the file.
        keyword: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl ConninfoError {
    pub(super) fn syntax(what: impl Into<String>) -> Self {
        Self::Syntax(what.into())
    }

    pub(super) fn invalid(keyword: &'static str, expected: impl Into<String>) -> Self {
        Self::InvalidValue {
            keyword,
            expected: expected.into(),
        }
    }
}
