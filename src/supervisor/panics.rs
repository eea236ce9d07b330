//! Panics: our own mistakes, kept from doing harm. One is caught at the thread's door and told with its place.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(debug_assertions)]
use std::sync::OnceLock;

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Has panics noted, message and place, instead of printed with a backtrace: that would need half of a supervisor
/// thread's stack. To be called once, in `main`.
pub fn note_panics() {
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string().replace('\n', " ");
        LAST.with(|last| last.replace(text));
    }));
}

/// Whether a test asks for a panic with the byte `!`, to see what follows one.
///
/// Only a debug build that was started with `SUPERVISE_TEST_PANICS` in its environment listens to it: nobody who may write
/// into a control FIFO can harm a supervisor with a byte.
#[cfg(debug_assertions)]
pub fn is_asked_for(bytes: &[u8]) -> bool {
    static LISTENS: OnceLock<bool> = OnceLock::new();
    bytes.contains(&b'!') && *LISTENS.get_or_init(|| std::env::var_os("SUPERVISE_TEST_PANICS").is_some())
}

/// Runs `body`.
///
/// # Errors
/// The message and place of its panic.
pub fn catch<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|_| LAST.with(|last| last.take()))
}
