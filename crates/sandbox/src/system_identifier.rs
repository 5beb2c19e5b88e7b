//! Gives a copied data folder a system identifier of its own.
//!
//! `initdb` makes the identifier from the clock; copies of one template would share it, and two
//! servers would look like one. It stands at the start of `global/pg_control`, which ends in a
//! CRC-32C (`src/include/catalog/pg_control.h`), and in the long header of each WAL segment's
//! first page (`XLogLongPageHeaderData` in `src/include/access/xlog_internal.h`).

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{AtPath, SandboxError};

/// Where `xlp_sysid` stands in a WAL segment, on every supported version.
const OFFSET_IN_WAL_BYTES: u64 = 24;

/// Writes a new identifier into a data folder that was shut down cleanly.
pub(crate) fn renew(data: &Path) -> Result<(), SandboxError> {
    let identifier = fresh().to_ne_bytes();
    let path = data.join("global/pg_control");
    let mut control = fs::read(&path).at(&path)?;
    let Some(checksum_at) = checksum_position(&control) else {
        let cause = std::io::Error::other("no checksum found in the control file");
        return Err(cause).at(path);
    };
    control[..8].copy_from_slice(&identifier);
    let checksum = crc32c(&control[..checksum_at]).to_ne_bytes();
    control[checksum_at..checksum_at + 4].copy_from_slice(&checksum);
    overwrite(&path, 0, &control)?;
    let wal = data.join("pg_wal");
    for entry in fs::read_dir(&wal).at(&wal)? {
        let entry = entry.at(&wal)?;
        if entry.file_name().len() == 24 {
            overwrite(&entry.path(), OFFSET_IN_WAL_BYTES, &identifier)?;
        }
    }
    Ok(())
}

/// Made like `initdb` does: seconds above, then microseconds, then something of our own.
fn fresh() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    (now.as_secs() << 32) | (u64::from(now.subsec_micros()) << 12) | fastrand::u64(0..4096)
}

fn overwrite(path: &Path, offset_bytes: u64, content: &[u8]) -> Result<(), SandboxError> {
    let mut file = OpenOptions::new().write(true).open(path).at(path)?;
    file.seek(SeekFrom::Start(offset_bytes)).at(path)?;
    file.write_all(content).at(path)
}

/// Finds the checksum: the word that equals the CRC of all before it. Its place differs by
/// version, and the file is zero after it.
fn checksum_position(control: &[u8]) -> Option<usize> {
    let end = control.iter().rposition(|byte| *byte != 0)? + 4;
    let mut crc = Crc32c::new();
    for at in (0..end.min(control.len() - 4)).step_by(4) {
        if at > 8 && crc.value().to_ne_bytes() == control[at..at + 4] {
            return Some(at);
        }
        crc.update(&control[at..at + 4]);
    }
    None
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(bytes);
    crc.value()
}

/// CRC-32C (Castagnoli), bit by bit: the control file's content is 300 bytes.
struct Crc32c(u32);

impl Crc32c {
    const POLYNOMIAL_REFLECTED: u32 = 0x82f6_3b78;

    fn new() -> Self {
        Self(u32::MAX)
    }

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 ^= u32::from(*byte);
            for _ in 0..8 {
                let carry = self.0 & 1;
                self.0 >>= 1;
                if carry == 1 {
                    self.0 ^= Self::POLYNOMIAL_REFLECTED;
                }
            }
        }
    }

    fn value(&self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn the_checksum_matches_the_published_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
