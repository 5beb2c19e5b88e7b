//! Changes of single characters: bits, letters, hexadecimal digits, spaces. Pure.

use fastrand::Rng;

use super::{Change, numbers, text};

/// The place of a character that fits, drawn at random.
pub(super) fn place(old: &str, rng: &mut Rng, fits: impl Fn(u8) -> bool) -> Option<usize> {
    let bytes = old.as_bytes();
    if bytes.is_empty() {
        return None;
    }
    let from = rng.usize(..bytes.len());
    let places = (from..bytes.len()).chain(0..from);
    places.into_iter().find(|&at| fits(bytes[at]))
}

/// The text with another character at a place that holds an ASCII character.
pub(super) fn put(old: &str, at: usize, new: char) -> String {
    let mut text = old.to_owned();
    text.replace_range(at..=at, new.encode_utf8(&mut [0; 4]));
    text
}

/// A digit or a letter, as far as there are some.
pub(super) fn any(old: &str, rng: &mut Rng) -> Vec<Change> {
    let mut all = one_letter("a letter", old, rng);
    all.extend(numbers::one_digit("a digit", old, rng));
    all
}

pub(super) fn one_letter(what: &'static str, old: &str, rng: &mut Rng) -> Vec<Change> {
    let at = place(old, rng, |byte| byte.is_ascii_alphabetic());
    let change = |at: usize| {
        let next = match old.as_bytes()[at] {
            b'z' => b'y',
            b'Z' => b'Y',
            letter => letter + 1,
        };
        text(what, put(old, at, char::from(next)))
    };
    at.map(change).into_iter().collect()
}

/// One bit of a printable character, so that it stays printable; something for an empty text.
pub(super) fn one_bit(old: &str, rng: &mut Rng) -> Vec<Change> {
    if old.is_empty() {
        return vec![text("something for empty", "a")];
    }
    let is_printable = |byte: u8| (0x20..0x7f).contains(&byte);
    let Some(at) = place(old, rng, is_printable) else {
        return vec![text("one letter more", format!("{old}a"))];
    };
    let byte = old.as_bytes()[at];
    let flipped: Vec<u8> = (0..7).map(|bit| byte ^ (1 << bit)).collect();
    let printable = flipped.into_iter().filter(|byte| is_printable(*byte));
    let printable: Vec<u8> = printable.collect();
    let one = rng
        .choice(printable)
        .map(|byte| put(old, at, char::from(byte)));
    one.map(|to| text("one bit of text", to))
        .into_iter()
        .collect()
}

pub(super) fn other_case(old: &str, rng: &mut Rng) -> Option<String> {
    let at = place(old, rng, |byte| byte.is_ascii_alphabetic())?;
    let other = old.as_bytes()[at] ^ 0x20;
    Some(put(old, at, char::from(other)))
}

pub(super) fn without_last(old: &str) -> String {
    let mut text = old.to_owned();
    text.pop();
    text
}

/// One bit of a hexadecimal digit; the first `skipped` bytes are none.
pub(super) fn of_hex(what: &'static str, old: &str, skipped: usize, rng: &mut Rng) -> Vec<Change> {
    let digits = &old[skipped.min(old.len())..];
    let Some(at) = place(digits, rng, |byte| byte.is_ascii_hexdigit()) else {
        return Vec::new();
    };
    let digit = char::from(digits.as_bytes()[at]).to_digit(16);
    let flipped = digit.and_then(|digit| char::from_digit(digit ^ (1 << rng.u32(..4)), 16));
    let to = flipped.map(|digit| put(old, at + old.len() - digits.len(), digit));
    to.map(|to| text(what, to)).into_iter().collect()
}

pub(super) fn of_bits(old: &str, rng: &mut Rng) -> Vec<Change> {
    let mut all = vec![text("one bit more", format!("{old}0"))];
    let at = place(old, rng, |_| true);
    all.extend(at.map(|at| {
        let other = if old.as_bytes()[at] == b'0' { '1' } else { '0' };
        text("one bit of a bit string", put(old, at, other))
    }));
    all
}

/// A privilege less, or one for none.
pub(super) fn of_privileges(old: &str) -> Vec<Change> {
    let Some((grantee, (privileges, grantor))) = old
        .split_once('=')
        .and_then(|(grantee, rest)| Some((grantee, rest.split_once('/')?)))
    else {
        return Vec::new();
    };
    let other = if privileges.len() > 1 {
        &privileges[1..]
    } else {
        "rw"
    };
    vec![text(
        "a privilege of aclitem",
        format!("{grantee}={other}/{grantor}"),
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_more_than_one_byte_stay_whole() {
        for seed in 0..100 {
            let mut rng = Rng::with_seed(seed);
            let found = one_bit("北京é", &mut rng);
            assert_eq!(found, [text("one letter more", "北京éa")]);
            assert!(one_letter("x", "ü", &mut rng).is_empty());
        }
    }

    #[test]
    fn a_bit_of_bytea_is_a_bit() {
        let found = of_hex("x", "\\x00", 2, &mut Rng::with_seed(3));
        let bytes = [
            "\\x10", "\\x20", "\\x40", "\\x80", "\\x01", "\\x02", "\\x04", "\\x08",
        ];
        assert!(
            bytes.iter().any(|to| found == [text("x", *to)]),
            "{found:?}"
        );
        assert!(of_hex("x", "\\x", 2, &mut Rng::with_seed(3)).is_empty());
    }
}
