//! The lines: what the services have written, as they say themselves, against what has come out of their loggers.
//!
//! A service writes a line into the pipe with one `write` of a few bytes, which the kernel does wholly or not at all,
//! and then notes its number in `accepted`. So what is noted was written, and at most one line more. A logger reads
//! one line and writes it before it reads the next: one that is killed may lose the line in its hands, and if it had
//! read only half of that, the next logger finds the other half.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// One run process's lines.
#[derive(Debug, Default)]
struct Run {
    accepted: u64,
    logged: u64,
    missing_before: u64,
    /// Where something is missing: before these numbers.
    gaps: Vec<(u64, u64)>,
}

/// The lines of one service directory.
#[derive(Debug, Default)]
pub struct Lines {
    runs: HashMap<String, Run>,
    present: String,
    accepted: Tail,
    logged: Tail,
    torn: u64,
    /// How many lines may be missing: one for each logger that was killed.
    allowed: u64,
}

/// A file that grows, and how much of it has been read.
#[derive(Debug, Default)]
struct Tail {
    path: PathBuf,
    read: u64,
    rest: String,
}

impl Tail {
    fn new(path: PathBuf) -> Tail {
        Tail { path, ..Tail::default() }
    }

    /// The lines that are whole by now and were not returned before.
    fn lines(&mut self) -> Vec<String> {
        let Ok(mut file) = std::fs::File::open(&self.path) else { return Vec::new() };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.read)).expect("seek");
        self.read += file.read_to_end(&mut bytes).expect("read") as u64;
        self.rest.push_str(&String::from_utf8_lossy(&bytes));
        let whole = self.rest.rfind('\n').map_or(0, |at| at + 1);
        let rest = self.rest.split_off(whole);
        std::mem::replace(&mut self.rest, rest).lines().map(str::to_owned).collect()
    }
}

impl Lines {
    pub fn new(place: &Path, id: usize) -> Lines {
        let tail = |dir: &str| Tail::new(place.join(dir).join(id.to_string()));
        Lines { accepted: tail("accepted"), logged: tail("lines"), ..Lines::default() }
    }

    /// A logger was killed.
    pub fn allow_one(&mut self) {
        self.allowed += 1;
    }

    /// What is missing now is nobody's fault.
    pub fn forgive(&mut self) {
        self.allowed = self.allowed.max(self.missing() + self.torn);
    }

    fn missing(&self) -> u64 {
        self.runs.values().map(|run| run.missing_before + run.accepted.saturating_sub(run.logged)).sum()
    }

    /// Reads on; what cannot be put right by waiting is in the error.
    pub fn read_on(&mut self) -> Result<(), String> {
        // In this order: a line is logged, at the earliest, just before its number is noted.
        for line in self.logged.lines() {
            self.log(&line)?;
        }
        for line in self.accepted.lines() {
            let Some((run, number)) = parse(&line) else { return Err(format!("{line:?} in accepted")) };
            self.runs.entry(run.to_string()).or_default().accepted = number;
        }
        match self.runs.iter().find(|(_, run)| run.logged > run.accepted + 1) {
            Some((name, run)) => Err(format!("run {name}: {} logged, {} written", run.logged, run.accepted)),
            None => Ok(()),
        }
    }

    fn log(&mut self, line: &str) -> Result<(), String> {
        let Some((name, number)) = line.strip_prefix('<').and_then(|line| parse(line.strip_suffix('>')?)) else {
            self.torn += 1;
            return Ok(());
        };
        let is_new = !self.runs.contains_key(name) || self.runs[name].logged == 0;
        if self.present != name {
            if !is_new {
                return Err(format!("{line} after lines of {}, which came later", self.present));
            }
            self.present = name.to_string();
        }
        let run = self.runs.entry(name.to_string()).or_default();
        if number <= run.logged {
            return Err(format!("{line} after <{name} {}>: doubled", run.logged));
        }
        if number > run.logged + 1 {
            run.missing_before += number - run.logged - 1;
            run.gaps.push((run.logged + 1, number - 1));
        }
        run.logged = number;
        Ok(())
    }

    /// What is not as it should be, once nobody writes any more.
    pub fn problem(&self) -> Option<String> {
        let missing = self.missing();
        let what = format!("{missing} lines missing, {} torn, {} loggers killed", self.torn, self.allowed);
        (missing > self.allowed || self.torn > self.allowed).then_some(what)
    }

    /// Which lines have not come out, of the runs that lack some; those that are forgiven, too.
    pub fn gaps(&self) -> String {
        let lacks = self.runs.iter().filter(|(_, run)| run.missing_before > 0 || run.accepted > run.logged);
        let told = lacks.map(|(name, run)| {
            format!("  {name}: {:?}, written up to {}, come out up to {}\n", run.gaps, run.accepted, run.logged)
        });
        told.collect()
    }

    /// How many lines have come out.
    pub fn count(&self) -> u64 {
        self.runs.values().map(|run| run.logged - run.missing_before).sum()
    }
}

fn parse(line: &str) -> Option<(&str, u64)> {
    let (run, number) = line.split_once(' ')?;
    let is_run = run.split_once('.').is_some_and(|(pid, start)| [pid, start].iter().all(|word| is_number(word)));
    Some((run, number.parse().ok().filter(|_| is_run)?))
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}
