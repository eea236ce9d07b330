//! `status --watch`: shows the status again after every change, and does nothing while nothing changes.
//!
//! On a terminal it has a screen of its own, which is given back on any exit: `q`, a signal, a panic, a stop by
//! Ctrl-Z. Elsewhere it writes the table (or one line of JSON) anew after each change.

use crate::ctl::changes::{self, CLOSING, EventMeaning, close_tells, entry_tells, watches};
use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::format;
use crate::ctl::report::Out;
use crate::ctl::root::StatusRoot;
use crate::ctl::show::status::View;
use crate::ctl::show::table::Style;
use crate::sys::describe;
use crate::sys::files::inotify::{Event, Interest, Watches};
use crate::sys::terminal::screen::{self, OwnScreen};
use crate::sys::threads::poll;
use crate::sys::threads::poll::PollSource;
use crate::sys::threads::signals::Signals;
use crate::sys::time::Mono;
use nix::sys::signal::{Signal, raise};
use std::ffi::OsString;
use std::io::{stdin, stdout};
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

/// Changes within this time are shown together: a restart of everything must not draw a thousand screens, and a
/// supervisor that ends closes its files one after the other.
const TOGETHER: Duration = CLOSING;

/// The signals that end it, and those about the terminal.
const SIGNALS: [Signal; 7] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGTSTP,
    Signal::SIGCONT,
    Signal::SIGWINCH,
];

/// What made it wake up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    /// Something is different.
    Changed,
    /// Nothing that shows.
    Nothing,
    /// Give the terminal back for as long as we are stopped.
    Stop,
    /// It is over.
    End,
}

struct Watching<'a> {
    root: &'a StatusRoot,
    words: &'a [OsString],
    json: bool,
    /// Whether it is a module's directory that is watched, where only some entries show.
    watches: Watches<bool>,
    signals: Signals,
}

/// Shows it until the user has seen enough; the outcomes are those of the last picture.
///
/// # Errors
/// The status root cannot be read, or inotify is used up.
pub fn watch(root: &StatusRoot, words: &[OsString], json: bool, out: &mut Out) -> Result<Vec<Outcome>, CtlError> {
    let signals =
        Signals::take(&SIGNALS).map_err(|errno| CtlError::failed(format!("signalfd: {}", describe(errno))))?;
    let mut watching = Watching { root, words, json, watches: watches()?, signals };
    let on_screen = !json && out.terminal.is_some();
    let enter = || {
        OwnScreen::enter().map_err(|error| CtlError::failed(format!("terminal: {}", crate::sys::errno_text(&error))))
    };
    let mut screen = if on_screen { Some(enter()?) } else { None };
    loop {
        let outcomes = watching.show(out, screen.is_some())?;
        loop {
            match watching.sleep(screen.as_ref(), out) {
                Woken::Nothing => {}
                Woken::Changed => break,
                Woken::End => return Ok(outcomes),
                Woken::Stop => {
                    drop(screen.take());
                    // SIGTSTP itself is blocked; STOP has the same effect, and SIGCONT goes on here.
                    let _ = raise(Signal::SIGSTOP);
                    screen = if on_screen { Some(enter()?) } else { None };
                    break;
                }
            }
        }
    }
}

impl Watching<'_> {
    /// Shows all modules as they are now.
    fn show(&mut self, out: &mut Out, on_screen: bool) -> Result<Vec<Outcome>, CtlError> {
        // First watch, then look: what changes in between wakes us again.
        self.keep_watching()?;
        let view = View::take(self.root, self.words)?;
        let now = SystemTime::now();
        match (self.json, on_screen) {
            (true, _) => out.line(&view.json()),
            (false, false) => out.put(&format!("{}\n", view.table(Style { colour: out.colour, columns: None, now }))),
            (false, true) => {
                let size = screen::size(stdout().as_fd()).or(out.terminal);
                let (columns, rows) = size.map_or((80, 24), |size| (size.columns, size.rows));
                let table = view.table(Style { colour: out.colour, columns: Some(columns), now });
                let stamp = crate::status::log::stamp(now);
                let title = format::cut(
                    &format!("{}, as of {stamp}; q quits", crate::ctl::access::shown(self.root.path())),
                    columns,
                );
                out.put(&picture(&title, &table, rows));
            }
        }
        Ok(view.outcomes())
    }

    /// Watches the root and all modules, those that came since the last time included.
    fn keep_watching(&mut self) -> Result<(), CtlError> {
        // What has just gone, or is not for us, the table says.
        changes::watch(&mut self.watches, self.root.path(), false, Interest::Entries)?;
        for (module, is_one) in self.root.directories()? {
            changes::watch(&mut self.watches, module.dir.path(), is_one, Interest::Entries)?;
        }
        let tree = self.root.tree();
        if tree.path().is_dir() {
            changes::watch(&mut self.watches, tree.path(), true, Interest::Entries)?;
        }
        Ok(())
    }

    fn sleep(&mut self, screen: Option<&OwnScreen>, out: &Out) -> Woken {
        if out.is_lost() {
            return Woken::End;
        }
        let input = stdin();
        let output = stdout();
        let keys = screen.is_some_and(OwnScreen::has_keys);
        let mut descriptors =
            vec![PollSource::Readable(self.watches.as_fd()), PollSource::Readable(self.signals.as_fd())];
        descriptors.push(if keys { PollSource::Readable(input.as_fd()) } else { PollSource::HungUp(output.as_fd()) });
        let ready = poll::wait_many(&descriptors, None);
        if ready[2] {
            let is_end = !keys || matches!(screen::key(), None | Some(b'q' | b'Q' | 3 | 4 | 27));
            return if is_end { Woken::End } else { Woken::Nothing };
        }
        let mut woken = self.take_signals();
        if ready[0] && woken == Woken::Nothing && self.take_events() {
            woken = Woken::Changed;
            self.gather();
        }
        woken
    }

    /// Lets what belongs to one change arrive.
    fn gather(&mut self) {
        let until = Mono::now() + TOGETHER;
        while Mono::now() < until {
            poll::wait(
                [Some(PollSource::Readable(self.watches.as_fd())), Some(PollSource::Readable(self.signals.as_fd()))],
                Some(until),
            );
            let signalled = poll::wait([Some(PollSource::Readable(self.signals.as_fd()))], Some(Mono::now()))[0];
            self.take_events();
            if signalled {
                return;
            }
        }
    }

    fn take_signals(&mut self) -> Woken {
        let mut woken = Woken::Nothing;
        while let Some(signal) = self.signals.next() {
            woken = match signal {
                Signal::SIGTSTP => Woken::Stop,
                Signal::SIGWINCH | Signal::SIGCONT => Woken::Changed,
                _ => return Woken::End,
            };
        }
        woken
    }

    /// Whether anything happened that may show.
    fn take_events(&mut self) -> bool {
        let shows = |event: &Event<bool>| match event {
            Event::Entry(true, name) => entry_tells(name) == EventMeaning::Change || name == "log",
            Event::Closed(true, name) => close_tells(name) == EventMeaning::Closing,
            Event::Closed(false, _) => false,
            Event::Entry(false, _) | Event::Gone(_) | Event::All => true,
        };
        self.watches.take().iter().any(shows)
    }
}

/// One screen: each line wiped to its end, and what is below wiped, too, so that nothing flickers.
fn picture(title: &str, table: &str, rows: usize) -> String {
    let room = rows.saturating_sub(1).max(1);
    let lines: Vec<&str> = std::iter::once(title).chain(table.lines()).collect();
    let mut text = String::from("\x1b[H");
    let shown = if lines.len() > room { room.saturating_sub(1) } else { lines.len() };
    for line in &lines[..shown] {
        text += &format!("{line}\x1b[K\r\n");
    }
    if lines.len() > shown {
        text += &format!("… and {} more lines\x1b[K\r\n", lines.len() - shown);
    }
    text + "\x1b[J"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_never_scrolls_the_screen() {
        let table: String = (0..50).map(|n| format!("{n}\n")).collect();
        let text = picture("title", &table, 10);
        assert_eq!(text.matches("\r\n").count(), 9);
        assert!(text.contains("… and 43 more lines"), "{text}");
        assert!(!picture("title", "one\n", 10).contains('…'));
        assert_eq!(picture("title", &table, 1).matches("\r\n").count(), 1);
    }
}
