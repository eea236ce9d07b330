//! The `supervise.conf` in a module's own service directory, as whoever asks may read it.

use crate::conf::own::OwnFile;
use crate::conf::{CONFIG_FILE, Complaint};
use crate::ctl::snapshot::Snapshot;
use std::path::Path;

/// The file; `None` if there is none, or no service directory.
///
/// # Errors
/// It cannot be read.
pub fn of(snapshot: &Snapshot) -> Result<Option<OwnFile>, Complaint> {
    let directory = Path::new(&snapshot.state.definition);
    if directory.is_absolute() { OwnFile::read(&directory.join(CONFIG_FILE), &[]) } else { Ok(None) }
}
