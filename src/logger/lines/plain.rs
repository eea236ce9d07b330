//! Lines that need nothing but something in front of each and behind it: many at once.
//!
//! Of what a line of 100 bytes costs beside the system calls, one pattern, one rate or one replaced byte more is nothing. But
//! where there is none of them, looking at each line for all of them takes as long as the copy.

use super::form::{Form, Format, needs_no_escape};
use crate::logger::journal::layout::LINE_MAX;
use memchr::{memchr, memrchr};

/// What stands in front of a line is copied in one piece of this size, in bytes, if it is no longer: a stamp and a blank.
const PIECE: usize = 32;

/// A line of more bytes is left to others, who may have to cut it.
const LONG: usize = 4096;

/// What stands around each line.
#[derive(Debug, Default)]
pub struct Plain {
    front: Vec<u8>,
    piece: [u8; PIECE],
    back: &'static [u8],
    /// Only lines of which JSON escapes nothing.
    unescaped: bool,
}

impl Plain {
    /// For lines of this form, at the time `stamp`.
    pub fn set(&mut self, form: &Form, stamp: &[u8]) {
        self.front.clear();
        form.write_front(stamp, &mut self.front);
        (self.back, self.unescaped) = match form.format {
            Format::Text => (&b"\n"[..], false),
            Format::Json => (&b"\"}\n"[..], true),
        };
        let length = self.front.len().min(PIECE);
        if let (Some(piece), Some(front)) = (self.piece.get_mut(..length), self.front.get(..length)) {
            piece.copy_from_slice(front);
        }
    }

    /// How many of `bytes`, of which the first `seen` have no newline, can be written as they are, and how many lines that is.
    pub fn as_they_are(&self, bytes: &[u8], seen: usize, most: u64) -> Option<(usize, u64)> {
        if self.unescaped || !self.front.is_empty() {
            return None;
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(LINE_MAX).min(bytes.len());
        let taken = seen + memrchr(b'\n', bytes.get(seen..most)?)? + 1;
        Some((taken, memchr::memchr_iter(b'\n', bytes.get(..taken)?).count() as u64))
    }

    /// Appends the lines at the beginning of `bytes` to `out`, which gets no longer than `most`; how many bytes of them there were,
    /// and how many lines.
    #[inline]
    pub fn append(&self, bytes: &[u8], most: usize, out: &mut Vec<u8>) -> (usize, u64) {
        let (mut taken, mut lines) = (0, 0);
        let around = self.front.len() + self.back.len();
        while let Some(rest) = bytes.get(taken..)
            && let Some(end) = memchr(b'\n', rest)
            && end <= LONG
            && out.len() + around + end <= most
            && let Some(line) = rest.get(..end)
            && (!self.unescaped || needs_no_escape(line))
        {
            let length = out.len();
            if self.front.len() <= PIECE {
                out.extend_from_slice(&self.piece);
                out.truncate(length + self.front.len());
            } else {
                out.extend_from_slice(&self.front);
            }
            out.extend_from_slice(line);
            out.extend_from_slice(self.back);
            taken += end + 1;
            lines += 1;
        }
        (taken, lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(format: Format, prefix: &str, stamp: &str) -> Plain {
        let mut plain = Plain::default();
        plain.set(&Form::new(format, prefix.into(), b"web", None), stamp.as_bytes());
        plain
    }

    #[test]
    fn whole_lines_are_taken_as_far_as_there_is_room() {
        let stamped = plain(Format::Text, "web: ", "12:00 ");
        let mut out = Vec::new();
        assert_eq!(stamped.append(b"one\n\ntwo", 100, &mut out), (5, 2));
        assert_eq!(out, b"12:00 web: one\n12:00 web: \n");
        assert_eq!(stamped.append(b"one\ntwo\n", out.len() + 15, &mut out), (4, 1));
        let json = plain(Format::Json, "", "12:00");
        out.clear();
        assert_eq!(json.append(b"one\n\"two\"\n", 100, &mut out), (4, 1));
        assert_eq!(out, b"{\"time\":\"12:00\",\"module\":\"web\",\"line\":\"one\"}\n");
    }

    #[test]
    fn lines_with_nothing_around_them_are_not_copied() {
        let bare = plain(Format::Text, "", "");
        assert_eq!(bare.as_they_are(b"one\n\ntwo", 0, u64::MAX), Some((5, 2)));
        assert_eq!(bare.as_they_are(b"one\n\ntwo", 0, 4), Some((4, 1)));
        assert_eq!(bare.as_they_are(b"one\n", 0, 3), None);
        assert_eq!(bare.as_they_are(b"half", 4, u64::MAX), None);
        let long = [vec![b'x'; LINE_MAX + 1], b"\n".to_vec()].concat();
        assert_eq!(bare.as_they_are(&long, 0, u64::MAX), None);
        assert_eq!(plain(Format::Text, "", "12:00 ").as_they_are(b"one\n", 0, u64::MAX), None);
    }
}
