//! Leaving the terminal: a child goes on as leader of its own session, the parent waits for its word.

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe, setsid};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

/// The child's way to tell its parent how the start went.
#[derive(Debug)]
pub struct Detaching(File);

/// Which of the two processes we are.
#[derive(Debug)]
pub enum Side {
    /// The parent, and the exit code that it is to give.
    Parent(u8),
    /// The child, in a new session, with standard error still attached.
    Child(Detaching),
}

/// Forks; to be called while there is one thread.
///
/// # Errors
/// What `pipe` and `fork` give.
pub fn fork_away() -> io::Result<Side> {
    let (reading, writing) = pipe()?;
    // SAFETY: there is one thread, so no lock can be held by another one that the child will not have.
    match unsafe { fork() }? {
        ForkResult::Child => {
            drop(reading);
            let _ = setsid();
            let writing = File::from(writing);
            nix::fcntl::fcntl(&writing, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
            Ok(Side::Child(Detaching(writing)))
        }
        ForkResult::Parent { child } => {
            drop(writing);
            let mut code = [0; 1];
            match File::from(reading).read(&mut code) {
                Ok(1) => Ok(Side::Parent(code[0])),
                // The child ended without a word: its exit code is the answer.
                _ => match waitpid(child, None) {
                    Ok(WaitStatus::Exited(_, code)) => Ok(Side::Parent(code as u8)),
                    _ => Ok(Side::Parent(111)),
                },
            }
        }
    }
}

impl Detaching {
    /// Tells the parent to exit 0, and puts standard input, output and error on `/dev/null`.
    ///
    /// # Errors
    /// When `/dev/null` cannot be opened; the parent has been told by then.
    pub fn done(mut self) -> io::Result<()> {
        let _ = self.0.write_all(&[0]);
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        Ok(())
    }
}
