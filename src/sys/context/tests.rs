//! What the kernel says of a process that has changed itself. Most of it needs root.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

/// Runs `sh -c SCRIPT` after `change`; the part that failed, and the errno, in the place of its output.
fn run(change: Change, script: &str) -> Result<String, (Part, i32)> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    let in_child = move || {
        let changed = change.enter_cgroup().and_then(|()| change.apply_as_root()).and_then(|()| change.apply_as_user());
        // The part's number is put where no errno is.
        changed.map_err(|(part, errno)| std::io::Error::from_raw_os_error((part.number() as i32 + 1) << 8 | errno))
    };
    // SAFETY: what runs in the child makes raw system calls, and allocates nothing unless it fails.
    unsafe { command.pre_exec(in_child) };
    match command.output() {
        Ok(Output { stdout, stderr, .. }) => {
            assert!(stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
            Ok(String::from_utf8(stdout).unwrap())
        }
        Err(error) => {
            let code = error.raw_os_error().unwrap();
            Err((Part::from_number((code >> 8) as u32 - 1).unwrap(), code & 0xff))
        }
    }
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root() && own_capabilities().count_ones() > 30;
    if !root {
        eprintln!("not tested: needs root with all capabilities");
    }
    root
}

fn ids(uid: u32, gid: u32, groups: &[u32]) -> Ids {
    Ids { uid: Some(uid), gid: Some(gid), groups: Some(groups.to_vec()) }
}

/// A field of `/proc/self/status`, its blanks made single.
fn status(change: Change, field: &str) -> String {
    let text = run(change, &format!("grep '^{field}:' /proc/self/status")).unwrap();
    text.split_ascii_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

fn limit(name: &str, soft: u64, hard: u64) -> Limit {
    Limit { resource: Resource::named(name).unwrap(), soft, hard }
}

/// `cap_net_bind_service`.
const NET_BIND: u64 = 1 << 10;

#[test]
fn parts_have_numbers_of_their_own_and_the_names_of_keys() {
    let parts = super::change::parts();
    for (place, part) in parts.iter().enumerate() {
        assert_eq!(Part::from_number(part.number()), Some(*part));
        assert!(!part.name().is_empty());
        assert!(parts.iter().skip(place + 1).all(|other| other.number() != part.number()), "{part:?}");
    }
    assert_eq!(parts.len(), 14 + 16);
    assert_eq!(Part::Limit(Resource::named("nofile").unwrap()).name(), "limit_nofile");
    assert!(Resource::all().all(|resource| resource.key().strip_prefix("limit_") == Some(resource.name())));
    assert_eq!(Part::from_number(14), None);
    assert_eq!(Part::from_number(64 + 16), None);
}

#[test]
fn a_number_is_written_out() {
    for number in [0, 7, -1000, 1000] {
        assert_eq!(Decimal::new(number).text(), number.to_string().as_bytes());
    }
}

#[test]
fn an_empty_change_changes_nothing() {
    let fields = "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Cpus_allowed)' /proc/self/status; umask; pwd; ulimit -n";
    let plain = Command::new("/bin/sh").args(["-c", fields]).output().unwrap().stdout;
    assert_eq!(run(Change::default(), fields).unwrap(), String::from_utf8(plain).unwrap());
}

#[test]
fn limits_nice_io_class_umask_and_directory_are_as_the_kernel_has_them() {
    let change = Change {
        limits: vec![limit("nofile", 100, 200), limit("core", 0, 0), limit("cpu", 50, 60)],
        nice: Some(5),
        io_class: Some(3 << IO_CLASS_SHIFT),
        umask: Some(0o027),
        directory: Some(c"/usr".to_owned()),
        ..Change::default()
    };
    let script = "ulimit -Sn; ulimit -Hn; ulimit -Hc; ulimit -St; ulimit -Ht; umask; pwd; \
                  cut -d' ' -f19 /proc/self/stat; ionice -p $$ 2>/dev/null || echo idle";
    assert_eq!(run(change, script).unwrap(), "100\n200\n0\n50\n60\n0027\n/usr\n5\nidle\n");
}

#[test]
fn it_is_bound_to_processors() {
    let change = Change { cpus: vec![1], ..Change::default() };
    assert_eq!(status(change, "Cpus_allowed_list"), "0");
    let nowhere = Change { cpus: vec![0, 0, 0, 1 << 63], ..Change::default() };
    assert_eq!(run(nowhere, "true"), Err((Part::Cpus, libc::EINVAL)));
}

#[test]
fn the_oom_score_is_the_childs_alone() {
    let ours = || std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let before = ours();
    let change = Change { oom_score: Some(Decimal::new(500)), ..Change::default() };
    assert_eq!(run(change, "cat /proc/self/oom_score_adj").unwrap(), "500\n");
    assert_eq!(ours(), before);
}

#[test]
fn what_fails_says_its_step() {
    let missing = Change { directory: Some(c"/nonexistent".to_owned()), ..Change::default() };
    assert_eq!(run(missing, "true"), Err((Part::Directory, libc::ENOENT)));
    let inverted = Change { limits: vec![limit("nofile", 200, 100)], ..Change::default() };
    assert_eq!(run(inverted, "true"), Err((Part::Limit(Resource::named("nofile").unwrap()), libc::EINVAL)));
    let group = Change { cgroup: Some(c"/nonexistent/cgroup.procs".to_owned()), ..Change::default() };
    assert_eq!(run(group, "true"), Err((Part::Cgroup, libc::ENOENT)));
}

#[test]
fn all_of_the_old_user_is_gone() {
    if !is_root() {
        return;
    }
    let change = || Change { ids: ids(4711, 4712, &[4712, 4713]), ..Change::default() };
    assert_eq!(status(change(), "Uid"), "4711 4711 4711 4711");
    assert_eq!(status(change(), "Gid"), "4712 4712 4712 4712");
    assert_eq!(status(change(), "Groups"), "4712 4713");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(change(), set), "0000000000000000", "{set}");
    }
    assert_eq!(status(Change { ids: ids(4711, 4712, &[]), ..Change::default() }, "Groups"), "");
}

#[test]
fn exactly_the_capabilities_that_are_named_are_left() {
    if !is_root() {
        return;
    }
    let change = |uid| Change { ids: ids(uid, uid, &[]), capabilities: Some(NET_BIND), ..Change::default() };
    for uid in [0, 4711] {
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status(change(uid), set), format!("{NET_BIND:016x}"), "{set} of uid {uid}");
        }
    }
    let none = |uid| Change { ids: ids(uid, uid, &[]), capabilities: Some(0), ..Change::default() };
    for uid in [0, 4711] {
        assert_eq!(status(none(uid), "CapEff"), "0000000000000000");
        assert_eq!(status(none(uid), "CapBnd"), "0000000000000000");
    }
}

#[test]
fn nothing_gains_privileges_any_more() {
    let change = Change { no_new_privileges: true, ..Change::default() };
    assert_eq!(status(change, "NoNewPrivs"), "1");
    assert_eq!(status(Change::default(), "NoNewPrivs"), "0");
}

#[test]
fn a_limit_is_raised_while_still_root_and_counts_the_user_afterwards() {
    if !is_root() {
        return;
    }
    // No user runs with so many processes here, so one of its own is one too many.
    let of = |processes| Change {
        limits: vec![limit("nproc", processes, processes), limit("nofile", 3000, 3000)],
        ids: ids(4799, 4799, &[]),
        ..Change::default()
    };
    assert_eq!(run(of(100), "ulimit -Hn; echo $(id -u)").unwrap(), "3000\n4799\n");
    assert_eq!(run(of(1), "exec 2>&1; (echo forked); echo unreached").unwrap(), "/bin/sh: 1: Cannot fork\n");
}

#[test]
fn whoever_is_not_root_cannot_become_another() {
    if !is_root() {
        return;
    }
    let in_turn = |first: Change, second: Change| {
        let mut command = Command::new("/bin/true");
        let in_child = move || {
            first.apply_as_user().map_err(|_| std::io::Error::from_raw_os_error(0))?;
            second
                .apply_as_user()
                .map_err(|(part, errno)| std::io::Error::from_raw_os_error((part.number() as i32 + 1) << 8 | errno))
        };
        // SAFETY: as above.
        unsafe { command.pre_exec(in_child) };
        let code = command.output().unwrap_err().raw_os_error().unwrap();
        (Part::from_number((code >> 8) as u32 - 1).unwrap(), code & 0xff)
    };
    let user = || Change { ids: ids(4711, 4711, &[]), ..Change::default() };
    let other = Ids { uid: Some(4712), gid: None, groups: None };
    assert_eq!(in_turn(user(), Change { ids: other, ..Change::default() }), (Part::User, libc::EPERM));
    let groups = Ids { uid: None, gid: None, groups: Some(vec![0]) };
    assert_eq!(in_turn(user(), Change { ids: groups, ..Change::default() }), (Part::Groups, libc::EPERM));
    let capability = Change { capabilities: Some(NET_BIND), ..Change::default() };
    assert_eq!(in_turn(user(), capability), (Part::Capabilities, libc::EPERM));
}

#[test]
fn a_directory_is_entered_as_the_user() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let path = crate::sys::files::file::c_path(dir.path()).unwrap();
    let change = Change { ids: ids(4711, 4711, &[]), directory: Some(path), ..Change::default() };
    assert_eq!(run(change, "true"), Err((Part::Directory, libc::EACCES)));
}
