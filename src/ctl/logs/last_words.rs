//! What a service wrote last, wherever its output goes: standard error, else standard output, else the file of its logger.

use crate::ctl::logs::tail::Tail;
use crate::ctl::root::Module;
use crate::ctl::snapshot::Snapshot;
use crate::service::logger::current_file;
use crate::status::StatusDir;
use crate::status::state::StateFile;
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
    let said = |path: PathBuf| {
        let lines = last_lines(&path, count);
        (!lines.is_empty()).then_some(LastWords { path, lines })
    };
    let logged = || snapshot.state.log_pid.and_then(current_file).and_then(said);
    let own = || [module.dir.stderr(), module.dir.stdout()].into_iter().find_map(said);
    // What a service of which a logger has both outputs had written into files before is old.
    if has_both_logged(module, snapshot) { logged().or_else(own) } else { own().or_else(logged) }
}

/// Whether the run process writes all into the pipe to a logger that the tree runs by itself.
fn has_both_logged(module: &Module, snapshot: &Snapshot) -> bool {
    let into_files = snapshot.state.memory.as_ref().is_some_and(|memory| memory.into_files);
    let logger = || StateFile::read(&StatusDir::new(module.dir.path().join("log")).state()).ok().flatten();
    snapshot.state.log_pid.is_some() && !into_files && logger().is_some_and(|logger| logger.log_dir.is_some())
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

#[cfg(test)]
mod tests {
    use super::*;

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
        // What it wrote before a logger got both is old.
        let logger = StatusDir::new(dir.path().join("log"));
        std::fs::create_dir(logger.path()).unwrap();
        let state = StateFile { log_dir: Some("/l".into()), ..StateFile::default() };
        std::fs::write(logger.state(), state.encode()).unwrap();
        assert_eq!(said(5).lines, [b"one".to_vec(), b"two".to_vec()]);
    }
}
