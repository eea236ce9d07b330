//! `logs`: what modules wrote last, and with `-f` what they write, each line under its module's name.

use crate::cli::svctl::Logs;
use crate::ctl::access;
use crate::ctl::changes::{watch, watches};
use crate::ctl::error::CtlError;
use crate::ctl::exit::Outcome;
use crate::ctl::format;
use crate::ctl::logs::filter::Filter;
use crate::ctl::logs::logged::{self, Logged};
use crate::ctl::logs::merge::merge;
use crate::ctl::logs::source::Source;
use crate::ctl::logs::tail::Tail;
use crate::ctl::report::Out;
use crate::ctl::root::{Missing, Module, StatusRoot};
use crate::sys::files::inotify::{Event, Interest, Watches};
use crate::sys::terminal::escape;
use crate::sys::threads::poll;
use crate::sys::threads::poll::PollSource;
use crate::sys::time::Mono;
use serde_json::json;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::stdout;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// The name column does not get wider than this for one long name.
const NAME_MAX: usize = 32;

/// How many lines are shown where nobody says it.
const LINES: usize = 10;

/// `[NOTICE] 2026-01-31 12:00:00 …`: where the stamp ends that orders the supervisor's two logs.
const STAMP: usize = "YYYY-MM-DD HH:MM:SS".len();

/// So many bytes are written at once, in bytes.
const PAGE: usize = 64 * 1024;

/// The name of a logger's file, in JSON.
const LOG: &str = "log";

/// The file that says who the logger of a module is.
const STATE: &str = "state.json";

/// The key of directories whose events are about modules that come and go. No module has this name.
const ANEW: &str = "";

/// One file of one module.
struct Stream {
    label: Label,
    source: Source,
}

/// What stands before a line.
struct Label {
    module: OsString,
    /// The file's name in JSON.
    name: &'static str,
    /// It is a standard error, or a log of troubles.
    is_error_stream: bool,
}

/// How lines are shown.
struct Style {
    json: bool,
    /// Without a name: one module was asked for.
    bare: bool,
    colour: bool,
    /// A terminal would obey what a service writes.
    guard: bool,
    width: usize,
}

/// All that is shown, or followed.
struct Show<'a> {
    root: &'a StatusRoot,
    arguments: &'a Logs,
    streams: Vec<Stream>,
    outcomes: Vec<Outcome>,
    style: Style,
    filter: Filter,
    /// The last so many lines.
    count: usize,
}

/// Shows the last lines, and follows if that was asked for.
///
/// # Errors
/// The status root cannot be read, or inotify is used up.
pub fn logs(root: &StatusRoot, arguments: &Logs, json: bool, out: &mut Out) -> Result<Vec<Outcome>, CtlError> {
    let one = arguments.modules.len() == 1 && !Missing::new(&arguments.modules[0]).is_for_several();
    let style = Style { json, bare: one, colour: out.colour, guard: out.terminal.is_some(), width: 0 };
    let filter = Filter::new(arguments.since.as_deref(), arguments.until.as_deref(), arguments.grep.as_deref());
    let filter = filter.map_err(|text| CtlError::new(Outcome::Usage, text))?;
    let count = arguments.lines.unwrap_or(if filter.is_empty() { LINES } else { usize::MAX });
    let mut show = Show { root, arguments, streams: Vec::new(), outcomes: Vec::new(), style, filter, count };
    // First watch, then read: what is written in between wakes us again.
    let mut watches = if arguments.follow { Some(watches()?) } else { None };
    show.gather(watches.as_mut(), out, true)?;
    show.first(out);
    match watches {
        // Where all are meant, they may be still to come.
        Some(watches) if !show.streams.is_empty() || arguments.modules.is_empty() => show.follow(watches, out)?,
        _ => {}
    }
    Ok(show.outcomes)
}

impl Show<'_> {
    /// Finds the modules, those that came since the last time included.
    fn gather(
        &mut self,
        mut watches: Option<&mut Watches<OsString>>,
        out: &mut Out,
        first: bool,
    ) -> Result<(), CtlError> {
        if let Some(watches) = watches.as_deref_mut() {
            // What is wrong with the root is said before it is watched.
            self.root.directories()?;
            watch(watches, self.root.path(), ANEW.into(), Interest::Entries)?;
            // One that is not a module yet may be about to become one. What becomes one meanwhile is among those that are
            // selected after this.
            for (module, _) in self.root.directories()?.iter().filter(|(_, is_one)| !is_one) {
                watch(watches, module.dir.path(), ANEW.into(), Interest::Entries)?;
            }
        }
        let mut modules = self.selected(out, first)?;
        let tree = self.root.tree();
        if self.arguments.supervisor && self.arguments.modules.is_empty() && tree.path().is_dir() {
            modules.insert(0, Module { name: "supervise-tree".into(), dir: tree });
        }
        for module in modules {
            if let Some(watches) = watches.as_deref_mut() {
                watch(watches, module.dir.path(), module.name.clone(), Interest::Writes)?;
                if let Some(Logged::File(current)) = logged::of(&module).filter(|_| !self.arguments.supervisor) {
                    watch_beside(&current, &module, watches)?;
                }
            }
            if self.streams.iter().all(|stream| stream.label.module != module.name) {
                let all = !first || !self.filter.is_empty();
                self.open(&module, if all { usize::MAX } else { self.count }, out);
            }
        }
        let widths = self.streams.iter().map(|stream| format::width(&format::name(&stream.label.module)));
        self.style.width = widths.max().unwrap_or(0).min(NAME_MAX);
        Ok(())
    }

    /// The modules that are meant; the first time, what is wrong with the others is said.
    fn selected(&mut self, out: &Out, first: bool) -> Result<Vec<Module>, CtlError> {
        if self.arguments.modules.is_empty() {
            return self.root.modules();
        }
        let mut modules = Vec::new();
        for found in self.root.select(&self.arguments.modules)? {
            match found {
                Ok(module) => modules.push(module),
                Err(missing) if first => {
                    out.note(&format!("fail: {}: {}", format::name(&missing.word), missing.why));
                    self.outcomes.push(Outcome::NoSuchModule);
                }
                Err(_) => {}
            }
        }
        Ok(modules)
    }

    fn open(&mut self, module: &Module, lines: usize, out: &mut Out) {
        let dir = &module.dir;
        let files = if self.arguments.supervisor {
            [("supervise.log", dir.log(), false), ("supervise.log.wf", dir.log_wf(), true)]
        } else {
            [("stdout", dir.stdout(), false), ("stderr", dir.stderr(), true)]
        };
        let (mut nothing, mut files) = (true, files.to_vec());
        match logged::of(module).filter(|_| !self.arguments.supervisor) {
            Some(Logged::File(current)) => files.push((LOG, current, false)),
            Some(Logged::Somewhere(pid)) if self.style.bare => {
                let runs = pid.map_or("which does not run".to_string(), |pid| format!("pid {pid}"));
                out.note(&format!(
                    "{0}: its output goes to {0}/log, {runs}, and which file that writes cannot be told",
                    module.shown()
                ));
            }
            Some(Logged::Somewhere(_)) | None => {}
        }
        for file in files {
            nothing &= !self.open_file(module, file, lines, out);
        }
        if nothing && !self.arguments.modules.is_empty() && !self.arguments.follow {
            let on_the_trees = logged::is_on_the_trees_output(module);
            let what = if on_the_trees { logged::ON_THE_TREES_OUTPUT } else { "has written nothing yet" };
            out.note(&format!("{}: {what}", module.shown()));
        }
    }

    /// Adds one file of a module; says whether there is something, be it an error.
    fn open_file(&mut self, module: &Module, file: (&'static str, PathBuf, bool), lines: usize, out: &Out) -> bool {
        let (name, path, is_error_stream) = file;
        let is_logged = name == LOG;
        if is_logged && self.style.bare {
            let is_former = logged::is_former(module);
            let note = match is_former && logged::is_on_the_trees_output(module) {
                true => format!("{}; its lines of before are in", logged::ON_THE_TREES_OUTPUT),
                false if is_former => "it logs elsewhere now; its lines of before are in".to_string(),
                false => "the log is in".to_string(),
            };
            out.note(&format!("{}: {note} {}", module.shown(), path.display()));
        }
        let tail = if is_logged { Tail::of_logger(path.clone(), lines) } else { Tail::new(path.clone(), lines) };
        match tail {
            Ok(tail) => {
                let exists = tail.exists();
                let label = Label { module: module.name.clone(), name, is_error_stream };
                let source = Source::new(tail, self.filter.clone(), is_logged);
                self.streams.push(Stream { label, source });
                exists
            }
            Err(error) => {
                let denied = access::is_denied(&error);
                self.outcomes.push(if denied { Outcome::Denied } else { Outcome::Failed });
                out.note(&format!("fail: {}: {}", module.shown(), access::explain(&path, &error)));
                true
            }
        }
    }

    /// The module has got a logger, or another one: its lines are followed, too, after the last ones.
    fn open_log(&mut self, name: &OsString, watches: &mut Watches<OsString>, out: &Out) -> Result<(), CtlError> {
        let Some(module) = self.root.module(name).filter(|_| !self.arguments.supervisor) else { return Ok(()) };
        let Some(Logged::File(current)) = logged::of(&module) else { return Ok(()) };
        if self.streams.iter().any(|stream| stream.label.module == *name && stream.source.tail.path() == current) {
            return Ok(());
        }
        watch_beside(&current, &module, watches)?;
        self.open_file(&module, (LOG, current, false), self.count, out);
        Ok(())
    }

    /// The last lines of each file; the supervisor's two logs, and what loggers wrote for several services, are one story, told in
    /// order.
    fn first(&mut self, out: &mut Out) {
        if self.arguments.supervisor {
            return self.first_of_supervisors(out);
        }
        let (count, follows) = (self.count, self.arguments.follow);
        let mut page = Page::new(&self.style);
        let (logged, plain): (Vec<_>, Vec<_>) = self.streams.iter_mut().partition(|stream| stream.source.is_logged());
        for Stream { label, source } in plain {
            let mut reading = source.begin(count, follows, out);
            while source.read_on(&mut reading, out, &mut |line| page.add(label, line)) && page.put(out) {}
        }
        let (mut labels, mut sources) = (Vec::new(), Vec::new());
        for Stream { label, source } in logged {
            let reading = source.begin(count, follows, out);
            labels.push(label);
            sources.push((source, reading));
        }
        if let ([label], [(source, reading)]) = (&*labels, &mut *sources) {
            while source.read_on(reading, out, &mut |line| page.add(label, line)) && page.put(out) {}
        } else {
            merge(sources, out, &mut |number, line, out| {
                labels.get(number).iter().for_each(|label| page.add(label, line));
                page.put(out)
            });
        }
        page.put_all(out);
    }

    /// Both logs of each supervisor.
    fn first_of_supervisors(&mut self, out: &mut Out) {
        let (count, follows) = (self.count, self.arguments.follow);
        let mut page = Page::new(&self.style);
        for streams in self.streams.chunk_by_mut(|a, b| a.label.module == b.label.module) {
            let mut lines: Vec<(&Label, Vec<u8>)> = Vec::new();
            for Stream { label, source } in streams {
                let mut reading = source.begin(count, follows, out);
                while source.read_on(&mut reading, out, &mut |line| lines.push((label, line.to_vec()))) {}
            }
            lines.sort_by(|(_, a), (_, b)| stamp(a).cmp(&stamp(b)));
            lines.drain(..lines.len().saturating_sub(count));
            lines.iter().for_each(|(label, line)| page.add(label, line));
        }
        page.put_all(out);
    }

    fn follow(&mut self, mut watches: Watches<OsString>, out: &mut Out) -> Result<(), CtlError> {
        let mut dirty: BTreeSet<OsString> = self.streams.iter().map(|stream| stream.label.module.clone()).collect();
        while !out.is_lost() {
            let mut more = BTreeSet::new();
            let mut page = Page::new(&self.style);
            for Stream { label, source } in self.streams.iter_mut().filter(|it| dirty.contains(&it.label.module)) {
                if source.take(out, &mut |line| page.add(label, line)) {
                    more.insert(label.module.clone());
                }
            }
            page.put_all(out);
            dirty = more;
            let at_once = (!dirty.is_empty()).then(Mono::now);
            let standard = stdout();
            let ready = poll::wait_many(
                &[PollSource::Readable(watches.as_fd()), PollSource::HungUp(standard.as_fd())],
                at_once,
            );
            if ready[1] {
                return Ok(());
            }
            let changes = take_events(&mut watches, &mut dirty);
            for name in &changes.states {
                self.open_log(name, &mut watches, out)?;
            }
            if changes.anew {
                self.gather(Some(&mut watches), out, false)?;
                dirty.extend(self.streams.iter().map(|stream| stream.label.module.clone()));
            }
        }
        Ok(())
    }
}

/// What has changed beside the files.
#[derive(Default)]
struct Changes {
    /// Modules came or went.
    anew: bool,
    /// Modules whose state is another one.
    states: BTreeSet<OsString>,
}

/// Notes who has written.
fn take_events(watches: &mut Watches<OsString>, dirty: &mut BTreeSet<OsString>) -> Changes {
    let mut changes = Changes::default();
    for event in watches.take() {
        match event {
            Event::Entry(name, entry) if name != ANEW => {
                if entry == STATE {
                    changes.states.insert(name.clone());
                }
                dirty.insert(name);
            }
            // What was written has been said before it was closed.
            Event::Closed(..) => {}
            Event::Entry(..) | Event::Gone(_) | Event::All => changes.anew = true,
        }
    }
    changes
}

/// Watches what is written beside the file that a logger of `module` writes.
fn watch_beside(current: &Path, module: &Module, watches: &mut Watches<OsString>) -> Result<(), CtlError> {
    if let Some(dir) = current.parent() {
        watch(watches, dir, module.name.clone(), Interest::Writes)?;
    }
    Ok(())
}

/// Lines on their way to standard output.
struct Page<'a> {
    style: &'a Style,
    text: Vec<u8>,
}

impl<'a> Page<'a> {
    fn new(style: &'a Style) -> Page<'a> {
        Page { style, text: Vec::new() }
    }

    fn add(&mut self, label: &Label, line: &[u8]) {
        self.style.compose(label, line, &mut self.text);
    }

    /// Writes them, if there are enough; false when nobody reads them any more.
    fn put(&mut self, out: &mut Out) -> bool {
        if self.text.len() >= PAGE {
            self.put_all(out);
        }
        !out.is_lost()
    }

    fn put_all(&mut self, out: &mut Out) {
        if !self.text.is_empty() {
            out.put_bytes(&self.text);
            self.text.clear();
        }
    }
}

impl Style {
    /// One line as it is shown.
    fn compose(&self, stream: &Label, line: &[u8], text: &mut Vec<u8>) {
        if self.json {
            let module = stream.module.to_string_lossy();
            let object = json!({ "module": module, "stream": stream.name, "line": String::from_utf8_lossy(line) });
            text.extend_from_slice(format::json(&object).as_bytes());
            text.push(b'\n');
            return;
        }
        if !self.bare {
            let name = format::padded(&format::name(&stream.module), self.width);
            let mark = if stream.is_error_stream { '!' } else { '|' };
            let prefix = match (self.colour, stream.is_error_stream) {
                (true, true) => format!("\x1b[31m{name} {mark}\x1b[0m "),
                (true, false) => format!("\x1b[36m{name} {mark}\x1b[0m "),
                (false, _) => format!("{name} {mark} "),
            };
            text.extend_from_slice(prefix.as_bytes());
        }
        if self.guard {
            text.extend_from_slice(guarded(&String::from_utf8_lossy(line)).as_bytes())
        } else {
            text.extend_from_slice(line)
        }
        text.push(b'\n');
    }
}

/// What a terminal may be shown of a line that anybody wrote: colours stay, everything else that it would obey is
/// made visible.
fn guarded(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    let mut coloured = false;
    while let Some(letter) = rest.chars().next() {
        let colour = rest.strip_prefix("\x1b[").and_then(|after| {
            let end = after.find(|letter: char| !letter.is_ascii_digit() && letter != ';' && letter != ':')?;
            after[end..].starts_with('m').then_some(2 + end + 1)
        });
        let taken = match colour {
            Some(length) => {
                coloured = true;
                shown += &rest[..length];
                length
            }
            None => {
                match letter {
                    '\t' => shown.push(letter),
                    _ => escape::push_letter(&mut shown, letter),
                }
                letter.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    if coloured {
        shown += "\x1b[0m";
    }
    shown
}

fn stamp(line: &[u8]) -> Option<&[u8]> {
    let at = line.iter().position(|byte| *byte == b' ')? + 1;
    line.get(at..at + STAMP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_shown_colours_and_nothing_else_that_it_obeys() {
        assert_eq!(guarded("plain\ttext"), "plain\ttext");
        assert_eq!(guarded("\x1b[1;31mred\x1b[0m"), "\x1b[1;31mred\x1b[0m\x1b[0m");
        assert_eq!(guarded("a\x1b[2Jb\x1b]0;title\x07"), r"a\u{1b}[2Jb\u{1b}]0;title\u{7}");
        assert_eq!(guarded("\x1b["), r"\u{1b}[");
        assert_eq!(guarded("over\rwritten"), r"over\rwritten");
    }

    #[test]
    fn the_supervisors_logs_are_ordered_by_their_stamps() {
        assert_eq!(stamp(b"[NOTICE] 2026-01-31 12:00:00 started"), Some(&b"2026-01-31 12:00:00"[..]));
        assert!(stamp(b"[WARNING] 2026-01-31 12:00:01 x") > stamp(b"[NOTICE] 2026-01-31 12:00:00 started"));
        assert_eq!(stamp(b"short"), None);
    }
}
