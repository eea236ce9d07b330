//! The roster with threads that end as no real one should.

use super::entry::{Entry, Lifecycle, LoggerKind, Stdout, SupervisorThread, ThreadExit};
use super::members::{Roster, Shared};
use crate::conf::source::ConfigSource;
use crate::machine::Leave;
use crate::service::entries::Contents;
use crate::status::StatusDir;
use crate::status::log::{Echo, Log};
use crate::supervisor::requests::mailbox::{Ask, Mailbox};
use crate::supervisor::spec::Outcome;
use crate::sys::files::file_id::FileInstance;
use crate::sys::threads::thread::Thread;
use crate::sys::time::Mono;
use crate::tree::capacity::Demand;
use crate::tree::handover::Handover;
use crate::tree::root::scan::ServiceDir;
use crate::tree::status_root::StatusRoot;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const MEMBER: u64 = 1000;

/// A roster with one service, `web`, whose thread has ended and has not reported yet.
fn roster(top: &Path, lifecycle: Lifecycle) -> Roster {
    let dir = StatusDir::of(&top.join("status"), "tree");
    dir.make().unwrap();
    let source = ConfigSource::none();
    let shared = Shared {
        command: None,
        removals: None,
        status_root: StatusRoot::new(top.join("status")),
        config: Arc::new(source.first().0),
        source,
        echo: Echo::Nothing,
        log: Log::new(&dir, "", Echo::Nothing),
        runit: None,
    };
    let mut roster = Roster::new(shared, Handover::default());
    let path = top.join("web");
    std::fs::create_dir(&path).unwrap();
    // Nothing is started.
    std::fs::write(path.join("down"), "").unwrap();
    let instance = FileInstance::at(&path).unwrap();
    let found = ServiceDir {
        name: "web".into(),
        path,
        instance,
        has_logger: false,
        contents: Contents::default(),
        link: None,
        writer: None,
    };
    let (logger_kind, stdout) = (LoggerKind::Directory, Stdout::No);
    let entry = Entry { found, service: Some(MEMBER), logger: None, pipe: None, logger_kind, stdout, lifecycle };
    roster.entries.insert("web".into(), entry);
    let thread = Thread::spawn("web", 64 * 1024, || ()).unwrap();
    let demand = Demand::of(false, false);
    roster.demand += demand;
    let member = SupervisorThread { module: "web".into(), mailbox: Arc::new(Mailbox::default()), thread, demand };
    roster.members.insert(MEMBER, ("web".into(), member));
    roster
}

fn panicked() -> ThreadExit {
    ThreadExit { member: MEMBER, outcome: None }
}

#[test]
fn what_follows_a_panic_is_held_back_for_a_moment() {
    let top = tempfile::tempdir().unwrap();
    let mut roster = roster(top.path(), Lifecycle::Supervised);
    roster.ended(panicked()).unwrap();
    let due = roster.panicked_until().unwrap();
    assert!(due > Mono::now());
    roster.release_panicked(Some(Mono::now())).unwrap();
    assert!(roster.members.contains_key(&MEMBER), "not yet");
    roster.release_panicked(Some(due)).unwrap();
    assert!(!roster.members.contains_key(&MEMBER));
    assert_eq!((roster.members.len(), roster.panicked_until()), (1, None), "another thread");
    assert_eq!(roster.entries["web"].lifecycle, Lifecycle::Supervised);
    roster.leave_all();
    let report = roster.reports().recv_timeout(Duration::from_secs(20)).unwrap();
    roster.ended(report).unwrap();
    assert!(roster.is_empty());
}

#[test]
fn a_thread_that_panics_while_it_stops_its_service_is_followed_by_one_that_stops_it() {
    let top = tempfile::tempdir().unwrap();
    let mut roster = roster(top.path(), Lifecycle::Leaving(None));
    roster.ended(panicked()).unwrap();
    roster.release_panicked(None).unwrap();
    assert_eq!(roster.members.len(), 1, "somebody has to stop what may run");
    let report = roster.reports().recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(matches!(report.outcome, Some(Outcome::Left(_))), "{report:?}");
    roster.ended(report).unwrap();
    assert!(roster.is_empty() && !roster.knows("web"));
}

#[test]
fn a_shutdown_waits_for_nothing_that_is_held_back() {
    let top = tempfile::tempdir().unwrap();
    let mut roster = roster(top.path(), Lifecycle::Supervised);
    roster.ended(panicked()).unwrap();
    roster.leave_all();
    assert_eq!(roster.panicked_until(), None);
    let report = roster.reports().recv_timeout(Duration::from_secs(20)).unwrap();
    roster.ended(report).unwrap();
    assert!(roster.is_empty());
}

#[test]
fn a_logger_is_told_that_its_service_is_gone_also_where_that_had_left() {
    let top = tempfile::tempdir().unwrap();
    let mut roster = roster(top.path(), Lifecycle::Exited);
    let logger = Arc::new(Mailbox::default());
    let thread = Thread::spawn("web/log", 64 * 1024, || ()).unwrap();
    let member =
        SupervisorThread { module: "web/log".into(), mailbox: logger.clone(), thread, demand: Demand::default() };
    roster.members.insert(MEMBER + 1, ("web".into(), member));
    roster.entries.get_mut("web").unwrap().logger = Some(MEMBER + 1);
    roster.gone("web");
    assert!(roster.knows("web") && logger.take().is_none(), "something of it runs");
    let left = Some(Outcome::Left(Leave::Stop));
    roster.ended(ThreadExit { member: MEMBER, outcome: left }).unwrap();
    assert!(matches!(logger.take(), Some(Ask::Leave(Leave::EndOfInput))), "the logger would wait for ever");
    roster.ended(ThreadExit { member: MEMBER + 1, outcome: left }).unwrap();
    assert!(roster.is_empty() && !roster.knows("web"));
}
