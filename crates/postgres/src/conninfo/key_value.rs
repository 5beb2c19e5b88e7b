//! The key=value form (manual, "Keyword/Value Connection Strings"), read and written.

use super::error::ConninfoError;

/// Splits `key = 'value' …` into pairs, in the order in which they stand.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, ConninfoError> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| c == '=' || c.is_ascii_whitespace())
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(after) = after.trim_start().strip_prefix('=') else {
            // The stray word is not repeated: it may be a piece of a password with a space in it.
            let at = position(text, rest);
            return Err(ConninfoError::syntax(format!(
                "no \"=\" after the word at character {at} (values with spaces need quotes)"
            )));
        };
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('\'') {
            Some(quoted) => quoted_value(quoted)
                .ok_or_else(|| ConninfoError::syntax("a quoted value has no closing quote"))?,
            None => bare_value(after),
        };
        pairs.push((name.to_owned(), value));
        rest = after.trim_start();
    }
    Ok(pairs)
}

/// The position of `part`, a suffix of `text`, in characters from 1.
fn position(text: &str, part: &str) -> usize {
    text[..text.len() - part.len()].chars().count() + 1
}

fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\'' => return Some((value, &text[at + 1..])),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    None
}

fn bare_value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            c if c.is_ascii_whitespace() => return (value, &text[at..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    (value, "")
}

/// Writes pairs so that [`parse`] and libpq read them back.
pub(super) fn write<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(name);
        text.push_str("='");
        for c in value.chars() {
            if matches!(c, '\'' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push('\'');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{parse, write};

    #[test]
    fn pairs_are_read_as_libpq_reads_them() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("  host=a  port=5433 ", &[("host", "a"), ("port", "5433")]),
            ("host = a", &[("host", "a")]),
            (r"password='it\'s \\ here'", &[("password", r"it's \ here")]),
            (r"password=a\ b", &[("password", "a b")]),
            ("host='' user=u", &[("host", ""), ("user", "u")]),
            ("host= user=u", &[("host", "user=u")]),
        ];
        for (text, expected) in cases {
            let pairs = parse(text).expect(text);
            let pairs: Vec<(&str, &str)> = pairs
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            assert_eq!(pairs, *expected, "{text}");
        }
    }

    #[test]
    fn a_stray_word_is_not_repeated() {
        let error = parse("host=a password=my hunter2 user=u").expect_err("stray word");
        let text = error.to_string();
        assert!(
            !text.contains("hunter2") && text.contains("character 20"),
            "{text}"
        );
    }

    #[test]
    fn quotes_must_match() {
        for text in ["password='it''", "host='a", r"host='a\'"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let pairs = [
            ("host", "/tmp/a b"),
            ("options", r"-c a='x\y'"),
            ("port", ""),
        ];
        let read = parse(&write(pairs)).expect("well formed");
        for ((name, value), (read_name, read_value)) in pairs.iter().zip(&read) {
            assert_eq!((name, value), (&read_name.as_str(), &read_value.as_str()));
        }
    }
}
