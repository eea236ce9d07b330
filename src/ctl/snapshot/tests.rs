use super::*;
use crate::status::StatusDir;
use crate::status::record::Want;
use nix::sys::stat::Mode;
use std::time::UNIX_EPOCH;

fn module(dir: &Path) -> Module {
    Module { name: "web".into(), dir: StatusDir::new(dir) }
}

fn record(pid: u32, changed: SystemTime) -> Vec<u8> {
    Record { changed, paused: false, want: Want::Up, alarm: true, pid }.encode().to_vec()
}

#[test]
fn twenty_bytes_are_enough() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("status"), record(7, UNIX_EPOCH)).unwrap();
    let snapshot = Snapshot::read(&module(dir.path())).unwrap();
    assert_eq!((snapshot.state.pid, snapshot.state.state.name()), (Some(7), "up"));
    assert_eq!(snapshot.state.want, Some(Want::Up));
    assert_eq!(snapshot.uptime(UNIX_EPOCH + Duration::from_secs(9)), Some(Duration::from_secs(9)));
}

#[test]
fn a_record_of_another_process_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("status"), record(8, UNIX_EPOCH)).unwrap();
    let state = StateFile { pid: Some(7), state: ModuleState::Up, ..StateFile::default() };
    std::fs::write(dir.path().join("state.json"), state.encode()).unwrap();
    let snapshot = Snapshot::read(&module(dir.path())).unwrap();
    assert_eq!((snapshot.state.pid, snapshot.changed), (Some(7), None));
}

#[test]
fn garbage_is_unknown_and_nothing_worse() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("status"), "x").unwrap();
    std::fs::write(dir.path().join("state.json"), "{").unwrap();
    let snapshot = Snapshot::read(&module(dir.path())).unwrap();
    assert_eq!(snapshot.describe(UNIX_EPOCH), "unknown");
    assert_eq!(Snapshot::read(&module(&dir.path().join("none"))), Err(SnapshotError::Gone));
}

#[test]
fn supervised_is_who_has_a_reader() {
    let dir = tempfile::tempdir().unwrap();
    let ok = dir.path().join("ok");
    nix::unistd::mkfifo(&ok, Mode::S_IRWXU).unwrap();
    let see = || Snapshot::read(&module(dir.path())).unwrap().supervised;
    assert_eq!(see(), Supervised::No { runs_on: false });
    let held = fifo::Fifo::open_or_make(&ok, fifo::Ends::Read).unwrap();
    assert_eq!(see(), Supervised::Yes);
    drop(held);
    let state = StateFile { definition: dir.path().join("gone").display().to_string(), ..StateFile::default() };
    std::fs::write(dir.path().join("state.json"), state.encode()).unwrap();
    assert_eq!(see(), Supervised::Removed);
}

#[test]
fn a_process_that_got_the_number_later_is_another_one() {
    let us = std::process::id();
    assert!(runs_since(us, Some(SystemTime::now())));
    assert!(!runs_since(us, Some(UNIX_EPOCH + Duration::from_secs(1))));
    assert!(!runs_since(u32::MAX, None));
}

/// A status directory whose files name a run process `pid` that came up just now, and whose lock has its record.
fn recorded(dir: &Path, pid: u32, made: (u64, u64)) {
    use std::os::unix::fs::MetadataExt;
    std::fs::write(dir.join("status"), record(pid, SystemTime::now())).unwrap();
    let supervisor_pid = std::process::id();
    let state = StateFile { pid: Some(pid), state: ModuleState::Up, supervisor_pid, ..StateFile::default() };
    std::fs::write(dir.join("state.json"), state.encode()).unwrap();
    let lock = std::fs::File::create(dir.join("lock")).unwrap();
    let (inode, boot) = (lock.metadata().unwrap().ino(), crate::sys::process::record::boot());
    let line = format!("run {pid:010} {:020} {:020} {inode} {boot} 0:0", made.0, made.1);
    std::fs::write(dir.join("lock"), format!("{line:<159}\n")).unwrap();
}

#[test]
fn a_stranger_with_the_recorded_number_is_not_the_service() {
    let dir = tempfile::tempdir().unwrap();
    let see = || Snapshot::read(&module(dir.path())).unwrap().supervised;
    recorded(dir.path(), std::process::id(), (0, u64::MAX));
    assert_eq!(see(), Supervised::No { runs_on: true });
    recorded(dir.path(), std::process::id(), (0, 1));
    assert_eq!(see(), Supervised::No { runs_on: false });
}

#[test]
fn files_that_name_a_dead_process_are_stale_and_not_up() {
    let dir = tempfile::tempdir().unwrap();
    let ok = dir.path().join("ok");
    nix::unistd::mkfifo(&ok, Mode::S_IRWXU).unwrap();
    let _held = fifo::Fifo::open_or_make(&ok, fifo::Ends::Read).unwrap();
    let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    recorded(dir.path(), pid, (0, u64::MAX));
    let snapshot = Snapshot::read(&module(dir.path())).unwrap();
    assert_eq!((snapshot.supervised, snapshot.is_up()), (Supervised::Stale, false));
    assert!(snapshot.describe(UNIX_EPOCH).contains("was up"), "{}", snapshot.describe(UNIX_EPOCH));
    recorded(dir.path(), std::process::id(), (0, u64::MAX));
    assert!(Snapshot::read(&module(dir.path())).unwrap().is_up());
}

#[test]
fn a_clock_that_was_set_back_shows_zero() {
    let later = UNIX_EPOCH + Duration::from_secs(100);
    let state = StateFile { pid: Some(1), state: ModuleState::Up, ..StateFile::default() };
    let snapshot = Snapshot { supervised: Supervised::Yes, state, raw: None, changed: Some(later) };
    assert_eq!(snapshot.describe(UNIX_EPOCH), "up (pid 1) 0 s");
}
