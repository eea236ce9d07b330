//! A pipe that the child holds from the moment when it leaves our table of descriptors until it has opened the pipe itself.
//!
//! Between these two, we may be killed. If nobody held the pipe then, its reader would see the end of input and end, and what
//! the child writes would be lost with the last who has it open.
//!
//! The child cannot just keep our descriptor: what it has to copy, and to close again, is all descriptors up to that one, of
//! which there may be thousands. So a start borrows one of a few with low numbers.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use parking_lot::Mutex;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

/// So many starts can hold something at the same time. One more goes without: it must not wait for others, whose programs may
/// be on a disk that does not answer.
pub const COUNT: usize = 8;

/// The lowest number: those below are the child's standard streams.
const LOWEST: RawFd = 3;

/// The descriptors for this.
struct Places {
    /// What a free one is open on.
    null: OwnedFd,
    free: Mutex<Vec<OwnedFd>>,
}

/// `None` if there was none to be had: then all start without.
static PLACES: OnceLock<Option<Places>> = OnceLock::new();

/// Takes the descriptors, the lowest that are free: later, these are higher.
pub fn reserve() {
    places();
}

fn places() -> Option<&'static Places> {
    let take = || {
        let null = open(c"/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
        let free = (0..COUNT).map_while(|_| {
            let number = fcntl(&null, FcntlArg::F_DUPFD_CLOEXEC(LOWEST)).ok()?;
            // SAFETY: it is new, and nobody else knows of it.
            Some(unsafe { OwnedFd::from_raw_fd(number) })
        });
        let free = Mutex::new(free.collect());
        Some(Places { null, free })
    };
    PLACES.get_or_init(take).as_ref()
}

/// A pipe that is held. It is let go of when dropped.
pub(super) struct Hold(Option<OwnedFd>);

impl Hold {
    /// Holds the FIFO at `path` open; `None` if that cannot be.
    pub(super) fn of(path: &CStr) -> Option<Hold> {
        let place = places()?.free.lock().pop()?;
        let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        // From here on the place comes back whatever happens.
        let hold = Hold(Some(place));
        let opened = open(path, flags, Mode::empty()).ok()?;
        replace(hold.0.as_ref()?, &opened).ok()?;
        Some(hold)
    }

    /// Its number.
    pub(super) fn number(&self) -> RawFd {
        self.0.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some((place, places)) = self.0.take().zip(places()) else { return };
        // A place that could not be emptied is closed: a pipe that nobody writes into any more must come to its end.
        if replace(&place, &places.null).is_ok() {
            places.free.lock().push(place);
        }
    }
}

/// Lets the descriptor `place` be the same as `other`, under its own number.
fn replace(place: &OwnedFd, other: &OwnedFd) -> Result<(), Errno> {
    // SAFETY: both are open and ours; `place` stays a descriptor that is closed once.
    let number = unsafe { libc::dup3(other.as_raw_fd(), place.as_raw_fd(), libc::O_CLOEXEC) };
    Errno::result(number).map(drop)
}

#[cfg(test)]
mod tests {
    use crate::sys::context::Change;
    use crate::sys::process::plan::{Environment, Output, Plan};
    use crate::sys::process::start::start;
    use nix::sys::stat::Mode;
    use nix::unistd::{gettid, mkfifo};
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    fn c_path(path: &Path) -> CString {
        CString::new(path.as_os_str().as_bytes()).unwrap()
    }

    /// What the descriptors of the child of thread `parent` lead to, once it has left our table.
    fn descriptors(parent: i32) -> Option<Vec<PathBuf>> {
        let children = std::fs::read_to_string(format!("/proc/self/task/{parent}/children")).unwrap();
        let entries = std::fs::read_dir(format!("/proc/{}/fd", children.trim())).ok()?.flatten();
        let open: Vec<PathBuf> = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();
        // We have the standard ones at least, and a child that waits at the gate has none of them yet.
        (!children.is_empty() && open.len() < 3).then_some(open)
    }

    #[test]
    fn a_child_holds_the_pipe_before_it_has_opened_it() {
        let dir = tempfile::tempdir().unwrap();
        let [pipe, gate] = ["pipe", "gate"].map(|name| dir.path().join(name));
        [&pipe, &gate].into_iter().for_each(|path| mkfifo(path, Mode::S_IRWXU).unwrap());
        let (tell, told) = std::sync::mpsc::channel();
        let paths = (c_path(&pipe), c_path(&gate));
        let starter = std::thread::spawn(move || {
            // It waits where it would enter a group: the file is a FIFO without a reader.
            let change = Change { cgroup: Some(paths.1), ..Change::default() };
            let (arguments, environment) = ([c"true".to_owned()], Environment::inherited());
            let plan = Plan::new(c"/bin/true", &arguments, &environment);
            let plan = Plan { change: Some(&change), stdout: Output::Fifo(&paths.0), ..plan };
            tell.send(gettid().as_raw()).unwrap();
            let started = start(&plan).unwrap();
            while started.pidfd.reap().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let (parent, deadline) = (told.recv().unwrap(), Instant::now() + Duration::from_secs(20));
        let open = loop {
            match descriptors(parent) {
                Some(open) => break open,
                None => assert!(Instant::now() < deadline && !starter.is_finished(), "no child"),
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let _reader = std::fs::File::open(&gate).unwrap();
        starter.join().unwrap();
        assert_eq!(open, [pipe.canonicalize().unwrap()]);
    }
}
