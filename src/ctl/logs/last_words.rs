//! What a service wrote last, wherever its output goes: standard error, else standard output, else the file of its logger.

use crate::ctl::logs::tail::Tail;
use crate::ctl::root::Module;
use crate::ctl::snapshot::Snapshot;
use crate::sys::files::last_lines;
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
        let lines = |(path, from): &(PathBuf, u64)| last_lines::last_lines(path, *from, count).unwrap_or_default();
        self.0.iter().map(lines).find(|lines| !lines.is_empty()).unwrap_or_default()
    }
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
