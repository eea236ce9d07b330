//! The services that suffer: what they run, and how their directories are made.
//!
//! None of them forks or sleeps. A service waits for ticks from the test, and writes one numbered line for each; so
//! nothing moves when the test stops ticking, and every process is one that the tree has started.

use crate::common::{Place, script};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// How a service behaves, and the letter that its names begin with: settings go by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes on until it is told to end.
    Steady,
    /// Ends by itself after some ticks; has a `finish`.
    Flapping,
    /// Ignores TERM.
    Stubborn,
}

impl Kind {
    pub fn letter(self) -> char {
        match self {
            Kind::Steady => 's',
            Kind::Flapping => 'f',
            Kind::Stubborn => 'h',
        }
    }
}

/// One service directory's content; its number is burnt into it and never used again.
#[derive(Clone, Copy, Debug)]
pub struct Design {
    pub id: usize,
    pub kind: Kind,
    pub logger: bool,
    /// It has a `down` file.
    pub down: bool,
    /// It is a link to a directory elsewhere, by way of another link.
    pub link: bool,
}

/// What a run process does. The first lines find out whether an earlier one with this number is still there: then
/// there were two at the same time, and somebody will read it in `doubled`.
const COMMON: &str = r#"
exec 2>> "$CHAOS_PLACE/stderr"
read -r stat < /proc/$$/stat
set -- $stat
start=${22}
if { read -r pid other < "$CHAOS_PLACE/alone/$me"; } 2>/dev/null &&
   { read -r stat < "/proc/$pid/stat"; } 2>/dev/null
then
    set -- $stat
    case $3.${22} in [ZX].*) ;; *."$other") echo "$me: $$ beside $pid" >> "$CHAOS_PLACE/doubled" ;; esac
fi
echo "$$ $start" > "$CHAOS_PLACE/alone/$me"
"#;

const SERVICE: &str = r#"id=$1 kind=$2 logger=$3 me=$id
COMMON
run=$$.$start
exec 3< "$CHAOS_PLACE/ticks/$id"
[ $kind != Stubborn ] || trap '' TERM
[ $logger = false ] || exec 4>> "$CHAOS_PLACE/accepted/$id"
i=0
while read -r _ <&3; do
    i=$((i+1))
    [ $logger = false ] || { echo "<$run $i>"; echo "$run $i" >&4; }
    [ $kind != Flapping ] || [ $i -lt 25 ] || exit 3
done
"#;

const LOGGER: &str = r#"id=$1 me=$id.log
COMMON
while read -r line; do echo "$line"; done >> "$CHAOS_PLACE/lines/$id"
"#;

/// The words by which a process is found in `/proc`.
pub const SERVICE_SCRIPT: &str = "service.sh";
pub const LOGGER_SCRIPT: &str = "logger.sh";

pub fn prepare(place: &Place) {
    for dir in ["ticks", "accepted", "lines", "alone", "trash", "real", "made"] {
        std::fs::create_dir(place.path().join(dir)).expect(dir);
    }
    for (name, text) in [(SERVICE_SCRIPT, SERVICE), (LOGGER_SCRIPT, LOGGER)] {
        script(&place.path().join(name), &text.replace("COMMON\n", COMMON));
    }
}

impl Design {
    /// The files of the directory, in the order in which somebody might write them.
    fn files(self) -> Vec<(&'static str, String)> {
        let Design { id, kind, logger, .. } = self;
        let mut files = Vec::new();
        if self.down {
            files.push(("down", String::new()));
        }
        if logger {
            files.push(("log/run", format!("exec /bin/sh \"$CHAOS_PLACE/{LOGGER_SCRIPT}\" {id}")));
        }
        if kind == Kind::Flapping {
            files.push(("finish", "echo $1 $2 $3 >> \"$CHAOS_PLACE/finished\"".into()));
        }
        files.push(("run", format!("exec /bin/sh \"$CHAOS_PLACE/{SERVICE_SCRIPT}\" {id} {kind:?} {logger}")));
        files
    }

    fn write(self, dir: &Path) {
        for (file, text) in self.files() {
            script(&dir.join(file), &text);
        }
    }

    /// Makes it elsewhere; the path is then moved to where it is to be.
    pub fn make(self, place: &Place) -> PathBuf {
        let made = place.path().join("made").join(self.id.to_string());
        if !self.link {
            self.write(&made)
        } else {
            let current = self.current(place);
            let real = place.path().join("real").join(format!("{}.0", self.id));
            self.write(&real);
            symlink(&real, &current).expect("linked");
            symlink(&current, &made).expect("linked");
        }
        made
    }

    /// The link that a deployment switches.
    fn current(self, place: &Place) -> PathBuf {
        place.path().join("real").join(self.id.to_string())
    }

    /// Lets `current` lead to another directory with the same content.
    pub fn switch(self, place: &Place, removes_old: bool) {
        let current = self.current(place);
        let old = std::fs::read_link(&current).expect("a link");
        let number: u32 = old.extension().and_then(|number| number.to_str()?.parse().ok()).expect("a number");
        let new = old.with_extension((number + 1).to_string());
        self.write(&new);
        let fresh = place.path().join("real/fresh");
        symlink(&new, &fresh).expect("linked");
        std::fs::rename(&fresh, &current).expect("switched");
        if removes_old {
            std::fs::remove_dir_all(old).expect("removed");
        }
    }

    /// Makes it where it is to be, file by file.
    pub fn make_at(self, dir: &Path) {
        std::fs::create_dir(dir).expect("made");
        self.write(dir);
    }

    /// Removes what is at `path`, file by file.
    pub fn destroy(self, place: &Place, path: &Path) {
        let dir = if self.link {
            std::fs::remove_file(path).expect("unlinked");
            std::fs::read_link(self.current(place)).expect("a link")
        } else {
            path.to_owned()
        };
        // `run` first: for a moment the service has a directory, and nothing to start.
        let _ = std::fs::remove_file(dir.join("run"));
        // The tree may just put a link of runit's into it.
        while let Err(error) = std::fs::remove_dir_all(&dir) {
            assert_eq!(error.kind(), std::io::ErrorKind::DirectoryNotEmpty, "{}", dir.display());
        }
    }
}
