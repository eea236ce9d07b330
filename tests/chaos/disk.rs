//! A small disk for the status directories, where one may be mounted: in a mount namespace of this thread, and of all processes that
//! it starts, so that it goes with them.

use nix::libc;
use nix::mount::{MsFlags, mount};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Enough for all that the tree writes in an hour.
const SIZE: &str = "size=64m";

/// The disk.
pub struct SmallDisk {
    at: PathBuf,
    /// How often it was full.
    pub times_full: usize,
}

impl SmallDisk {
    /// Mounts it, if this process may.
    pub fn mount(at: &Path) -> Option<SmallDisk> {
        std::fs::create_dir_all(at).ok()?;
        // SAFETY: takes an integer, and changes nothing but what this thread sees of the file systems.
        if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
            return None;
        }
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).ok()?;
        mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some(SIZE)).ok()?;
        Some(SmallDisk { at: at.to_owned(), times_full: 0 })
    }

    /// Leaves no byte free, until [`SmallDisk::clear`].
    pub fn fill(&mut self) {
        self.times_full += 1;
        let mut file = File::create(self.filler()).expect("a file");
        for size in [1 << 20, 1 << 12] {
            let block = vec![b'x'; size];
            loop {
                match file.write(&block) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// There is room again.
    pub fn clear(&self) {
        std::fs::remove_file(self.filler()).expect("removed");
    }

    fn filler(&self) -> PathBuf {
        self.at.join(".filler")
    }
}
