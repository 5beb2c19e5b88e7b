//! Whether two texts of a definition mean the same, as far as their words tell. A server
//! writes definitions from its parse trees, and the same one may come out in several ways:
//! after a dump and restore (casts of arrays), and by servers of different versions. Pure.

use super::aspect::{Fact, Reading};
use super::token::tokens;

/// What two texts say about the thing they describe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// The same.
    Same,
    /// Perhaps the same: two versions may spell it differently.
    PerhapsSpelling,
    /// Not the same, and not meant to count.
    Noted,
    /// Not the same.
    Different,
}

/// From this major version on, a query of one relation names its columns without it.
const UNQUALIFIED_SINCE: u32 = 16;

/// What versions write in other words: 14 writes in the syntax of the SQL standard (in capitals)
/// what was typed in so, and earlier ones the function behind it.
const RESPELT: &[&str] = &[
    "EXTRACT",
    "date_part",
    "ZONE",
    "timezone",
    "SUBSTRING",
    "substring",
    "OVERLAY",
    "overlay",
    "POSITION",
    "position",
    "TRIM",
    "btrim",
    "ltrim",
    "rtrim",
    "NORMALIZE",
    "normalize",
    "NORMALIZED",
    "is_normalized",
    "OVERLAPS",
    "overlaps",
    "XMLEXISTS",
    "xmlexists",
    "COLLATION",
    "pg_collation_for",
];

/// Compares the texts of one aspect from servers of these major versions.
pub(crate) fn likeness(source: &Fact, target: &Fact, majors: [u32; 2]) -> Likeness {
    if source.text == target.text {
        return Likeness::Same;
    }
    let same_major = majors[0] == majors[1];
    match source.reading {
        Reading::Note => return Likeness::Noted,
        Reading::Since(major) if majors.iter().any(|&here| here < major) => {
            return Likeness::Same;
        }
        Reading::Exact | Reading::Since(_) if same_major => return Likeness::Different,
        _ => {}
    }
    let (one, two) = (canonical(&source.text), canonical(&target.text));
    if one == two {
        return Likeness::Same;
    }
    match source.reading {
        _ if same_major => Likeness::Different,
        Reading::Expression
            if skeleton(&one) != skeleton(&two) && respelt(&one) == respelt(&two) =>
        {
            Likeness::Different
        }
        Reading::Query if same_but_for_qualifiers(&one, &two, majors) => Likeness::Same,
        Reading::Expression | Reading::Query => Likeness::PerhapsSpelling,
        _ => Likeness::Different,
    }
}

/// The words of a text with casts of array constructors moved into them:
/// `(ARRAY[a, b])::text[]` becomes `ARRAY[(a)::text, (b)::text]`. Servers write the first form
/// of what was typed in by a user, and the second when they have read the first.
fn canonical(text: &str) -> Vec<String> {
    inner_casts(&tokens(text))
}

fn inner_casts(words: &[String]) -> Vec<String> {
    let mut out = Vec::with_capacity(words.len());
    let mut at = 0;
    while at < words.len() {
        if let Some(cast) = ArrayCast::at(words, at) {
            out.extend(["ARRAY", "["].map(str::to_owned));
            for (index, element) in elements(cast.inside).into_iter().enumerate() {
                if index > 0 {
                    out.push(",".to_owned());
                }
                out.push("(".to_owned());
                out.extend(inner_casts(element));
                out.extend([")", "::"].map(str::to_owned));
                out.extend_from_slice(cast.element_type);
            }
            out.push("]".to_owned());
            at = cast.end;
        } else {
            out.push(words[at].clone());
            at += 1;
        }
    }
    out
}

/// `(ARRAY[…])::type[]`.
struct ArrayCast<'a> {
    inside: &'a [String],
    element_type: &'a [String],
    end: usize,
}

impl<'a> ArrayCast<'a> {
    fn at(words: &'a [String], start: usize) -> Option<Self> {
        if !begins_with(&words[start..], &["(", "ARRAY", "["]) {
            return None;
        }
        let close = closing(words, start + 2)?;
        if !begins_with(&words[close..], &["]", ")", "::"]) {
            return None;
        }
        let type_start = close + 3;
        let type_end = type_start + element_type_length(&words[type_start..])?;
        Some(ArrayCast {
            inside: &words[start + 3..close],
            element_type: &words[type_start..type_end],
            end: type_end + 2,
        })
    }
}

/// How many words the name of a type takes that `[]` follows.
fn element_type_length(words: &[String]) -> Option<usize> {
    let mut at = 0;
    while at < words.len() {
        if at > 0 && begins_with(&words[at..], &["[", "]"]) {
            return Some(at);
        }
        if words[at] == "(" {
            at = closing(words, at)? + 1;
        } else if is_name(&words[at]) || words[at] == "." {
            at += 1;
        } else {
            return None;
        }
    }
    None
}

/// Splits at the commas outside all brackets.
fn elements(words: &[String]) -> Vec<&[String]> {
    let mut depth = 0;
    words
        .split(|word| {
            match word.as_str() {
                "(" | "[" => depth += 1,
                ")" | "]" => depth -= 1,
                _ => {}
            }
            depth == 0 && word == ","
        })
        .collect()
}

/// Where the bracket that opens at `start` is closed.
fn closing(words: &[String], start: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, word) in words.iter().enumerate().skip(start) {
        match word.as_str() {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn begins_with(words: &[String], these: &[&str]) -> bool {
    words.len() >= these.len() && words.iter().zip(these).all(|(word, this)| word == this)
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '"')
}

/// The words without parentheses and casts: what two versions agree on whatever they add.
fn skeleton(words: &[String]) -> Vec<&str> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match words[at].as_str() {
            "(" | ")" => {}
            "::" => at += cast_length(&words[at + 1..]),
            word => out.push(word),
        }
        at += 1;
    }
    out
}

/// How many words of a cast follow its `::`.
fn cast_length(words: &[String]) -> usize {
    const SEVERAL_WORDS: &[&str] = &[
        "varying",
        "precision",
        "with",
        "without",
        "time",
        "zone",
        "year",
        "month",
        "day",
        "hour",
        "minute",
        "second",
        "to",
    ];
    let mut at = 1;
    while at < words.len() {
        match words[at].as_str() {
            "." => at += 2,
            "(" | "[" => match closing(words, at) {
                Some(close) => at = close + 1,
                None => return words.len(),
            },
            word if SEVERAL_WORDS.contains(&word) => at += 1,
            _ => break,
        }
    }
    at.min(words.len())
}

fn respelt(words: &[String]) -> Vec<&'static str> {
    let is_in = |known: &&&str| words.iter().any(|word| word == *known);
    RESPELT.iter().filter(is_in).copied().collect()
}

/// Whether the older server's text has nothing more than `relation.` before some columns.
fn same_but_for_qualifiers(source: &[String], target: &[String], majors: [u32; 2]) -> bool {
    let (old, new) = match majors {
        [s, t] if s < UNQUALIFIED_SINCE && t >= UNQUALIFIED_SINCE => (source, target),
        [s, t] if t < UNQUALIFIED_SINCE && s >= UNQUALIFIED_SINCE => (target, source),
        _ => return false,
    };
    let (mut i, mut j) = (0, 0);
    while i < old.len() {
        let more = qualifies_column(old, i) && !qualifies_column(new, j);
        if more {
            i += 2;
        } else if j < new.len() && old[i] == new[j] {
            i += 1;
            j += 1;
        } else {
            return false;
        }
    }
    j == new.len()
}

/// Whether `name.` stands here, before what can be a column.
fn qualifies_column(words: &[String], at: usize) -> bool {
    let Some([name, dot, _column]) = words.get(at..at + 3) else {
        return false;
    };
    let is_called = words.get(at + 3).is_some_and(|word| word == "(");
    is_name(name) && dot == "." && !is_called && !names_relation(words, at)
}

/// Whether a relation is named here, not a column: after JOIN, and after FROM unless that is
/// within the brackets of a function, as in `EXTRACT(day FROM x)`.
fn names_relation(words: &[String], at: usize) -> bool {
    match at.checked_sub(1).map(|before| words[before].as_str()) {
        Some("JOIN" | "INTO") => true,
        Some("FROM") => {
            let mut depth = 0;
            let mut outside = words[..at].iter().rev().skip_while(|word| {
                match word.as_str() {
                    ")" => depth += 1,
                    "(" => depth -= 1,
                    _ => {}
                }
                depth > 0 || depth == 0 && !matches!(word.as_str(), "SELECT" | "DELETE" | "UPDATE")
            });
            outside.next().is_none_or(|word| word != "(")
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "spelling_tests.rs"]
mod tests;
