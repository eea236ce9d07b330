//! `supervise-log`: standard input into the files of one directory.

use super::{TEMPORARY, USAGE, fail, parse};
use crate::conf::log;
use crate::logger::archive::compress::{self, Compress};
use crate::logger::lines::form::Format;
use crate::logger::lines::pattern::{Dialect, Rules};
use crate::logger::lines::stamp::Stamp;
use crate::logger::merge::source::Style;
use crate::logger::settings::{Full, Options, Said};
use crate::logger::trouble;
use crate::logger::{merge, run};
use crate::sys::logging::background;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const NAME: &str = "supervise-log";

/// Read standard input, and write its lines to DIR/current.
#[derive(clap::Parser, Debug)]
#[command(
    name = NAME,
    version,
    disable_version_flag = true,
    after_help = "HUP opens the files anew and reads DIR/config, ALRM rotates, TERM reads what is in the pipe and ends. \
                  See supervise-log(8)."
)]
pub struct Arguments {
    /// Directory of the log; made if it is missing
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Rotate when the file would have more bytes than this; 0: never [default: 16M]
    #[arg(short = 's', long, value_name = "BYTES", value_parser = log::bytes)]
    pub size: Option<u64>,
    /// Rotate when the file is as old as this; 0: never [default: 0]
    #[arg(short = 'a', long, value_name = "TIME", value_parser = log::time)]
    pub age: Option<Duration>,
    /// Keep so many old files; 0: all [default: 10]
    #[arg(short = 'n', long, value_name = "NUMBER")]
    pub keep: Option<usize>,
    /// Keep so many bytes of old files; 0: all
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = log::bytes)]
    pub total: u64,
    /// How time is written
    #[arg(long, value_enum, default_value_t)]
    pub stamp: Stamp,
    /// As svlogd: -t tai64n, -tt and -ttt utc
    #[arg(short = 't', action = clap::ArgAction::Count, conflicts_with = "stamp")]
    pub svlogd_stamp: u8,
    /// Text or JSON
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Put TEXT between the stamp and the line
    #[arg(short = 'p', long, value_name = "TEXT")]
    pub prefix: Option<OsString>,
    /// Name of the service, for JSON [default: the name of the directory above DIR]
    #[arg(long, value_name = "NAME")]
    pub module: Option<OsString>,
    /// Compress old files
    #[arg(short = 'z', long, value_enum, default_value_t)]
    pub compress: Compress,
    /// +PATTERN or -PATTERN for wanted and unwanted lines; the last that matches decides
    #[arg(short = 'm', long = "match", value_name = "PATTERN", allow_hyphen_values = true)]
    pub patterns: Vec<OsString>,
    /// When the disk is full: let the service wait, or drop lines and count them
    #[arg(long, value_enum, default_value_t)]
    pub full: Full,
    /// Write at most so many lines a second; 0: all
    #[arg(long, value_name = "LINES", default_value_t)]
    pub rate: u64,
    /// Write C in the place of each byte that is not printable ASCII
    #[arg(short = 'r', long, value_name = "C", value_parser = one_byte)]
    pub replace: Option<u8>,
    /// No effect: options that svlogd has
    #[arg(short = 'b', hide = true, value_name = "BYTES")]
    svlogd_buffer: Option<u64>,
    /// No effect: options that svlogd has
    #[arg(short = 'v', hide = true, action = clap::ArgAction::Count)]
    svlogd_verbose: u8,
    /// Print the version
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
}

/// What the logger calls itself with to have an old file compressed.
#[derive(clap::Parser, Debug)]
#[command(name = NAME)]
struct CompressArguments {
    #[arg(long = "compress-file")]
    file: PathBuf,
    #[arg(long = "for")]
    parent: i32,
}

/// What the tree runs for all modules with `log : stdout`.
#[derive(clap::Parser, Debug)]
#[command(name = NAME)]
struct MergeArguments {
    #[arg(long = "merge")]
    dir: PathBuf,
    #[arg(long, value_enum, default_value_t = Stamp::None)]
    stamp: Stamp,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[arg(long, value_enum, default_value_t)]
    full: Full,
}

fn one_byte(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err("not one byte".into()),
    }
}

/// The whole program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match arguments.get(1).map(|argument| argument.to_string_lossy()).as_deref() {
        Some(word) if word.starts_with("--compress-file") => return compress_file(arguments),
        Some("--merge") => return merge(arguments),
        Some(_) | None => {}
    }
    let arguments: Arguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let (options, dir) = match options(arguments) {
        Ok(both) => both,
        Err(message) => return fail(NAME, USAGE, &message),
    };
    if let Err(error) = crate::sys::process::setup::prepare() {
        return fail(NAME, TEMPORARY, &error.to_string());
    }
    match run::run(options, &dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(NAME, TEMPORARY, &message),
    }
}

fn compress_file(arguments: Vec<OsString>) -> ExitCode {
    let arguments: CompressArguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    match compress::run(&arguments.file, arguments.parent) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            fail(NAME, TEMPORARY, &format!("{}: {}", arguments.file.display(), trouble::plain(&error.to_string())))
        }
    }
}

fn merge(arguments: Vec<OsString>) -> ExitCode {
    let MergeArguments { dir, stamp, format, full } = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    if let Err(error) = crate::sys::process::setup::prepare() {
        return fail(NAME, TEMPORARY, &error.to_string());
    }
    // A terminal of which the tree has not the foreground.
    background::may_write_to_terminal();
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    match merge::run::run(&dir, Style { format, stamp, colour }, full) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(NAME, TEMPORARY, &message),
    }
}

/// What the command line says, and the directory.
///
/// # Errors
/// A pattern that is none.
pub fn options(arguments: Arguments) -> Result<(Options, PathBuf), String> {
    let dir = arguments.dir;
    let patterns: Vec<Vec<u8>> = arguments.patterns.into_iter().map(OsString::into_vec).collect();
    Rules::parse(&patterns, Dialect::Shell).map_err(|error| error.to_string())?;
    let options = Options {
        said: Said {
            size: arguments.size,
            age: arguments.age,
            keep: arguments.keep,
            prefix: arguments.prefix.map(OsString::into_vec),
            patterns,
            dialect: Dialect::Shell,
        },
        total: arguments.total,
        stamp: match arguments.svlogd_stamp {
            0 => arguments.stamp,
            1 => Stamp::Tai64n,
            _ => Stamp::Utc,
        },
        format: arguments.format,
        module: arguments.module.map_or_else(|| module_of(&dir), OsString::into_vec),
        replace: arguments.replace,
        compress: arguments.compress,
        full: arguments.full,
        rate: arguments.rate,
    };
    Ok((options, dir))
}

/// `web` for `/var/lib/web/log`.
fn module_of(dir: &Path) -> Vec<u8> {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    let name = absolute.parent().and_then(Path::file_name).or(absolute.file_name());
    name.map_or_else(Vec::new, |name| name.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    fn read(line: &[&str]) -> Result<(Options, PathBuf), String> {
        let all = std::iter::once(&NAME).chain(line);
        options(Arguments::try_parse_from(all).map_err(|error| error.to_string())?)
    }

    #[test]
    fn the_line_of_svlogd_needs_one_word_changed() {
        let (options, dir) = read(&["-tt", "-b", "65536", "-v", "./main"]).unwrap();
        assert_eq!((options.stamp, dir), (Stamp::Utc, PathBuf::from("./main")));
        assert_eq!(read(&["-t", "main"]).unwrap().0.stamp, Stamp::Tai64n);
        assert_eq!(read(&["-ttt", "-r", "_", "main"]).unwrap().0.replace, Some(b'_'));
    }

    #[test]
    fn patterns_may_begin_with_a_minus_and_are_looked_at() {
        let (options, _) = read(&["-m", "-*debug*", "--match", "+*error*", "-s", "1M", "d"]).unwrap();
        assert_eq!(options.said.patterns, [b"-*debug*".to_vec(), b"+*error*".to_vec()]);
        assert_eq!(options.said.size, Some(1 << 20));
        for bad in
            [&["-m", "debug", "d"][..], &["-m", "-[a", "d"], &["d", "e"], &[], &["-r", "ab", "d"], &["-s", "x", "d"]]
        {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_module_is_the_directory_above() {
        assert_eq!(module_of(Path::new("/var/lib/web/log")), b"web");
        assert_eq!(module_of(Path::new("/log")), b"log");
    }
}
