//! What keeps us from writing: said once, tried again every second, and said to be over.

use crate::sys::terminal::console;
use crate::sys::time::Mono;
use std::fmt::Display;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long until what failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// `ELOOP`, as the standard library says it.
const LINK: &str = "Too many levels of symbolic links";

/// Whether something keeps us from writing.
#[derive(Debug, Default)]
pub struct Trouble {
    said: Option<(String, Mono)>,
    retry_at: Option<Mono>,
}

impl Trouble {
    /// It failed at `now`; `meanwhile` says what becomes of lines.
    pub fn failed(&mut self, why: &dyn Display, meanwhile: &str, now: Mono) {
        self.retry_at = Some(now + RETRY);
        let text = format!("{why}; {meanwhile}");
        let since = self.said.as_ref().map_or(now, |(_, since)| *since);
        if self.said.as_ref().is_none_or(|(said, _)| *said != text) {
            say(&text);
        }
        self.said = Some((text, since));
    }

    /// It is done.
    pub fn is_over(&mut self, now: Mono) {
        self.retry_at = None;
        if let Some((_, since)) = self.said.take() {
            say(&format!("writing again, after {} s", now.since(since).as_secs()));
        }
    }

    /// When to try again, if that is later than `now`.
    pub fn waits_until(&self, now: Mono) -> Option<Mono> {
        self.retry_at.filter(|at| *at > now)
    }
}

/// One line on standard error.
pub fn say(text: &str) {
    console::line(&format!("supervise-log: {text}"));
}

/// An error's text without the number that the standard library adds.
pub fn plain(text: &str) -> String {
    text.split(" (os error").next().unwrap_or(text).to_string()
}

/// An error with what it is about.
pub fn about(path: &Path, what: &str, why: &dyn Display) -> io::Error {
    let why = plain(&why.to_string());
    // What is opened here is never followed where it is a link: the kernel's word for that speaks of many.
    let why = if why == LINK { "it is a symbolic link" } else { &why };
    io::Error::other(format!("{}: {what}: {why}", path.display()))
}
