//! Identifiers, and the only two functions that quote.

use std::fmt::{self, Write as _};

use smol_str::SmolStr;

/// Quotes an identifier for SQL, always (`a"b` becomes `"a""b"`; manual, section 4.1.1).
pub fn quote_ident(name: &str) -> String {
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('"');
    for character in name.chars() {
        if character == '"' {
            quoted.push('"');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// Quotes a value as an SQL literal that reads the same whatever
/// `standard_conforming_strings` is (manual, section 4.1.2).
pub fn quote_literal(value: &str) -> String {
    let escape = value.contains('\\');
    let mut quoted = String::with_capacity(value.len() + 3);
    if escape {
        quoted.push('E');
    }
    quoted.push('\'');
    for character in value.chars() {
        if character == '\'' || character == '\\' {
            quoted.push(character);
        }
        quoted.push(character);
    }
    quoted.push('\'');
    quoted
}

/// A name whose `Display` is quoted for SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ident<'a>(pub &'a str);

impl fmt::Display for Ident<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quote_ident(self.0))
    }
}

/// A table's schema and name, as the catalogs spell them. `Display` is for people
/// (`public.orders`, control characters escaped); [`TableName::quoted`] is for SQL. It is held in
/// many places for each of very many tables: short names lie in it, and copies of long ones share
/// them.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct TableName {
    /// The schema, unquoted.
    pub schema: SmolStr,
    /// The table, unquoted.
    pub name: SmolStr,
}

impl TableName {
    /// From unquoted parts.
    pub fn new(schema: impl Into<SmolStr>, name: impl Into<SmolStr>) -> Self {
        TableName {
            schema: schema.into(),
            name: name.into(),
        }
    }

    /// `"schema"."name"`, for SQL.
    pub fn quoted(&self) -> String {
        format!("{}.{}", Ident(&self.schema), Ident(&self.name))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
                && part
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        for (separator, part) in [("", &self.schema), (".", &self.name)] {
            f.write_str(separator)?;
            if plain(part) {
                f.write_str(part)?;
                continue;
            }
            // A line break in a name must not break the line that it is printed in.
            for character in quote_ident(part).chars() {
                if character.is_control() {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    f.write_char(character)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_for_sql_and_readable_for_people() {
        let odd = TableName::new("My Schema", "a\"b.c");
        assert_eq!(odd.quoted(), "\"My Schema\".\"a\"\"b.c\"");
        assert_eq!(odd.to_string(), "\"My Schema\".\"a\"\"b.c\"");
        let broken = TableName::new("s", "we\nl");
        assert_eq!(broken.quoted(), "\"s\".\"we\nl\"");
        assert_eq!(broken.to_string(), "s.\"we\\nl\"");
        assert_eq!(
            TableName::new("public", "orders").to_string(),
            "public.orders"
        );
    }

    #[test]
    fn literals_survive_quotes_and_backslashes() {
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\b"), "E'a\\\\b'");
    }
}
