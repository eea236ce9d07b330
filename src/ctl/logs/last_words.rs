//! What a service wrote last, wherever its output goes: standard error, else standard output, else the file of its logger.

use crate::ctl::logs::tail::Tail;
use crate::ctl::root::Module;
use crate::ctl::snapshot::Snapshot;
use crate::sys::files::file;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The last lines of an output, and where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWords {
    /// The file.
    pub path: PathBuf,
    /// Its last lines.
    pub lines: Vec<Vec<u8>>,
}

/// The last `count` lines of the first output that has any.
pub fn of(module: &Module, snapshot: &Snapshot, count: usize) -> Option<LastWords> {
    let logged = || snapshot.state.log_pid.and_then(current_file);
    let own = [module.dir.stderr(), module.dir.stdout()].into_iter().map(Some);
    // The logger's files are looked for only where the service's own say nothing.
    own.chain(std::iter::once_with(logged)).flatten().find_map(|path| {
        let lines = last_lines(&path, count);
        (!lines.is_empty()).then_some(LastWords { path, lines })
    })
}

/// The last `count` lines of the file at `path`; none if it cannot be read.
pub fn last_lines(path: &Path, count: usize) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let mut each = |line: &[u8]| lines.push(line.to_vec());
    if let Ok(mut tail) = Tail::new(path.to_owned(), count) {
        while tail.take(&mut each).is_ok_and(|more| more) {}
        tail.flush(&mut each);
    }
    let first = lines.len().saturating_sub(count);
    lines.split_off(first)
}

/// Where the outputs of a service ended at one moment, so that what is written after it can be told apart.
#[derive(Clone, Debug, Default)]
pub struct Marks(Vec<(PathBuf, u64)>);

impl Marks {
    /// Now, for the outputs of `module`: standard error, standard output, the file of its logger.
    pub fn take(module: &Module, snapshot: &Snapshot) -> Marks {
        let logged = snapshot.state.log_pid.and_then(current_file);
        let paths = [module.dir.stderr(), module.dir.stdout()].into_iter().chain(logged);
        let length = |path: &Path| std::fs::symlink_metadata(path).map_or(0, |metadata| metadata.len());
        Marks(paths.map(|path| (length(&path), path)).map(|(length, path)| (path, length)).collect())
    }

    /// At most `count` of the last lines that came since, in the first output to which any came.
    pub fn lines(&self, count: usize) -> Vec<String> {
        let text = |(path, from): &(PathBuf, u64)| read_from(path, *from).unwrap_or_default();
        let written = self.0.iter().map(text).find(|bytes| !bytes.is_empty()).unwrap_or_default();
        let text = String::from_utf8_lossy(&written);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].iter().map(ToString::to_string).collect()
    }
}

/// At most so many bytes at the end of an output are looked at.
const READ_MAX: u64 = 16 * 1024;

fn read_from(path: &Path, from: u64) -> std::io::Result<Vec<u8>> {
    let mut file = file::read(path)?;
    let end = file.metadata()?.len();
    // A file that is shorter than it was has been truncated or made anew.
    let from = if from <= end { from } else { 0 };
    file.seek(SeekFrom::Start(from.max(end.saturating_sub(READ_MAX))))?;
    let mut bytes = Vec::new();
    file.take(READ_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The file `current` that a logger has open: svlogd, multilog, s6-log and supervise-log all write into one of this name.
pub fn current_file(logger: u32) -> Option<PathBuf> {
    let entries = std::fs::read_dir(format!("/proc/{logger}/fd")).ok()?;
    let targets = entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let mut current: Vec<PathBuf> = targets.filter(|path| path.file_name() == Some("current".as_ref())).collect();
    current.sort();
    current.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::StatusDir;
    use crate::status::state::StateFile;

    #[test]
    fn standard_error_speaks_first_then_standard_output_then_the_logger() {
        let dir = tempfile::tempdir().unwrap();
        let module = Module { name: "web".into(), dir: StatusDir::new(dir.path()) };
        let log_dir = tempfile::tempdir().unwrap();
        let current = log_dir.path().join("current");
        std::fs::write(&current, "one\ntwo\n").unwrap();
        let _open = std::fs::File::open(&current).unwrap();
        let state = StateFile { log_pid: Some(std::process::id()), ..StateFile::default() };
        let supervised = crate::ctl::snapshot::Supervised::Yes;
        let snapshot = Snapshot { supervised, state, raw: None, changed: None };
        let said = |count| of(&module, &snapshot, count).unwrap();
        assert_eq!((said(1).path, said(1).lines), (current, vec![b"two".to_vec()]));
        std::fs::write(module.dir.stdout(), "out\n").unwrap();
        assert_eq!(said(5).lines, [b"out"]);
        std::fs::write(module.dir.stderr(), "err\nwithout an end").unwrap();
        assert_eq!(said(5).lines, [b"err".to_vec(), b"without an end".to_vec()]);
    }
}
