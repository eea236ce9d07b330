use super::*;
use crate::status::StatusDir;
use crate::status::log::Echo;
use std::os::unix::fs::PermissionsExt;

fn scanner(top: &Path) -> RootScanner {
    std::fs::create_dir_all(top.join("sv")).unwrap();
    let dir = StatusDir::of(&top.join("status"), "tree");
    dir.make().unwrap();
    RootScanner::new(top.join("sv"), false, None, Log::new(&dir, "", Echo::Nothing))
}

fn run(path: &Path) {
    std::fs::create_dir_all(path).unwrap();
    std::fs::write(path.join("run"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(path.join("run"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_directory_that_gets_its_run_is_incomplete_first_and_then_a_service() {
    let top = tempfile::tempdir().unwrap();
    let mut scanner = scanner(top.path());
    let web = OsStr::new("web");
    std::fs::create_dir(top.path().join("sv/web")).unwrap();
    assert_eq!(scanner.look_at_root().unwrap(), [web]);
    assert_eq!(scanner.look(web), Look::NotYet);
    run(&top.path().join("sv/web"));
    scanner.notify_rx().recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(matches!(scanner.look(web), Look::IncompleteUntil(_)));
    assert!(scanner.incomplete_until().is_some());
    assert!(scanner.take_incomplete().contains(web));
}

#[test]
fn what_was_there_at_the_first_look_is_complete() {
    let top = tempfile::tempdir().unwrap();
    run(&top.path().join("sv/web"));
    let mut scanner = scanner(top.path());
    scanner.look_at_root().unwrap();
    assert!(matches!(scanner.look(OsStr::new("web")), Look::Service(_)));
    assert_eq!(scanner.look(OsStr::new("mail")), Look::Gone);
    assert_eq!(scanner.rescan_at(), None);
}

#[test]
fn a_name_that_is_missing_in_another_root_is_unknown() {
    let top = tempfile::tempdir().unwrap();
    run(&top.path().join("sv/web"));
    let mut scanner = scanner(top.path());
    scanner.look_at_root().unwrap();
    std::fs::rename(top.path().join("sv"), top.path().join("old")).unwrap();
    assert_eq!(scanner.look(OsStr::new("web")), Look::Unknown, "no root");
    std::fs::create_dir(top.path().join("sv")).unwrap();
    assert_eq!(scanner.look(OsStr::new("web")), Look::Unknown, "another root");
    assert!(scanner.rescan_at().is_some_and(|at| at <= Mono::now()), "a rescan is due at once");
    assert_eq!(scanner.look_at_root().unwrap(), Vec::<OsString>::new());
    assert_eq!(scanner.look(OsStr::new("web")), Look::Gone, "now that is the root");
}

#[test]
fn a_name_that_a_service_was_meant_by_is_listed_with_its_reason() {
    let top = tempfile::tempdir().unwrap();
    let mut scanner = scanner(top.path());
    let path = |name: &str| top.path().join("sv").join(name);
    run(&path("web"));
    std::fs::set_permissions(path("web/run"), std::fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink("nowhere", path("broken")).unwrap();
    std::fs::create_dir(path("new\nline")).unwrap();
    std::fs::create_dir(path("being-made")).unwrap();
    std::fs::write(path("README"), "").unwrap();
    let look_at_all = |scanner: &mut RootScanner| {
        for name in scanner.look_at_root().unwrap() {
            scanner.look(&name);
        }
        scanner.not_begun().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(look_at_all(&mut scanner), ["broken", "new\nline", "web"]);
    assert_eq!(scanner.not_begun()["web"], "run is not executable");
    std::fs::remove_file(path("broken")).unwrap();
    std::fs::remove_dir(path("new\nline")).unwrap();
    run(&path("web"));
    assert_eq!(look_at_all(&mut scanner), Vec::<String>::new());
}

#[test]
fn a_root_that_is_gone_is_looked_for_soon() {
    let top = tempfile::tempdir().unwrap();
    let mut scanner = scanner(top.path());
    std::fs::remove_dir(top.path().join("sv")).unwrap();
    assert_eq!(scanner.look_at_root(), None);
    assert!(scanner.rescan_at().is_some_and(|at| at <= Mono::now() + ROOT_SWAP_RETRY_INTERVAL));
    std::fs::create_dir(top.path().join("sv")).unwrap();
    assert!(scanner.look_at_root().is_some());
    assert_eq!(scanner.rescan_at(), None);
}
