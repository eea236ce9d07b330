//! What comes out: one line for each module in the order of arrival, or one JSON array; a summary, a progress line.
//!
//! A closed standard output (`svctl status | head -1`) ends the output, and nothing else: what was asked for is
//! still done, and nothing is said about it.

use super::error::CtlError;
use super::exit::{self, Outcome};
use super::root::{Missing, Module};
use super::snapshot::Snapshot;
use crate::ctl::format;
use crate::sys::terminal::screen::{self, Size};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

/// More results than this get a summary line, and a table of more modules one, too.
pub const SUMMARY_FROM: usize = 10;

/// Standard output and standard error, and what they can show.
#[derive(Debug)]
pub struct Out {
    /// Whether colours may be used on standard output.
    pub colour: bool,
    /// The size of the terminal that standard output is, 80x24 where that does not know its size; `None` if it is none.
    pub terminal: Option<Size>,
    /// Standard output takes no more, and why.
    lost: Option<io::Error>,
}

impl Out {
    /// What this process has.
    pub fn new() -> Out {
        let is_terminal = io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        // A serial line does not know its size, but obeys control characters as any other terminal.
        let size = || screen::size(io::stdout().as_fd()).unwrap_or(Size { columns: 80, rows: 24 });
        let terminal = is_terminal.then(size);
        Out { colour: is_terminal && !plain, terminal, lost: None }
    }

    /// Writes `text` as it is, and at once.
    pub fn put(&mut self, text: &str) {
        self.put_bytes(text.as_bytes());
    }

    /// Writes `bytes` as they are, and at once.
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        if self.lost.is_some() {
            return;
        }
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
            self.lost = Some(error);
        }
    }

    /// Writes one line.
    pub fn line(&mut self, text: &str) {
        self.put(&format!("{text}\n"));
    }

    /// Writes a line that is not part of the result.
    pub fn note(&self, text: &str) {
        // Nobody is left to be told about a closed standard error.
        let _ = writeln!(io::stderr(), "svctl: {text}");
    }

    /// Whether nobody reads standard output any more.
    pub fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// How the output went: a reader that has enough is not a failure, a full disk is one.
    pub fn outcome(&self) -> Outcome {
        match &self.lost {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.note(&format!("standard output: {}", crate::sys::errno_text(error)));
                Outcome::Failed
            }
            _ => Outcome::Done,
        }
    }
}

impl Default for Out {
    fn default() -> Self {
        Out::new()
    }
}

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// A line each.
    Lines,
    /// Only what is not `ok`, on standard error.
    Quiet,
    /// One JSON array at the end.
    Json,
}

/// What a result carries beside its text.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// The last lines that the service wrote to its standard error.
    pub stderr: Vec<String>,
    /// How it was last seen.
    pub seen: Option<Snapshot>,
    /// Whether the call has changed anything.
    pub changed: bool,
    /// Modules that were stopped with it, or for which it was started.
    pub with: Vec<String>,
}

impl Extra {
    /// How a module was last seen.
    pub fn seen(snapshot: Option<Snapshot>) -> Extra {
        Extra { seen: snapshot, ..Extra::default() }
    }
}

/// Results as they come.
#[derive(Debug)]
pub struct Report<'a> {
    out: &'a mut Out,
    format: OutputFormat,
    outcomes: Vec<Outcome>,
    objects: Vec<Value>,
    /// The call has changed something before any module was told anything.
    has_changed: bool,
    /// A progress line stands on the terminal.
    in_progress: bool,
}

impl<'a> Report<'a> {
    /// None yet.
    pub fn new(out: &'a mut Out, format: OutputFormat) -> Report<'a> {
        Report { out, format, outcomes: Vec::new(), objects: Vec::new(), has_changed: false, in_progress: false }
    }

    /// One module's result.
    pub fn module(&mut self, module: &Module, outcome: Outcome, text: &str, mut extra: Extra) {
        extra.changed |= self.has_changed;
        let object = match self.format {
            OutputFormat::Json => about_module(module, outcome, text, &extra),
            OutputFormat::Lines | OutputFormat::Quiet => Value::Null,
        };
        let mut line = format!("{}: {}: {text}", outcome.word(), module.shown());
        for written in &extra.stderr {
            line += &format!("\n    | {}", format::text(written));
        }
        self.add(outcome, &line, object);
    }

    /// The modules that are there; for each word that names none, that is a result.
    pub fn known(&mut self, selected: Vec<Result<Module, Missing>>) -> Vec<Module> {
        let mut modules = Vec::with_capacity(selected.len());
        for found in selected {
            match found {
                Ok(module) => modules.push(module),
                Err(missing) => self.missing(&missing),
            }
        }
        modules
    }

    /// A word that names no module.
    pub fn missing(&mut self, missing: &Missing) {
        let object = object(Some(&missing.word.to_string_lossy()), Outcome::NoSuchModule, false, &missing.why);
        let line = format!("{}: {}: {}", Outcome::NoSuchModule.word(), format::name(&missing.word), missing.why);
        self.add(Outcome::NoSuchModule, &line, object);
    }

    /// A result that is about no module; whether the call has `changed` anything.
    pub fn tree(&mut self, outcome: Outcome, changed: bool, text: &str) {
        let object = object(None, outcome, changed, text);
        self.add(outcome, &format!("{}: {text}", outcome.word()), object);
    }

    fn add(&mut self, outcome: Outcome, line: &str, object: Value) {
        self.outcomes.push(outcome);
        match self.format {
            OutputFormat::Json => self.objects.push(object),
            OutputFormat::Quiet if outcome == Outcome::Done => {}
            OutputFormat::Quiet => self.out.note(line),
            OutputFormat::Lines => {
                self.wipe();
                self.out.line(&paint(self.out.colour, outcome, line));
            }
        }
    }

    /// Something is different already, whatever is told of modules from here on.
    pub fn has_changed(&mut self) {
        self.has_changed = true;
    }

    /// Whether nothing was told yet.
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    /// The work has ended early, and what was told before stands.
    pub fn stopped(&mut self, error: &CtlError) {
        self.wipe();
        self.out.note(&error.text);
        self.outcomes.push(error.outcome);
        self.objects.push(object(None, error.outcome, self.has_changed, &error.text));
    }

    /// Shows who is waited for, if somebody sits in front of it.
    pub fn progress(&mut self, waiting: &[String], of: usize) {
        if self.format != OutputFormat::Lines || waiting.is_empty() || !io::stderr().is_terminal() {
            return;
        }
        let columns = screen::size(io::stderr().as_fd()).map_or(80, |size| size.columns);
        let text = format!("waiting for {} of {of}: {}", waiting.len(), waiting.join(" "));
        let _ = write!(io::stderr(), "\r\x1b[K{}", format::cut(&text, columns.saturating_sub(1)));
        self.in_progress = true;
    }

    /// Says what holds a module up, where there is no progress line.
    pub fn held_up(&self, module: &Module, why: &str) {
        if self.format == OutputFormat::Lines && !io::stderr().is_terminal() {
            self.out.note(&format!("{}: {why}", module.shown()));
        }
    }

    /// Takes the progress line away.
    fn wipe(&mut self) {
        if std::mem::take(&mut self.in_progress) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    /// Ends the report; gives all outcomes.
    pub fn finish(mut self) -> Vec<Outcome> {
        self.wipe();
        match self.format {
            OutputFormat::Json => self.out.line(&format::json(&Value::from(std::mem::take(&mut self.objects)))),
            OutputFormat::Lines if self.outcomes.len() > SUMMARY_FROM => self.out.line(&summary(&self.outcomes)),
            OutputFormat::Lines | OutputFormat::Quiet => {}
        }
        std::mem::take(&mut self.outcomes)
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// What every result has. Programs that have to be told whether there was anything to do read `ok` and `changed`.
fn object(module: Option<&str>, outcome: Outcome, changed: bool, text: &str) -> Value {
    json!({
        "module": module, "ok": outcome == Outcome::Done, "changed": changed, "state": null, "message": text,
        "result": outcome.word(),
    })
}

fn about_module(module: &Module, outcome: Outcome, text: &str, extra: &Extra) -> Value {
    let mut object = object(Some(&module.json()), outcome, extra.changed, text);
    if !extra.stderr.is_empty() {
        object["stderr"] = extra.stderr.clone().into();
    }
    if !extra.with.is_empty() {
        object["with"] = extra.with.clone().into();
    }
    if let Some(seen) = &extra.seen {
        object["state"] = seen.word().into();
        object["status"] = seen.json(module).into();
    }
    object
}

/// The array of a call that came to nothing.
pub fn came_to_nothing(error: &CtlError) -> String {
    format::json(&json!([object(None, error.outcome, false, &error.text)]))
}

/// `12 modules: 10 ok, 1 failed, 1 timed out`.
fn summary(outcomes: &[Outcome]) -> String {
    let count = |word: &str| outcomes.iter().filter(|outcome| outcome.word() == word).count();
    let parts: Vec<String> = [("ok", "ok"), ("fail", "failed"), ("timeout", "timed out")]
        .into_iter()
        .map(|(word, said)| (count(word), said))
        .filter(|(count, _)| *count > 0)
        .map(|(count, said)| format!("{count} {said}"))
        .collect();
    format!("{} modules: {}", outcomes.len(), parts.join(", "))
}

fn paint(colour: bool, outcome: Outcome, line: &str) -> String {
    let code = match outcome.word() {
        "fail" => "31",
        "timeout" => "33",
        _ => return line.into(),
    };
    match (colour, line.split_once(':')) {
        (true, Some((word, rest))) => format!("\x1b[{code}m{word}\x1b[0m:{rest}"),
        _ => line.into(),
    }
}

/// The exit code of a call that had these outcomes, with that of its output.
pub fn code(outcomes: Vec<Outcome>, out: &Out) -> u8 {
    exit::code(outcomes.into_iter().chain([out.outcome()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_by_word() {
        let outcomes = [Outcome::Done, Outcome::Done, Outcome::NoSuchModule, Outcome::Failed, Outcome::TimedOut];
        assert_eq!(summary(&outcomes), "5 modules: 2 ok, 2 failed, 1 timed out");
        assert_eq!(summary(&[Outcome::Done; 11]), "11 modules: 11 ok");
    }

    #[test]
    fn colour_is_on_the_first_word_alone() {
        assert_eq!(paint(true, Outcome::Failed, "fail: web: down"), "\x1b[31mfail\x1b[0m: web: down");
        assert_eq!(paint(false, Outcome::Failed, "fail: web: down"), "fail: web: down");
        assert_eq!(paint(true, Outcome::Done, "ok: web: up"), "ok: web: up");
    }
}
