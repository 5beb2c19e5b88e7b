//! Identifiers as `pg_dump` writes them, and the statement that adds a constraint. Pure text.

/// What `ALTER TABLE [ONLY] schema.table ADD CONSTRAINT name definition` says, as written.
pub(super) struct Added<'a> {
    pub(super) schema: &'a str,
    pub(super) table: &'a str,
    pub(super) name: &'a str,
    /// With the space before it.
    pub(super) definition: &'a str,
}

/// Reads such a statement, without its semicolon.
pub(super) fn added_constraint(body: &str) -> Option<Added<'_>> {
    let rest = body.strip_prefix("ALTER TABLE ")?;
    let rest = rest.strip_prefix("ONLY ").unwrap_or(rest);
    let (schema, rest) = identifier(rest)?;
    let (table, rest) = identifier(rest.strip_prefix('.')?)?;
    let rest = rest.trim_start().strip_prefix("ADD CONSTRAINT ")?;
    let (name, definition) = identifier(rest)?;
    Some(Added {
        schema,
        table,
        name,
        definition,
    })
}

/// An identifier from the front, quoted or not, as it is written, and what follows it.
pub(super) fn identifier(text: &str) -> Option<(&str, &str)> {
    let end = match text.strip_prefix('"') {
        None => text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))?,
        Some(inner) => {
            let mut characters = inner.char_indices().peekable();
            loop {
                let (index, character) = characters.next()?;
                if character != '"' {
                    continue;
                }
                if characters.next_if(|&(_, next)| next == '"').is_none() {
                    break index + 2;
                }
            }
        }
    };
    (end > 0).then(|| text.split_at(end))
}
