//! A service directory's own settings, as its supervisor has last read them.

use crate::conf::Complaint;
use crate::conf::own::{OwnFile, Texts};
use crate::service::Service;

/// Why it was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It must not be, or cannot.
    Refused(Complaint),
    /// It was there a moment ago, and may be there again: so it is while the directory is moved.
    Vanished(Complaint),
}

impl Unread {
    /// What to say of it.
    pub(super) fn complaint(&self) -> &Complaint {
        match self {
            Unread::Refused(complaint) | Unread::Vanished(complaint) => complaint,
        }
    }
}

/// The directory's own file, as it was last read.
#[derive(Debug, Default)]
pub(super) struct OwnSettings {
    read: Option<Box<(Texts, OwnFile)>>,
}

impl OwnSettings {
    /// Reads it, if it is there; says whether it is another one than before.
    ///
    /// # Errors
    /// It is there, and must not or cannot be read, or was there a moment ago. To go on without it could be to run as root what
    /// was to run as a user.
    pub(super) fn read(&mut self, service: &Service) -> Result<bool, Unread> {
        let Some((dir, are_there)) = service.own_settings() else { return Ok(self.read.take().is_some()) };
        let texts = Texts::read(dir, are_there, trusted()).map_err(Unread::Refused)?;
        if let Some(missing) = Texts::missing(texts.as_ref(), are_there) {
            let why = "was listed, and cannot be found: it is being changed, or a link that leads nowhere";
            return Err(Unread::Vanished(Complaint::whole(&dir.join(missing), why.into())));
        }
        let Some(texts) = texts else { return Ok(self.read.take().is_some()) };
        if self.read.as_ref().is_some_and(|read| read.0 == texts) {
            return Ok(false);
        }
        let file = OwnFile::of(dir, &texts);
        self.read = Some(Box::new((texts, file)));
        Ok(true)
    }

    /// The file.
    pub(super) fn file(&self) -> Option<&OwnFile> {
        self.read.as_ref().map(|read| &read.1)
    }
}

/// Whose files may say what root is to do: root's. Who is not root may read any.
pub fn trusted() -> &'static [u32] {
    if nix::unistd::geteuid().is_root() { &[0] } else { &[] }
}
