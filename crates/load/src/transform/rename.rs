//! What a rule makes of a name.

use std::fmt;

/// How a name is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rename {
    To(String),
    AddPrefix(String),
    AddSuffix(String),
    RemovePrefix(String),
    RemoveSuffix(String),
    ReplacePrefix { old: String, new: String },
    ReplaceSuffix { old: String, new: String },
    Lowercase,
    Uppercase,
}

impl Rename {
    /// The new name; a prefix or suffix that is not there changes nothing.
    pub(crate) fn of(&self, name: &str) -> String {
        let replaced = |rest: Option<String>| rest.unwrap_or_else(|| name.to_owned());
        match self {
            Rename::To(new) => new.clone(),
            Rename::AddPrefix(prefix) => format!("{prefix}{name}"),
            Rename::AddSuffix(suffix) => format!("{name}{suffix}"),
            Rename::RemovePrefix(prefix) => replaced(name.strip_prefix(prefix).map(str::to_owned)),
            Rename::RemoveSuffix(suffix) => replaced(name.strip_suffix(suffix).map(str::to_owned)),
            Rename::ReplacePrefix { old, new } => {
                let rest = name.strip_prefix(old.as_str());
                replaced(rest.map(|rest| format!("{new}{rest}")))
            }
            Rename::ReplaceSuffix { old, new } => {
                let rest = name.strip_suffix(old.as_str());
                replaced(rest.map(|rest| format!("{rest}{new}")))
            }
            Rename::Lowercase => name.to_lowercase(),
            Rename::Uppercase => name.to_uppercase(),
        }
    }
}

impl fmt::Display for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rename::To(new) => write!(f, "is called {new}"),
            Rename::AddPrefix(prefix) => write!(f, "gets the prefix {prefix}"),
            Rename::AddSuffix(suffix) => write!(f, "gets the suffix {suffix}"),
            Rename::RemovePrefix(prefix) => write!(f, "loses the prefix {prefix}"),
            Rename::RemoveSuffix(suffix) => write!(f, "loses the suffix {suffix}"),
            Rename::ReplacePrefix { old, new } => write!(f, "gets the prefix {new} for {old}"),
            Rename::ReplaceSuffix { old, new } => write!(f, "gets the suffix {new} for {old}"),
            Rename::Lowercase => f.write_str("is written in lower case"),
            Rename::Uppercase => f.write_str("is written in upper case"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rename;

    #[test]
    fn names_change_as_their_rules_say() {
        let text = |text: &str| text.to_owned();
        let replace = |old: &str, new: &str| Rename::ReplacePrefix {
            old: text(old),
            new: text(new),
        };
        for (rename, name, expected) in [
            (Rename::To(text("b")), "a", "b"),
            (Rename::AddPrefix(text("x_")), "a", "x_a"),
            (Rename::AddSuffix(text("_x")), "a", "a_x"),
            (Rename::RemovePrefix(text("x_")), "x_a", "a"),
            (Rename::RemovePrefix(text("x_")), "a", "a"),
            (Rename::RemoveSuffix(text("_x")), "a_x", "a"),
            (replace("Pre_", "New_"), "Pre_a", "New_a"),
            (replace("Pre_", "New_"), "a_Pre_", "a_Pre_"),
            (Rename::Lowercase, "AbÄ", "abä"),
            (Rename::Uppercase, "ab", "AB"),
        ] {
            assert_eq!(rename.of(name), expected, "{rename} {name}");
        }
    }
}
