//! A statement's text as `pg_stat_statements` keeps it, made the same for every version:
//! parameters are numbered differently, and lists are kept whole or shortened.

use crate::limits::STATEMENT_SHOWN_CHARS;

/// The text in one line, cut to what a report shows.
pub(super) fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(STATEMENT_SHOWN_CHARS) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

/// Equal for texts that differ only in white space, comments, the numbers of parameters and
/// the length of lists of parameters.
pub(super) fn fingerprint(text: &str) -> String {
    // FNV-1a with 64 bits: stable for ever, which the standard library's hash is not.
    let hash = normal(text)
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:016x}")
}

/// The text without what versions write differently.
fn normal(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    let mut rest = without_comments(text);
    rest = rest.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut letters = rest.trim_end_matches([';', ' ']).chars().peekable();
    while let Some(letter) = letters.next() {
        normal.push(letter);
        if letter == '$' {
            while letters.next_if(char::is_ascii_digit).is_some() {}
            drop_repeated(&mut normal);
        }
    }
    normal
}

/// Takes a parameter away that follows another one in a list.
fn drop_repeated(normal: &mut String) {
    for before in ["$, $", "$,$", "$ , $"] {
        if normal.ends_with(before) {
            normal.truncate(normal.len() - before.len() + 1);
            return;
        }
    }
}

/// A comment may hold a request's number, or what a newer version left out of a list.
fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        kept.push_str(before.trim_end_matches(' '));
        // Of a comment that was cut off, nothing is left.
        rest = after.split_once("*/").map_or("", |(_, after)| after);
        let goes_on = rest.starts_with([',', ')', ';']) || rest.is_empty();
        if !goes_on {
            kept.push(' ');
        }
    }
    kept.push_str(rest);
    kept.replace(", )", ")").replace(",)", ")")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_of_two_versions_has_one_fingerprint() {
        let same = [
            "SELECT * FROM orders WHERE id IN ($1, $2, $3) AND note = $4",
            "SELECT * FROM orders\n  WHERE id IN ($1 /*, ... */) AND note = $2;",
            "/* request 17 */ SELECT * FROM orders WHERE id IN ($2,$3) AND note = $1",
        ];
        for text in same {
            assert_eq!(fingerprint(text), fingerprint(same[0]), "{}", normal(text));
        }
        let other = "SELECT * FROM orders WHERE id IN ($1) AND notes = $2";
        assert_ne!(fingerprint(other), fingerprint(same[0]));
    }

    #[test]
    fn statements_with_the_same_beginning_are_told_apart() {
        let columns = "a_long_column, ".repeat(50);
        let first = format!("SELECT {columns} id FROM orders");
        let second = format!("SELECT {columns} id FROM customers");
        assert_eq!(shown(&first), shown(&second));
        assert!(shown(&first).chars().count() <= STATEMENT_SHOWN_CHARS + 1);
        assert_ne!(fingerprint(&first), fingerprint(&second));
    }

    #[test]
    fn a_comment_that_was_cut_off_is_borne() {
        assert_eq!(normal("SELECT $1 /* never clo"), "SELECT $");
        assert_eq!(normal(""), "");
    }
}
