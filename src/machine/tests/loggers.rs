//! Loggers: they read to the end of their input, and what keeps them from it: one story each.

use crate::conf::policy::{Policy, RestartPolicy};
use crate::machine::tests::story::*;
use crate::machine::{Event, Leave, Note, State, Stop};
use crate::sys::process::pidfd::ExitStatus;

fn end_of_input() -> Event {
    Event::Leave(Leave::EndOfInput)
}

#[test]
fn a_logger_is_left_alone_to_read_what_is_left() {
    let mut story = Story::up(policy());
    assert_eq!(story.step(end_of_input()), "");
    assert_eq!(story.exits(0), "finish");
    assert_eq!(story.no_finish(), "");
    assert_eq!((story.state(), story.machine.leave()), (State::Ended, Some(Leave::EndOfInput)));
}

#[test]
fn a_logger_that_goes_on_is_stopped_and_then_killed() {
    let mut story = Story::up(policy());
    story.step(end_of_input());
    assert_eq!(story.wait(9.9).step(Event::DeadlineReached), "");
    assert_eq!(story.due(), "TERM CONT");
    assert_eq!(story.due(), "KILL-group");
    assert_eq!(story.now, at(20.0));
}

#[test]
fn a_logger_without_kill_timeout_is_waited_for_ten_seconds() {
    let mut story = Story::up(Policy { kill_timeout: None, ..policy() });
    story.step(end_of_input());
    assert_eq!(story.machine.deadline(), Some(at(10.0)));
}

#[test]
fn a_logger_that_is_being_stopped_stays_so() {
    let mut story = Story::up(policy());
    story.send('d');
    assert_eq!(story.step(end_of_input()), "");
    assert!(matches!(story.state(), State::Up(run) if matches!(run.stop, Stop::Signalled(_))));
}

#[test]
fn a_logger_in_its_delay_is_started_at_once_to_read_the_last_words() {
    let mut story = Story::up(policy());
    story.exits(1);
    story.no_finish();
    assert_eq!(story.backoff(), seconds(1.0));
    assert_eq!(story.step(end_of_input()), "start");
    story.started();
    assert!(matches!(story.state(), State::Up(run) if matches!(run.stop, Stop::EndOfInput(_))));
    story.exits(0);
    story.no_finish();
    assert_eq!(story.state(), State::Ended);
}

#[test]
fn a_logger_in_its_finish_is_started_at_once_to_read_the_last_words() {
    for with_finish in [false, true] {
        let mut story = Story::up(policy());
        story.exits(1);
        if with_finish {
            story.finish_runs();
        }
        assert_eq!(story.step(end_of_input()), "");
        let then = if with_finish { story.finish_ends(0) } else { story.no_finish() };
        assert_eq!(then, "start");
        story.started();
        story.exits(0);
        assert_eq!(story.no_finish(), "");
        assert_eq!(story.state(), State::Ended);
    }
}

#[test]
fn a_logger_that_has_read_everything_is_not_started_again_by_up() {
    let mut story = Story::up(policy());
    story.step(end_of_input());
    story.exits(0);
    story.finish_runs();
    story.send('u');
    assert_eq!(story.finish_ends(0), "");
    assert_eq!(story.state(), State::Ended);
}

#[test]
fn a_logger_that_nobody_wants_up_just_leaves() {
    let mut story = Story::up(policy());
    story.exits(1);
    story.finish_runs();
    story.send('d');
    story.step(end_of_input());
    assert_eq!(story.finish_ends(0), "");
    assert_eq!(story.state(), State::Ended);
}

/// Died while it was to read to the end.
fn killed() -> Event {
    exited(ExitStatus::Signal { number: libc::SIGKILL, core: false })
}

#[test]
fn a_logger_that_dies_before_the_end_of_its_input_is_started_at_once_to_read_on() {
    for end in [killed(), exited(ExitStatus::Code(1)), exited(ExitStatus::Unknown)] {
        let mut story = Story::up(policy());
        story.step(end_of_input());
        assert_eq!(story.wait(1.0).step(end.clone()), "finish");
        assert_eq!(story.no_finish(), "start", "{end:?}");
        story.started();
        // The time that it has goes on.
        assert_eq!(story.machine.deadline(), Some(at(10.0)));
        assert_eq!(story.exits(0), "finish");
        assert_eq!(story.no_finish(), "");
        assert_eq!(story.state(), State::Ended);
    }
}

#[test]
fn a_logger_that_always_dies_is_started_five_times_and_not_after_its_time() {
    let mut story = Story::up(policy());
    story.step(end_of_input());
    for _ in 0..5 {
        story.step(killed());
        assert_eq!(story.no_finish(), "start");
        story.started();
    }
    let lost = story.machine.step(killed(), story.now);
    assert!(notes(&lost).contains(&&Note::LastWordsLost), "{lost:?}");
    assert_eq!(story.no_finish(), "");
    assert_eq!(story.state(), State::Ended);
    let mut late = Story::up(policy());
    late.step(end_of_input());
    assert_eq!(late.due(), "TERM CONT");
    late.step(killed());
    assert_eq!(late.no_finish(), "");
    assert_eq!(late.state(), State::Ended);
}

#[test]
fn a_logger_that_is_to_stop_or_that_restart_forbids_reads_no_rest() {
    let stopped = |how: fn(&mut Story)| {
        let mut story = Story::up(policy());
        story.step(end_of_input());
        how(&mut story);
        story.step(killed());
        assert_eq!(story.no_finish(), "");
        assert_eq!(story.state(), State::Ended);
    };
    stopped(|story| assert_eq!(story.send('d'), "TERM CONT"));
    stopped(|story| assert_eq!(story.step(Event::Leave(Leave::Stop)), "TERM CONT"));
    stopped(|story| assert_eq!(story.step(Event::KillNow), "KILL-group"));
    stopped(|story| story.policy(|policy| policy.restart = RestartPolicy::Never));
}

#[test]
fn a_logger_that_is_being_restarted_comes_back_to_read_the_rest() {
    let mut story = Story::up(policy());
    story.send('d');
    story.send('u');
    story.step(end_of_input());
    // It was told to end, not to read all.
    story.exits(0);
    assert_eq!(story.no_finish(), "start");
    story.started();
    assert!(matches!(story.state(), State::Up(run) if matches!(run.stop, Stop::EndOfInput(_))));
}

#[test]
fn a_reader_that_cannot_be_started_for_now_is_tried_again() {
    let mut story = Story::up(policy());
    story.step(end_of_input());
    story.wait(1.0).step(killed());
    assert_eq!(story.no_finish(), "start");
    story.step(start_failed(NO_PROCESSES));
    assert_eq!(story.backoff(), seconds(1.0));
    let mut cancelled = story.clone();
    cancelled.send('d');
    assert_eq!(cancelled.state(), State::Ended);
    assert_eq!(story.due(), "start");
    story.started();
    assert!(matches!(story.state(), State::Up(run) if matches!(run.stop, Stop::EndOfInput(_))));
}
