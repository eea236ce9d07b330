//! Who may use a file beside its owner: its group and mode, changed on the open file, so that nobody can put another in its
//! place meanwhile.

use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Gid, fchown};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The bits of a mode that [`set`] looks at and sets.
const MODE: u32 = 0o777;

/// Gives what is at `path` (no link followed; a directory, FIFO or file of ours) this mode, and this group if one is named.
/// What is so already costs no change.
///
/// # Errors
/// What `open`, `fchown` and `fchmod` give: `EPERM` for a group that we are not in.
pub fn set(path: &Path, group: Option<u32>, mode: u32) -> io::Result<()> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    // First less, then another group, then more: at no time has the wrong group what the right one is to have.
    let fewer = metadata.mode() & MODE & mode;
    if metadata.mode() & MODE != fewer {
        fchmod(&file, Mode::from_bits_truncate(fewer))?;
    }
    if let Some(group) = group.filter(|group| *group != metadata.gid()) {
        fchown(&file, None, Some(Gid::from_raw(group)))?;
    }
    if fewer != mode {
        fchmod(&file, Mode::from_bits_truncate(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_set_on_the_file_itself_and_never_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (fifo, link) = (dir.path().join("fifo"), dir.path().join("link"));
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("fifo", &link).unwrap();
        let mode = || std::fs::metadata(&fifo).unwrap().mode() & 0o777;
        set(&fifo, None, 0o620).unwrap();
        assert_eq!(mode(), 0o620);
        set(&fifo, Some(std::fs::metadata(&fifo).unwrap().gid()), 0o600).unwrap();
        assert_eq!(mode(), 0o600);
        assert!(set(&link, None, 0o666).is_err());
        assert_eq!(mode(), 0o600);
    }
}
