//! `status`: 20 bytes, for `od -An -j16 -N4 -tu4 status` and for every script that was made for the C program
//! `supervise` (supervise-status(5)).
//!
//! | bytes | what |
//! |---|---|
//! | 0-7 | TAI64 seconds of the last pid change, big-endian (4611686018427387914 + Unix time) |
//! | 8-11 | nanoseconds of it, big-endian |
//! | 12 | 1 if paused |
//! | 13 | what is wanted: `u`, `d`, or 0 for once |
//! | 14 | alarm: `o` on, `x` off |
//! | 15 | 0 |
//! | 16-19 | pid of the run process, little-endian; 0 when down |

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Size of the file, in bytes.
pub const SIZE: usize = 20;

/// TAI64's label of the Unix epoch: 2^62, and the ten seconds that TAI was ahead of UTC in 1970.
const TAI64_EPOCH: u64 = 4_611_686_018_427_387_914;

/// What somebody wants the service to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// Running, and started again when it ends.
    Up,
    /// Not running.
    Down,
    /// Running until it ends by itself.
    Once,
}

impl Want {
    /// The want that `name` names.
    pub fn from_name(name: &str) -> Option<Want> {
        [Want::Up, Want::Down, Want::Once].into_iter().find(|want| want.name() == name)
    }

    /// Its name in `state.json`.
    pub fn name(self) -> &'static str {
        match self {
            Want::Up => "up",
            Want::Down => "down",
            Want::Once => "once",
        }
    }
}

/// The content of `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When the pid last changed, by the wall clock.
    pub changed: SystemTime,
    /// Whether the run process was stopped with `p`.
    pub paused: bool,
    /// What is wanted.
    pub want: Want,
    /// Whether alarms are raised.
    pub alarm: bool,
    /// Pid of the run process, 0 when down.
    pub pid: u32,
}

impl Record {
    /// The bytes of the file.
    pub fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..12].copy_from_slice(&tai64n(self.changed));
        bytes[12] = u8::from(self.paused);
        bytes[13] = match self.want {
            Want::Up => b'u',
            Want::Down => b'd',
            Want::Once => 0,
        };
        bytes[14] = if self.alarm { b'o' } else { b'x' };
        bytes[16..].copy_from_slice(&self.pid.to_le_bytes());
        bytes
    }

    /// Reads the bytes of a file; `None` if they are no such record.
    pub fn decode(bytes: &[u8]) -> Option<Record> {
        let bytes: &[u8; SIZE] = bytes.try_into().ok()?;
        let seconds = u64::from_be_bytes(bytes[..8].try_into().ok()?).checked_sub(TAI64_EPOCH)?;
        let nanoseconds = u32::from_be_bytes(bytes[8..12].try_into().ok()?);
        let since = Duration::from_secs(seconds).checked_add(Duration::from_nanos(nanoseconds.into()))?;
        Some(Record {
            changed: UNIX_EPOCH.checked_add(since)?,
            paused: bytes[12] != 0,
            want: match bytes[13] {
                b'u' => Want::Up,
                b'd' => Want::Down,
                0 => Want::Once,
                _ => return None,
            },
            alarm: bytes[14] != b'x',
            pid: u32::from_le_bytes(bytes[16..].try_into().ok()?),
        })
    }
}

/// TAI64N: seconds and nanoseconds, big-endian.
pub fn tai64n(at: SystemTime) -> [u8; 12] {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&(TAI64_EPOCH + since.as_secs()).to_be_bytes());
    bytes[8..].copy_from_slice(&since.subsec_nanos().to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_byte_is_where_the_manual_says() {
        let record = Record {
            changed: UNIX_EPOCH + Duration::new(1_700_000_000, 0x0102_0304),
            paused: true,
            want: Want::Down,
            alarm: false,
            pid: 0x0403_0201,
        };
        let seconds = (4_611_686_018_427_387_914u64 + 1_700_000_000).to_be_bytes();
        let mut expected = seconds.to_vec();
        expected.extend([1, 2, 3, 4, 1, b'd', b'x', 0, 1, 2, 3, 4]);
        assert_eq!(record.encode().to_vec(), expected);
    }

    #[test]
    fn once_is_zero_and_up_is_u() {
        let record =
            |want| Record { changed: UNIX_EPOCH, paused: false, want, alarm: true, pid: 0 }.encode()[12..15].to_vec();
        assert_eq!(record(Want::Once), [0, 0, b'o']);
        assert_eq!(record(Want::Up), [0, b'u', b'o']);
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_is_decoded(secs in 0u64..1 << 40, nanos in 0u32..1_000_000_000, pid: u32, paused: bool, alarm: bool, w in 0..3) {
            let want = [Want::Up, Want::Down, Want::Once][w as usize];
            let record = Record { changed: UNIX_EPOCH + Duration::new(secs, nanos), paused, want, alarm, pid };
            prop_assert_eq!(Record::decode(&record.encode()), Some(record));
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            let _ = Record::decode(&bytes);
        }
    }
}
