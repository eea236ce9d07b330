//! A stage of one's own for a test: namespaces in which it may mount file systems and set limits, whoever runs it.

use crate::common::host::skipped;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says to the test program that it is on the stage.
const ON_STAGE: &str = "SUPERVISE_TEST_STAGE";

/// Runs `act` in a user and a mount namespace of its own, in which it is root: that is, runs this test once more in a
/// process of its own. Says so and does nothing where the machine does not allow it.
pub fn on_stage<A: FnOnce()>(act: A) {
    if std::env::var_os(ON_STAGE).is_some() {
        return act();
    }
    // The closure's type is named after the test that it stands in.
    let name = std::any::type_name::<A>();
    let name = name.split_once("::").map_or(name, |(_, path)| path).trim_end_matches("::{{closure}}");
    let mut command = Command::new(std::env::current_exe().expect("the test program"));
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(ON_STAGE, "yes");
    let maps = Maps::of_this_user();
    // SAFETY: `enter` makes raw system calls only, which are allowed between fork and exec.
    unsafe { command.pre_exec(move || enter(&maps)) };
    match command.output() {
        Err(error) => skipped(&format!("{name}: no namespaces to be had here: {error}")),
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stdout);
            let more = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && told.contains("1 passed"), "on the stage:\n{told}\n{more}");
            more.lines().filter(|line| line.starts_with("SKIPPED")).for_each(|line| eprintln!("{line}"));
        }
    }
}

/// What a user namespace is told of its users: we are its root, and there is nobody else.
struct Maps {
    uid: String,
    gid: String,
}

impl Maps {
    fn of_this_user() -> Maps {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        Maps { uid: format!("0 {uid} 1"), gid: format!("0 {gid} 1") }
    }
}

fn enter(maps: &Maps) -> io::Result<()> {
    // SAFETY: integers, and pointers to strings that live through the call.
    unsafe {
        if libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) != 0 {
            return Err(io::Error::last_os_error());
        }
        write(c"/proc/self/setgroups", "deny")?;
        write(c"/proc/self/uid_map", &maps.uid)?;
        write(c"/proc/self/gid_map", &maps.gid)?;
        let none = std::ptr::null();
        if libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Writes a file of `/proc` by system calls alone.
fn write(path: &std::ffi::CStr, text: &str) -> io::Result<()> {
    // SAFETY: the strings live through the calls, and the length is the text's.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file < 0 || libc::write(file, text.as_ptr().cast(), text.len()) < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::close(file);
    }
    Ok(())
}

/// Something mounted on a directory, until it is dropped.
pub struct Mounted(PathBuf);

impl Mounted {
    /// An empty file system in memory, with options such as `size=64k`.
    pub fn tmpfs(at: &Path, options: &str) -> Mounted {
        std::fs::create_dir_all(at).expect("a place to mount");
        mount(Path::new("tmpfs"), at, Some("tmpfs"), 0, options);
        Mounted(at.to_owned())
    }

    /// The directory `from` once more.
    pub fn bind(from: &Path, at: &Path) -> Mounted {
        std::fs::create_dir_all(at).expect("a place to mount");
        mount(from, at, None, libc::MS_BIND, "");
        Mounted(at.to_owned())
    }

    /// What is in `lower`, with what is changed of it in `upper`; `None` where that cannot be had.
    pub fn overlay(lower: &Path, upper: &Path, work: &Path, at: &Path) -> Option<Mounted> {
        [upper, work, at].into_iter().for_each(|dir| std::fs::create_dir_all(dir).expect("a directory"));
        let [lower, upper, work] = [lower, upper, work].map(Path::display);
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        try_mount(Path::new("overlay"), at, Some("overlay"), 0, &options).ok().map(|()| Mounted(at.to_owned()))
    }

    /// Puts `at` over itself, and allows nobody to write there.
    pub fn read_only(at: &Path) -> Mounted {
        let mounted = Mounted::bind(at, at);
        mount(at, at, None, libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY, "");
        mounted
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let path = c_path(&self.0);
        // SAFETY: a string that lives through the call. What is still in use goes when it is not.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

fn mount(from: &Path, at: &Path, kind: Option<&str>, flags: libc::c_ulong, options: &str) {
    try_mount(from, at, kind, flags, options).unwrap_or_else(|error| panic!("mount {}: {error}", at.display()));
}

fn try_mount(from: &Path, at: &Path, kind: Option<&str>, flags: libc::c_ulong, options: &str) -> io::Result<()> {
    let (from, to) = (c_path(from), c_path(at));
    let kind = kind.map(|kind| CString::new(kind).expect("no NUL"));
    let options = CString::new(options).expect("no NUL");
    let kind = kind.as_ref().map_or(std::ptr::null(), |kind| kind.as_ptr());
    // SAFETY: all strings live through the call.
    let mounted = unsafe { libc::mount(from.as_ptr(), to.as_ptr(), kind, flags, options.as_ptr().cast()) };
    if mounted == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("no NUL")
}
