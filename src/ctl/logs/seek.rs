//! Where in a file the lines of a time begin, found without reading the lines before it.

use crate::ctl::logs::time;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// So much is looked at in one place, in bytes; what is nearer than that is read.
const BLOCK: usize = 64 * 1024;

/// The beginning of a line before which none is of `since` or later, if the times in the file grow: it is earlier itself, or the
/// first one. Times are looked for in some twenty places, however large the file is.
///
/// # Errors
/// What `read` gives.
pub fn before(file: &File, since: i64) -> io::Result<u64> {
    let (mut begin, mut end) = (0, file.metadata()?.len());
    let mut block = vec![0; BLOCK];
    while begin + (BLOCK as u64) < end {
        let middle = begin + (end - begin) / 2;
        let got = file.read_at(&mut block, middle)?;
        match first_time(&block[..got]) {
            Some((at, time)) if time < since => begin = middle + at as u64,
            Some(_) | None => end = middle,
        }
    }
    Ok(begin)
}

/// Where the first whole line with a time begins in `block`, and that time.
fn first_time(block: &[u8]) -> Option<(usize, i64)> {
    let mut at = 0;
    for line in block.split_inclusive(|byte| *byte == b'\n') {
        // The first one has most likely begun before the block.
        if at > 0
            && let Some(time) = time::of_line(line)
        {
            return Some((at, time));
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, SecondsFormat};
    use std::io::Write;

    fn second(number: i64) -> i64 {
        (1_764_063_676 + number) * 1_000_000
    }

    #[test]
    fn it_begins_a_little_before_the_time_wherever_that_is() {
        let mut file = tempfile::tempfile().unwrap();
        for number in 0..40_000 {
            let stamp = DateTime::from_timestamp_micros(second(number)).unwrap();
            let more = if number % 7 == 0 { "\n  more of it" } else { "" };
            writeln!(file, "{} line{more}", stamp.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap();
        }
        let size = file.metadata().unwrap().len();
        for number in [-5, 0, 1, 777, 20_000, 39_999, 50_000] {
            let at = before(&file, second(number)).unwrap();
            let mut line = vec![0; 21];
            file.read_exact_at(&mut line, at).unwrap();
            let time = time::of_line(&line).unwrap();
            assert!(at == 0 || time < second(number), "{number}: {at}");
            // A line takes 30 bytes on average.
            let wanted = number.clamp(0, 40_000) as u64 * size / 40_000;
            assert!(at + 2 * BLOCK as u64 >= wanted, "{number}: {at}, {wanted}");
        }
    }

    #[test]
    fn without_times_it_is_the_beginning() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all("text\n".repeat(100_000).as_bytes()).unwrap();
        assert_eq!(before(&file, second(0)).unwrap(), 0);
    }
}
