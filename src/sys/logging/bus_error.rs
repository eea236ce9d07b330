//! Mapped memory that is gone: somebody has made the file shorter.
//!
//! The kernel says so with SIGBUS wherever the memory is touched, and there is nothing to go on with. The program begins anew in
//! the same process, so that whoever has started it notices nothing.

use crate::sys::time::Mono;
use libc::{c_char, c_int};
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::ptr::null;
use std::sync::OnceLock;
use std::time::Duration;

/// A program that lives no longer than this does not begin anew: it would do nothing else.
const LIFE_MIN: Duration = Duration::from_millis(100);

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// What the handler needs, made before: it may not allocate.
struct Program {
    /// The arguments, and a null pointer.
    arguments: Vec<*const c_char>,
    text: Vec<u8>,
    begun: Mono,
}

// SAFETY: the pointers lead to strings that are never changed nor freed.
unsafe impl Send for Program {}
// SAFETY: as above.
unsafe impl Sync for Program {}

static PROGRAM: OnceLock<Program> = OnceLock::new();

/// From now on, a bus error writes `text`, a line, to standard error, and executes this program again with the same arguments.
///
/// # Errors
/// What `sigaction` gives.
pub fn begin_anew_on_bus_error(text: &str) -> Result<(), Errno> {
    let arguments = std::env::args_os().filter_map(|argument| CString::new(argument.into_vec()).ok());
    let arguments = arguments.map(|argument| argument.into_raw().cast_const()).chain([null()]).collect();
    let text = format!("{text}\n").into_bytes();
    // Called once, in the beginning.
    let _ = PROGRAM.set(Program { arguments, text, begun: Mono::now() });
    // The next program gets the signal mask of the handler: the signal must not be blocked there.
    let action = SigAction::new(SigHandler::Handler(begin_anew), SaFlags::SA_NODEFER, SigSet::empty());
    // SAFETY: the handler calls only what signal-safety(7) allows.
    unsafe { sigaction(Signal::SIGBUS, &action) }.map(drop)
}

extern "C" fn begin_anew(_: c_int) {
    if let Some(program) = PROGRAM.get() {
        let mut entry = libc::pollfd { fd: 2, events: libc::POLLOUT, revents: 0 };
        // SAFETY: the entry and the text are ours; a reader that takes nothing is not waited for.
        unsafe {
            if libc::poll(&raw mut entry, 1, 0) == 1 {
                libc::write(2, program.text.as_ptr().cast(), program.text.len());
            }
        }
        if Mono::now().since(program.begun) > LIFE_MIN {
            // SAFETY: the arguments end with a null pointer, and nobody changes the environment.
            unsafe { libc::execve(c"/proc/self/exe".as_ptr(), program.arguments.as_ptr(), environ) };
        }
    }
    // SAFETY: SIG_DFL installs no code; the access that has failed is made again, and ends the process.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
}
