//! The thread that looks after old files, so that no reading ever waits for a disk.
//!
//! It sleeps until a file is closed. Then it has the disk take what was written (`fsync`), removes what is too
//! much, and has what is plain compressed, one file at a time. It does not wait for the compressor, which may get no processor for as
//! long as others want it: meanwhile files are closed, and what is too much has to go.

use super::compress::{Compress, with};
use super::names::{self, GZ, Name, PART};
use super::prune::{Limits, surplus};
use crate::logger::trouble::{about, plain, say};
use parking_lot::{Condvar, Mutex};
use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// So many files may wait for their fsync; whoever closes one more has it done at once.
const UNSYNCED_MAX: usize = 4;

/// How often a file is tried to be compressed.
const TRIES: u32 = 2;

/// Stack of the thread, in bytes: `Command` and names of files.
const STACK: usize = 128 * 1024;

/// What happens with old files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What is kept.
    pub limits: Limits,
    /// What becomes of the rest.
    pub compress: Compress,
}

#[derive(Debug)]
struct Orders {
    rules: Rules,
    closed: VecDeque<File>,
    /// There is something to look at.
    look: bool,
    is_busy: bool,
    is_compressing: bool,
    /// How the compressor has ended.
    ended: Option<Result<(), String>>,
}

/// What there is to do.
struct Task {
    rules: Rules,
    closed: VecDeque<File>,
    ended: Option<Result<(), String>>,
}

/// The thread, as its logger sees it.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<(Mutex<Orders>, Condvar)>,
}

impl Keeper {
    /// Starts the thread for the old files in `dir`; it looks at them at once.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(dir: &Path, rules: Rules) -> io::Result<Keeper> {
        remove_half_files(dir);
        let orders =
            Orders { rules, closed: VecDeque::new(), look: true, is_busy: false, is_compressing: false, ended: None };
        let shared = Arc::new((Mutex::new(orders), Condvar::new()));
        let (theirs, dir) = (Arc::clone(&shared), dir.to_path_buf());
        let builder = std::thread::Builder::new().name("old files".into()).stack_size(STACK);
        let (tries, said, compressing) = (HashMap::new(), HashMap::new(), None);
        builder.spawn(move || Work { dir, shared: theirs, tries, said, compressing }.run())?;
        Ok(Keeper { shared })
    }

    /// A file was closed, and has its last name.
    pub fn closed(&self, file: File) {
        let (orders, bell) = &*self.shared;
        let mut orders = orders.lock();
        if orders.closed.len() >= UNSYNCED_MAX {
            drop(orders);
            // What an fsync says of earlier writes nobody can mend here.
            let _ = file.sync_all();
            self.look(None);
            return;
        }
        orders.closed.push_back(file);
        orders.look = true;
        bell.notify_all();
    }

    /// Looks at the files again, by other rules if there are any.
    pub fn look(&self, rules: Option<Rules>) {
        let (orders, bell) = &*self.shared;
        let mut orders = orders.lock();
        orders.rules = rules.unwrap_or(orders.rules);
        orders.look = true;
        bell.notify_all();
    }

    /// Waits until there is nothing to do.
    pub fn finish(&self) {
        let (orders, bell) = &*self.shared;
        let mut orders = orders.lock();
        while orders.look || orders.is_busy || orders.is_compressing {
            bell.wait(&mut orders);
        }
    }
}

/// Removes what compressors have left that were killed.
fn remove_half_files(dir: &Path) {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name().into_string().unwrap_or_default();
        let is_half = name.strip_suffix(PART).is_some_and(|name| Name::parse(name).is_some());
        if is_half && let Err(error) = std::fs::remove_file(entry.path()) {
            say(&about(&entry.path(), "cannot remove", &error).to_string());
        }
    }
}

struct Work {
    dir: PathBuf,
    shared: Arc<(Mutex<Orders>, Condvar)>,
    tries: HashMap<String, u32>,
    said: HashMap<&'static str, String>,
    /// The file that is compressed just now.
    compressing: Option<String>,
}

impl Work {
    fn run(mut self) {
        loop {
            let Task { rules, closed, ended } = self.wait();
            let is_synced = closed.is_empty();
            for file in closed {
                if let Err(error) = file.sync_all() {
                    self.say(
                        "fsync",
                        format!("fsync of an old file: {}; it is kept as it is", plain(&error.to_string())),
                    );
                }
            }
            if !is_synced {
                // The names, too.
                let _ = File::open(&self.dir).and_then(|dir| dir.sync_all());
            }
            if let Err(error) = self.prune(rules.limits) {
                self.say("prune", format!("{error}; it is tried again when the next file is closed"));
            }
            if let Some(result) = ended
                && let Some(name) = self.compressing.take()
            {
                self.note_end(name, result);
            }
            match rules.compress {
                Compress::Gzip if self.compressing.is_none() => self.compress_next(),
                Compress::Gzip | Compress::No => {}
            }
        }
    }

    fn wait(&self) -> Task {
        let (orders, bell) = &*self.shared;
        let mut orders = orders.lock();
        orders.is_busy = false;
        bell.notify_all();
        while !orders.look {
            bell.wait(&mut orders);
        }
        orders.look = false;
        orders.is_busy = true;
        let ended = orders.ended.take();
        orders.is_compressing &= ended.is_none();
        Task { rules: orders.rules, closed: std::mem::take(&mut orders.closed), ended }
    }

    fn prune(&mut self, limits: Limits) -> io::Result<()> {
        let size = |name: &Name| std::fs::symlink_metadata(self.dir.join(name.text())).map_or(0, |it| it.len());
        let names = names::list(&self.dir).map_err(|error| about(&self.dir, "cannot list", &error))?;
        let files: Vec<(Name, u64)> =
            names.into_iter().map(|name| (size(&name), name)).map(|(size, name)| (name, size)).collect();
        let mut result = Ok(());
        for name in surplus(&files, limits) {
            let path = self.dir.join(name.text());
            match std::fs::remove_file(&path) {
                // The others go all the same.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    result = Err(about(&path, "cannot remove", &error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        if result.is_ok() {
            self.said.remove("prune");
        }
        result
    }

    /// Compresses the oldest file that is plain, and asks to be called again if there was one.
    fn compress_next(&mut self) {
        let Ok(names) = names::list(&self.dir) else { return };
        let tries = |name: &Name| self.tries.get(name.text()).copied().unwrap_or(0);
        let is_due = |name: &&Name| matches!(name, Name::Ours(..)) && !name.is_compressed() && tries(name) < TRIES;
        let Some(name) = names.iter().find(is_due).map(|name| name.text().to_string()) else {
            self.tries.retain(|name, _| names.iter().any(|there| there.text() == name));
            return;
        };
        let path = self.dir.join(&name);
        let begun = match with(&path, GZ).try_exists() {
            // The one before us was killed between the new name and the removal of the old one.
            Ok(true) => std::fs::remove_file(&path).map(|()| false).map_err(|error| plain(&error.to_string())),
            Ok(false) | Err(_) => self.begin(&path).map(|()| true),
        };
        match begun {
            Ok(true) => self.compressing = Some(name),
            Ok(false) => self.note_end(name, Ok(())),
            Err(why) => self.note_end(name, Err(why)),
        }
    }

    /// Has our own program compress `path` in a process of its own. A thread starts it and waits for its end: where there is no
    /// thread to be had, there is no process that nobody waits for.
    fn begin(&self, path: &Path) -> Result<(), String> {
        let cannot = |error: io::Error| format!("cannot start the compressor: {}", plain(&error.to_string()));
        let (shared, path) = (Arc::clone(&self.shared), path.to_owned());
        shared.0.lock().is_compressing = true;
        let compress = move || {
            let result = match compressor(&path).status() {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(format!("the compressor ended with {status}")),
                Err(error) => Err(cannot(error)),
            };
            let (orders, bell) = &*shared;
            let mut orders = orders.lock();
            (orders.ended, orders.look) = (Some(result), true);
            bell.notify_all();
        };
        let builder = std::thread::Builder::new().name("compressor".into()).stack_size(STACK);
        builder.spawn(compress).map(drop).map_err(|error| {
            self.shared.0.lock().is_compressing = false;
            cannot(error)
        })
    }

    /// The file `name` is compressed, or could not be.
    fn note_end(&mut self, name: String, result: Result<(), String>) {
        let path = self.dir.join(&name);
        match result {
            Ok(()) => {
                self.tries.remove(&name);
                self.said.remove("compress");
            }
            Err(why) => {
                let count = self.tries.entry(name).or_default();
                *count += 1;
                let next = if *count < TRIES { "it is tried once more" } else { "it stays as it is" };
                self.say("compress", format!("{}: cannot compress: {why}; {next}", path.display()));
            }
        }
        let (orders, _) = &*self.shared;
        orders.lock().look = true;
    }

    fn say(&mut self, about: &'static str, text: String) {
        if self.said.get(about) != Some(&text) {
            say(&text);
            self.said.insert(about, text);
        }
    }
}

/// Our own program, which compresses `path`.
fn compressor(path: &Path) -> Command {
    let mut command = Command::new("/proc/self/exe");
    // The file may be that of the tree, which is this program by this name.
    command.arg0("supervise-log");
    let mut file = OsString::from("--compress-file=");
    file.push(path);
    command.arg(file).arg("--for").arg(std::process::id().to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn half_files_go_at_the_start_and_surplus_ones_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let name = |number| Name::of(number, SystemTime::UNIX_EPOCH);
        for file in [name(1), name(2), name(3), name(4) + GZ + PART, "other.part".into(), "current".into()] {
            std::fs::write(dir.path().join(file), "x").unwrap();
        }
        let rules = Rules { limits: Limits { keep: 2, total: 0 }, compress: Compress::No };
        let keeper = Keeper::start(dir.path(), rules).unwrap();
        keeper.finish();
        let mut left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["current", &name(2), &name(3), "other.part"]);
        let limits = Limits { keep: 1, total: 0 };
        keeper.look(Some(Rules { limits, ..rules }));
        keeper.finish();
        assert!(!dir.path().join(name(2)).exists() && dir.path().join(name(3)).exists());
    }
}
