//! Panics: our own mistakes, kept from doing harm. One is caught at the thread's door and told with its place.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

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

/// Runs `body`.
///
/// # Errors
/// The message and place of its panic.
pub fn catch<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|_| LAST.with(|last| last.take()))
}
