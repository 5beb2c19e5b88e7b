//! Changes of numbers: a bit, a digit, a sign, a scale. Pure.

use fastrand::Rng;

use super::letters::{place, put};
use super::{Change, text};

/// Some digit of a text, another one afterwards.
pub(super) fn one_digit(what: &'static str, old: &str, rng: &mut Rng) -> Vec<Change> {
    let at = place(old, rng, |byte| byte.is_ascii_digit());
    at.map(|at| text(what, other_digit(old, at)))
        .into_iter()
        .collect()
}

fn other_digit(old: &str, at: usize) -> String {
    let other = match old.as_bytes()[at] {
        b'9' => '8',
        digit => char::from(digit + 1),
    };
    put(old, at, other)
}

fn last_digit(what: &'static str, old: &str) -> Option<Change> {
    let at = old.rfind(|letter: char| letter.is_ascii_digit())?;
    Some(text(what, other_digit(old, at)))
}

fn other_sign(old: &str) -> String {
    old.strip_prefix('-')
        .map_or_else(|| format!("-{old}"), str::to_owned)
}

pub(super) fn of_integer(old: &str, rng: &mut Rng) -> Vec<Change> {
    let mut all: Vec<Change> = last_digit("the last digit of an integer", old)
        .into_iter()
        .collect();
    if let Ok(number) = old.parse::<i64>() {
        let flipped = number ^ (1 << rng.u32(..15));
        all.push(text("one bit of an integer", flipped.to_string()));
    }
    if old != "0" {
        all.push(text("the sign of an integer", other_sign(old)));
    }
    all
}

pub(super) fn of_float4(old: &str, rng: &mut Rng) -> Vec<Change> {
    let bit = 1 << rng.u32(..22);
    let flipped = old
        .parse()
        .map(|number: f32| f32::from_bits(number.to_bits() ^ bit));
    of_float(old, flipped.map(|number| format!("{number:e}")).ok())
}

pub(super) fn of_float8(old: &str, rng: &mut Rng) -> Vec<Change> {
    let bit = 1 << rng.u32(..51);
    let flipped = old
        .parse()
        .map(|number: f64| f64::from_bits(number.to_bits() ^ bit));
    of_float(old, flipped.map(|number| format!("{number:e}")).ok())
}

fn of_float(old: &str, flipped: Option<String>) -> Vec<Change> {
    let is_zero = matches!(old, "0" | "-0");
    let what = if is_zero {
        "the sign of zero"
    } else {
        "the sign of a float"
    };
    let mut all = vec![text(what, other_sign(old))];
    all.extend(flipped.map(|to| text("one bit of a float", to)));
    if !is_zero {
        all.extend(last_digit("the last digit of a float", old));
    }
    all
}

pub(super) fn of_numeric(old: &str) -> Vec<Change> {
    let Some(more) = with_more_scale(old) else {
        return vec![text("a number for one that is not finite", "0")];
    };
    let mut all = vec![text("the scale of numeric", more)];
    if old.contains('.') && old.ends_with('0') {
        let less = old[..old.len() - 1].trim_end_matches('.');
        all.push(text("the scale of numeric", less));
    }
    all.extend(last_digit("the last digit of numeric", old));
    if old.contains(|letter: char| ('1'..='9').contains(&letter)) {
        all.push(text("the sign of numeric", other_sign(old)));
    }
    all
}

/// The same number with one zero more behind its point.
pub(super) fn with_more_scale(old: &str) -> Option<String> {
    let is_plain = |letter: char| letter.is_ascii_digit() || matches!(letter, '-' | '.');
    let has_point = old.contains('.');
    let zero = if has_point { "0" } else { ".0" };
    (!old.is_empty() && old.chars().all(is_plain)).then(|| format!("{old}{zero}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_of_a_float_is_one_bit() {
        for (seed, old) in ["0", "-0", "0.1", "1.7976931348623157e+308", "5e-324"]
            .iter()
            .enumerate()
        {
            let mut rng = Rng::with_seed(seed as u64);
            let all = of_float8(old, &mut rng);
            let flipped = all
                .iter()
                .find(|change| change.what == "one bit of a float");
            let Some(Change {
                to: super::super::To::Text(to),
                ..
            }) = flipped
            else {
                panic!("{all:?}");
            };
            let bits = |text: &str| text.parse::<f64>().expect("a float").to_bits();
            assert_eq!((bits(old) ^ bits(to)).count_ones(), 1, "{old} {to}");
        }
    }

    #[test]
    fn what_is_not_finite_has_no_scale() {
        assert_eq!(with_more_scale("NaN"), None);
        assert_eq!(with_more_scale("-1.50"), Some("-1.500".to_owned()));
    }
}
