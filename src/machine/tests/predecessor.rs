//! What a killed supervisor left, and the first event that follows: one row each.

use crate::machine::history::predecessor::{Predecessor, Successor, Survivor, decide};
use crate::machine::history::tally::Tally;
use crate::machine::tests::story::at;
use crate::machine::words::command::Command;
use crate::machine::words::events::{Ended, Remains};
use crate::machine::{Event, SavedRun, SavedState, Stop, Want};
use crate::sys::Pid;
use crate::sys::files::file_id::{FileId, FileInstance};
use crate::sys::process::record::Role;

const HERE: Option<FileInstance> = Some(FileInstance { id: FileId { device: 1, inode: 2 }, born: 5 });
const ELSEWHERE: Option<FileInstance> = Some(FileInstance { id: FileId { device: 1, inode: 3 }, born: 5 });

/// One that has got the number of the former.
const ANEW: Option<FileInstance> = Some(FileInstance { id: FileId { device: 1, inode: 2 }, born: 6 });

/// The same, as a supervisor has written it down that did not know its age.
const AGELESS: Option<FileInstance> = Some(FileInstance { id: FileId { device: 1, inode: 2 }, born: 0 });

/// A service of a tree, in its place.
const TREE: Successor =
    Successor { directory: HERE, wanted: true, leaves: false, begins_anew: false, has_replaced_itself: false };

/// Its predecessor's last words: not what [`SavedState::UNKNOWN`] assumes.
const SAVED: SavedState = SavedState {
    directory: HERE,
    want: Want::Down,
    tally: Tally { starts: 7, ..Tally::ONE_START },
    ..SavedState::UNKNOWN
};

fn pid() -> Pid {
    Pid::from_raw(4711)
}

fn lives(role: Role) -> Option<Survivor> {
    Some(Survivor { role, pid: pid(), is_stopped: false })
}

fn resume(saved: SavedState, role: Option<Role>) -> Event {
    Event::Resume(Box::new(saved), role.map_or(Remains::Nothing, |role| Remains::Lives(role, pid())))
}

#[test]
fn nothing_runs() {
    let single = Successor { begins_anew: true, directory: None, ..TREE };
    let ageless = SavedState { directory: AGELESS, ..SAVED };
    let failed = SavedState { failed: true, ..SAVED };
    let ours = SavedState { by_ourselves: true, ..SAVED };
    let leaving = SavedState { leaving: true, ..SAVED };
    let replaced = Successor { has_replaced_itself: true, ..TREE };
    let rows = [
        ("nothing was saved", None, TREE, Event::Begin(true)),
        ("nothing was saved, and a down file", None, Successor { wanted: false, ..TREE }, Event::Begin(false)),
        ("what was saved counts", Some(SAVED), TREE, resume(SAVED, None)),
        ("of another directory", Some(SavedState { directory: ELSEWHERE, ..SAVED }), TREE, Event::Begin(true)),
        ("of one whose number it has", Some(SavedState { directory: ANEW, ..SAVED }), TREE, Event::Begin(true)),
        ("of one of unknown age", Some(ageless), TREE, resume(ageless, None)),
        ("a command has no directory, and is wanted", Some(SAVED), single, resume(SAVED.wanted_anew(), None)),
        ("a command after a panic", Some(ours), single, resume(ours, None)),
        ("a pause ends with its process", Some(SavedState { paused: true, ..SAVED }), TREE, resume(SAVED, None)),
        ("given up in a tree", Some(failed), TREE, resume(failed, None)),
        ("given up by supervise", Some(failed), single, Event::Begin(true)),
        ("x before an upgrade", Some(leaving), replaced, Event::Command(Command::Exit)),
        ("x before a crash", Some(leaving), TREE, resume(leaving, None)),
        ("no x before an upgrade", Some(SAVED), replaced, resume(SAVED, None)),
        ("to leave at once", Some(SAVED), Successor { leaves: true, ..replaced }, Event::Begin(false)),
        ("to leave at once, nothing saved", None, Successor { leaves: true, ..TREE }, Event::Begin(false)),
    ];
    for (what, saved, successor, expected) in rows {
        assert_eq!(decide(Predecessor { process: None, ended: None, saved }, &successor), expected, "{what}");
    }
}

#[test]
fn a_process_lives() {
    let run = |pid| SavedRun {
        pid: Some(Pid::from_raw(pid)),
        since: at(0.0),
        stop: Stop::Signalled(Some(at(9.0))),
        expected_exit_until: None,
        restart_after_stop: false,
        fitness: crate::machine::health::Fitness::Starting,
        tells_by: None,
    };
    let of_this = SavedState { run: Some(run(4711)), ..SAVED };
    let of_another = SavedState { run: Some(run(4700)), ..SAVED };
    let of_none = SavedState { run: None, ..SAVED };
    let paused = SavedState { paused: true, ..SAVED };
    let failed = SavedState { failed: true, ..SAVED };
    let single = Successor { begins_anew: true, directory: None, ..TREE };
    let leaves = Successor { leaves: true, ..TREE };
    let ours = SavedState { by_ourselves: true, ..of_this };
    let end = Some(crate::sys::time::Mono::from_nanoseconds(u64::MAX));
    let as_up = SavedRun { stop: Stop::No, expected_exit_until: end, ..run(4711) };
    let wanted = SavedState { want: Want::Up, alarm: true, run: Some(as_up), ..of_this };
    let stopped = Some(Survivor { role: Role::Run, pid: pid(), is_stopped: true });
    let rows = [
        ("nothing was saved", lives(Role::Run), None, TREE, SavedState::UNKNOWN),
        ("what was saved counts", lives(Role::Run), Some(of_this), TREE, of_this),
        ("saved of the process before it", lives(Role::Run), Some(of_another), TREE, of_none),
        (
            "of another directory",
            lives(Role::Run),
            Some(SavedState { directory: ELSEWHERE, ..SAVED }),
            TREE,
            SavedState::UNKNOWN,
        ),
        ("stopped, and not yet saved", stopped, Some(SAVED), TREE, paused),
        ("continued, and not yet saved", lives(Role::Run), Some(paused), TREE, SAVED),
        ("finish after giving up", lives(Role::Finish), Some(failed), TREE, failed),
        ("a command is wanted, whatever was said", lives(Role::Run), Some(of_this), single, wanted),
        ("a command after a panic", lives(Role::Run), Some(ours), single, ours),
        ("a hook", lives(Role::Hook), Some(SAVED), TREE, SAVED),
        ("to leave at once", lives(Role::Run), Some(SAVED), leaves, SAVED),
    ];
    for (what, process, saved, successor, expected) in rows {
        let event = decide(Predecessor { process, ended: None, saved }, &successor);
        assert_eq!(event, resume(expected, process.map(|process| process.role)), "{what}");
    }
}

#[test]
fn a_run_process_has_ended_unseen() {
    let run = |pid| SavedRun {
        pid: Some(Pid::from_raw(pid)),
        since: at(0.0),
        stop: Stop::No,
        expected_exit_until: None,
        restart_after_stop: false,
        fitness: crate::machine::health::Fitness::Ready,
        tells_by: None,
    };
    let up = SavedState { want: Want::Up, run: Some(run(4711)), ..SAVED };
    let idle = SavedState { run: None, ..up };
    let ended = Some(Ended { pid: pid(), has_finish: true });
    let single = Successor { begins_anew: true, directory: None, ..TREE };
    let ours = SavedState { by_ourselves: true, ..up };
    let told = |saved| Event::Resume(Box::new(saved), Remains::Ended(Ended { pid: pid(), has_finish: true }));
    let rows = [
        ("it was up", ended, Some(up), TREE, told(up)),
        ("no process was recorded, or another after it", None, Some(up), TREE, resume(idle, None)),
        (
            "the file tells of the one before it",
            ended,
            Some(SavedState { run: Some(run(4700)), ..up }),
            TREE,
            resume(idle, None),
        ),
        ("its end was told", ended, Some(idle), TREE, resume(idle, None)),
        ("in an earlier boot", ended, None, TREE, Event::Begin(true)),
        ("in another directory", ended, Some(SavedState { directory: ELSEWHERE, ..up }), TREE, Event::Begin(true)),
        ("a command is begun anew", ended, Some(up), single, resume(idle.wanted_anew(), None)),
        ("a command after a panic", ended, Some(ours), single, told(ours)),
    ];
    for (what, ended, saved, successor, expected) in rows {
        assert_eq!(decide(Predecessor { process: None, ended, saved }, &successor), expected, "{what}");
    }
}
