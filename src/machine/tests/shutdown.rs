//! Whose end is the tree's end (`shutdown_on`).

use crate::conf::policy::{Policy, RestartPolicy, ShutdownOn};
use crate::machine::tests::story::*;
use crate::machine::{Reason, State, Want};

fn up(shutdown_on: ShutdownOn) -> Story {
    let mut story = Story::up(Policy { shutdown_on, ..policy() });
    story.wait(5.0);
    story
}

#[test]
fn each_word_ends_the_tree_for_its_own_kind_of_end() {
    let shuts_down = |shutdown_on, code| up(shutdown_on).exits(code).contains("shutdown");
    for code in [0, 1] {
        assert!(!shuts_down(ShutdownOn::Never, code));
        assert!(!shuts_down(ShutdownOn::Failed, code));
        assert!(shuts_down(ShutdownOn::Exit, code));
        assert_eq!(shuts_down(ShutdownOn::Failure, code), code != 0);
    }
}

#[test]
fn nothing_is_started_again_once_the_tree_ends() {
    let mut story = up(ShutdownOn::Exit);
    assert_eq!(story.exits(0), "shutdown finish");
    assert_eq!(story.no_finish(), "");
    assert_eq!((story.state(), story.machine.want()), (State::Down, Want::Down));
    assert_eq!(story.machine.reason(), Some(Reason::ShutDown));
}

#[test]
fn giving_up_ends_the_tree_with_every_word_but_never() {
    for shutdown_on in [ShutdownOn::Never, ShutdownOn::Failed] {
        let mut story = up(shutdown_on);
        for _ in 0..3 {
            story.wait(2.0).exits(1);
            story.no_finish();
            story.started();
        }
        let gave_up = story.wait(2.0).exits(1);
        assert_eq!(gave_up.contains("shutdown"), shutdown_on == ShutdownOn::Failed, "{gave_up}");
    }
}

#[test]
fn an_end_that_was_asked_for_does_not_count() {
    for byte in ['d', 't', 'k', 'x', 'o'] {
        let mut story = up(ShutdownOn::Exit);
        story.send(byte);
        let ended = story.exits(1);
        assert!(!ended.contains("shutdown"), "after {byte}: {ended}");
    }
    // Nor one for a restart by hand.
    let mut story = up(ShutdownOn::Exit);
    story.send('d');
    story.send('u');
    assert_eq!(story.exits(1), "finish");
}

#[test]
fn a_start_that_cannot_succeed_counts_as_a_bad_end() {
    for (shutdown_on, error, ends) in [
        (ShutdownOn::Exit, NO_FILE, true),
        (ShutdownOn::Failure, NO_FILE, true),
        (ShutdownOn::Failed, NO_FILE, false),
        // Others may give back what it lacks.
        (ShutdownOn::Exit, NO_PROCESSES, false),
    ] {
        let mut story = up(ShutdownOn::Never);
        story.exits(1);
        story.no_finish();
        story.policy(|policy| policy.shutdown_on = shutdown_on);
        let failed = story.step(start_failed(error));
        assert_eq!(failed.contains("shutdown"), ends, "{shutdown_on:?} {error:?}: {failed}");
    }
}

#[test]
fn with_alarms_off_an_operator_is_at_work() {
    let mut story = up(ShutdownOn::Exit);
    story.send('s');
    assert!(!story.exits(1).contains("shutdown"));
}

#[test]
fn restart_never_and_exit_end_the_tree_alike() {
    let mut story = Story::up(Policy { shutdown_on: ShutdownOn::Exit, restart: RestartPolicy::Never, ..policy() });
    assert!(story.wait(5.0).exits(7).contains("shutdown"));
}
