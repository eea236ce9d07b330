//! One line as it stands in the log.

use std::io::Write;

/// What a log is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Stamp, prefix, line.
    #[default]
    Text,
    /// `{"time":"...","module":"...","line":"..."}`; without a stamp, there is no `time`.
    Json,
}

/// What stands where a line was cut, at both ends of the cut.
pub const CUT_MARK: &[u8] = b"[...]";

/// Where a line is written to.
pub trait Sink {
    /// More of it.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts only.
#[derive(Debug, Default)]
pub struct Count(pub u64);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }
}

/// A line, and whether it is a piece of one that was cut.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its bytes, without the newline.
    pub bytes: &'a [u8],
    /// Something came before it.
    pub goes_on: bool,
    /// Something comes after it.
    pub is_cut: bool,
}

/// How all lines of a log are written, but for the time.
#[derive(Clone, Debug, Default)]
pub struct Form {
    /// Text or JSON.
    pub format: Format,
    /// What stands between the stamp and the line.
    pub prefix: Vec<u8>,
    /// The value of `module` in JSON, as it stands there: quoted.
    module: Vec<u8>,
    /// What stands in the place of a byte that is not printable ASCII; that byte itself if none is given.
    pub replace: Option<u8>,
}

impl Form {
    /// One for the lines of `module`.
    pub fn new(format: Format, prefix: Vec<u8>, module: &[u8], replace: Option<u8>) -> Form {
        let mut quoted = Vec::new();
        quote(&String::from_utf8_lossy(module), &mut quoted);
        Form { format, prefix, module: quoted, replace }
    }

    /// Bytes of a line beside its own, at most, if it needs no escapes.
    pub fn frame(&self, stamp: &[u8]) -> usize {
        stamp.len() + self.prefix.len() + self.module.len() + 64
    }

    /// Writes one line, newline included. `stamp` ends with a blank in text, and is the bare time in JSON.
    #[inline]
    pub fn write(&self, line: Line<'_>, stamp: &[u8], sink: &mut impl Sink) {
        match self.format {
            Format::Text => {
                sink.put(stamp);
                self.write_text(line, sink);
            }
            Format::Json => self.write_json(line, stamp, sink),
        }
    }

    #[inline]
    fn write_text(&self, line: Line<'_>, sink: &mut impl Sink) {
        if !self.prefix.is_empty() {
            sink.put(&self.prefix);
        }
        if line.goes_on {
            sink.put(CUT_MARK);
        }
        match self.replace {
            None => sink.put(line.bytes),
            Some(with) => replace(line.bytes, with, sink),
        }
        if line.is_cut {
            sink.put(CUT_MARK);
        }
        sink.put(b"\n");
    }

    /// What [`Form::write`] puts in front of a line that is whole, and of which nothing is escaped.
    pub fn write_front(&self, stamp: &[u8], sink: &mut impl Sink) {
        match self.format {
            Format::Text => sink.put(stamp),
            Format::Json => {
                self.write_json_front(stamp, sink);
                sink.put(b"\"");
            }
        }
        sink.put(&self.prefix);
    }

    /// Whether lines are written as they are, with something around them.
    pub fn is_plain(&self) -> bool {
        self.replace.is_none() && (self.format == Format::Text || needs_no_escape(&self.prefix))
    }

    fn write_json_front(&self, stamp: &[u8], sink: &mut impl Sink) {
        if stamp.is_empty() {
            sink.put(b"{\"module\":");
        } else {
            sink.put(b"{\"time\":\"");
            sink.put(stamp);
            sink.put(b"\",\"module\":");
        }
        sink.put(&self.module);
        sink.put(b",\"line\":");
    }

    fn write_json(&self, line: Line<'_>, stamp: &[u8], sink: &mut impl Sink) {
        self.write_json_front(stamp, sink);
        if needs_no_escape(&self.prefix) && needs_no_escape(line.bytes) {
            sink.put(b"\"");
            sink.put(&self.prefix);
            sink.put(line.bytes);
            sink.put(b"\"");
        } else {
            sink.put(b"\"");
            let is_text = escape(&self.prefix, sink) & escape(line.bytes, sink);
            sink.put(b"\"");
            if !is_text {
                sink.put(b",\"base64\":\"");
                base64(line.bytes, sink);
                sink.put(b"\"");
            }
        }
        if line.goes_on || line.is_cut {
            sink.put(b",\"part\":true");
        }
        sink.put(b"}\n");
    }
}

/// As svlogd's `-r`: whatever is not printable ASCII, tabs excepted.
fn replace(bytes: &[u8], with: u8, sink: &mut impl Sink) {
    let is_kept = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    for run in bytes.chunk_by(|one, other| is_kept(one) == is_kept(other)) {
        if run.first().is_some_and(is_kept) { sink.put(run) } else { run.iter().for_each(|_| sink.put(&[with])) }
    }
}

/// Whether these bytes stand in a JSON string as they are: ASCII without control characters, quotes and backslashes.
pub(super) fn needs_no_escape(bytes: &[u8]) -> bool {
    // Without an early end, so that the compiler takes many at a time.
    let plain = |byte: u8| (byte >= b' ') & (byte != b'"') & (byte != b'\\') & (byte < 0x7f);
    bytes.chunks(64).all(|chunk| chunk.iter().fold(true, |all, byte| all & plain(*byte)))
}

/// Writes bytes into a JSON string; those that are no UTF-8 become U+FFFD, and then it says `false`.
fn escape(bytes: &[u8], sink: &mut impl Sink) -> bool {
    let mut is_text = true;
    for chunk in bytes.utf8_chunks() {
        escape_text(chunk.valid(), sink);
        if !chunk.invalid().is_empty() {
            is_text = false;
            sink.put("\u{fffd}".as_bytes());
        }
    }
    is_text
}

fn escape_text(text: &str, sink: &mut impl Sink) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, 0..=0x1f | b'"' | b'\\' | 0x7f)) {
        sink.put(&rest[..at]);
        match rest[at] {
            b'"' => sink.put(b"\\\""),
            b'\\' => sink.put(b"\\\\"),
            b'\t' => sink.put(b"\\t"),
            b'\r' => sink.put(b"\\r"),
            byte => {
                let mut code = *b"\\u0000";
                // Six letters fit into six.
                let _ = write!(&mut code[2..], "{byte:04x}");
                sink.put(&code);
            }
        }
        rest = &rest[at + 1..];
    }
    sink.put(rest);
}

/// Writes `text` as a JSON string with its quotes.
pub fn quote(text: &str, sink: &mut impl Sink) {
    sink.put(b"\"");
    escape_text(text, sink);
    sink.put(b"\"");
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8], sink: &mut impl Sink) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for three in bytes.chunks(3) {
        let at = |place: usize| u32::from(three.get(place).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        let mut four = [18, 12, 6, 0].map(|shift| LETTERS[(bits >> shift) as usize & 63]);
        four[three.len() + 1..].fill(b'=');
        sink.put(&four);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(bytes: &[u8]) -> Line<'_> {
        Line { bytes, goes_on: false, is_cut: false }
    }

    fn written(form: &Form, line: Line<'_>, stamp: &str) -> String {
        let (mut text, mut count) = (Vec::new(), Count::default());
        form.write(line, stamp.as_bytes(), &mut text);
        form.write(line, stamp.as_bytes(), &mut count);
        assert_eq!(count.0, text.len() as u64);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn text_is_stamp_prefix_and_line() {
        let form = Form::new(Format::Text, b"web: ".to_vec(), b"web", None);
        assert_eq!(written(&form, line(b"hello"), "12:00 "), "12:00 web: hello\n");
        let cut = Line { bytes: b"middle", goes_on: true, is_cut: true };
        assert_eq!(written(&form, cut, ""), "web: [...]middle[...]\n");
        let form = Form::new(Format::Text, Vec::new(), b"", Some(b'_'));
        assert_eq!(written(&form, line(b"a\tb\x07\xc3\xa4"), ""), "a\tb___\n");
    }

    #[test]
    fn json_says_what_it_cannot_hold_in_base64() {
        let form = Form::new(Format::Json, Vec::new(), b"we\"b", None);
        assert_eq!(written(&form, line(b"hello"), "T"), "{\"time\":\"T\",\"module\":\"we\\\"b\",\"line\":\"hello\"}\n");
        assert_eq!(written(&form, line(b"hello"), ""), "{\"module\":\"we\\\"b\",\"line\":\"hello\"}\n");
        let odd = written(&form, line(b"a\0\xff\"\\\n\t"), "T");
        let value: serde_json::Value = serde_json::from_str(&odd).unwrap();
        assert_eq!(value["line"], "a\0\u{fffd}\"\\\n\t");
        assert_eq!(value["base64"], "YQD/IlwKCQ==");
        let part = written(&form, Line { bytes: b"x", goes_on: false, is_cut: true }, "T");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&part).unwrap()["part"], true);
    }

    proptest! {
        #[test]
        fn any_line_is_one_json_object_in_one_line(bytes: Vec<u8>, prefix in "[a-z\"\\\\]{0,3}") {
            let form = Form::new(Format::Json, prefix.clone().into_bytes(), b"web", None);
            let text = written(&form, line(&bytes), "T");
            prop_assert_eq!(text.matches('\n').count(), 1);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let expected = prefix + &String::from_utf8_lossy(&bytes);
            // A chunk of invalid bytes is one letter there, too.
            prop_assert_eq!(value["line"].as_str().unwrap(), &expected);
            prop_assert_eq!(value.get("base64").is_none(), std::str::from_utf8(&bytes).is_ok());
        }
    }
}
