//! Which optional entries a service directory has: `env`, `supervise.conf`, `control`, `check`,
//! `notification-fd`, `finish`, `log`, and files of s6 that stand for keys.
//!
//! Each start has to know, and most directories have none of them. So they are looked for only when the directory has
//! changed: whoever makes or removes an entry changes its time of modification. One look at the directory then stands for
//! one at each entry. What the scan of the services root has seen counts for the first start, too: that one looks at the
//! directory once, as a start without any of this would look for `control/u`.
//!
//! A path may lead nowhere for a moment, as while the services root is exchanged. Then what was seen last stands: a service must
//! not run without the user that its own file names, nor in spite of its `down`.

use crate::conf::CONFIG_FILE;
use crate::conf::own::s6;
use crate::sys::files::file;
use crate::sys::files::file_id::FileId;
use crate::sys::files::listing;
use crate::sys::files::statx::Look;
use nix::errno::Errno;
use std::cell::Cell;
use std::fs::Metadata;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The directory of variables.
pub const ENV_DIR: &str = "env";

/// The directory of scripts for commands.
pub const CONTROL_DIR: &str = "control";

/// The program that looks whether the service is well.
pub const CHECK: &str = "check";

/// The file of s6 that holds the number of the readiness descriptor.
pub const NOTIFICATION_FD: &str = "notification-fd";

/// A directory that was changed less than this before it was looked at may change once more without a new time: the
/// kernel's clock for files goes by ticks of up to 10 ms, that of some file systems by two seconds.
const COARSE: Duration = Duration::from_secs(3);

/// The same where the time has more digits than file systems of whole seconds have.
const FINE: Duration = Duration::from_millis(100);

/// The program that runs after an end.
const FINISH: &str = "finish";

/// The logger's directory.
const LOG_DIR: &str = "log";

/// The file that keeps the service down when supervision begins.
pub const DOWN: &str = "down";

/// The entries that are there, whatever they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// `env`.
    pub env: bool,
    /// `supervise.conf`.
    pub conf: bool,
    /// One of the [`FILES`](s6::FILES) of s6.
    pub s6: bool,
    /// `control`.
    pub control: bool,
    /// `check`.
    pub check: bool,
    /// `notification-fd`.
    pub notification_fd: bool,
    /// `finish`.
    pub finish: bool,
    /// `log`.
    pub log: bool,
    /// `down`.
    pub down: bool,
}

impl Entries {
    /// Those in the directory at `path`, by a list of all names in it, or, where that is long or cannot be had, one by one.
    ///
    /// # Errors
    /// `ENOENT` if it is not there, `ESTALE` if another one than `expect` is.
    fn read(path: &Path, expect: Option<FileId>) -> Result<Entries, Errno> {
        let mut listed = Entries::default();
        let error = match listing::names(path, expect, |name| listed.note(name)) {
            Ok(true) => return Ok(listed),
            Ok(false) => None,
            Err(error) => error.raw_os_error().map(Errno::from_raw),
        };
        if let Some(errno @ (Errno::ENOENT | Errno::ESTALE)) = error {
            return Err(errno);
        }
        let entries = Entries::look_for(path);
        match Look::behind(path) {
            Err(_) => Err(Errno::ENOENT),
            Ok(look) if expect.is_some_and(|expect| Stamp::of(look).directory != expect) => Err(Errno::ESTALE),
            Ok(_) => Ok(entries),
        }
    }

    fn note(&mut self, name: &[u8]) {
        let place = match name {
            b"env" => &mut self.env,
            b"supervise.conf" => &mut self.conf,
            b"control" => &mut self.control,
            b"check" => &mut self.check,
            b"notification-fd" => &mut self.notification_fd,
            b"finish" => &mut self.finish,
            b"log" => &mut self.log,
            b"down" => &mut self.down,
            other if s6::FILES.iter().any(|name| name.as_bytes() == other) => &mut self.s6,
            _ => return,
        };
        *place = true;
    }

    fn look_for(path: &Path) -> Entries {
        let has = |name| Look::at(&file::child(path, name)).is_ok();
        Entries {
            env: has(ENV_DIR),
            conf: has(CONFIG_FILE),
            s6: s6::FILES.into_iter().any(has),
            control: has(CONTROL_DIR),
            check: has(CHECK),
            notification_fd: has(NOTIFICATION_FD),
            finish: has(FINISH),
            log: has(LOG_DIR),
            down: has(DOWN),
        }
    }
}

/// The entries of a directory, and how long that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The entries.
    pub entries: Entries,
    /// Of which state of the directory that is known for good.
    stamp: Option<Stamp>,
}

impl Contents {
    /// What is in the directory at `path`, which `metadata` describes; `None` if another one is there by now, or none.
    pub fn of(path: &Path, metadata: &Metadata) -> Option<Contents> {
        let stamp = Stamp::of(Look::of(metadata));
        let entries = Entries::read(path, Some(stamp.directory)).ok()?;
        Some(Contents { entries, stamp: Some(stamp).filter(|stamp| is_past(stamp.changed)) })
    }
}

/// A state of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    directory: FileId,
    changed: SystemTime,
}

impl Stamp {
    fn of(look: Look) -> Stamp {
        Stamp { directory: FileId { device: look.device, inode: look.inode }, changed: look.changed }
    }
}

/// What was seen in a directory.
#[derive(Debug, Default)]
pub struct Seen {
    contents: Cell<Contents>,
    /// Whether there was a look before: the first one counts for now, the second is remembered.
    known: Cell<bool>,
    /// Nothing has been waited for since the last look.
    fresh: Cell<bool>,
    /// Which directory it is; that may be any for a logger's, which may be replaced.
    expect: Option<FileId>,
    /// Why the last look was none.
    failed: Cell<Option<Errno>>,
}

impl Seen {
    /// Nothing is known yet of the directory, which has to be the one that `expect` says, if it says one.
    pub fn nothing(expect: Option<FileId>) -> Seen {
        Seen { expect, ..Seen::default() }
    }

    /// Somebody has looked already.
    pub fn before(self, contents: Contents) -> Seen {
        Seen { contents: Cell::new(contents), known: Cell::new(contents.stamp.is_some()), ..self }
    }

    /// What is in the directory at `path`.
    pub fn look(&self, path: &Path) -> Entries {
        if !self.fresh.replace(true) {
            self.look_anew(path);
        }
        self.contents.get().entries
    }

    /// What was in it when it was there last; nothing, if it was not.
    pub fn last(&self) -> Entries {
        self.contents.get().entries
    }

    /// Whether the directory was at its path at the last look: else, what was seen last may not be all there is.
    ///
    /// # Errors
    /// `ENOENT` if it was not, `ESTALE` if another one was.
    pub fn is_up_to_date(&self) -> Result<(), Errno> {
        self.failed.get().map_or(Ok(()), Err)
    }

    /// Time has passed: the next look is one.
    pub fn expire(&self) {
        self.fresh.set(false);
    }

    fn look_anew(&self, path: &Path) {
        // Most services are started once: that start is spared what only a later one could make use of.
        let stamp = if self.known.replace(true) { stamp(path) } else { None };
        if stamp.is_some() && stamp == self.contents.get().stamp {
            return self.failed.set(None);
        }
        let entries = Entries::read(path, self.expect);
        self.failed.set(entries.err());
        if let Ok(entries) = entries {
            let stamp = stamp.filter(|stamp| is_past(stamp.changed));
            self.contents.set(Contents { entries, stamp });
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    Look::behind(path).ok().map(Stamp::of)
}

/// Whether the next change will have another time. Times of whole hundredths of a second may be those of a file system that
/// knows no others.
fn is_past(changed: SystemTime) -> bool {
    let digits = changed.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    let enough = if digits.is_multiple_of(10_000_000) { COARSE } else { FINE };
    SystemTime::now().duration_since(changed).is_ok_and(|ago| ago > enough)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, FileTimes};

    fn set_changed(path: &Path, time: SystemTime) {
        File::open(path).and_then(|dir| dir.set_times(FileTimes::new().set_modified(time))).unwrap();
    }

    #[test]
    fn an_entry_is_seen_whenever_it_comes() {
        let dir = tempfile::tempdir().unwrap();
        let seen = Seen::default();
        let look = || {
            seen.expire();
            seen.look(dir.path())
        };
        for _ in 0..3 {
            assert_eq!(look(), Entries::default());
        }
        // Within one tick of the clock, the directory's time may stay what it was.
        let now = std::fs::metadata(dir.path()).unwrap().modified().unwrap();
        std::fs::write(dir.path().join(CONFIG_FILE), "").unwrap();
        set_changed(dir.path(), now);
        assert!(look().conf);
        set_changed(dir.path(), now - 2 * COARSE);
        assert!(look().conf && look().conf);
        std::fs::create_dir(dir.path().join("env")).unwrap();
        assert_eq!(look(), Entries { env: true, conf: true, control: false, ..Entries::default() });
        std::os::unix::fs::symlink("nowhere", dir.path().join("control")).unwrap();
        std::fs::remove_file(dir.path().join(CONFIG_FILE)).unwrap();
        assert_eq!(look(), Entries { env: true, conf: false, control: true, ..Entries::default() });
    }

    #[test]
    fn what_is_known_for_good_is_not_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        set_changed(dir.path(), SystemTime::now() - 2 * COARSE);
        let old = std::fs::metadata(dir.path()).unwrap().modified().unwrap();
        let seen = Seen::default();
        let look = || {
            seen.expire();
            seen.look(dir.path())
        };
        assert_eq!((look(), look()), (Entries::default(), Entries::default()));
        // Nobody can do this but by setting the clock or the time back: it shows that the one look is all.
        std::fs::write(dir.path().join(CONFIG_FILE), "").unwrap();
        set_changed(dir.path(), old);
        assert!(!look().conf);
        set_changed(dir.path(), SystemTime::now());
        assert!(look().conf);
    }

    #[test]
    fn what_was_seen_stands_while_the_directory_is_not_there() {
        let root = tempfile::tempdir().unwrap();
        let [dir, away] = ["web", "away"].map(|name| root.path().join(name));
        std::fs::create_dir(&dir).unwrap();
        let seen = Seen::nothing(Some(FileId::of(&std::fs::metadata(&dir).unwrap())));
        let look = || {
            seen.expire();
            (seen.look(&dir), seen.is_up_to_date())
        };
        let empty = Entries::default();
        std::fs::rename(&dir, &away).unwrap();
        assert_eq!(look(), (empty, Err(Errno::ENOENT)), "nobody has seen it");
        std::fs::rename(&away, &dir).unwrap();
        assert_eq!(look(), (empty, Ok(())));
        std::fs::write(dir.join(CONFIG_FILE), "").unwrap();
        std::fs::write(dir.join(DOWN), "").unwrap();
        let full = Entries { conf: true, down: true, ..empty };
        assert_eq!(look(), (full, Ok(())));
        std::fs::rename(&dir, &away).unwrap();
        assert_eq!(look(), (full, Err(Errno::ENOENT)));
        // Another one in its place says nothing of it.
        std::fs::create_dir(&dir).unwrap();
        assert_eq!(look(), (full, Err(Errno::ESTALE)));
        assert!(Contents::of(&dir, &std::fs::metadata(&away).unwrap()).is_none());
    }

    #[test]
    fn within_one_start_there_is_one_look() {
        let dir = tempfile::tempdir().unwrap();
        let seen = Seen::default();
        assert!(!seen.look(dir.path()).conf);
        std::fs::write(dir.path().join(CONFIG_FILE), "").unwrap();
        assert!(!seen.look(dir.path()).conf, "the same start");
        seen.expire();
        assert!(seen.look(dir.path()).conf);
    }
}
