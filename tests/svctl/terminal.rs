//! Colour, `--watch` and the progress line on a pseudo-terminal.

use crate::fixture::{Fixture, STEADY, until};
use nix::pty::{Winsize, openpty};
use serde_json::json;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

/// A `svctl` that sits at a terminal.
struct Terminal {
    child: Child,
    master: File,
    /// Kept open so that the terminal's settings can be looked at afterwards.
    slave: OwnedFd,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn take(fixture: &Fixture, arguments: &[&str], environment: &[(&str, &str)]) -> Terminal {
        let size = Winsize { ws_row: 12, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = fixture.command(arguments);
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm").env_remove("NO_COLOR");
        command.envs(environment.iter().copied());
        let child = command.spawn().unwrap();
        let master = File::from(pty.master);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, sink) = (master.try_clone().unwrap(), shown.clone());
        std::thread::spawn(move || {
            let mut room = [0; 4096];
            while let Ok(taken @ 1..) = reader.read(&mut room) {
                sink.lock().unwrap().extend_from_slice(&room[..taken]);
            }
        });
        Terminal { child, master, slave: pty.slave, shown }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    fn sees(&self, text: &str) {
        until(&format!("{text:?} is on the screen"), || self.text().contains(text).then_some(()));
    }

    fn ends(&mut self) -> Option<i32> {
        until("svctl ends", || self.child.try_wait().unwrap()).code()
    }

    fn echoes(&self) -> bool {
        let flags = nix::sys::termios::tcgetattr(self.slave.as_fd()).unwrap().local_flags;
        flags.contains(nix::sys::termios::LocalFlags::ECHO | nix::sys::termios::LocalFlags::ICANON)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const GIVEN_BACK: &str = "\x1b[?25h\x1b[?1049l";

#[test]
fn colour_is_for_terminals_alone_and_not_with_no_color() {
    let fixture = Fixture::new();
    fixture.fabricate("web", &json!({ "state": "up" }));
    let mut terminal = Terminal::take(&fixture, &["status"], &[]);
    assert_eq!(terminal.ends(), Some(4));
    terminal.sees("\x1b[1;31mdead\x1b[0m");
    let mut terminal = Terminal::take(&fixture, &["status"], &[("NO_COLOR", "1")]);
    assert_eq!(terminal.ends(), Some(4));
    terminal.sees("dead");
    assert!(!terminal.text().contains('\x1b'), "{:?}", terminal.text());
    let mut terminal = Terminal::take(&fixture, &["stop", "web"], &[]);
    assert_eq!(terminal.ends(), Some(4));
    terminal.sees("\x1b[31mfail\x1b[0m: web");
}

#[test]
fn a_watch_redraws_on_change_and_gives_the_terminal_back() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    let mut terminal = Terminal::take(&fixture, &["status", "--watch"], &[]);
    terminal.sees("\x1b[?1049h");
    terminal.sees("\x1b[32mup\x1b[0m");
    until("keys are taken without echo", || (!terminal.echoes()).then_some(()));
    fixture.expect(0, &["stop", "web"]);
    terminal.sees("\x1b[35mdown\x1b[0m");
    fixture.service("later", STEADY);
    terminal.sees("later");
    fixture.expect(0, &["stop", "later"]);
    until("both are down on the screen", || {
        let text = terminal.text();
        let last = text.rsplit("MODULE").next().unwrap_or_default();
        (last.matches("\x1b[35mdown\x1b[0m").count() == 2).then_some(())
    });
    terminal.master.write_all(b"q").unwrap();
    assert_eq!(terminal.ends(), Some(0), "what is down is wanted down");
    terminal.sees(GIVEN_BACK);
    assert!(terminal.echoes());
}

#[test]
fn a_watch_that_is_killed_gives_the_terminal_back() {
    use nix::sys::signal::{Signal, kill};
    let fixture = Fixture::new();
    fixture.fabricate("web", &json!({ "state": "up" }));
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        let mut terminal = Terminal::take(&fixture, &["status", "--watch"], &[]);
        terminal.sees("dead");
        until("keys are taken without echo", || (!terminal.echoes()).then_some(()));
        kill(nix::unistd::Pid::from_raw(terminal.child.id() as i32), signal).unwrap();
        assert_eq!(terminal.ends(), Some(4), "{signal}");
        terminal.sees(GIVEN_BACK);
        assert!(terminal.echoes(), "{signal}");
    }
}

#[test]
fn a_watch_that_is_stopped_gives_the_terminal_back_for_as_long() {
    use nix::sys::signal::{Signal, kill};
    let fixture = Fixture::new();
    fixture.fabricate("web", &json!({ "state": "up" }));
    let mut terminal = Terminal::take(&fixture, &["status", "--watch"], &[]);
    terminal.sees("dead");
    let pid = nix::unistd::Pid::from_raw(terminal.child.id() as i32);
    kill(pid, Signal::SIGTSTP).unwrap();
    let is_stopped = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T ");
    until("it is stopped", || is_stopped().then_some(()));
    terminal.sees(GIVEN_BACK);
    assert!(terminal.echoes());
    kill(pid, Signal::SIGCONT).unwrap();
    until("it draws again", || (terminal.text().matches("\x1b[?1049h").count() == 2).then_some(()));
    until("keys are taken without echo", || (!terminal.echoes()).then_some(()));
    terminal.master.write_all(b"q").unwrap();
    assert_eq!(terminal.ends(), Some(4));
}

#[test]
fn a_watch_does_nothing_while_nothing_changes() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    let terminal = Terminal::take(&fixture, &["status", "--watch"], &[]);
    terminal.sees("q quits");
    terminal.sees("web");
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/status", terminal.child.id())).unwrap();
        let line = stat.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap().to_string();
        line.split_whitespace().last().unwrap().parse::<u64>().unwrap()
    };
    // It settles: what is written a moment after the state, and what its own first look caused, wakes it once more.
    until("it to sleep through a second", || {
        let before = (ticks(), terminal.text().len());
        std::thread::sleep(std::time::Duration::from_millis(1100));
        ((ticks(), terminal.text().len()) == before).then_some(())
    });
}

#[test]
fn a_watch_without_a_terminal_writes_a_line_of_json_for_each_change() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    let out = fixture.path().join("watched");
    let file = File::create(&out).unwrap();
    let mut child = fixture.command(&["--json", "status", "--watch"]).stdout(file).spawn().unwrap();
    let lines = || std::fs::read_to_string(&out).unwrap().lines().map(String::from).collect::<Vec<_>>();
    until("it begins", || (!lines().is_empty()).then_some(()));
    fixture.expect(0, &["stop", "web"]);
    let down =
        |line: &String| serde_json::from_str::<serde_json::Value>(line).is_ok_and(|all| all[0]["state"] == "down");
    until("the change is written", || lines().iter().any(down).then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_progress_line_shows_who_is_waited_for_and_goes_away() {
    let fixture = Fixture::tree(&[("web", STEADY)]);
    fixture.up("web");
    let mut terminal = Terminal::take(&fixture, &["restart", "web"], &[]);
    assert_eq!(terminal.ends(), Some(0));
    terminal.sees("ok: web: up");
    terminal.sees("\r\x1b[Kwaiting for 1 of 1: web");
    let text = terminal.text();
    let ok = text.find("ok: web").unwrap();
    assert!(text[..ok].ends_with("\r\x1b[K"), "{text:?}");
}
