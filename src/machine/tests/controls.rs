//! The scripts in `control/`: runit's rules.

use crate::machine::tests::story::*;
use crate::machine::words::command::{Command, Signal};
use crate::machine::words::events::Remains;
use crate::machine::{Answer, Control, Event, Leave, Next, Note, Reaped, SavedRun, SavedState, State, Stop, Want};
use crate::sys::process::record::Role;

/// A service that may have scripts, up.
fn up() -> Story {
    let mut story = Story::with(WITH_CONTROLS, policy());
    assert_eq!(story.step(Event::Begin(true)), "hook(0)");
    assert_eq!(story.step(Event::Answer(Answer::HookStarted(None))), "start");
    story.started();
    story.wait(5.0);
    story
}

const AFTER_DOWN: Control = Control::Stopped { leaving: false };
const AFTER_EXIT: Control = Control::Stopped { leaving: true };

fn got_term(story: &Story) -> bool {
    story.machine.run().expect("a run process").got_term
}

#[test]
fn down_asks_t_then_sends_term_and_cont_then_runs_d() {
    let mut story = up();
    assert_eq!(story.send('d'), "control/t");
    assert!(!got_term(&story));
    assert_eq!(story.control(Control::Stop, false), "TERM CONT control/d");
    assert!(got_term(&story));
    assert_eq!(story.control(AFTER_DOWN, true), "");
    assert_eq!(story.exits(0), "finish");
    story.no_finish();
    assert_eq!(story.state(), State::Down);
}

#[test]
fn a_t_that_exits_0_sends_no_term_and_still_cont_and_kill_after_its_time() {
    let mut story = up();
    story.send('d');
    assert_eq!(story.wait(3.0).control(Control::Stop, true), "CONT control/d");
    assert!(!got_term(&story));
    // From the script's end on, not from the command.
    assert_eq!(story.machine.deadline(), Some(at(18.0)));
    assert_eq!(story.due(), "KILL-group");
}

#[test]
fn leaving_runs_x_in_the_place_of_d() {
    for event in [Event::Leave(Leave::Stop), Event::Command(Command::StopAndExit)] {
        let mut story = up();
        assert_eq!(story.step(event), "control/t");
        assert_eq!(story.control(Control::Stop, false), "TERM CONT control/x");
        assert_eq!(story.control(AFTER_EXIT, false), "");
        story.exits(0);
        story.no_finish();
        assert_eq!(story.state(), State::Ended);
    }
}

#[test]
fn our_own_x_stops_nothing_and_runs_nothing() {
    let mut story = up();
    assert_eq!(story.send('x'), "");
    assert_eq!(story.machine.leave(), Some(Leave::WhenDown));
}

#[test]
fn each_signal_asks_its_script_and_is_sent_unless_that_exits_0() {
    for signal in [Signal::Hup, Signal::Usr1, Signal::Winch, Signal::Kill, Signal::Term] {
        let mut story = up();
        assert_eq!(story.signal(signal), format!("control/{}", signal.letter()));
        assert_eq!(story.control(Control::Signal(signal), true), "");
        story.signal(signal);
        let sent = crate::sys::process::pidfd::signal_name(signal.number());
        assert_eq!(story.control(Control::Signal(signal), false), sent);
        assert_eq!(got_term(&story), signal == Signal::Term);
    }
}

#[test]
fn pause_and_continue_set_and_clear_the_mark_whatever_the_script_says() {
    for (done, stop, cont) in [(true, "", ""), (false, "STOP", "CONT")] {
        let mut story = up();
        let paused = |story: &Story| story.machine.run().is_some_and(|run| run.paused);
        assert_eq!(story.send('p'), "control/p");
        assert!(!paused(&story));
        assert_eq!(story.control(Control::Pause, done), stop);
        assert!(paused(&story));
        assert_eq!(story.send('c'), "control/c");
        assert_eq!(story.control(Control::Continue, done), cont);
        assert!(!paused(&story));
    }
}

#[test]
fn an_end_that_a_script_brings_about_was_asked_for() {
    let mut story = up();
    story.signal(Signal::Term);
    // No alarm.
    assert_eq!(story.exits(1), "finish");
}

#[test]
fn up_while_t_is_asked_means_a_start_after_the_stop() {
    let mut story = up();
    story.send('d');
    assert_eq!(story.send('u'), "");
    assert_eq!(story.control(Control::Stop, false), "TERM CONT control/d");
    story.exits(0);
    assert_eq!(story.state(), State::FinishRequested(Next::Start));
    assert_eq!(story.no_finish(), "hook(1)");
    assert_eq!(story.step(Event::Answer(Answer::HookStarted(None))), "start");
}

#[test]
fn an_answer_for_an_earlier_process_means_nothing() {
    let mut story = up();
    let old = story.machine.run().expect("a run process").pid;
    story.send('d');
    story.exits(0);
    story.no_finish();
    story.send('u');
    story.step(Event::Answer(Answer::HookStarted(None)));
    story.started();
    assert_eq!(story.step(Event::Control { control: Control::Stop, run: old, done: false }), "");
    assert!(matches!(story.state(), State::Up(run) if run.stop == Stop::No));
}

#[test]
fn a_u_that_hangs_is_killed_and_the_start_comes_all_the_same() {
    let mut story = Story::with(WITH_CONTROLS, policy());
    story.step(Event::Begin(true));
    story.step(Event::Answer(Answer::HookStarted(Some(crate::sys::Pid::from_raw(300)))));
    assert_eq!(story.wait(9.9).step(Event::DeadlineReached), "");
    assert_eq!(story.due(), "kill-helper");
    assert_eq!(story.machine.deadline(), None);
    assert_eq!(story.step(Event::Reaped(Reaped::Hook)), "start");
}

#[test]
fn killing_at_once_waits_for_no_script() {
    let mut story = up();
    story.send('d');
    assert_eq!(story.step(Event::KillNow), "kill-controls KILL-group");
}

#[test]
fn a_stop_that_was_asked_for_when_its_supervisor_was_killed_begins_anew() {
    for (want, again) in [(Want::Down, false), (Want::Up, true)] {
        let mut story = Story::with(WITH_CONTROLS, policy());
        let run = SavedRun {
            pid: None,
            since: at(0.0),
            stop: Stop::No,
            expected_exit_until: None,
            restart_after_stop: again,
            fitness: crate::machine::health::Fitness::Starting,
            tells_by: None,
        };
        let saved = SavedState { want, run: Some(run), ..SavedState::UNKNOWN };
        let pid = crate::sys::Pid::from_raw(300);
        assert_eq!(story.step(Event::Resume(Box::new(saved), Remains::Lives(Role::Run, pid))), "control/t");
        assert!(
            matches!(story.state(), State::Up(run) if run.stop == Stop::Requested && run.restart_after_stop == again)
        );
    }
}

#[test]
fn what_waits_is_written_down_as_a_stop_that_has_not_begun() {
    let mut story = up();
    story.send('d');
    story.send('u');
    let mut memory = crate::status::state::Memory::default();
    story.machine.remember(&mut memory);
    assert!(!memory.stopping && memory.restart_after_stop);
}

#[test]
fn the_log_says_what_a_script_has_done() {
    let mut story = up();
    let run = story.machine.run().expect("a run process").pid;
    let done = |control| Event::Control { control, run, done: true };
    let actions = story.machine.step(done(Control::Signal(Signal::Hup)), story.now);
    assert_eq!(notes(&actions), [&Note::LeftToScript(Signal::Hup, run)]);
    story.send('d');
    let actions = story.machine.step(done(Control::Stop), story.now);
    let kill_after = Some(seconds(10.0));
    let stopping = Note::Stopping { pid: run, signal: libc::SIGTERM, left_to_script: true, kill_after };
    assert_eq!(notes(&actions), [&stopping]);
}
