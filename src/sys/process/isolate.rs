//! Running a program that another user controls, so that it gets nothing of ours: no terminal, no descriptor.

use crate::sys::context::Change;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// On kernels without `CLOSE_RANGE_CLOEXEC` (before 5.11), descriptors up to this one are marked one by one.
const DESCRIPTORS_MAX: i32 = 1024;

/// Has `command` begin a session of its own, which has no terminal: a program in our session could type into the
/// terminal's input (`TIOCSTI`), and whoever sits there would be taken for the one who typed. Descriptors 0 to 2 are
/// the caller's choice; no other one is left open.
pub fn isolate(command: &mut Command) {
    let alone = || {
        // SAFETY: setsid has no arguments; it fails only for a leader of a process group, which a new child is not.
        if unsafe { libc::setsid() } < 0 {
            return Err(io::Error::last_os_error());
        }
        close_on_exec_from(3);
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec, makes system calls alone, and allocates nothing.
    unsafe { command.pre_exec(alone) };
}

/// Has `command` take on `change` before it executes its program. It comes last: whoever calls this has called [`isolate`].
pub fn take_on(command: &mut Command, change: Change) {
    let apply = move || {
        let changed = change.enter_cgroup().and_then(|()| change.apply_as_root()).and_then(|()| change.apply_as_user());
        changed.map_err(|(_, errno)| io::Error::from_raw_os_error(errno))
    };
    // SAFETY: the closure runs between fork and exec; what it calls makes system calls alone, and allocates nothing.
    unsafe { command.pre_exec(apply) };
}

fn close_on_exec_from(first: i32) {
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC changes flags of descriptors, and closes none.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return;
    }
    for descriptor in first..DESCRIPTORS_MAX {
        // SAFETY: F_SETFD changes a flag; a number that is not a descriptor gives EBADF.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    #[test]
    fn what_is_isolated_has_no_session_and_no_descriptor_of_ours() {
        let (reader, _writer) = nix::unistd::pipe().unwrap();
        assert!(std::os::fd::AsRawFd::as_raw_fd(&reader) > 2);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "ps -o sid= -p $$ 2>/dev/null || cut -d' ' -f6 /proc/$$/stat; ls /proc/$$/fd; echo $$"]);
        command.stdin(Stdio::null());
        isolate(&mut command);
        let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let words: Vec<&str> = output.split_whitespace().collect();
        assert_eq!(words.first(), words.last(), "its session is its own: {output}");
        assert_eq!(words[1..words.len() - 1], ["0", "1", "2"], "{output}");
    }
}
