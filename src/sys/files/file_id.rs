//! Which file it is, whatever its name.

use super::statx::Look;
use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Device and inode of a file or directory. In `state.json` it is an array of both numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct FileId {
    /// Device number, `st_dev`.
    pub device: u64,
    /// Inode number, `st_ino`.
    pub inode: u64,
}

impl FileId {
    /// The number pair that no file has.
    pub const NONE: FileId = FileId { device: 0, inode: 0 };

    /// The file that `metadata` describes.
    pub fn of(metadata: &Metadata) -> FileId {
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl From<(u64, u64)> for FileId {
    fn from((device, inode): (u64, u64)) -> FileId {
        FileId { device, inode }
    }
}

impl From<FileId> for (u64, u64) {
    fn from(id: FileId) -> (u64, u64) {
        (id.device, id.inode)
    }
}

/// A file with the time at which it was made, which tells a new file from a removed one whose inode it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileInstance {
    /// Device and inode.
    pub id: FileId,
    /// Birth time in nanoseconds since the epoch; 0 where the file system keeps none, or where it is not known.
    pub born: u128,
}

impl From<Look> for FileInstance {
    fn from(look: Look) -> FileInstance {
        FileInstance { id: FileId { device: look.device, inode: look.inode }, born: look.born }
    }
}

impl FileInstance {
    /// The file that `metadata` describes.
    pub fn of(metadata: &Metadata) -> FileInstance {
        FileInstance::from(Look::of(metadata))
    }

    /// The file at `path`; of a symbolic link, the link itself.
    ///
    /// # Errors
    /// What `lstat` gives.
    pub fn at(path: &Path) -> io::Result<FileInstance> {
        Look::at(path).map(FileInstance::from)
    }

    /// Whether both may be the same file: device and inode are, and the age where it is known of both.
    pub fn may_be(&self, other: &FileInstance) -> bool {
        self.id == other.id && (self.born == other.born || self.born == 0 || other.born == 0)
    }

    /// A file of which only device and inode were written down.
    pub fn of_unknown_age(id: FileId) -> FileInstance {
        FileInstance { id, born: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_an_array_in_json() {
        let id = FileId { device: 8, inode: 9 };
        assert_eq!(serde_json::to_string(&id).unwrap(), "[8,9]");
        assert_eq!(serde_json::from_str::<FileId>("[8,9]").unwrap(), id);
    }

    #[test]
    fn a_file_of_unknown_age_may_be_any_with_its_number() {
        let of = |inode, born| FileInstance { id: FileId { device: 8, inode }, born };
        assert!(of(9, 5).may_be(&of(9, 5)) && of(9, 0).may_be(&of(9, 5)) && of(9, 5).may_be(&of(9, 0)));
        assert!(!of(9, 5).may_be(&of(9, 6)) && !of(9, 0).may_be(&of(8, 0)));
    }

    #[test]
    fn a_file_is_the_same_under_another_name_and_a_link_is_a_file_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let [file, moved, link] = ["file", "moved", "link"].map(|name| dir.path().join(name));
        std::fs::write(&file, "x").unwrap();
        let instance = FileInstance::at(&file).unwrap();
        std::fs::rename(&file, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &link).unwrap();
        assert_eq!(FileInstance::at(&moved).unwrap(), instance);
        assert_ne!(FileInstance::at(&link).unwrap(), instance);
        assert_eq!(FileInstance::of(&std::fs::metadata(&link).unwrap()), instance);
        assert_ne!(instance.id, FileId::NONE);
    }
}
