//! Where the trees that run for a user have left the paths of their status roots: links in `/run/supervise-tree` for root,
//! in `$XDG_RUNTIME_DIR/supervise-tree` for others, each named by its tree's pid (supervise-tree(8)).
//!
//! A tree that was killed leaves its link. So a link counts only while a process of that pid lives and the tree's FIFO has a
//! reader; the next tree removes the links of those that are no trees any more.

use crate::status::dir::TREE_DIR;
use crate::sys::files::fifo;
use nix::unistd::geteuid;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// The directory's name.
const NAME: &str = "supervise-tree";

/// A tree's link, as long as the tree lives. Where it could not be made, nothing is there to be removed.
#[derive(Debug)]
pub struct Registration(Option<PathBuf>);

impl Registration {
    /// Leaves the path of this process's status root. A machine without such a place does without.
    pub fn of(status_root: &Path) -> Registration {
        runtime_directory().map_or(Registration(None), |runtime| Registration::below(&runtime, status_root))
    }

    fn below(runtime: &Path, status_root: &Path) -> Registration {
        let directory = runtime.join(NAME);
        let made = fs::DirBuilder::new().mode(0o755).create(&directory);
        if made.is_err_and(|error| error.kind() != ErrorKind::AlreadyExists) || !is_ours(&directory) {
            return Registration(None);
        }
        // A tree whose status directory was removed takes no commands until it has made it anew, and keeps its link.
        for link in links(&directory).iter().filter(|link| live(link).is_none() && !pid(link).is_some_and(is_tree)) {
            let _ = fs::remove_file(link);
        }
        let link = directory.join(std::process::id().to_string());
        // The program before us in this process has left one.
        let _ = fs::remove_file(&link);
        let target = std::path::absolute(status_root).unwrap_or_else(|_| status_root.to_owned());
        Registration(symlink(target, &link).is_ok().then_some(link))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(link) = &self.0 {
            let _ = fs::remove_file(link);
        }
    }
}

/// The status roots of all trees that run for this user, in the order of their paths.
pub fn status_roots() -> Vec<PathBuf> {
    runtime_directory().map_or_else(Vec::new, |runtime| roots_below(&runtime))
}

fn roots_below(runtime: &Path) -> Vec<PathBuf> {
    let directory = runtime.join(NAME);
    // Others must not tell us where to look.
    let links = if is_ours(&directory) { links(&directory) } else { Vec::new() };
    let mut roots: Vec<PathBuf> = links.iter().filter_map(|link| live(link)).collect();
    roots.sort();
    roots.dedup();
    roots
}

/// Whether a tree has left the path of `status_root` that may still run, whatever has become of its files: its pid is that of a
/// process of our name.
pub fn may_be_in_use(status_root: &Path) -> bool {
    runtime_directory().is_some_and(|runtime| may_be_in_use_below(&runtime, status_root))
}

fn may_be_in_use_below(runtime: &Path, status_root: &Path) -> bool {
    let directory = runtime.join(NAME);
    let Ok(target) = std::path::absolute(status_root) else { return false };
    let links = if is_ours(&directory) { links(&directory) } else { Vec::new() };
    links.iter().any(|link| fs::read_link(link).is_ok_and(|at| at == target) && pid(link).is_some_and(is_tree))
}

/// Whether a process other than ours has this pid and our name.
fn is_tree(pid: u32) -> bool {
    let name = |process: &str| fs::read(format!("/proc/{process}/comm")).ok();
    pid != std::process::id() && name("self").is_some_and(|ours| name(&pid.to_string()) == Some(ours))
}

fn runtime_directory() -> Option<PathBuf> {
    if geteuid().is_root() {
        return Some("/run".into());
    }
    // It must be this user's: `su` leaves another one's.
    let path = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?);
    (path.is_absolute() && is_ours(&path)).then_some(path)
}

fn is_ours(directory: &Path) -> bool {
    fs::symlink_metadata(directory).is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw())
}

/// What a tree may have made: what has another name is none of our business.
fn links(directory: &Path) -> Vec<PathBuf> {
    let is_link = |path: &PathBuf| path.is_symlink() && pid(path).is_some();
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_link).collect()
}

fn pid(link: &Path) -> Option<u32> {
    link.file_name()?.to_str()?.parse().ok()
}

/// The status root that `link` leads to, if its tree lives and takes commands there.
fn live(link: &Path) -> Option<PathBuf> {
    let root = fs::read_link(link).ok()?;
    let lives = Path::new(&format!("/proc/{}", pid(link)?)).exists();
    (lives && fifo::has_reader(&root.join(TREE_DIR).join("control")).unwrap_or(false)).then_some(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::files::fifo::{Ends, Fifo};
    use std::time::{Duration, Instant};

    /// A status root whose tree lives as long as the FIFO is held.
    fn root(place: &Path, name: &str) -> (PathBuf, Fifo) {
        let root = place.join(name);
        fs::create_dir_all(root.join(TREE_DIR)).unwrap();
        let fifo = Fifo::open_or_make(&root.join(TREE_DIR).join("control"), Ends::Both).unwrap();
        (root, fifo)
    }

    #[test]
    fn a_tree_is_found_while_it_runs_and_the_next_one_clears_up() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join(NAME);
        let (first, held) = root(place.path(), "first");
        let registration = Registration::below(place.path(), &first);
        assert_eq!(roots_below(place.path()), [first.as_path()]);
        // Its pid is that of no process, and the FIFO is another tree's.
        symlink(&first, directory.join("4194305")).unwrap();
        assert_eq!(roots_below(place.path()), [first.as_path()]);
        // One that was killed, whose pid another process has by now, and something that no tree has made.
        fs::rename(directory.join(std::process::id().to_string()), directory.join("1")).unwrap();
        fs::write(directory.join("2"), "").unwrap();
        drop(held);
        // Another test's child has it open until it executes its program.
        let until = Instant::now() + Duration::from_secs(20);
        while !roots_below(place.path()).is_empty() {
            assert!(Instant::now() < until, "{:?}", roots_below(place.path()));
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(registration);
        let (second, _held) = root(place.path(), "second");
        let registration = Registration::below(place.path(), &second);
        assert!(!directory.join("1").is_symlink() && !directory.join("4194305").is_symlink());
        assert!(directory.join("2").exists());
        // The same process again, after an upgrade.
        let again = Registration::below(place.path(), &second);
        assert_eq!(roots_below(place.path()), [second.as_path()]);
        drop((registration, again));
        assert!(links(&directory).is_empty());
    }

    #[test]
    fn a_status_root_may_be_in_use_though_nothing_of_it_is_there() {
        let place = tempfile::tempdir().unwrap();
        let (root, other) = (place.path().join("root"), place.path().join("other"));
        let directory = place.path().join(NAME);
        fs::create_dir(&directory).unwrap();
        // A process that is called as we are stands for another tree.
        let link = |pid: u32| symlink(&root, directory.join(pid.to_string())).unwrap();
        link(std::process::id());
        link(1);
        link(4194305);
        assert!(!may_be_in_use_below(place.path(), &root), "we ourselves, a process of another name, and none at all");
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        let copy = place.path().join(name.trim_end());
        fs::copy("/bin/sleep", &copy).unwrap();
        let mut child = std::process::Command::new(&copy).arg("1000").spawn().unwrap();
        link(child.id());
        // `spawn` returns a moment before the kernel has given the process its name.
        let until = Instant::now() + Duration::from_secs(20);
        while fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap() != name && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        // One more tree begins meanwhile, and clears up.
        let registration = Registration::below(place.path(), &other);
        assert_eq!(links(&directory).len(), 2, "the child's and ours");
        let (used, unused) = (may_be_in_use_below(place.path(), &root), may_be_in_use_below(place.path(), &other));
        drop(registration);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(used && !unused);
        assert!(!may_be_in_use_below(place.path(), &root));
    }

    #[test]
    fn without_a_place_nothing_happens() {
        let place = tempfile::tempdir().unwrap();
        let (status, _held) = root(place.path(), "status");
        fs::write(place.path().join(NAME), "a file").unwrap();
        drop(Registration::below(place.path(), &status));
        drop(Registration::below(&place.path().join("none"), &status));
        assert_eq!(fs::read(place.path().join(NAME)).unwrap(), b"a file");
        assert!(roots_below(place.path()).is_empty());
    }
}
