//! Identifiers as `pg_dump` writes them. Pure text.

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
