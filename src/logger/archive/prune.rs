//! Which old files go.

use super::names::Name;

/// How many old files are kept, and how many bytes of them; 0 for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files.
    pub keep: usize,
    /// Bytes.
    pub total: u64,
}

/// Of `files`, the oldest first, those that go; a file and its compressed copy are one.
pub fn surplus(files: &[(Name, u64)], limits: Limits) -> Vec<&Name> {
    let (mut kept, mut bytes) = (0, 0_u64);
    let mut goes = Vec::new();
    let mut last_number = None;
    for (name, size) in files.iter().rev() {
        let number = match name {
            Name::Ours(number, _) => Some(*number),
            Name::Tai(_) => None,
        };
        if number.is_none() || number != last_number {
            kept += 1;
        }
        last_number = number;
        bytes = bytes.saturating_add(*size);
        let is_too_many = limits.keep > 0 && kept > limits.keep;
        if is_too_many || limits.total > 0 && bytes > limits.total {
            goes.push(name);
        }
    }
    goes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logger::archive::names::GZ;
    use std::time::SystemTime;

    #[test]
    fn the_oldest_go_by_number_and_by_bytes() {
        let tai = Name::parse("@400000006744000000000000.s").unwrap();
        let ours = |number| Name::parse(&Name::of(number, SystemTime::UNIX_EPOCH)).unwrap();
        let files = [(tai.clone(), 10), (ours(1), 10), (ours(2), 10), (ours(3), 10)];
        let gone = |keep, total| surplus(&files, Limits { keep, total }).into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(gone(0, 0), []);
        assert_eq!(gone(3, 0), files[..1].iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
        assert_eq!(gone(1, 0), [ours(2), ours(1), tai.clone()]);
        assert_eq!(gone(0, 25), [ours(1), tai.clone()]);
        assert_eq!(gone(3, 35), [tai]);
    }

    #[test]
    fn a_file_that_is_just_compressed_counts_once() {
        let plain = Name::of(2, SystemTime::UNIX_EPOCH);
        let files = [Name::of(1, SystemTime::UNIX_EPOCH), plain.clone(), plain + GZ];
        let files = files.map(|name| (Name::parse(&name).unwrap(), 1));
        assert_eq!(surplus(&files, Limits { keep: 2, total: 0 }), Vec::<&Name>::new());
    }
}
