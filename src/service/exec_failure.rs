//! Why a program could not be executed, where `errno` alone does not say it: its `#!` line, its mode, its mount.

use crate::sys::Errno;
use crate::sys::files::file;
use crate::sys::process::start::{StartError, Step};
use nix::sys::statvfs::{FsFlags, statvfs};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The kernel looks at no more of a `#!` line, in bytes.
const LINE_MAX: u64 = 256;

/// The magic number of a binary.
const ELF: &[u8] = b"\x7fELF";

/// Why `program` failed with `error`, and what to do; `None` if the cause is not known.
pub fn explain(program: &Path, error: StartError) -> Option<String> {
    if error.step != Step::Exec {
        return None;
    }
    let shown = program.display();
    let mut head = Vec::new();
    let read = file::read(program).and_then(|file| file.take(LINE_MAX).read_to_end(&mut head));
    let is_there = read.is_ok();
    let interpreter = interpreter(&head);
    match (error.errno, interpreter) {
        (Errno::ENOENT, None) if !is_there => Some(format!("there is no {shown}")),
        (Errno::ENOENT, None) => Some(format!("the dynamic loader that {shown} needs is not there")),
        (Errno::EACCES, _) if !file::is_executable(program) => {
            Some(format!("{shown} is not executable: chmod +x {shown}"))
        }
        (Errno::EACCES, _) if is_noexec(program) => Some(format!("{shown} is on a file system that is mounted noexec")),
        (Errno::ENOEXEC, None) if head.starts_with(ELF) => Some(format!("{shown} is a program for another machine")),
        (Errno::ENOEXEC, None) => Some(format!("{shown} has no #! line in front, such as #!/bin/sh")),
        (Errno::ENOENT | Errno::EACCES | Errno::ENOTDIR | Errno::ENOEXEC, Some(word)) => {
            of_interpreter(program, &word, error.errno)
        }
        _ => None,
    }
}

/// The same for the program `name`, which was not found in the directories of `path`.
pub fn explain_search(name: &str, path: &OsStr, error: StartError) -> Option<String> {
    match (error.step, error.errno) {
        (Step::Exec, Errno::ENOENT) => Some(format!("there is no {name} in PATH, which is {}", path.display())),
        (Step::Exec, Errno::EACCES) => Some(format!("{name}, as PATH has it, is not executable")),
        _ => None,
    }
}

/// The word behind `#!`, as the kernel takes it.
fn interpreter(head: &[u8]) -> Option<Vec<u8>> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let word = line.iter().skip_while(|byte| matches!(byte, b' ' | b'\t'));
    Some(word.take_while(|byte| !matches!(byte, b' ' | b'\t' | 0)).copied().collect())
}

/// Why the interpreter that the `#!` line names by `word` cannot be executed.
fn of_interpreter(program: &Path, word: &[u8], errno: Errno) -> Option<String> {
    let shown = program.display();
    if word.ends_with(b"\r") {
        return Some(format!(
            "the lines of {shown} end with CR LF, and the CR belongs to the name in its #! line: sed -i 's/\\r$//' {shown}"
        ));
    }
    let interpreter = Path::new(OsStr::from_bytes(word));
    let name = interpreter.display();
    match std::fs::metadata(interpreter) {
        _ if word.is_empty() => Some(format!("the #! line of {shown} names no program")),
        Err(_) => Some(format!("the #! line of {shown} names {name}, which is not there")),
        Ok(_) if errno == Errno::EACCES && is_noexec(interpreter) => {
            Some(format!("{name}, in the #! line of {shown}, is on a file system that is mounted noexec"))
        }
        // A user who may not come so far is another matter.
        Ok(_) if errno == Errno::EACCES && file::is_executable(interpreter) => None,
        Ok(_) => Some(format!("{name}, in the #! line of {shown}, cannot be executed")),
    }
}

fn is_noexec(path: &Path) -> bool {
    statvfs(path).is_ok_and(|mount| mount.flags().contains(FsFlags::ST_NOEXEC))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn each_way_to_write_a_run_that_cannot_run_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let said = |content: &str, mode, errno| {
            std::fs::write(&run, content).unwrap();
            std::fs::set_permissions(&run, Permissions::from_mode(mode)).unwrap();
            explain(&run, StartError { step: Step::Exec, errno }).unwrap_or_default()
        };
        for (content, mode, errno, expected) in [
            ("#!/bin/sh\n", 0o644, Errno::EACCES, "is not executable: chmod +x"),
            ("#! /no/such/shell -e\n", 0o755, Errno::ENOENT, "names /no/such/shell, which is not there"),
            ("#!/bin/sh\r\nexit\r\n", 0o755, Errno::ENOENT, "end with CR LF"),
            ("exec sleep 1\n", 0o755, Errno::ENOEXEC, "has no #! line"),
            ("#! \n", 0o755, Errno::ENOEXEC, "names no program"),
            ("\x7fELF", 0o755, Errno::ENOEXEC, "for another machine"),
            ("\x7fELF", 0o755, Errno::ENOENT, "dynamic loader"),
            ("#!/etc/passwd\n", 0o755, Errno::EACCES, "/etc/passwd, in the #! line of"),
        ] {
            let said = said(content, mode, errno);
            assert!(said.contains(expected), "{content:?}: {said}");
        }
        assert_eq!(said("#!/bin/sh\n", 0o755, Errno::E2BIG), "");
        assert_eq!(said("#!/bin/sh\n", 0o755, Errno::EACCES), "", "somebody else may not");
        std::fs::remove_file(&run).unwrap();
        let error = StartError { step: Step::Exec, errno: Errno::ENOENT };
        assert_eq!(explain(&run, error), Some(format!("there is no {}", run.display())));
        assert_eq!(explain(&run, StartError { step: Step::Clone, errno: Errno::ENOENT }), None);
    }
}
