//! One pattern of a filter: a name, a glob, or a regular expression, for each part of
//! `schema.table`. Reading a pattern is the only place where its text can be wrong.

use std::fmt;

use regex_lite::Regex;

/// How one part of a name is matched.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// Any name.
    Any,
    /// This name exactly.
    Exactly(String),
    /// `*` is any run of characters, `?` any one.
    Glob(Vec<char>),
    /// `~/…/`.
    Regex(Regex),
}

impl Part {
    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Part::Any => true,
            Part::Exactly(wanted) => wanted == name,
            Part::Glob(glob) => glob_matches(glob, name),
            Part::Regex(regex) => regex.is_match(name),
        }
    }
}

/// A pattern as it was written, and what it means. A pattern for schemas has no `name`.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    pub(crate) schema: Part,
    pub(crate) name: Part,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    /// Reads `schema.table`; a lone part is a table (or index) in any schema.
    pub(crate) fn of_table(text: &str) -> Result<Self, String> {
        let (first, rest) = read_part(text.trim())?;
        let (schema, name, rest) = match rest.strip_prefix('.') {
            Some(rest) => {
                let (second, rest) = read_part(rest)?;
                (first, second, rest)
            }
            None => (Part::Any, first, rest),
        };
        Self::finish(text, schema, name, rest)
    }

    /// Reads a schema's pattern.
    pub(crate) fn of_schema(text: &str) -> Result<Self, String> {
        let (schema, rest) = read_part(text.trim())?;
        Self::finish(text, schema, Part::Any, rest)
    }

    fn finish(text: &str, schema: Part, name: Part, rest: &str) -> Result<Self, String> {
        if rest.is_empty() {
            Ok(Pattern {
                text: text.trim().to_owned(),
                schema,
                name,
            })
        } else {
            Err(format!("`{rest}` is left over at its end"))
        }
    }

    pub(crate) fn matches(&self, schema: &str, name: &str) -> bool {
        self.schema.matches(schema) && self.name.matches(name)
    }
}

/// Reads one part from the front: `"quoted"`, `~/regex/`, or plain characters up to a dot.
fn read_part(text: &str) -> Result<(Part, &str), String> {
    if let Some(inner) = text.strip_prefix('"') {
        return read_quoted(inner);
    }
    if let Some(inner) = text.strip_prefix("~/") {
        let end = inner.find("/.").or_else(|| inner.rfind('/'));
        let end = end.ok_or("the regular expression does not end with `/`")?;
        let regex = Regex::new(&inner[..end]).map_err(|cause| cause.to_string())?;
        return Ok((Part::Regex(regex), &inner[end + 1..]));
    }
    let end = text.find('.').unwrap_or(text.len());
    let (plain, rest) = text.split_at(end);
    let part = match plain {
        "" => return Err("a name is missing".to_owned()),
        "*" => Part::Any,
        glob if glob.contains(['*', '?']) => Part::Glob(glob.chars().collect()),
        name => Part::Exactly(name.to_owned()),
    };
    Ok((part, rest))
}

fn read_quoted(inner: &str) -> Result<(Part, &str), String> {
    let (name, rest) = quoted_name(inner).ok_or("the quotation mark is not closed")?;
    Ok((Part::Exactly(name), rest))
}

/// Reads a name up to the double quote that closes it, and what follows that; a doubled one is
/// one of the name's. `None` where it is not closed.
pub fn quoted_name(inner: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut characters = inner.char_indices().peekable();
    while let Some((index, character)) = characters.next() {
        if character != '"' {
            name.push(character);
        } else if characters.next_if(|&(_, next)| next == '"').is_some() {
            name.push('"');
        } else {
            return Some((name, &inner[index + 1..]));
        }
    }
    None
}

/// Whether a glob matches the whole name. Linear but for backtracking to the last `*`.
fn glob_matches(glob: &[char], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut at_glob, mut at_name) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at_name < name.len() {
        match glob.get(at_glob) {
            Some('*') => {
                star = Some((at_glob, at_name));
                at_glob += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == name[at_name] => {
                at_glob += 1;
                at_name += 1;
            }
            _ => {
                let Some((star_glob, star_name)) = star else {
                    return false;
                };
                star = Some((star_glob, star_name + 1));
                at_glob = star_glob + 1;
                at_name = star_name + 1;
            }
        }
    }
    glob[at_glob..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        let cases = [
            ("public.orders", "public", "orders", true),
            ("public.orders", "public", "orders2", false),
            ("public.*", "public", "anything", true),
            ("public.tmp_*", "public", "tmp_", true),
            ("public.tmp_?", "public", "tmp_", false),
            ("*.a*b*c", "x", "aXbbYc", true),
            ("*.a*b*c", "x", "aXbbYcd", false),
            ("orders", "any", "orders", true),
            ("\"My.Schema\".\"a\"\"b*\"", "My.Schema", "a\"b*", true),
            ("\"My.Schema\".\"a\"\"b*\"", "My.Schema", "a\"bc", false),
            ("~/^p/.~/s$/", "public", "orders", true),
            ("~/^p/.~/s$/", "public", "order", false),
            ("public.~/^(a|b)_/", "public", "b_x", true),
        ];
        for (pattern, schema, name, expected) in cases {
            let read = Pattern::of_table(pattern).expect(pattern);
            assert_eq!(
                read.matches(schema, name),
                expected,
                "{pattern} {schema}.{name}"
            );
        }
    }

    #[test]
    fn what_is_not_a_pattern_is_refused() {
        for text in ["", "a.", ".a", "a.b.c", "\"a", "~/a", "~/(/", "\"a\"b"] {
            assert!(Pattern::of_table(text).is_err(), "{text}");
        }
    }
}
