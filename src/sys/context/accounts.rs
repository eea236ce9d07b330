//! Users and groups by name, looked up on one thread for the whole program.
//!
//! A look-up may go through any module that `/etc/nsswitch.conf` names, and such modules want far more stack than a
//! supervisor thread has. They may also take long: whoever asks waits for a limited time and no longer.
//!
//! Nothing is remembered from one look-up to the next, but those who ask the same thing while the thread is busy get one
//! answer together: it began after each of them had asked. So a thousand services of one user cost a few look-ups.

use crate::sys::describe;
use crate::sys::threads::thread::Thread;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use parking_lot::Mutex;
use std::ffi::{CString, OsString};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Enough for every module that is known; of it, only what is touched is taken from memory.
const STACK: usize = 512 * 1024;

/// How long whoever asks waits for the answer.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A user by name.
    User(String),
    /// A user by number.
    Uid(u32),
    /// A group by name.
    Group(String),
    /// The groups that the database gives a user of this name, with this one as the first.
    Groups(String, u32),
}

/// What the database says of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The number of the first group.
    pub gid: u32,
    /// The home directory.
    pub home: OsString,
    /// The login shell.
    pub shell: OsString,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookUpError {
    /// The database cannot be asked.
    Errno(Errno),
    /// It takes too long.
    Late,
}

impl fmt::Display for LookUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LookUpError::Errno(errno) => f.write_str(describe(*errno)),
            LookUpError::Late => write!(f, "no answer from the user database within {} s", LOOK_UP_TIMEOUT.as_secs()),
        }
    }
}

/// An answer. `Unknown` where the database has no such entry.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Account(Account),
    Gid(u32),
    Gids(Vec<u32>),
    Unknown,
    Failed(Errno),
}

struct Request {
    question: Question,
    reply: Sender<Answer>,
    /// Held by whoever asks for as long as the answer is waited for.
    wanted: std::sync::Weak<()>,
}

/// The user called `name`; `None` if there is none.
///
/// # Errors
/// See [`LookUpError`].
pub fn user(name: &str) -> Result<Option<Account>, LookUpError> {
    ask(Question::User(name.into())).map(account)
}

/// The user with this number; `None` if the database has none.
///
/// # Errors
/// See [`LookUpError`].
pub fn user_by_number(uid: u32) -> Result<Option<Account>, LookUpError> {
    ask(Question::Uid(uid)).map(account)
}

/// The number of the group called `name`; `None` if there is none.
///
/// # Errors
/// See [`LookUpError`].
pub fn group(name: &str) -> Result<Option<u32>, LookUpError> {
    match ask(Question::Group(name.into()))? {
        Answer::Gid(gid) => Ok(Some(gid)),
        Answer::Account(_) | Answer::Gids(_) | Answer::Unknown | Answer::Failed(_) => Ok(None),
    }
}

/// The groups of the user called `name` by the database, `first` among them. By `getgrouplist(3)`, which asks for this user
/// alone: some databases do not tell all their groups.
///
/// # Errors
/// See [`LookUpError`].
pub fn groups(name: &str, first: u32) -> Result<Vec<u32>, LookUpError> {
    match ask(Question::Groups(name.into(), first))? {
        Answer::Gids(groups) => Ok(groups),
        Answer::Account(_) | Answer::Gid(_) | Answer::Unknown | Answer::Failed(_) => Ok(vec![first]),
    }
}

fn account(answer: Answer) -> Option<Account> {
    match answer {
        Answer::Account(account) => Some(account),
        Answer::Gid(_) | Answer::Gids(_) | Answer::Unknown | Answer::Failed(_) => None,
    }
}

fn ask(question: Question) -> Result<Answer, LookUpError> {
    let (reply, answers) = crossbeam_channel::bounded(1);
    let held = Arc::new(());
    let request = Request { question, reply, wanted: Arc::downgrade(&held) };
    send(request).map_err(LookUpError::Errno)?;
    match answers.recv_timeout(LOOK_UP_TIMEOUT) {
        Ok(Answer::Failed(errno)) => Err(LookUpError::Errno(errno)),
        Ok(answer) => Ok(answer),
        Err(RecvTimeoutError::Timeout) => Err(LookUpError::Late),
        // The thread has panicked, in some module of the C library's.
        Err(RecvTimeoutError::Disconnected) => Err(LookUpError::Errno(Errno::EIO)),
    }
}

/// Hands the request to the thread, which is made when it is first needed, and anew when it is gone.
fn send(mut request: Request) -> Result<(), Errno> {
    static THREAD: Mutex<Option<Sender<Request>>> = Mutex::new(None);
    let mut thread = THREAD.lock();
    loop {
        let sender = match thread.take() {
            Some(sender) => sender,
            None => {
                let (sender, requests) = crossbeam_channel::unbounded();
                Thread::spawn("accounts", STACK, move || serve(&requests))?;
                sender
            }
        };
        match sender.send(request) {
            Ok(()) => {
                *thread = Some(sender);
                return Ok(());
            }
            Err(returned) => request = returned.0,
        }
    }
}

fn serve(requests: &Receiver<Request>) {
    while let Ok(first) = requests.recv() {
        let mut waiting = vec![first];
        while let Some(question) = waiting.first().map(|request| request.question.clone()) {
            waiting.extend(requests.try_iter());
            let (same, others): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|request| request.question == question);
            waiting = others;
            let same: Vec<_> = same.into_iter().filter(|request| request.wanted.strong_count() > 0).collect();
            if same.is_empty() {
                continue;
            }
            let answer = look_up(&question);
            // Whoever has stopped waiting is not there to hear it.
            same.iter().for_each(|request| drop(request.reply.send(answer.clone())));
        }
    }
}

fn look_up(question: &Question) -> Answer {
    let user = |found: Result<Option<User>, Errno>| match found {
        Ok(Some(user)) => Answer::Account(Account {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            home: user.dir.into_os_string(),
            shell: user.shell.into_os_string(),
        }),
        other => absent(other.err()),
    };
    match question {
        Question::User(name) => user(User::from_name(name)),
        Question::Uid(uid) => user(User::from_uid(Uid::from_raw(*uid))),
        Question::Group(name) => match Group::from_name(name) {
            Ok(Some(group)) => Answer::Gid(group.gid.as_raw()),
            other => absent(other.err()),
        },
        Question::Groups(name, first) => {
            let Ok(name) = CString::new(name.as_str()) else { return Answer::Unknown };
            match getgrouplist(&name, Gid::from_raw(*first)) {
                Ok(groups) => Answer::Gids(groups.into_iter().map(Gid::as_raw).collect()),
                Err(errno) => absent(Some(errno)),
            }
        }
    }
}

/// `getpwnam(3)` lists these for "there is no such entry", beside the 0 that POSIX wants.
fn absent(errno: Option<Errno>) -> Answer {
    match errno {
        None | Some(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM | Errno::EINVAL) => Answer::Unknown,
        Some(errno) => Answer::Failed(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        let root = user("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid, root.name.as_str()), (0, 0, "root"));
        assert!(!root.shell.is_empty() && !root.home.is_empty());
        assert_eq!(user_by_number(0).unwrap(), Some(root));
        assert_eq!(group("root").unwrap(), Some(0));
        assert!(groups("root", 0).unwrap().contains(&0));
    }

    #[test]
    fn what_is_not_there_is_no_error() {
        assert_eq!(user("no-such-user").unwrap(), None);
        assert_eq!(user("").unwrap(), None);
        assert_eq!(user("a\0b").unwrap(), None);
        assert_eq!(user_by_number(4_123_456_789).unwrap(), None);
        assert_eq!(group("no-such-group").unwrap(), None);
        assert_eq!(groups("no-such-user", 4711).unwrap(), [4711]);
    }

    #[test]
    fn a_hundred_who_ask_at_once_are_answered_by_one_thread() {
        let threads: Vec<_> = (0..100).map(|_| std::thread::spawn(|| user("root").unwrap().unwrap().uid)).collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 0));
        let comms = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let names = comms.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        assert_eq!(names.filter(|name| name == "accounts\n").count(), 1);
    }

    #[test]
    fn who_waits_no_longer_is_not_looked_up() {
        let (sender, requests) = crossbeam_channel::unbounded();
        let (reply, answers) = crossbeam_channel::bounded(1);
        let held = Arc::new(());
        let question = |name: &str| Question::User(name.into());
        let request = |wanted| Request { question: question("root"), reply: reply.clone(), wanted };
        sender.send(request(std::sync::Weak::new())).unwrap();
        sender.send(request(Arc::downgrade(&held))).unwrap();
        drop((sender, reply.clone()));
        serve(&requests);
        drop(reply);
        assert_eq!(answers.iter().count(), 1);
    }
}
