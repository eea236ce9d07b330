//! What a log has counted, for whoever only looks at its directory: the logger writes it down with each step, in `journal`.

use super::journal::layout::{COUNTERS, Counters, HEADER, MAGIC, State, Word};
use super::mapped::JOURNAL;
use crate::sys::files::file;
use std::io::Read;
use std::path::Path;

/// How often it is read until it goes together.
const TRIES: u32 = 3;

/// There is no log, or it is not for us to see.
struct NoLog;

/// The counters of the log in `dir`; `None` where there is no such log, or it is not for us to see.
///
/// They go with the state that was read before them in the same call: a logger that takes its next step meanwhile writes to
/// their other place first.
pub fn of(dir: &Path) -> Option<Counters> {
    // A logger that takes two steps while they are read leaves some of the one and some of the other: those do not go together.
    (0..TRIES).find_map(|_| read(dir).transpose())?.ok()
}

/// `None`: what was read does not go together.
fn read(dir: &Path) -> Result<Option<Counters>, NoLog> {
    let mut header = [0; HEADER];
    file::read(&dir.join(JOURNAL)).and_then(|mut journal| journal.read_exact(&mut header)).map_err(|_| NoLog)?;
    let word = |word: Word| {
        let at = word.index() * 8;
        header.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
    };
    if word(Word::Magic) != MAGIC {
        return Err(NoLog);
    }
    let Some(state) = State::unpack(word(Word::State)) else { return Ok(None) };
    let mut words = [0; COUNTERS];
    for (counter, place) in words.iter_mut().enumerate() {
        *place = word(Word::Counter(state.counters, counter));
    }
    Ok(Counters::of(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_the_present_state_are_read_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(JOURNAL);
        assert_eq!(of(dir.path()), None);
        std::fs::write(&path, "short").unwrap();
        assert_eq!(of(dir.path()), None);
        let mut header = vec![0; HEADER];
        std::fs::write(&path, &header).unwrap();
        assert_eq!(of(dir.path()), None);
        let mut put = |word: Word, value: u64| {
            header[word.index() * 8..word.index() * 8 + 8].copy_from_slice(&value.to_ne_bytes());
        };
        put(Word::Magic, MAGIC);
        put(Word::State, State { counters: 1, ..State::EMPTY }.pack());
        let counted = Counters { lines: 7, bytes: 70, dropped_ever: 2, ..Counters::default() };
        for (counter, word) in counted.words().into_iter().enumerate() {
            put(Word::Counter(1, counter), word);
            put(Word::Counter(0, counter), 99);
        }
        std::fs::write(&path, &header).unwrap();
        assert_eq!(of(dir.path()), Some(counted));
    }
}
