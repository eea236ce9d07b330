//! `supervise/` in a status directory: what runit's `runsv` keeps there, for `sv`, `svc`, `svstat`, `svok` and whatever
//! was made for them (the layout is that of runsv.c in runit 2.1.2).
//!
//! | entry | what |
//! |---|---|
//! | `control` | FIFO: commands, by runit's meanings |
//! | `ok` | the same FIFO under another name: it has a reader while somebody supervises |
//! | `lock` | our own lock file under another name, so that no `runsv` starts beside us |
//! | `pid` | the pid and a newline; empty when nothing runs |
//! | `stat` | words: `run, paused, got TERM, want down` |
//! | `status` | 20 bytes: see [`Record::encode`] |

use super::StatusDir;
use super::record::tai64n;
use crate::sys::files::fifo::{Ends, Fifo};
use crate::sys::files::file;
use crate::sys::files::path_error::PathError;
use crate::sys::files::replace::FilePair;
use crate::sys::handover;
use std::fs::DirBuilder;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What runit calls the directory, in a service directory as in a status directory.
pub const NAME: &str = "supervise";

/// What runs, as runit sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing.
    Down,
    /// `run`.
    Run,
    /// `finish`.
    Finish,
}

/// What the files say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When `run` was last started; when nothing runs, since when.
    pub since: SystemTime,
    /// The pid of `run` or `finish`, 0 if neither runs.
    pub pid: u32,
    /// What runs.
    pub phase: Phase,
    /// Whether `run` was stopped with `p`.
    pub paused: bool,
    /// Whether it is wanted up, to stay so.
    pub up: bool,
    /// Whether supervision is to end.
    pub leaving: bool,
    /// Whether `run` got TERM.
    pub got_term: bool,
}

impl Record {
    /// `status`: 0-11 TAI64N, 12-15 pid, little-endian, 16 paused, 17 `u` or `d`, 18 got TERM, 19 what runs.
    pub fn encode(&self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..12].copy_from_slice(&tai64n(self.since));
        bytes[12..16].copy_from_slice(&self.pid.to_le_bytes());
        bytes[16] = u8::from(self.paused);
        bytes[17] = if self.up { b'u' } else { b'd' };
        bytes[18] = u8::from(self.got_term);
        bytes[19] = match self.phase {
            Phase::Down => 0,
            Phase::Run => 1,
            Phase::Finish => 2,
        };
        bytes
    }

    /// `stat`.
    pub fn stat(&self) -> String {
        let mut words = vec![match self.phase {
            Phase::Down => "down",
            Phase::Run => "run",
            Phase::Finish => "finish",
        }];
        if self.paused {
            words.push("paused");
        }
        if self.got_term {
            words.push("got TERM");
        }
        match (self.phase, self.leaving, self.up) {
            (Phase::Down, ..) | (_, false, true) => {}
            (_, true, _) => words.push("want exit"),
            (_, false, false) => words.push("want down"),
        }
        words.join(", ") + "\n"
    }

    /// `pid`.
    pub fn pid(&self) -> String {
        if self.pid == 0 { String::new() } else { format!("{}\n", self.pid) }
    }
}

/// The directory and its FIFO.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    control: Option<Fifo>,
    written: Option<Record>,
    /// That something cannot be made has been reported, and it still cannot.
    making_reported: bool,
    /// That something cannot be written, likewise.
    writing_reported: bool,
}

impl Files {
    /// Those of `dir`; the FIFO may have been open in the program before us.
    pub fn new(dir: &StatusDir, control: Option<OwnedFd>) -> Files {
        let control = control.and_then(|control| Fifo::inherit(control).ok());
        let path = dir.path().join(NAME);
        Files { path, control, written: None, making_reported: false, writing_reported: false }
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the files of a service that has none yet: who looks into them must find them there when there is a FIFO, and before
    /// `run` works (runsv.c does it in that order).
    ///
    /// # Errors
    /// What is wrong; it is tried again with the next report.
    pub fn write_first(&mut self, record: Record) -> Result<(), PathError> {
        if std::fs::symlink_metadata(self.path.join("status")).is_ok() {
            return Ok(());
        }
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Ok(()),
            _ => self.write(record),
        }
    }

    /// Makes what is missing. To be called with every report; it costs two `lstat` when all is well.
    ///
    /// # Errors
    /// What is wrong, once for as long as it lasts.
    pub fn keep(&mut self, dir: &StatusDir) -> Result<(), PathError> {
        let (control, ok) = (self.path.join("control"), self.path.join("ok"));
        if self.control.as_ref().is_some_and(|fifo| fifo.is_at(&control) && fifo.is_at(&ok)) {
            return Ok(());
        }
        let result = self.make(dir, &control, &ok);
        if result.is_ok() {
            self.written = None;
        }
        once(&mut self.making_reported, result)
    }

    fn make(&mut self, dir: &StatusDir, control: &Path, ok: &Path) -> Result<(), PathError> {
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(PathError::at(&self.path))?,
        }
        if !self.control.as_ref().is_some_and(|fifo| fifo.is_at(control)) {
            self.control = None;
            self.control = Some(Fifo::open_or_make(control, Ends::Both).map_err(PathError::at(control))?);
        }
        file::link(control, ok).map_err(PathError::at(ok))?;
        self.link_lock(dir)
    }

    /// Gives our lock file its name in here; if there is no such directory, [`Files::keep`] makes that.
    ///
    /// # Errors
    /// What `unlink` and `link` give.
    pub fn link_lock(&self, dir: &StatusDir) -> Result<(), PathError> {
        let lock = self.path.join("lock");
        match file::link(&dir.lock_path(), &lock) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            linked => linked.map_err(PathError::at(&lock)),
        }
    }

    /// Whether all are there and say what they should.
    pub fn are_in_order(&self) -> bool {
        !self.making_reported && !self.writing_reported
    }

    /// The descriptor to wait for.
    pub fn control(&self) -> Option<BorrowedFd<'_>> {
        self.control.as_ref().map(AsFd::as_fd)
    }

    /// Takes some of the bytes that are waiting.
    pub fn read(&self) -> Vec<u8> {
        super::fifo::read(self.control.as_ref())
    }

    /// Says whether the FIFO stays open when the program is replaced, and returns its descriptor's number.
    pub fn keep_open(&self, keep: bool) -> Option<RawFd> {
        let control = self.control.as_ref()?;
        handover::keep_open(control, keep).ok()
    }

    /// What is written now, as far as it is known.
    pub fn written(&self) -> Option<Record> {
        self.written
    }

    /// Writes the files that have changed.
    ///
    /// # Errors
    /// What is wrong, once for as long as it lasts; all is written again at the next call.
    pub fn write(&mut self, record: Record) -> Result<(), PathError> {
        let old = self.written.replace(record);
        let mut result = Ok(());
        let mut write = |name: &str, old: Option<&[u8]>, new: &[u8]| {
            let path = self.path.join(name);
            // Another supervisor may have left the very same, and then its time is that of the change.
            let is_there = |old: Option<&[u8]>| old.map_or_else(|| holds(&path, new), |old| old == new);
            if result.is_ok() && !is_there(old) {
                result = FilePair::Unknown.replace(&path, new).map_err(PathError::at(&path));
            }
        };
        write("pid", old.map(|old| old.pid()).as_deref().map(str::as_bytes), record.pid().as_bytes());
        write("stat", old.map(|old| old.stat()).as_deref().map(str::as_bytes), record.stat().as_bytes());
        write("status", old.map(|old| old.encode()).as_ref().map(<[u8; 20]>::as_slice), &record.encode());
        if result.is_err() {
            self.written = None;
        }
        once(&mut self.writing_reported, result)
    }
}

/// Whether the file at `path` holds `content` and nothing else.
fn holds(path: &Path, content: &[u8]) -> bool {
    let mut bytes = Vec::new();
    let read = file::read(path).and_then(|file| file.take(content.len() as u64 + 1).read_to_end(&mut bytes));
    read.is_ok() && bytes == content
}

/// Lets an error through only if the last result was none.
fn once(reported: &mut bool, result: Result<(), PathError>) -> Result<(), PathError> {
    let before = std::mem::replace(reported, result.is_err());
    if before { Ok(()) } else { result }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::time::{Duration, UNIX_EPOCH};

    const UP: Record = Record {
        since: UNIX_EPOCH,
        pid: 0x0403_0201,
        phase: Phase::Run,
        paused: false,
        up: true,
        leaving: false,
        got_term: false,
    };

    #[test]
    fn every_byte_is_where_runsv_puts_it() {
        let since = UNIX_EPOCH + Duration::new(1_700_000_000, 0x0506_0708);
        let record = Record { since, paused: true, got_term: true, ..UP };
        let mut expected = (4_611_686_018_427_387_914u64 + 1_700_000_000).to_be_bytes().to_vec();
        expected.extend([5, 6, 7, 8, 1, 2, 3, 4, 1, b'u', 1, 1]);
        assert_eq!(record.encode().to_vec(), expected);
        let ends = |phase, up| Record { phase, up, pid: 0, ..UP }.encode()[12..].to_vec();
        assert_eq!(ends(Phase::Down, false), [0, 0, 0, 0, 0, b'd', 0, 0]);
        assert_eq!(ends(Phase::Finish, true), [0, 0, 0, 0, 0, b'u', 0, 2]);
    }

    #[test]
    fn stat_is_in_runsvs_words() {
        assert_eq!(UP.stat(), "run\n");
        assert_eq!(
            Record { paused: true, got_term: true, up: false, ..UP }.stat(),
            "run, paused, got TERM, want down\n"
        );
        assert_eq!(Record { leaving: true, phase: Phase::Finish, ..UP }.stat(), "finish, want exit\n");
        assert_eq!(Record { leaving: true, up: false, phase: Phase::Down, ..UP }.stat(), "down\n");
        assert_eq!((UP.pid().as_str(), Record { pid: 0, ..UP }.pid().as_str()), ("67305985\n", ""));
    }

    #[test]
    fn the_files_are_made_linked_and_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let dir = StatusDir::new(root.path().join("web"));
        dir.make().unwrap();
        let _lock = dir.lock().unwrap();
        let mut files = Files::new(&dir, None);
        let inode = |path: &Path| std::fs::symlink_metadata(path).unwrap().ino();
        let all_is_well = |files: &Files| {
            let at = |name: &str| inode(&files.path().join(name));
            assert_eq!(at("control"), at("ok"));
            assert_eq!(at("lock"), inode(&dir.lock_path()));
        };
        files.keep(&dir).unwrap();
        assert_eq!(std::fs::metadata(files.path()).unwrap().permissions().mode() & 0o777, 0o700);
        all_is_well(&files);
        std::fs::remove_file(files.path().join("ok")).unwrap();
        files.keep(&dir).unwrap();
        all_is_well(&files);
        std::fs::remove_dir_all(files.path()).unwrap();
        files.keep(&dir).unwrap();
        all_is_well(&files);
    }

    #[test]
    fn only_what_has_changed_is_written_and_trouble_is_told_once() {
        let root = tempfile::tempdir().unwrap();
        let dir = StatusDir::new(root.path().join("web"));
        dir.make().unwrap();
        let _lock = dir.lock().unwrap();
        let mut files = Files::new(&dir, None);
        files.keep(&dir).unwrap();
        files.write(UP).unwrap();
        let inode = |name: &str| std::fs::metadata(root.path().join("web/supervise").join(name)).unwrap().ino();
        let before = ["pid", "stat", "status"].map(inode);
        files.write(Record { got_term: true, ..UP }).unwrap();
        let after = ["pid", "stat", "status"].map(inode);
        assert_eq!(before[0], after[0]);
        assert!(before[1] != after[1] && before[2] != after[2]);
        std::fs::remove_dir_all(files.path()).unwrap();
        assert!(files.write(UP).is_err());
        assert!(files.write(UP).is_ok(), "once is enough");
    }
}
