//! Command bytes into a module's FIFO, and what it means when they do not get through.

use crate::ctl::access;
use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::root::Module;
use crate::ctl::snapshot::{Snapshot, Supervised};
use crate::status::StatusDir;
use crate::sys::files::fifo;
use std::io;

/// Sends `bytes` to whoever supervises `dir`.
///
/// # Errors
/// `ENXIO` as `None`: nobody reads. Otherwise the outcome, and what is wrong and what to do.
pub fn send(dir: &StatusDir, bytes: &[u8]) -> Result<(), Option<CtlError>> {
    let path = dir.control();
    let Err(error) = fifo::send(&path, bytes) else { return Ok(()) };
    let shown = access::shown(&path);
    Err(match error.raw_os_error() {
        Some(libc::ENXIO | libc::ENOENT | libc::ENOTDIR) => None,
        Some(libc::EPIPE) => None,
        Some(libc::EAGAIN) => {
            Some(CtlError::failed(format!("{shown} is full: its supervisor reads no commands; see supervise.log.wf")))
        }
        Some(libc::ELOOP) => Some(CtlError::failed(format!("{shown} is not a FIFO: remove it, and it is made anew"))),
        None if error.kind() == io::ErrorKind::InvalidInput => {
            Some(CtlError::failed(format!("{shown} is not a FIFO: remove it, and it is made anew")))
        }
        _ if access::is_denied(&error) => Some(CtlError::denied(access::explain(&path, &error))),
        _ => Some(CtlError::failed(access::explain(&path, &error))),
    })
}

/// Sends `bytes` to a module.
///
/// # Errors
/// The outcome for this module, and the text for people.
pub fn to_module(module: &Module, snapshot: &Snapshot, bytes: &[u8]) -> Result<(), CtlError> {
    send(&module.dir, bytes)
        .map_err(|refused| refused.unwrap_or_else(|| CtlError::new(Outcome::NotSupervised, unsupervised(snapshot))))
}

/// What to say of a module that nobody supervises.
pub fn unsupervised(snapshot: &Snapshot) -> String {
    match (snapshot.supervised, snapshot.state.pid) {
        (Supervised::Removed, _) => "not supervised: the service was removed".into(),
        (Supervised::No { runs_on: true }, Some(pid)) => {
            format!("not supervised; its process (pid {pid}) runs on without a supervisor, and the next one adopts it")
        }
        (Supervised::NotBegun, _) => snapshot.state.reason.clone().unwrap_or_else(|| "not begun".into()),
        _ => "not supervised".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;

    #[test]
    fn nobody_who_reads_is_told_from_what_is_wrong() {
        let root = tempfile::tempdir().unwrap();
        let dir = StatusDir::new(root.path());
        assert_eq!(send(&dir, b"u"), Err(None));
        nix::unistd::mkfifo(&dir.control(), Mode::S_IRWXU).unwrap();
        assert_eq!(send(&dir, b"u"), Err(None));
        let held = fifo::Fifo::open_or_make(&dir.control(), fifo::Ends::Both).unwrap();
        assert_eq!(send(&dir, b"u"), Ok(()));
        while send(&dir, &[b'\n'; 4096]).is_ok() {}
        assert!(
            matches!(send(&dir, b"u"), Err(Some(error)) if error.outcome == Outcome::Failed && error.text.contains("is full"))
        );
        drop(held);
        std::fs::remove_file(dir.control()).unwrap();
        std::fs::write(dir.control(), "").unwrap();
        assert!(matches!(send(&dir, b"u"), Err(Some(error)) if error.text.contains("is not a FIFO")));
        assert_eq!(std::fs::read(dir.control()).unwrap(), b"");
    }
}
