//! A service directory's own settings, as its supervisor has last read them.

use crate::conf::Complaint;
use crate::conf::own::OwnFile;
use crate::service::Service;

/// The directory's own file, as it was last read.
#[derive(Debug, Default)]
pub(super) struct OwnSettings {
    read: Option<Box<(Vec<u8>, OwnFile)>>,
}

impl OwnSettings {
    /// Reads it, if it is there; says whether it is another one than before.
    ///
    /// # Errors
    /// It is there, and must not or cannot be read. To go on without it could be to run as root what was to run as a user.
    pub(super) fn read(&mut self, service: &Service) -> Result<bool, Complaint> {
        let Some(path) = service.own_file() else { return Ok(self.read.take().is_some()) };
        let Some(bytes) = OwnFile::bytes(&path, trusted())? else { return Ok(self.read.take().is_some()) };
        if self.read.as_ref().is_some_and(|read| read.0 == bytes) {
            return Ok(false);
        }
        let file = OwnFile::parse(&path, &bytes);
        self.read = Some(Box::new((bytes, file)));
        Ok(true)
    }

    /// The file.
    pub(super) fn file(&self) -> Option<&OwnFile> {
        self.read.as_ref().map(|read| &read.1)
    }
}

/// Whose files may say what root is to do: root's. Who is not root may read any.
fn trusted() -> &'static [u32] {
    if nix::unistd::geteuid().is_root() { &[0] } else { &[] }
}
