//! A condition on a table's columns, as somebody typed it. Holds always: put between
//! parentheses it ends with the second one, whatever it says. Which expression it is, and
//! whether the columns exist, only the servers know.

use crate::error::Error;

/// SQL that stays where it is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition(String);

impl Condition {
    /// Takes a condition, or says what in it could end the expression that it stands in.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match refusal(text) {
            None => Ok(Condition(text.trim().to_owned())),
            Some(why) => Err(Error::Plan {
                why: format!("the condition `{text}` cannot be used: {why}"),
                hint: "give one expression over the table's columns, such as --where \"id > 100\""
                    .to_owned(),
            }),
        }
    }

    pub(crate) fn sql(&self) -> &str {
        &self.0
    }
}

/// Reads quotes and parentheses as the server does. Where older and newer servers or their
/// settings read something differently, it is refused.
fn refusal(text: &str) -> Option<String> {
    if text.trim().is_empty() {
        return Some("it is empty".to_owned());
    }
    let mut depth = 0_usize;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match c {
            '\'' | '"' => {
                if let Some(why) = skip_quoted(c, &mut chars) {
                    return Some(why);
                }
            }
            '(' => depth += 1,
            ')' if depth == 0 => return Some("a parenthesis closes that none opened".to_owned()),
            ')' => depth -= 1,
            ';' => return Some("it holds a `;`".to_owned()),
            '$' => return Some("it holds a `$` outside of quotes".to_owned()),
            '\0' => return Some("it holds a zero byte".to_owned()),
            '-' if next == Some('-') => return Some("it holds a comment (`--`)".to_owned()),
            '/' if next == Some('*') => return Some("it holds a comment (`/*`)".to_owned()),
            _ => {}
        }
    }
    (depth > 0).then(|| "a parenthesis is not closed".to_owned())
}

/// Reads on behind the quote that closes. A doubled quote is two quoted texts in a row, which
/// comes to the same. Whether a backslash takes the quote behind it depends on a setting and
/// on an E before the string, so none may stand there: then every reading ends at one place.
fn skip_quoted(quote: char, chars: &mut impl Iterator<Item = char>) -> Option<String> {
    while let Some(inner) = chars.next() {
        if inner == quote {
            return None;
        }
        if inner == '\\' && quote == '\'' && chars.next() == Some('\'') {
            let why = "a backslash stands before a quote (write '' for a quote in a string)";
            return Some(why.to_owned());
        }
    }
    Some(format!("a {quote} is not closed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_inside_of_its_parentheses_is_taken() {
        for text in [
            "id > 100",
            "note = 'it''s; -- fine ('",
            "\"Odd;name\" IN (1, 2) AND (a OR (b))",
            r"note LIKE 'a\_%' AND state = 'active'",
            "note = E'x\\n' OR note = U&'x'",
            r"note ~ '^\d+\\'",
            "at < '2024-01-01'::date - 3",
        ] {
            assert!(Condition::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_could_break_out_is_refused() {
        for text in [
            "",
            "  ",
            "true; DROP TABLE t",
            "true) TO PROGRAM 'x'",
            "true) OR (true",
            "(true",
            "true -- ",
            "true /* ",
            "note = 'x",
            "\"x",
            r"note = E'\') TO PROGRAM '",
            r"note = E'a' 'b\') TO PROGRAM '",
            r"note <> '\' || ') TO PROGRAM '",
            r"note <> '\\\' || ') TO PROGRAM '",
            "$$'$$ = '' OR true) TO PROGRAM $$'$$",
        ] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }
}
