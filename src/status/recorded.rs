//! Where a process stands on record, for the next supervisor to find.
//!
//! The record in the lock file is the one that counts: the child has written it before anything else. There are two more
//! places, for a lock file without one. A link `record` leads nowhere; its text is the record. It takes no room on a disk that
//! is full where a file would. And `state.json` has it, for a lock file that somebody has emptied. Both name the lock file's
//! inode, so that a copy of a status directory means nothing.

use crate::status::StatusDir;
use crate::status::state::StateFile;
use crate::sys::ok_unless_exhausted;
use crate::sys::process::record::{ProcessRecord, boot};
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};

/// The records of processes that may still live, the one that counts first.
///
/// # Errors
/// It cannot be told, for want of descriptors or memory.
pub fn read(dir: &StatusDir, lock: &File, state: Option<&StateFile>) -> io::Result<Vec<ProcessRecord>> {
    let mut records: Vec<ProcessRecord> = ProcessRecord::read(lock)?.into_iter().collect();
    let Some(inode) = ok_unless_exhausted(lock.metadata().map(|metadata| metadata.ino()))? else { return Ok(records) };
    let parse = |text: &str| ProcessRecord::parse(text, inode, boot());
    if let Some(text) = ok_unless_exhausted(std::fs::read_link(dir.record_link()))? {
        records.extend(text.to_str().and_then(parse));
    }
    if ok_unless_exhausted(ProcessRecord::is_missing_in(lock))? == Some(true) {
        let memory = state.and_then(|state| state.memory.as_ref());
        records.extend(memory.and_then(|memory| memory.process.as_deref()).and_then(parse));
    }
    Ok(records)
}

/// Puts the text of a record where it takes no room.
///
/// # Errors
/// What `symlink` gives.
pub fn write_link(dir: &StatusDir, text: &str) -> io::Result<()> {
    remove_link(dir)?;
    symlink(text, dir.record_link())
}

/// Removes that again.
///
/// # Errors
/// What `unlink` gives.
pub fn remove_link(dir: &StatusDir) -> io::Result<()> {
    match std::fs::remove_file(dir.record_link()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
