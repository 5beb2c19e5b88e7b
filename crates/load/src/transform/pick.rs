//! Which names a rule is about: one name, or those of a pattern with the wildcards of a
//! table mapping (`%`, `_`, `[abc]`, `[a-d]`).

use std::fmt;

/// A name, or a pattern of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pick {
    text: String,
    tokens: Option<Vec<Token>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// Any run of characters.
    Run,
    /// Any one character.
    One,
    /// This character.
    Just(char),
    /// One of these ranges.
    Among(Vec<(char, char)>),
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pick {
    /// This name and no other.
    pub(crate) fn exactly(name: &str) -> Self {
        Pick {
            text: name.to_owned(),
            tokens: None,
        }
    }

    /// Every name.
    pub(crate) fn any() -> Self {
        Pick {
            text: "%".to_owned(),
            tokens: Some(vec![Token::Run]),
        }
    }

    /// Reads a pattern; the error says what is wrong with it.
    pub(crate) fn like(text: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '%' => Token::Run,
                '_' => Token::One,
                '[' => Token::Among(read_set(&mut chars)?),
                c => Token::Just(c),
            });
        }
        if tokens.is_empty() {
            return Err("a name is missing".to_owned());
        }
        let is_pattern = tokens.iter().any(|token| !matches!(token, Token::Just(_)));
        Ok(Pick {
            text: text.to_owned(),
            tokens: is_pattern.then_some(tokens),
        })
    }

    /// Whether it is one name and not a pattern.
    pub(crate) fn is_exact(&self) -> bool {
        self.tokens.is_none()
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        match &self.tokens {
            None => self.text == name,
            Some(tokens) => matches(tokens, &name.chars().collect::<Vec<_>>()),
        }
    }

    /// The same as a part of a filter's pattern.
    pub(crate) fn filter_text(&self) -> String {
        let Some(tokens) = &self.tokens else {
            return trunkline_changes::quote_ident(&self.text);
        };
        if tokens.as_slice() == [Token::Run] {
            return "*".to_owned();
        }
        let parts: String = tokens.iter().map(Token::regex).collect();
        format!("~/^{parts}$/")
    }
}

impl Token {
    fn regex(&self) -> String {
        match self {
            Token::Run => ".*".to_owned(),
            Token::One => ".".to_owned(),
            Token::Just(c) => escaped(*c),
            Token::Among(ranges) => {
                let ranges = ranges.iter();
                let ranges: Vec<String> = ranges
                    .map(|(low, high)| format!("{}-{}", escaped(*low), escaped(*high)))
                    .collect();
                format!("[{}]", ranges.concat())
            }
        }
    }
}

/// A character as a regular expression that ends in `/` may hold it.
fn escaped(c: char) -> String {
    if c.is_ascii_alphanumeric() || c == '_' {
        c.to_string()
    } else {
        format!("\\x{{{:X}}}", u32::from(c))
    }
}

fn read_set(chars: &mut std::str::Chars<'_>) -> Result<Vec<(char, char)>, String> {
    let unclosed = || "a `[` is not closed".to_owned();
    let mut ranges: Vec<(char, char)> = Vec::new();
    loop {
        match chars.next().ok_or_else(unclosed)? {
            ']' if ranges.is_empty() => return Err("`[]` names no character".to_owned()),
            ']' => return Ok(ranges),
            '-' if !ranges.is_empty() => match chars.next().ok_or_else(unclosed)? {
                ']' => {
                    ranges.push(('-', '-'));
                    return Ok(ranges);
                }
                high => {
                    let last = ranges.last_mut().expect("it is not empty");
                    if high < last.0 {
                        return Err(format!("`{}-{high}` is no range", last.0));
                    }
                    last.1 = high;
                }
            },
            c => ranges.push((c, c)),
        }
    }
}

/// Linear but for going back to the last run.
fn matches(tokens: &[Token], name: &[char]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut run: Option<(usize, usize)> = None;
    while read < name.len() {
        let fits = match tokens.get(at) {
            Some(Token::Run) => {
                run = Some((at, read));
                at += 1;
                continue;
            }
            Some(Token::One) => true,
            Some(Token::Just(c)) => *c == name[read],
            Some(Token::Among(ranges)) => ranges
                .iter()
                .any(|(low, high)| (*low..=*high).contains(&name[read])),
            None => false,
        };
        if fits {
            at += 1;
            read += 1;
        } else {
            let Some((token, from)) = run else {
                return false;
            };
            run = Some((token, from + 1));
            at = token + 1;
            read = from + 1;
        }
    }
    tokens[at..].iter().all(|token| *token == Token::Run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::Scope;
    use trunkline_changes::TableName;

    #[test]
    fn wildcards_are_those_of_a_table_mapping() {
        let cases = [
            ("orders", "orders", true),
            ("orders", "Orders", false),
            ("%", "", true),
            ("ord%", "orders", true),
            ("%_log", "a_log", true),
            ("%[_]log", "alog", false),
            ("%[_]log", "a_log", true),
            ("t_", "t1", true),
            ("t_", "t12", false),
            ("t[ab]", "tb", true),
            ("t[a-c]x", "tdx", false),
            ("t[a-c]x", "tcx", true),
            ("a%b%c", "aXbYbZc", true),
            ("a.b/c%", "a.b/c*", true),
        ];
        for (pattern, name, expected) in cases {
            let pick = Pick::like(pattern).expect(pattern);
            assert_eq!(pick.matches(name), expected, "{pattern} {name}");
            // A filter made of it says the same.
            let text = format!("public.{}", pick.filter_text());
            let scope = Scope::from_patterns(&[text], &[]).expect(pattern);
            let covered = scope.covers_table(&TableName::new("public", name));
            assert_eq!(covered, expected, "{pattern} {name} as a filter");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_refused() {
        for text in ["", "t[", "t[]", "t[z-a]"] {
            assert!(Pick::like(text).is_err(), "{text}");
        }
    }
}
