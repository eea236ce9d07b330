//! Loggers side by side: the same lines through a pipe into each, in turn, with the same stamps; and a loop of read and write
//! alone, into one file, as the floor.
//!
//! Times are those of the logger itself, of its compressors not; from the first byte to its end.

use super::report::median;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Bytes of a line, its newline included.
const LINE: usize = 100;

/// Bytes of most writes: what a pipe holds.
const WRITE: usize = 64 * 1024;

/// What comes in, and what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Stamps,
    Plain,
    SmallWrites,
    Json,
    Match,
    Gzip,
}

const TASKS: [(Task, &str); 6] = [
    (Task::Stamps, "stamps"),
    (Task::Plain, "no stamps"),
    (Task::SmallWrites, "stamps, writes of 100 bytes"),
    (Task::Match, "stamps, and a pattern that takes every tenth line away"),
    (Task::Json, "JSON"),
    (Task::Gzip, "stamps, old files through gzip"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Logger {
    Floor,
    Ours,
    S6,
    Multilog,
    Svlogd,
}

const LOGGERS: [(Logger, &str); 5] = [
    (Logger::Floor, "read and write alone"),
    (Logger::Ours, "supervise-log"),
    (Logger::S6, "s6-log"),
    (Logger::Multilog, "multilog"),
    (Logger::Svlogd, "svlogd"),
];

impl Logger {
    /// How it is told to do the task in `dir`; `None` where it cannot.
    fn command(self, task: Task, dir: &Path) -> io::Result<Option<Command>> {
        let log = dir.join("log");
        let (program, arguments): (&str, &[&str]) = match (self, task) {
            (Logger::Floor, Task::Plain | Task::SmallWrites) => ("", &[]),
            (Logger::Floor, _) => return Ok(None),
            (Logger::Ours, Task::Plain) => (env!("CARGO_BIN_EXE_supervise-log"), &["--stamp", "none"]),
            (Logger::Ours, Task::Json) => (env!("CARGO_BIN_EXE_supervise-log"), &["--format", "json"]),
            (Logger::Ours, Task::Match) => (env!("CARGO_BIN_EXE_supervise-log"), &["-t", "-m", "-line *0 *"]),
            (Logger::Ours, Task::Gzip) => (env!("CARGO_BIN_EXE_supervise-log"), &["-t", "-z", "gzip"]),
            (Logger::Ours, Task::Stamps | Task::SmallWrites) => (env!("CARGO_BIN_EXE_supervise-log"), &["-t"]),
            (_, Task::Json) => return Ok(None),
            (Logger::S6, Task::Plain) => ("s6-log", &["n10", "s16777216"]),
            (Logger::S6, Task::Match) => ("s6-log", &["n10", "s16777216", "-^line [0-9]*0 ", "t"]),
            (Logger::S6, Task::Gzip) => ("s6-log", &["t", "n10", "s16777216", "!gzip -n"]),
            (Logger::S6, Task::Stamps | Task::SmallWrites) => ("s6-log", &["t", "n10", "s16777216"]),
            (Logger::Multilog, Task::Plain) => ("multilog", &["n10", "s16777215"]),
            (Logger::Multilog, Task::Match) => ("multilog", &["t", "n10", "s16777215", "-* line *0 *"]),
            (Logger::Multilog, Task::Gzip) => ("multilog", &["t", "n10", "s16777215", "!gzip -n"]),
            (Logger::Multilog, Task::Stamps | Task::SmallWrites) => ("multilog", &["t", "n10", "s16777215"]),
            (Logger::Svlogd, Task::Plain) => ("svlogd", &["-b", "65536"]),
            (Logger::Svlogd, _) => ("svlogd", &["-b", "65536", "-t"]),
        };
        if self == Logger::Floor {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("--copy").arg(dir.join("copy"));
            return Ok(Some(command));
        }
        if self == Logger::Svlogd {
            std::fs::create_dir(&log)?;
            let more = match task {
                Task::Match => "-line *0 *\n",
                Task::Gzip => "!gzip -n\n",
                Task::Stamps | Task::Plain | Task::SmallWrites | Task::Json => "",
            };
            std::fs::write(log.join("config"), format!("s16777216\nn10\n{more}"))?;
        }
        let mut command = Command::new(program);
        command.args(arguments).arg(&log);
        Ok(Some(command))
    }
}

/// What one logger has taken for one task, a gigabyte of input.
#[derive(Clone, Copy, Debug)]
struct Taken {
    seconds: f64,
    processor: f64,
}

/// Prints how fast loggers are, `megabytes` of input each, medians of `rounds`.
///
/// # Errors
/// What cannot be set up.
pub fn run(dir: &Path, megabytes: usize, rounds: usize) -> io::Result<()> {
    println!("A gigabyte in lines of {LINE} bytes: MB/s, and seconds of processor time. Medians of {rounds} rounds.\n");
    let there: Vec<_> = LOGGERS.iter().filter(|(logger, name)| is_there(*logger, name)).collect();
    print!("| |");
    there.iter().for_each(|(_, name)| print!(" {name} |"));
    println!("\n|---|{}", "---|".repeat(there.len()));
    for (task, title) in TASKS {
        let mut all = vec![Vec::new(); there.len()];
        for _ in 0..rounds {
            for ((logger, _), taken) in there.iter().zip(&mut all) {
                taken.extend(once(*logger, task, dir, megabytes)?);
            }
        }
        print!("| {title} |");
        for taken in &all {
            let of = |value: fn(&Taken) -> f64| median(&taken.iter().map(value).collect::<Vec<_>>());
            match taken.len() {
                0 => print!(" – |"),
                _ => print!(" {:.0}, {:.2} |", 1000.0 / of(|taken| taken.seconds), of(|taken| taken.processor)),
            }
        }
        println!();
    }
    Ok(())
}

fn is_there(logger: Logger, name: &str) -> bool {
    matches!(logger, Logger::Floor | Logger::Ours) || super::peers::is_in_path(name)
}

fn once(logger: Logger, task: Task, dir: &Path, megabytes: usize) -> io::Result<Option<Taken>> {
    let place = tempfile::Builder::new().prefix("svlog").tempdir_in(dir)?;
    let Some(mut command) = logger.command(task, place.path())? else { return Ok(None) };
    let lines: Vec<u8> = (0..WRITE * 4 / LINE).flat_map(line).collect();
    let before = children()?;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let size = if task == Task::SmallWrites { LINE } else { WRITE };
    // Small writes take so long in the kernel that fewer are enough.
    let megabytes = if task == Task::SmallWrites { megabytes / 4 } else { megabytes };
    let begun = Instant::now();
    let mut left = megabytes * 1_000_000;
    while left > 0 {
        for chunk in lines.chunks(size) {
            let chunk = &chunk[..chunk.len().min(left)];
            pipe.write_all(chunk)?;
            left -= chunk.len();
        }
    }
    drop(pipe);
    let status = child.wait()?;
    let elapsed = begun.elapsed();
    if !status.success() {
        return Err(io::Error::other(format!("{command:?} ended with {status}")));
    }
    let gigabytes = megabytes as f64 / 1000.0;
    Ok(Some(Taken { seconds: elapsed.as_secs_f64() / gigabytes, processor: (children()? - before) / gigabytes }))
}

fn line(number: usize) -> Vec<u8> {
    let mut line = format!("line {number} of a service that has much to say, ").into_bytes();
    line.resize(LINE - 1, b'x');
    line.push(b'\n');
    line
}

/// Seconds of processor time of all children that have ended, and of theirs.
fn children() -> io::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6)
}

/// What the floor is, as a program: standard input into the file at `path`, begun anew every 16 MB.
///
/// # Errors
/// What `read` and `write` give.
pub fn copy(path: &Path) -> io::Result<()> {
    let (mut input, mut buffer) = (io::stdin().lock(), vec![0; WRITE]);
    let (mut file, mut size) = (File::create(path)?, 0);
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..count])?;
        size += count;
        if size > 16 << 20 {
            (file, size) = (File::create(path)?, 0);
        }
    }
}
