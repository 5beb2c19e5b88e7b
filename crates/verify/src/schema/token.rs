//! The words of an SQL text that a server wrote. Holds always: whitespace between words says
//! nothing, whitespace within literals and quoted names stays.

use super::object::is_plain;

/// The words of a text: names, numbers, whole literals, operators, brackets. A quoted name
/// that needs no quotes loses them, because which words need them depends on the version.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' => quoted_length(rest, '\''),
            '"' => quoted_length(rest, '"'),
            '$' => dollar_quoted_length(rest),
            '0'..='9' => length_of(rest, |c| c.is_ascii_alphanumeric() || c == '.'),
            c if is_word(c) => length_of(rest, |c| is_word(c) || c.is_ascii_digit() || c == '$'),
            ':' if rest.starts_with("::") => 2,
            c if is_operator(c) => length_of(rest, is_operator),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        found.push(without_needless_quotes(token).to_owned());
        rest = after.trim_start();
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_operator(c: char) -> bool {
    "+-*/<>=~!@#%^&|`?".contains(c)
}

fn length_of(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// Servers write a quote within quotes twice, in literals with escapes, too.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut within = text[1..].char_indices().peekable();
    while let Some((at, c)) = within.next() {
        if c == quote && within.next_if(|(_, next)| *next == quote).is_none() {
            return at + 2;
        }
    }
    text.len()
}

/// `$tag$ … $tag$`, or a lone dollar such as a parameter's.
fn dollar_quoted_length(text: &str) -> usize {
    let tag_length = 1 + length_of(&text[1..], |c| is_word(c) || c.is_ascii_digit());
    if !text[tag_length..].starts_with('$') {
        return tag_length;
    }
    let (tag, body) = text.split_at(tag_length + 1);
    body.find(tag)
        .map_or(text.len(), |at| tag.len() + at + tag.len())
}

fn without_needless_quotes(token: &str) -> &str {
    let inner = token.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    inner.filter(|name| is_plain(name)).unwrap_or(token)
}

#[cfg(test)]
mod tests {
    use super::tokens;

    #[test]
    fn literals_and_names_stay_whole_and_whitespace_between_goes() {
        let text = "SELECT  'it''s  \"x\"' ||\n\"Odd \"\"N\" , \"plain\", 1.50::numeric(3,2)";
        assert_eq!(
            tokens(text),
            [
                "SELECT",
                "'it''s  \"x\"'",
                "||",
                "\"Odd \"\"N\"",
                ",",
                "plain",
                ",",
                "1.50",
                "::",
                "numeric",
                "(",
                "3",
                ",",
                "2",
                ")"
            ]
        );
    }

    #[test]
    fn a_body_in_dollar_quotes_is_one_word() {
        assert_eq!(
            tokens("AS $function$ a  $$ 'b $function$ COST 5"),
            ["AS", "$function$ a  $$ 'b $function$", "COST", "5"]
        );
        assert_eq!(tokens("$1 = 'open"), ["$1", "=", "'open"]);
        assert_eq!(tokens("ünï >= -1"), ["ünï", ">=", "-", "1"]);
    }
}
