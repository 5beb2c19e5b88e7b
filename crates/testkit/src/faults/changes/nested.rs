//! Changes inside of values that hold others: arrays, ranges, composites, json, shapes. Pure.

use std::ops::Range;

use fastrand::Rng;

use super::letters::{any, place, put};
use super::numbers::with_more_scale;
use super::{Change, text};

/// Where the parts between the commas of the outermost level lie; quoted text is passed over.
fn parts(inner: &str, open: &[u8], close: &[u8]) -> Vec<Range<usize>> {
    let (mut found, mut begin, mut depth) = (Vec::new(), 0, 0_u32);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in inner.bytes().enumerate() {
        if is_escaped {
            is_escaped = false;
        } else if byte == b'\\' {
            is_escaped = true;
        } else if byte == b'"' {
            is_quoted = !is_quoted;
        } else if is_quoted {
        } else if open.contains(&byte) {
            depth += 1;
        } else if close.contains(&byte) {
            depth = depth.saturating_sub(1);
        } else if byte == b',' && depth == 0 {
            found.push(begin..at);
            begin = at + 1;
        }
    }
    found.push(begin..inner.len());
    found
}

/// The text with one part replaced.
fn with_part(inner: &str, part: &Range<usize>, new: &str) -> String {
    format!("{}{new}{}", &inner[..part.start], &inner[part.end..])
}

/// The text with its first and its last part exchanged, when they differ.
fn ends_exchanged(inner: &str, parts: &[Range<usize>]) -> Option<String> {
    let (first, last) = (parts.first()?, parts.last()?);
    let (one, other) = (&inner[first.clone()], &inner[last.clone()]);
    let between = inner.get(first.end..last.start)?;
    (one != other).then(|| format!("{other}{between}{one}"))
}

pub(super) fn of_array(old: &str, rng: &mut Rng) -> Vec<Change> {
    if let Some((_, plain)) = old.strip_prefix('[').and_then(|rest| rest.split_once('=')) {
        let mut all = of_array(plain, rng);
        all.retain(|change| change.what != "other bounds of an array");
        all.push(text("other bounds of an array", plain));
        return all;
    }
    let inner = old
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let Some(inner) = inner.filter(|inner| !inner.is_empty()) else {
        return Vec::new();
    };
    let mut all = any(old, rng);
    let parts = parts(inner, b"{", b"}");
    let exchanged = ends_exchanged(inner, &parts);
    all.extend(exchanged.map(|to| text("elements of an array exchanged", format!("{{{to}}}"))));
    if inner.starts_with('{') {
        return all;
    }
    let upper = parts.len() - 1;
    all.push(text(
        "other bounds of an array",
        format!("[0:{upper}]={old}"),
    ));
    all.push(text(
        "one element more",
        format!("{{{inner},{}}}", &inner[parts[0].clone()]),
    ));
    let part = &parts[rng.usize(..parts.len())];
    if &inner[part.clone()] != "NULL" {
        let to = with_part(inner, part, "NULL");
        all.push(text("an element NULL", format!("{{{to}}}")));
    }
    all
}

pub(super) fn of_range(old: &str, rng: &mut Rng) -> Vec<Change> {
    if old == "empty" {
        return vec![text("all for an empty range", "(,)")];
    }
    let mut all = any(old, rng);
    all.push(text("empty for a range", "empty"));
    for at in [0, old.len() - 1] {
        let to = put(old, at, other_bound(old.as_bytes()[at]));
        all.push(text("a bound that is included", to));
    }
    all
}

fn other_bound(bound: u8) -> char {
    match bound {
        b'[' => '(',
        b'(' => '[',
        b']' => ')',
        _ => ']',
    }
}

pub(super) fn of_multirange(old: &str, rng: &mut Rng) -> Vec<Change> {
    if old == "{}" {
        return vec![text("all for an empty multirange", "{(,)}")];
    }
    let mut all = any(old, rng);
    all.push(text("empty for a multirange", "{}"));
    let bound = place(old, rng, |byte| b"[]()".contains(&byte));
    all.extend(bound.map(|at| {
        let to = put(old, at, other_bound(old.as_bytes()[at]));
        text("a bound that is included", to)
    }));
    all
}

pub(super) fn of_composite(old: &str, rng: &mut Rng) -> Vec<Change> {
    let mut all = any(old, rng);
    let inner = old
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    let Some(inner) = inner else { return all };
    let parts = parts(inner, b"", b"");
    let part = &parts[rng.usize(..parts.len())];
    let (what, new) = if part.is_empty() {
        ("empty for NULL in a composite", "\"\"")
    } else {
        ("a field NULL", "")
    };
    all.push(text(what, format!("({})", with_part(inner, part, new))));
    all
}

/// A shape's coordinates; an open path for a closed one.
pub(super) fn of_shape(old: &str, rng: &mut Rng) -> Vec<Change> {
    let mut all = super::numbers::one_digit("a coordinate", old, rng);
    let bytes = old.as_bytes();
    let is_number = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(byte))
    };
    let zero = (1..bytes.len()).find(|&at| {
        bytes[at] == b'0' && !is_number(bytes.get(at - 1)) && !is_number(bytes.get(at + 1))
    });
    all.extend(zero.map(|at| {
        let (before, after) = old.split_at(at);
        text("the sign of zero in a shape", format!("{before}-{after}"))
    }));
    if old.starts_with("((") || old.starts_with("[(") {
        let (begin, end) = (other_bound(bytes[0]), other_bound(bytes[bytes.len() - 1]));
        let to = put(&put(old, 0, begin), old.len() - 1, end);
        all.push(text("an open path for a closed one", to));
    }
    all
}

pub(super) fn of_json(keeps_text: bool, old: &str, rng: &mut Rng) -> Vec<Change> {
    let mut all = any(old, rng);
    if let Some(number) = number_in(old, rng) {
        let more = with_more_scale(&old[number.clone()]);
        let scaled = more.map(|more| with_part(old, &number, &more));
        all.extend(scaled.map(|to| text("the scale of a number in json", to)));
        let digit = super::numbers::one_digit("a number in json", &old[number.clone()], rng);
        all.extend(digit.into_iter().filter_map(|change| match change.to {
            super::To::Text(new) => Some(text(change.what, with_part(old, &number, &new))),
            super::To::Null | super::To::Sql(_) => None,
        }));
    }
    match old {
        "{}" => all.push(text("one key more", "{\"one more\": null}")),
        "[]" => all.push(text("one element more", "[null]")),
        _ => {}
    }
    if keeps_text {
        all.push(text("whitespace in json", format!("{old} ")));
        let inner = old
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let exchanged = inner.and_then(|inner| {
            let parts = parts(inner, b"{[", b"}]");
            ends_exchanged(inner, &parts)
        });
        all.extend(exchanged.map(|to| text("the order of keys in json", format!("{{{to}}}"))));
    }
    all
}

/// A number outside of strings.
fn number_in(old: &str, rng: &mut Rng) -> Option<Range<usize>> {
    let (mut found, mut begin) = (Vec::new(), None);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in old.bytes().chain([b' ']).enumerate() {
        let belongs = byte.is_ascii_alphanumeric() || b".+-".contains(&byte);
        match begin {
            Some(from) if !belongs => {
                found.push(from..at);
                begin = None;
            }
            None if !is_quoted && (byte.is_ascii_digit() || byte == b'-') => begin = Some(at),
            _ => {}
        }
        if is_escaped {
            is_escaped = false;
        } else {
            is_escaped = byte == b'\\';
            is_quoted ^= byte == b'"';
        }
    }
    rng.choice(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(changes: &[Change], what: &str) -> Vec<String> {
        let wanted = changes.iter().filter(|change| change.what == what);
        let texts = wanted.filter_map(|change| match &change.to {
            super::super::To::Text(text) => Some(text.clone()),
            super::super::To::Null | super::super::To::Sql(_) => None,
        });
        texts.collect()
    }

    #[test]
    fn commas_in_quotes_and_in_depth_divide_nothing() {
        let inner = r#""a,\"b",{c,d},e"#;
        let found = parts(inner, b"{", b"}");
        let found: Vec<&str> = found.into_iter().map(|part| &inner[part]).collect();
        assert_eq!(found, [r#""a,\"b""#, "{c,d}", "e"]);
    }

    #[test]
    fn bounds_of_an_array_come_and_go() {
        let mut rng = Rng::with_seed(1);
        let what = "other bounds of an array";
        assert_eq!(texts(&of_array("{1,2}", &mut rng), what), ["[0:1]={1,2}"]);
        assert_eq!(texts(&of_array("[0:1]={1,2}", &mut rng), what), ["{1,2}"]);
        assert!(of_array("{}", &mut rng).is_empty());
    }

    #[test]
    fn digits_in_strings_are_no_numbers() {
        let old = r#"{"a1": "2\"3", "b": 4}"#;
        for seed in 0..20 {
            let found = number_in(old, &mut Rng::with_seed(seed));
            assert_eq!(found.map(|part| &old[part]), Some("4"));
        }
    }

    #[test]
    fn a_range_opens_and_closes() {
        let all = of_range("[1,2)", &mut Rng::with_seed(1));
        assert_eq!(texts(&all, "a bound that is included"), ["(1,2)", "[1,2]"]);
    }
}
