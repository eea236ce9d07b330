//! A logger that is killed while it is to read the last words of a service: another one reads on.

use super::common::*;
use super::pipe::text_of;

/// Most of what a pipe holds, in lines of 100 digits, once the file `go` is there.
const LAST_WORDS: &str = "until [ -e ../../go ]; do sleep 0.01; done
seq -f %099.0f 1 600 && : > ../../written
exec sleep 1000";

/// Who runs the logger.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// The tree, by itself.
    Own,
    /// `log/run`.
    Directory,
}

/// A service whose logger stands still, with a pipe that is almost full.
struct Stage<'a> {
    place: &'a Place,
    tree: Running<'a>,
    log: std::path::PathBuf,
    logger: u32,
}

impl<'a> Stage<'a> {
    fn new(place: &'a Place, kind: Kind) -> Stage<'a> {
        let (log, program) = (place.path().join("log"), env!("CARGO_BIN_EXE_supervise-log"));
        let own = format!("log : {}\nlog_stamp : none\n", log.display());
        place.conf(&format!("{FAST}{}", if kind == Kind::Own { &own } else { "" }));
        let run = format!("exec {program} --stamp none {}", log.display());
        let files = [("run", LAST_WORDS), ("log/run", &run)];
        place.service("web", if kind == Kind::Own { &files[..1] } else { &files });
        let tree = place.tree();
        place.module("web").wait_up(place);
        let logger = place.module("web/log").wait_up(place);
        wait_for("the logger to have begun", place, || log.join("current").exists());
        signal(logger, "STOP");
        wait_for("the logger to stand still", place, || is_stopped(logger));
        std::fs::write(place.path().join("go"), "").unwrap();
        wait_for("the last words", place, || place.path().join("written").exists());
        Stage { place, tree, log, logger }
    }

    /// The logger is told that no more is coming, as soon as its service has ended, and is killed in that moment.
    fn kill_reader(&self) {
        self.place.module("web/log").wait_state(self.place, "stopping");
        signal(self.logger, "KILL");
    }

    fn assert_whole(&self) {
        let text = String::from_utf8(text_of(&self.log)).unwrap();
        let numbers: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert!(numbers.iter().copied().eq(1..=600), "{numbers:?}\n{}", self.place.story());
        let said = self.place.module("web/log").log();
        assert!(said.contains("signal KILL; restarting to read what is left"), "{said}");
        assert!(!said.contains("is lost") && !said.contains("goes on after the end"), "{said}");
    }
}

#[test]
fn a_logger_that_is_killed_at_the_end_of_the_tree_is_started_again_to_read_the_rest() {
    for kind in [Kind::Own, Kind::Directory] {
        let place = Place::new();
        let stage = Stage::new(&place, kind);
        stage.tree.signal("TERM");
        stage.kill_reader();
        wait_for("the end of the tree", &place, || !is_alive(stage.tree.pid()));
        stage.assert_whole();
        assert!(stage.tree.wait().success(), "{}", place.story());
    }
}

#[test]
fn a_logger_that_is_killed_when_its_service_was_removed_is_started_again_to_read_the_rest() {
    let place = Place::new();
    let stage = Stage::new(&place, Kind::Own);
    std::fs::remove_dir_all(place.root().join("web")).unwrap();
    stage.kill_reader();
    wait_for("the logger to leave", &place, || !place.module("web/log").is_supervised());
    stage.assert_whole();
    assert!(stage.tree.stop().success());
}
