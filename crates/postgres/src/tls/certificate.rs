//! The few fields of an X.509 certificate that rustls does not hand out (RFC 5280, section 4.1):
//! the subject's common name, the dates, the key, and the hash of the signature.

use ring::digest;
use rustls::pki_types::UnixTime;

const BOOLEAN: u8 = 0x01;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_3: u8 = 0xa3;
/// `dNSName` and `iPAddress` of a `GeneralName`.
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// 1.2.840.113549.1.1
const PKCS1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// 1.2.840.10045.4
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
/// 2.16.840.1.101.3.4.2
const SHA2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];

/// A walk over DER values; every step is `None` where the bytes are not what it expects.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value: its tag and its contents.
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let len = bytes
                    .iter()
                    .fold(0, |len, byte| len << 8 | usize::from(*byte));
                (len, rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((tag, contents))
    }

    fn expect(&mut self, tag: u8) -> Option<Der<'a>> {
        let (found, contents) = self.any()?;
        (found == tag).then_some(Der(contents))
    }

    fn optional(&mut self, tag: u8) -> Option<Der<'a>> {
        (self.0.first() == Some(&tag)).then(|| self.expect(tag))?
    }
}

/// What a certificate says.
pub(super) struct Certificate<'a> {
    /// Seconds since 1970.
    not_before: u64,
    not_after: u64,
    /// The subject's last common name.
    pub(super) common_name: Option<String>,
    /// Whether there is a `dNSName` or `iPAddress`, with which the common name does not count.
    pub(super) has_alternative_name: bool,
    /// The contents of the key's `AlgorithmIdentifier`, and the key.
    pub(super) key_algorithm: &'a [u8],
    pub(super) key: &'a [u8],
    /// The contents of the signature's `AlgorithmIdentifier`.
    signature_algorithm: Der<'a>,
}

impl<'a> Certificate<'a> {
    /// Reads a DER certificate of any version.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut certificate = Der(der).expect(SEQUENCE)?;
        let mut body = certificate.expect(SEQUENCE)?;
        let signature_algorithm = certificate.expect(SEQUENCE)?;
        let _version = body.optional(CONTEXT_0);
        let _serial_number = body.any()?;
        let _signature = body.any()?;
        let _issuer = body.any()?;
        let mut validity = body.expect(SEQUENCE)?;
        let not_before = time(&mut validity)?;
        let not_after = time(&mut validity)?;
        let common_name = common_name(body.expect(SEQUENCE)?);
        let mut key_info = body.expect(SEQUENCE)?;
        let key_algorithm = key_info.expect(SEQUENCE)?.0;
        let (_unused_bits, key) = key_info.expect(BIT_STRING)?.0.split_first()?;
        let mut extensions = None;
        while let Some((tag, contents)) = body.any() {
            if tag == CONTEXT_3 {
                extensions = Der(contents).expect(SEQUENCE);
            }
        }
        Some(Self {
            not_before,
            not_after,
            common_name,
            has_alternative_name: extensions.is_some_and(has_alternative_name),
            key_algorithm,
            key,
            signature_algorithm,
        })
    }

    /// Whether `now` is within the certificate's dates.
    pub(super) fn is_valid_at(&self, now: UnixTime) -> bool {
        (self.not_before..=self.not_after).contains(&now.as_secs())
    }

    /// The hash for channel binding: that of the certificate's signature, with SHA-256 in the
    /// place of MD5 and SHA-1 (RFC 5929, section 4.1).
    pub(super) fn end_point_hash(&self, der: &[u8]) -> Option<Vec<u8>> {
        let mut fields = self.signature_algorithm;
        let identifier = fields.expect(OBJECT_IDENTIFIER)?.0;
        let algorithm = if let Some(suffix) = identifier.strip_prefix(PKCS1) {
            match suffix {
                [4 | 5 | 11] => &digest::SHA256,
                [12] => &digest::SHA384,
                [13] => &digest::SHA512,
                [10] => pss_hash(fields)?,
                _ => return None,
            }
        } else {
            match identifier.strip_prefix(ECDSA)? {
                [1] | [3, 2] => &digest::SHA256,
                [3, 3] => &digest::SHA384,
                [3, 4] => &digest::SHA512,
                _ => return None,
            }
        };
        Some(digest::digest(algorithm, der).as_ref().to_vec())
    }
}

/// The hash of an RSASSA-PSS signature (RFC 4055, section 3.1), SHA-1 if it is not given.
fn pss_hash(mut fields: Der<'_>) -> Option<&'static digest::Algorithm> {
    let mut parameters = fields.expect(SEQUENCE)?;
    let Some(mut hash) = parameters.optional(CONTEXT_0) else {
        return Some(&digest::SHA256);
    };
    let identifier = hash.expect(SEQUENCE)?.expect(OBJECT_IDENTIFIER)?.0;
    match identifier.strip_prefix(SHA2) {
        Some([1]) => Some(&digest::SHA256),
        Some([2]) => Some(&digest::SHA384),
        Some([3]) => Some(&digest::SHA512),
        _ => None,
    }
}

fn common_name(mut subject: Der<'_>) -> Option<String> {
    let mut name = None;
    while let Some(mut set) = subject.expect(SET) {
        while let Some(mut attribute) = set.expect(SEQUENCE) {
            if attribute.expect(OBJECT_IDENTIFIER)?.0 == COMMON_NAME {
                let (_tag, text) = attribute.any()?;
                name = String::from_utf8(text.to_vec()).ok();
            }
        }
    }
    // A zero byte would end the name for a reader in C.
    name.filter(|name| !name.contains('\0'))
}

fn has_alternative_name(mut extensions: Der<'_>) -> bool {
    while let Some(mut extension) = extensions.expect(SEQUENCE) {
        let identifier = extension.expect(OBJECT_IDENTIFIER);
        let _critical = extension.optional(BOOLEAN);
        if identifier.is_none_or(|identifier| identifier.0 != SUBJECT_ALTERNATIVE_NAME) {
            continue;
        }
        let names = extension
            .expect(OCTET_STRING)
            .and_then(|mut value| value.expect(SEQUENCE));
        let Some(mut names) = names else { return true };
        while let Some((tag, _)) = names.any() {
            if matches!(tag, DNS_NAME | IP_ADDRESS) {
                return true;
            }
        }
    }
    false
}

/// A `UTCTime` or `GeneralizedTime` in Zulu time, in seconds since 1970; earlier is 0.
fn time(fields: &mut Der<'_>) -> Option<u64> {
    let (tag, text) = fields.any()?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let year: u64 = text.get(..2)?.parse().ok()?;
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                text.get(2..)?,
            )
        }
        GENERALIZED_TIME => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let mut numbers = [0_u64; 5];
    for (at, number) in numbers.iter_mut().enumerate() {
        *number = rest.get(at * 2..at * 2 + 2)?.parse().ok()?;
    }
    let [month, day, hour, minute, second] = numbers;
    Some(days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Days by the civil calendar, counted in eras of 400 years that begin in March.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    days.saturating_sub(719_468)
}

/// Whether a name of a certificate covers the host, as libpq compares common names: without
/// regard to case, `*.` covers one label.
pub(super) fn name_covers(pattern: &str, host: &str) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some(suffix) = pattern
        .strip_prefix('*')
        .filter(|suffix| suffix.starts_with('.'))
    else {
        return false;
    };
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let rest = host.find('.').map(|dot| &host[dot..]);
    !is_address
        && !host.starts_with('.')
        && rest.is_some_and(|rest| rest.eq_ignore_ascii_case(suffix))
}

#[cfg(test)]
mod tests {
    use super::{days_since_1970, name_covers};

    #[test]
    fn dates_are_counted_from_1970() {
        for ((year, month, day), days) in [
            ((1970, 1, 1), 0),
            ((1970, 3, 1), 59),
            ((2000, 2, 29), 11_016),
            ((2024, 12, 31), 20_088),
            ((2100, 3, 1), 47_541),
        ] {
            assert_eq!(
                days_since_1970(year, month, day),
                days,
                "{year}-{month}-{day}"
            );
        }
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        assert!(name_covers("db.example.com", "DB.example.com"));
        assert!(name_covers("*.example.com", "db.example.com"));
        assert!(!name_covers("*.example.com", "a.db.example.com"));
        assert!(!name_covers("*.example.com", "example.com"));
        assert!(!name_covers("*", "localhost"));
        assert!(!name_covers("*.0.0.1", "127.0.0.1"));
    }
}
