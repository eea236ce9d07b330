//! The program that is at the path now: whether it could take over is asked of it, and the very file that answered is executed.

use super::handover::ReExec;
use super::question::{LETTER_VERSION, Question};
use crate::supervisor::panics::catch;
use crate::sys::files::file::c_path;
use crate::sys::handover::ProgramFile;
use crate::sys::process::pidfd::{ExitStatus, Pidfd, signal_group};
use crate::sys::process::start::{Environment, Input, Plan, StartError, Started, start};
use crate::sys::threads::poll::{self, PollSource};
use crate::sys::time::Mono;
use crate::sys::{Errno, describe, errno_text};
use crossbeam_channel::{Receiver, bounded};
use std::ffi::{CString, OsString};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long the next program may take to answer. Nothing waits for it meanwhile.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// How long a program that has closed the socket may take to end, so that its exit code can be told.
const ENDING_TIME: Duration = Duration::from_secs(1);

/// Stack of the thread that asks, in bytes.
const STACK_SIZE: usize = 128 * 1024;

/// A longer answer is none, in bytes.
const ANSWER_MAX: u64 = 256;

/// Asks, on a thread of its own, the program that is at the path now. Its file comes back once it has answered.
///
/// # Errors
/// No thread was to be had.
pub fn ask(re_exec: ReExec) -> io::Result<Receiver<Result<ProgramFile, ProgramFault>>> {
    crate::tree::capacity::for_thread(STACK_SIZE)?;
    let (sender, receiver) = bounded(1);
    let asking = move || {
        // Without an answer, the channel is closed.
        if let Ok(answer) = catch(|| ask_now(&re_exec)) {
            let _ = sender.send(answer);
        }
    };
    let spawned = std::thread::Builder::new().name("question".into()).stack_size(STACK_SIZE).spawn(asking);
    spawned.map(|_| receiver).map_err(|error| crate::tree::capacity::no_thread(&error))
}

fn ask_now(re_exec: &ReExec) -> Result<ProgramFile, ProgramFault> {
    let file = ProgramFile::open(&re_exec.program).map_err(ProgramFault::Path)?;
    if file.is_cut_off() {
        return Err(ProgramFault::CutOff);
    }
    let question = Question { version: LETTER_VERSION, nonce: RandomState::new().build_hasher().finish() };
    let (ours, theirs) = UnixStream::pair().map_err(ProgramFault::HandOver)?;
    let started = start_asking(re_exec, question, &theirs)?;
    // Theirs is the last one now: its end is the end of the answer.
    drop(theirs);
    let answer = read_answer(ours);
    let fault = if answer.as_deref() == Some(question.answer().as_bytes()) {
        None
    } else {
        Some(fault(&started.pidfd, answer.is_some()))
    };
    end(&started);
    match fault {
        Some(fault) => Err(fault),
        None if !file.is_in_place() => Err(ProgramFault::Replaced),
        None => Ok(file),
    }
}

fn start_asking(re_exec: &ReExec, question: Question, socket: &UnixStream) -> Result<Started, ProgramFault> {
    let program = c_path(&re_exec.program).map_err(ProgramFault::Path)?;
    let mut words: Vec<OsString> = re_exec.arguments.clone();
    words.insert(1.min(words.len()), format!("--handover={question}").into());
    let words: Result<Vec<CString>, _> = words.iter().map(|word| CString::new(word.as_bytes())).collect();
    let words = words.map_err(|error| ProgramFault::Path(error.into()))?;
    let environment = Environment::inherited();
    let plan = Plan { stdin: Input::Descriptor(socket.as_fd()), ..Plan::new(&program, &words, &environment) };
    start(&plan).map_err(ProgramFault::Start)
}

/// What was answered, up to the end of its line or of the answer; `None` if neither came in time.
fn read_answer(mut socket: UnixStream) -> Option<Vec<u8>> {
    let deadline = Mono::now() + ANSWER_TIME;
    let mut answer = Vec::new();
    loop {
        if poll::wait([Some(PollSource::Readable(socket.as_fd()))], Some(deadline)) != [true] {
            return None;
        }
        let mut room = [0; 64];
        match socket.read(&mut room) {
            Ok(count) => answer.extend_from_slice(room.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Some(answer),
        }
        if answer.is_empty() || answer.ends_with(b"\n") || answer.len() as u64 > ANSWER_MAX {
            return Some(answer);
        }
    }
}

/// Why there was no right answer.
fn fault(pidfd: &Pidfd, has_answered: bool) -> ProgramFault {
    if !has_answered {
        return ProgramFault::NoAnswer;
    }
    let ended = poll::wait([Some(PollSource::Readable(pidfd.as_fd()))], Some(Mono::now() + ENDING_TIME)) == [true];
    match pidfd.reap() {
        Ok(Some(ExitStatus::Code(0))) => ProgramFault::Another,
        Ok(Some(status)) if ended => ProgramFault::Refused(status),
        Ok(_) | Err(_) => ProgramFault::Another,
    }
}

/// Ends whatever is left of it.
fn end(started: &Started) {
    // It leads a session of its own, and its number is its own until it is reaped.
    if started.pidfd.signal(0).is_ok() {
        let _ = signal_group(started.pid, libc::SIGKILL);
    }
    let deadline = Mono::now() + ENDING_TIME;
    while matches!(started.pidfd.reap(), Ok(None) | Err(Errno::EINTR)) && Mono::now() < deadline {
        poll::wait([Some(PollSource::Readable(started.pidfd.as_fd()))], Some(deadline));
    }
}

/// What is wrong with the next program.
#[derive(Debug)]
pub enum ProgramFault {
    /// It cannot be opened, or the kernel cannot be told its path.
    Path(io::Error),
    /// Its end is missing.
    CutOff,
    /// It cannot be started.
    Start(StartError),
    /// It ended so when it was asked whether it can take over.
    Refused(ExitStatus),
    /// It ended well, and without an answer: another program.
    Another,
    /// It neither answered nor ended.
    NoAnswer,
    /// It is not the file any more that has answered.
    Replaced,
    /// There is no memory, descriptor or thread for the question, or for what it would be told.
    HandOver(io::Error),
    /// `execve` failed.
    Execute(Errno),
}

impl fmt::Display for ProgramFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProgramFault::Path(error) | ProgramFault::HandOver(error) => f.write_str(&errno_text(error)),
            ProgramFault::CutOff => f.write_str("its end is missing: is it still being copied?"),
            ProgramFault::Start(error) => error.fmt(f),
            ProgramFault::Refused(status) => write!(f, "asked whether it can take over: {status}"),
            ProgramFault::Another => f.write_str("not a supervise-tree that can take over from this one"),
            ProgramFault::NoAnswer => {
                write!(f, "asked whether it can take over: no answer within {} s", ANSWER_TIME.as_secs())
            }
            ProgramFault::Replaced => f.write_str("was replaced while it was asked whether it can take over"),
            ProgramFault::Execute(errno) => f.write_str(describe(*errno)),
        }
    }
}

impl std::error::Error for ProgramFault {}
