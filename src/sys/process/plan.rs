//! What a start is made of, and the steps at which it can fail: plain data, of which nothing is looked up in the child.

use crate::sys::context::{Change, Part, Refusal};
use crate::sys::files::file_id::FileId;
use crate::sys::process::record::RecordWriter;
use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::ptr::null;
use std::sync::{Arc, OnceLock};

/// Where standard input comes from.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// `/dev/null`.
    Null,
    /// The reading end of the FIFO at this path. Somebody must hold its writing end.
    Fifo(&'a CStr),
    /// A descriptor of ours.
    Descriptor(BorrowedFd<'a>),
    /// The supervisor's own.
    Inherited,
}

/// Where standard output or standard error goes.
#[derive(Clone, Copy, Debug)]
pub enum Output<'a> {
    /// `/dev/null`.
    Null,
    /// Appended to the regular file at this path, which is made with mode 0644. If that is impossible, the
    /// process gets `/dev/null`, and [`Started`](super::start::Started) says so: no disk is no reason not to run.
    File(&'a CStr),
    /// The same, but a file with a second name elsewhere is refused: somebody else may have given it that.
    SoleFile(&'a CStr),
    /// What an administrator has put at this path: a link, which is followed, a device, or a FIFO.
    Other {
        /// The path.
        path: &'a CStr,
        /// It leads to a FIFO, which is opened for both ways as in [`Output::Fifo`].
        is_fifo: bool,
    },
    /// Into the FIFO at this path, opened for reading too: it neither waits for a reader nor gets SIGPIPE
    /// while the reader, or we, are being replaced.
    Fifo(&'a CStr),
    /// The same as standard output (for standard error alone).
    Same,
    /// The supervisor's own: only where standard input is [`Input::Inherited`], too.
    Inherited,
}

/// A working directory that must still be the one that was meant.
#[derive(Clone, Copy, Debug)]
pub struct WorkingDirectory<'a> {
    /// Its path.
    pub path: &'a CStr,
    /// Device and inode that it must have; if others, the start fails with `ESTALE`.
    pub expect: Option<FileId>,
    /// The directory in it that is meant.
    pub within: Option<&'a CStr>,
}

/// What the new process leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leader {
    /// A new session, and so a new process group, without a terminal.
    Session,
    /// A new process group in our session.
    Group,
    /// Nothing: it stays in our group.
    Nothing,
}

/// Everything that makes one start; nothing in it is looked up in the child.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The file to execute, as the child sees it from its working directory.
    pub program: &'a CStr,
    /// The arguments, the name first.
    pub arguments: &'a [CString],
    /// Run by `/bin/sh` if the kernel does not know its format, as `execvp` does.
    pub shell_fallback: bool,
    /// The environment.
    pub environment: &'a Environment,
    /// Working directory, or ours.
    pub directory: Option<WorkingDirectory<'a>>,
    /// Session or group.
    pub leads: Leader,
    /// What it changes about itself before it executes the program.
    pub change: Option<&'a Change>,
    /// The process gets KILL when whoever starts it has ended: a check of a service is of no use to anybody else, and nobody
    /// else would keep its time limit. What it has started itself does not get it.
    pub ends_with_us: bool,
    /// SIGHUP is ignored, as by nohup: a program without a handler for it goes on.
    pub ignores_hangup: bool,
    /// Where the child records who it is, before it does anything else.
    pub recorder: Option<RecordWriter<'a>>,
    /// Standard input.
    pub stdin: Input<'a>,
    /// Standard output.
    pub stdout: Output<'a>,
    /// Standard error.
    pub stderr: Output<'a>,
    /// A FIFO that is opened for both ways, and its number, from 3 on.
    pub fourth: Option<(&'a CStr, c_int)>,
}

impl<'a> Plan<'a> {
    /// The least: a session of its own, our working directory, no output, and nothing else. What differs is set in its place.
    pub fn new(program: &'a CStr, arguments: &'a [CString], environment: &'a Environment) -> Plan<'a> {
        Plan {
            program,
            arguments,
            shell_fallback: false,
            environment,
            directory: None,
            leads: Leader::Session,
            change: None,
            ends_with_us: false,
            ignores_hangup: false,
            recorder: None,
            stdin: Input::Null,
            stdout: Output::Null,
            stderr: Output::Null,
            fourth: None,
        }
    }
}

/// Environment variables, in the form that `execve` takes.
#[derive(Debug)]
pub struct Environment {
    pub(super) pointers: Vec<*const c_char>,
    // The pointers point into these ...
    strings: Vec<CString>,
    // ... and into those of this one, which several share.
    base: Option<Arc<Environment>>,
}

// SAFETY: the pointers point into heap memory that `strings` owns, and nothing of it ever changes.
unsafe impl Send for Environment {}
// SAFETY: as above.
unsafe impl Sync for Environment {}

impl Environment {
    /// What this process was started with; made once, shared by all starts.
    pub fn inherited() -> Arc<Environment> {
        static OURS: OnceLock<Arc<Environment>> = OnceLock::new();
        let string = |(name, value): (OsString, OsString)| text(&name, &value);
        OURS.get_or_init(|| Arc::new(Environment::new(std::env::vars_os().filter_map(string).collect()))).clone()
    }

    /// These, each as `NAME=value`.
    pub fn new(strings: Vec<CString>) -> Environment {
        Environment::of(strings, None)
    }

    /// What this process was started with, and `more`, which replace those of the same name. One with a NUL byte is left out.
    pub fn inherited_with<'a>(more: impl IntoIterator<Item = (&'a str, &'a OsStr)>) -> Environment {
        let string = |(name, value)| text(OsStr::new(name), value);
        Environment::of(more.into_iter().filter_map(string).collect(), Some(Environment::inherited()))
    }

    fn of(strings: Vec<CString>, base: Option<Arc<Environment>>) -> Environment {
        let mut environment = Environment { pointers: Vec::new(), strings, base };
        let pointers = environment.all().map(|string| string.as_ptr()).chain([null()]).collect();
        environment.pointers = pointers;
        environment
    }

    /// Those of the base that are not replaced, and its own.
    fn all(&self) -> impl Iterator<Item = &CString> {
        let inherited = self.base.iter().flat_map(|base| &base.strings);
        inherited.filter(|string| !self.strings.iter().any(|own| name(own) == name(string))).chain(&self.strings)
    }

    /// Each variable's name and value.
    pub fn pairs(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.all().filter_map(|string| pair(string))
    }

    /// The same without what is inherited.
    pub fn own_pairs(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.strings.iter().filter_map(|string| pair(string))
    }
}

fn text(name: &OsStr, value: &OsStr) -> Option<CString> {
    CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
}

fn name(string: &CStr) -> &[u8] {
    string.to_bytes().split(|byte| *byte == b'=').next().unwrap_or_default()
}

fn pair(string: &CStr) -> Option<(&OsStr, &OsStr)> {
    let (name, value) = string.to_bytes().split_at_checked(name(string).len())?;
    Some((OsStr::from_bytes(name), OsStr::from_bytes(value.strip_prefix(b"=")?)))
}

/// Makes [`Step`] and [`STEPS`] of one list, in the order of the steps' numbers from 1 on.
macro_rules! steps {
    ($($(#[$doc:meta])* $step:ident = $name:literal,)*) => {
        /// The step of a start at which it failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Step {
            /// Working out the context that it runs in, before there is a process.
            Context(Refusal),
            /// Changing what it runs as.
            Change(Part),
            $($(#[$doc])* $step,)*
        }

        /// The steps that have no more to say than their name.
        const STEPS: &[(Step, &str)] = &[$((Step::$step, $name),)*];
    };
}

steps! {
    /// Making the process.
    Clone = "clone",
    /// Giving it its own descriptor table.
    CloseRange = "close_range",
    /// Making it leader of its session or group.
    Session = "setsid",
    /// Opening standard input.
    Stdin = "open standard input",
    /// Opening standard output.
    Stdout = "open standard output",
    /// Opening standard error.
    Stderr = "open standard error",
    /// Opening the descriptor on which it says that it is ready.
    Readiness = "open the readiness descriptor",
    /// Entering the working directory.
    Directory = "chdir",
    /// Executing the program.
    Exec = "execve",
}

/// Where the numbers of parts begin.
const PARTS_FROM: u32 = 256;

impl Step {
    /// A number for it, from which [`Step::from_number`] makes it again; 0 is none of them.
    pub(super) fn number(self) -> u32 {
        match self {
            // The child never gets so far.
            Step::Context(_) => 0,
            Step::Change(part) => PARTS_FROM.wrapping_add(part.number()),
            step => {
                STEPS.iter().zip(1..).find_map(|((other, _), number)| (*other == step).then_some(number)).unwrap_or(0)
            }
        }
    }

    pub(super) fn from_number(number: u32) -> Option<Step> {
        match number.checked_sub(PARTS_FROM) {
            Some(part) => Part::from_number(part).map(Step::Change),
            None => STEPS.get((number as usize).wrapping_sub(1)).map(|(step, _)| *step),
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Step::Context(refusal) => refusal.part().name(),
            Step::Change(part) => part.name(),
            step => STEPS.iter().find(|(other, _)| other == step).map_or("", |(_, name)| name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_replaces_what_is_inherited_and_leaves_the_rest() {
        let (first, _) = std::env::vars_os().next().unwrap();
        let first = first.to_str().unwrap();
        let added = Environment::inherited_with([(first, OsStr::new("a=b")), ("SUPERVISE_X", OsStr::new(""))]);
        let of = |wanted: &str| {
            added.pairs().filter(|(name, _)| *name == wanted).map(|(_, value)| value).collect::<Vec<_>>()
        };
        assert_eq!((of(first), of("SUPERVISE_X")), (vec![OsStr::new("a=b")], vec![OsStr::new("")]));
        assert_eq!(added.pairs().count(), std::env::vars_os().count() + 1);
        assert_eq!((added.own_pairs().count(), added.pointers.len()), (2, added.pairs().count() + 1));
    }

    #[test]
    fn every_step_is_made_again_from_its_number() {
        for (step, name) in STEPS {
            assert_eq!(Step::from_number(step.number()), Some(*step));
            assert_eq!(step.to_string(), *name);
        }
        assert_eq!(Step::from_number(0), None);
    }
}
