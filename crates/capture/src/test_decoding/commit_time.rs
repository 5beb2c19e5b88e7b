//! The time in a COMMIT line, in the ISO style and in UTC, as our sessions have it.

/// Days from 0000-03-01 to 2000-01-01 in the proleptic Gregorian calendar.
const EPOCH_DAYS: i64 = 730_425;

/// Microseconds since 2000-01-01 UTC of `2026-01-31 12:00:00.5+00`.
pub(super) fn parse(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix("+00")?;
    let (date, time) = text.split_once(' ')?;
    let mut parts = date.splitn(3, '-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = clock.splitn(3, ':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year > 300_000 {
        return None;
    }
    if hour > 24 || minute > 59 || second > 60 || fraction.len() > 6 {
        return None;
    }
    let micros = match fraction {
        "" => 0,
        digits => number(digits)? * 10_i64.pow(6 - u32::try_from(digits.len()).ok()?),
    };
    let seconds = (days(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
    seconds.checked_mul(1_000_000)?.checked_add(micros)
}

fn number(digits: &str) -> Option<i64> {
    let plain =
        !digits.is_empty() && digits.len() <= 6 && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

/// Days since 2000-01-01. Years are counted from March, so that a leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month < 3 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - EPOCH_DAYS
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn times_are_counted_in_microseconds_from_2000_on() {
        let cases = [
            ("2000-01-01 00:00:00+00", 0),
            ("2000-01-01 00:00:00.000001+00", 1),
            ("2000-01-01 00:00:01.5+00", 1_500_000),
            ("2000-03-01 00:00:00+00", 60 * 86_400_000_000),
            ("2001-01-01 00:00:00+00", 366 * 86_400_000_000),
            ("1999-12-31 23:59:59.9+00", -100_000),
            ("2026-11-21 09:41:02.123456+00", 848_569_262_123_456),
        ];
        for (text, micros) in cases {
            assert_eq!(parse(text.as_bytes()), Some(micros), "{text}");
        }
    }

    #[test]
    fn another_form_is_no_time() {
        for text in [
            "",
            "+00",
            "2026-11-21",
            "2026-11-21 09:41:02",
            "2026-11-21 09:41:02+01",
            "x-1-1 0:0:0+00",
            "2026-13-01 00:00:00+00",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
