//! svlogd's `DIR/config`, by the manual of runit's svlogd(8): a letter at the beginning of each line, and its value behind.

use super::lines::pattern::Dialect;
use super::settings::Said;
use crate::sys::files::file;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

/// The largest `config` that is read, in bytes.
const CONFIG_MAX: u64 = 64 * 1024;

/// Reads `config`, if there is one. A part of it would be half a pattern, so one that is too large is not read.
///
/// # Errors
/// What `open` and `read` give.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match file::read(path).and_then(|file| file.take(CONFIG_MAX + 1).read_to_end(&mut text)) {
        Ok(size) if size as u64 > CONFIG_MAX => Err(io::Error::other("it is larger than 64 KiB")),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(text),
        Err(error) => Err(error),
    }
}

/// What `config` says, and what is wrong with it or has no effect here: one text for each line of it.
pub fn parse(text: &[u8]) -> (Said, Vec<String>) {
    let (mut said, mut complaints) = (Said::default(), Vec::new());
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if let Err(why) = take(line, &mut said) {
            complaints.push(format!("config, line {}: {why}", number + 1));
        }
    }
    (said, complaints)
}

fn take(line: &[u8], said: &mut Said) -> Result<(), String> {
    // By an editor of another system: no pattern would ever match with it.
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some((letter, value)) = line.split_first() else { return Ok(()) };
    match letter {
        b's' => said.size = Some(number(value)?),
        b'n' => said.keep = Some(usize::try_from(number(value)?).unwrap_or(usize::MAX)),
        b't' => said.age = Some(Duration::from_secs(number(value)?)),
        b'p' => said.prefix = Some(value.to_vec()),
        b'+' | b'-' => {
            said.dialect = Dialect::Svlogd;
            said.patterns.push(line.to_vec());
        }
        b'#' => {}
        b'N' => return Err("N has no effect: old files are removed by n alone".into()),
        b'!' => return Err("! has no effect: see --compress".into()),
        b'u' | b'U' => return Err("u and U have no effect: lines are not sent by UDP".into()),
        b'e' | b'E' => return Err("e and E have no effect: lines are not copied to standard error".into()),
        _ => return Err(format!("{:?} is unknown", String::from_utf8_lossy(line))),
    }
    Ok(())
}

fn number(value: &[u8]) -> Result<u64, String> {
    let text = String::from_utf8_lossy(value);
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| format!("{text:?} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_svlogd_reads_is_read() {
        let (said, complaints) = parse(b"# ours\ns4096\nn5\nt3600\npweb: \n-*debug*\n+*error*\r\n\r\n");
        let expected = Said {
            size: Some(4096),
            keep: Some(5),
            age: Some(Duration::from_secs(3600)),
            prefix: Some(b"web: ".to_vec()),
            patterns: vec![b"-*debug*".to_vec(), b"+*error*".to_vec()],
            dialect: Dialect::Svlogd,
        };
        assert_eq!((said, complaints), (expected, vec![]));
    }

    #[test]
    fn what_has_no_effect_is_said_with_its_line() {
        let (said, complaints) = parse(b"N2\ns\n!gzip\nu1.2.3.4\nE*\nx\ns99999999999999999999\nn0");
        assert_eq!(said, Said { keep: Some(0), ..Said::default() });
        assert_eq!(complaints.len(), 7, "{complaints:?}");
        assert!(complaints.iter().zip(1..).all(|(text, line)| text.starts_with(&format!("config, line {line}: "))));
    }
}
