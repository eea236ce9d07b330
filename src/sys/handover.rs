//! Replacing the program by a newer one without letting go of anything: descriptors that stay open over `execve`.

use crate::sys::files::file_id::FileInstance;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, FdFlag, fcntl};
use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Says whether a descriptor stays open when the program is replaced. Children that are started meanwhile do not
/// get it in any case: they close everything. Returns the number under which the next program finds it.
///
/// # Errors
/// None for a descriptor that is open.
pub fn keep_open(descriptor: impl AsFd, keep: bool) -> Result<RawFd, Errno> {
    let flags = if keep { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    fcntl(&descriptor, FcntlArg::F_SETFD(flags))?;
    Ok(descriptor.as_fd().as_raw_fd())
}

/// Takes over a descriptor that the program before us has left open under this number.
///
/// # Errors
/// `EBADF` if there is none.
pub fn receive(number: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: fcntl takes integers, and says whether the number is open.
    Errno::result(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    if number <= 2 {
        return Err(Errno::EBADF);
    }
    // SAFETY: it is open, and the program before us has left it to us alone, once.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    keep_open(&descriptor, false)?;
    Ok(descriptor)
}

/// A file without a name that holds `text`, and stays open when the program is replaced.
///
/// # Errors
/// What `memfd_create` and `write` give.
pub fn letter(text: &[u8]) -> io::Result<File> {
    let file = crate::sys::files::file::in_memory(c"handover", text)?;
    keep_open(&file, true)?;
    Ok(file)
}

/// Reads the letter under this number.
///
/// # Errors
/// `EBADF`, or what `read` gives.
pub fn read_letter(number: RawFd) -> io::Result<Vec<u8>> {
    let mut file = File::from(receive(number)?);
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// The program that takes over: the open file, whatever is at its path by then.
#[derive(Debug)]
pub struct ProgramFile {
    path: PathBuf,
    file: File,
    version: FileVersion,
    /// The kernel runs an interpreter for it (`#!`), which opens it by a path.
    is_script: bool,
}

/// Which file it is, and with which content: size and times in nanoseconds of its last change.
type FileVersion = (FileInstance, u64, [i64; 4]);

impl ProgramFile {
    /// Opens the program at `path`, which need not be readable.
    ///
    /// # Errors
    /// What `open` gives.
    pub fn open(path: &Path) -> io::Result<ProgramFile> {
        let open = |flags| OpenOptions::new().read(true).custom_flags(flags | libc::O_NOCTTY).open(path);
        let file = open(libc::O_NONBLOCK).or_else(|_| open(libc::O_PATH))?;
        let mut head = [0; 2];
        let is_script = file.read_exact_at(&mut head, 0).is_ok() && head == *b"#!";
        let version = version_of(&file.metadata()?);
        Ok(ProgramFile { path: path.to_owned(), file, version, is_script })
    }

    /// Whether the file ends before its own header says (ELF, 64 bits): it is still being copied. Where that cannot be told,
    /// the program has to show by its answer that it is whole.
    pub fn is_cut_off(&self) -> bool {
        let mut head = [0; 64];
        if self.file.read_exact_at(&mut head, 0).is_err() || !head.starts_with(b"\x7fELF\x02") {
            return false;
        }
        let number = |at: usize, size: usize| {
            let bytes = head.get(at..at + size).unwrap_or_default();
            // The program is one for this machine, and so in its order of bytes, or cannot be run anyway.
            let fold = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
            if cfg!(target_endian = "big") { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) }
        };
        // The table of sections is what linkers write last: its place, the size of an entry, and their number.
        let end = number(40, 8).saturating_add(number(58, 2) * number(60, 2));
        self.version.1 < end
    }

    /// Whether the file is still the one at its path, and its content the same.
    pub fn is_in_place(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|there| version_of(&there) == self.version)
    }

    /// Executes it. The pid, the children and the kept descriptors stay.
    ///
    /// # Errors
    /// The errno of `execve`; `ESTALE` if the file was changed since it was opened. All is as before.
    pub fn execute(&self, arguments: &[OsString]) -> Result<Infallible, Errno> {
        let c_string = |text: &OsStr| CString::new(text.as_bytes()).map_err(|_| Errno::EINVAL);
        let path = c_string(self.path.as_os_str())?;
        let arguments: Vec<CString> = arguments.iter().map(|word| c_string(word)).collect::<Result<_, _>>()?;
        let variable = |(name, value): (OsString, OsString)| {
            let mut text = name.into_vec();
            text.push(b'=');
            text.extend(value.into_vec());
            c_string(&OsString::from_vec(text))
        };
        let environment: Vec<CString> = std::env::vars_os().map(variable).collect::<Result<_, _>>()?;
        if !self.file.metadata().is_ok_and(|now| version_of(&now) == self.version) {
            return Err(Errno::ESTALE);
        }
        if self.is_script && self.is_in_place() {
            // An interpreter would be told a number of a descriptor that is closed by then.
            return nix::unistd::execve(&path, &arguments, &environment);
        }
        nix::unistd::execveat(&self.file, c"", &arguments, &environment, AtFlags::AT_EMPTY_PATH)
    }
}

fn version_of(metadata: &Metadata) -> FileVersion {
    let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
    (FileInstance::of(metadata), metadata.len(), times)
}

/// Gives this process the short name that `ps` and `top` show: the kernel names one that was executed by a descriptor after
/// the number of that (before Linux 6.14).
pub fn name_after(program: &Path) {
    if let Some(name) = program.file_name().and_then(|name| CString::new(name.as_bytes()).ok()) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// Closes all descriptors that the program before us has left open, whatever they are: a lock among them that nobody knows
/// of would keep us out ourselves. Nothing else may be open yet.
pub fn close_all() {
    // SAFETY: nobody in this process has a descriptor beyond the standard ones yet.
    unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_half_copied_is_cut_off_and_a_whole_one_or_a_script_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for (content, expected) in [
            (whole.as_slice(), false),
            (&whole[..whole.len() - 1], true),
            (&whole[..whole.len() / 2], true),
            (b"#!/bin/sh\n", false),
            (b"", false),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(ProgramFile::open(&path).unwrap().is_cut_off(), expected, "{} bytes", content.len());
        }
    }

    #[test]
    fn a_program_that_was_changed_or_replaced_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        std::fs::write(&path, "#!/bin/false\n").unwrap();
        let program = ProgramFile::open(&path).unwrap();
        assert!(program.is_in_place());
        std::fs::write(dir.path().join("fresh"), "#!/bin/false\n").unwrap();
        std::fs::rename(dir.path().join("fresh"), &path).unwrap();
        assert!(!program.is_in_place());
        let program = ProgramFile::open(&path).unwrap();
        std::fs::write(&path, "#!/bin/true and more\n").unwrap();
        assert_eq!(program.execute(&[]).unwrap_err(), Errno::ESTALE);
    }
}
