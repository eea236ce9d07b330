//! A directory of variables, as `envdir` and `chpst -e` read it: a file for each, its first line the value, without the blanks
//! at its end, a NUL in it meaning a newline. An empty file takes the variable away.

use super::account::Changes;
use super::environment::STRING_MAX;
use super::intake::{self, refusal};
use super::refuse::refuse;
use crate::sys::context::Part;
use crate::sys::process::start::StartError;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// A directory with more entries is none of variables.
const ENTRIES_MAX: usize = 4096;

/// Reads the directory at `path`. What is not a name of a variable is passed over, with a warning; names with a dot in front
/// without.
///
/// # Errors
/// One of the files cannot be read: to run without it would be to run with another environment than was meant.
pub fn read(path: &Path, warnings: &mut Vec<String>) -> Result<Changes, StartError> {
    let mut names = names(path).map_err(|error| refusal(Part::EnvDir, path, &error))?;
    if names.len() > ENTRIES_MAX {
        return Err(refuse(Part::EnvDir, &format!("{}: more than {ENTRIES_MAX} files", path.display())));
    }
    names.sort();
    let mut changes = Changes::new();
    for name in names.into_iter().filter(|name| !name.as_bytes().starts_with(b".")) {
        let file = path.join(&name);
        if name.as_bytes().contains(&b'=') {
            warnings.push(format!("{}: no name of a variable has a =; it is ignored", file.display()));
            continue;
        }
        let bytes = intake::read(&file, STRING_MAX as u64);
        let bytes = bytes.map_err(|error| refusal(Part::EnvDir, &file, &error))?;
        let value = value(&bytes);
        if value.as_ref().is_some_and(|value| value.len() >= STRING_MAX) {
            return Err(refuse(Part::EnvDir, &format!("{}: longer than the kernel takes (128 KiB)", file.display())));
        }
        changes.push((name, value));
    }
    Ok(changes)
}

fn names(path: &Path) -> io::Result<Vec<OsString>> {
    // One more than allowed is enough to know.
    std::fs::read_dir(path)?.take(ENTRIES_MAX + 1).map(|entry| Ok(entry?.file_name())).collect()
}

/// The value that a file's bytes mean; `None` for an empty one.
fn value(bytes: &[u8]) -> Option<OsString> {
    let line = bytes.split(|byte| *byte == b'\n').next().filter(|_| !bytes.is_empty())?;
    let end = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
    let kept = line.iter().take(end).map(|byte| if *byte == 0 { b'\n' } else { *byte }).collect();
    Some(OsString::from_vec(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_first_line_without_its_trailing_blanks() {
        let text = |bytes: &[u8]| value(bytes).map(|value| value.into_vec());
        assert_eq!(text(b""), None);
        assert_eq!(text(b"\n"), Some(vec![]));
        assert_eq!(text(b"  a b \t\nsecond\n"), Some(b"  a b".to_vec()));
        assert_eq!(text(b"a\0b"), Some(b"a\nb".to_vec()));
        assert_eq!(text(b"a\r\n"), Some(b"a\r".to_vec()));
        assert_eq!(text(b"\xff\xfe"), Some(b"\xff\xfe".to_vec()));
    }
}
