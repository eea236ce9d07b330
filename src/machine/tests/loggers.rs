//! Loggers: they read to the end of their input, and what keeps them from it: one story each.

use crate::conf::policy::Policy;
use crate::machine::tests::story::*;
use crate::machine::{Event, Leave, State, Stop};

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
