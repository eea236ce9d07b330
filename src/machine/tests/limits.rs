//! What counts for the limits, hooks, and what was asked for while a start was under way: one story each.

use crate::conf::policy::{Policy, RestartPolicy};
use crate::machine::tests::story::*;
use crate::machine::{Action, Event, Leave, Next, Reaped, Reason, Setup, State, Want};
use crate::status::module_state::ModuleState;
use crate::status::rest::Rest;
use crate::sys::process::pidfd::ExitStatus;
use log::Level;

// ----- limits and alarms --------------------------------------------------------------------------------------

/// Ends by itself, and is started again.
fn fails_and_restarts(story: &mut Story) {
    story.wait(2.0).exits(1);
    assert_eq!(story.no_finish(), "start");
    story.started();
}

/// Gave up after three restarts.
fn given_up() -> Story {
    let mut story = Story::up(policy());
    for _ in 0..3 {
        fails_and_restarts(&mut story);
    }
    assert_eq!(story.wait(2.0).exits(1), "alarm(gave up after 3 restarts) finish");
    story.no_finish();
    assert_eq!((story.state(), story.machine.want()), (State::Failed, Want::Down));
    assert_eq!(story.machine.reason(), Some(Reason::GaveUpRestarts(3)));
    story
}

#[test]
fn up_revives_what_was_given_up_with_its_counters_cleared() {
    for byte in ['u', 'o'] {
        let mut story = given_up();
        assert_eq!(story.wait(2.0).send(byte), "start");
        assert_eq!(story.machine.reason(), None);
        story.started();
        story.send('u');
        for _ in 0..3 {
            fails_and_restarts(&mut story);
        }
        assert_eq!(story.wait(2.0).exits(1), "alarm(gave up after 3 restarts) finish");
    }
}

#[test]
fn up_while_finish_runs_after_giving_up_revives_it_too() {
    let mut story = Story::up(policy());
    story.wait(2.0).step(exited(CORE));
    assert_eq!(story.machine.reason(), Some(Reason::GaveUpCores(1)));
    story.finish_runs();
    story.send('u');
    assert_eq!(story.finish_ends(0), "start");
    story.started();
    assert_eq!(story.wait(2.0).exits(1), "alarm(Exited) finish");
}

#[test]
fn core_dumps_are_given_up_in_their_own_words() {
    let mut story = Story::up(Policy { max_cores: Some(1), ..policy() });
    assert_eq!(story.wait(2.0).step(exited(CORE)), "alarm(gave up after 1 core dump) finish");
}

#[test]
fn an_alarm_counts_the_restart_that_follows_and_none_that_does_not() {
    let restarts = |story: &mut Story| {
        story.wait(2.0);
        let actions = story.machine.step(exited(ExitStatus::Code(1)), story.now);
        actions.iter().find_map(|action| match action {
            Action::Alarm(alarm) => Some(alarm.restarts),
            _ => None,
        })
    };
    let mut story = Story::up(Policy { max_tries: Some(1), ..policy() });
    assert_eq!(restarts(&mut story), Some(1));
    story.no_finish();
    story.started();
    assert_eq!(restarts(&mut story), Some(1));
    let mut story = Story::up(Policy { restart: RestartPolicy::Never, ..policy() });
    assert_eq!(restarts(&mut story), Some(0));
}

#[test]
fn the_end_is_told_before_what_follows_from_it() {
    for (setup, line) in [
        (PLAIN, "gave up after 1 core dump: no restart; `svctl start web` starts it again"),
        (Setup { ends_when_failed: true, ..PLAIN }, "gave up after 1 core dump: no restart; supervision ends"),
    ] {
        let mut story = Story::up_with(setup, policy());
        let actions = story.machine.step(exited(CORE), story.now);
        let [ended, gave_up] = notes(&actions)[..] else { panic!("{actions:?}") };
        let text = ended.line("web").to_string();
        assert!(text.starts_with("pid 101 ended after 0.0 s: ") && text.ends_with("; giving up"), "{text}");
        assert_eq!((gave_up.level(), gave_up.line("web").to_string().as_str()), (Level::Error, line));
    }
}

#[test]
fn an_end_that_finish_is_still_to_judge_promises_no_restart() {
    for (code, has_finish, level, then) in [
        (0, true, Level::Info, "running finish; restarting in 1.0 s unless it exits 125"),
        (1, true, Level::Warn, "running finish; restarting in 1.0 s unless it exits 125"),
        (0, false, Level::Warn, "restarting in 1.0 s"),
    ] {
        let mut story = Story::up(policy());
        let status = ExitStatus::Code(code);
        let actions = story.machine.step(Event::Reaped(Reaped::Run { status, has_finish }), story.now);
        let [note] = notes(&actions)[..] else { panic!("{actions:?}") };
        let expected = format!("pid 101 ended after 0.0 s: exit code {code}; {then}");
        assert_eq!((note.level(), note.line("web").to_string()), (level, expected));
        let carries =
            |action: &Action| matches!(action, Action::RunFinish { has_finish: told, .. } if *told == has_finish);
        assert!(actions.iter().any(carries), "{actions:?}");
    }
    // Whoever has requested the end is told that the service is down, finish or not.
    let mut story = Story::up(policy());
    story.send('d');
    let exit = Event::Reaped(Reaped::Run { status: ExitStatus::Code(0), has_finish: true });
    let actions = story.machine.step(exit, story.now);
    assert!(notes(&actions)[0].line("web").to_string().ends_with("; down"), "{actions:?}");
}

#[test]
fn down_does_not_make_given_up_look_like_down() {
    let mut story = given_up();
    story.send('d');
    assert_eq!(story.state(), State::Failed);
}

#[test]
fn an_exit_that_was_asked_for_does_not_count() {
    for byte in ['k', 't', 'i', 'q'] {
        let mut story = Story::up(policy());
        for _ in 0..9 {
            story.wait(2.0).send(byte);
            assert_eq!(story.step(exited(ExitStatus::Signal { number: 9, core: false })), "finish");
            assert_eq!(story.no_finish(), "start");
            story.started();
        }
    }
}

#[test]
fn an_exit_long_after_the_signal_was_not_asked_for() {
    let mut story = Story::up(policy());
    story.send('t');
    assert_eq!(story.clone().wait(60.0).exits(0), "finish");
    assert_eq!(story.clone().wait(60.1).exits(0), "alarm(Exited) finish");
}

#[test]
fn a_signal_that_asks_for_no_end_makes_an_exit_count() {
    for byte in ['h', 'a', '1', '2', 'w', 'p', 'c'] {
        let mut story = Story::up(policy());
        story.send(byte);
        assert_eq!(story.exits(0), "alarm(Exited) finish", "{byte}");
    }
}

#[test]
fn the_signal_to_the_last_process_does_not_excuse_the_next_one() {
    let mut story = Story::up(policy());
    story.wait(2.0).send('k');
    story.exits(0);
    story.no_finish();
    story.started();
    assert_eq!(story.exits(0), "alarm(Exited) finish");
}

#[test]
fn alarms_can_be_switched_off_while_the_limits_stay() {
    let mut story = Story::up(policy());
    story.send('s');
    assert_eq!(story.clone().exits(1), "finish");
    assert_eq!(story.clone().step(exited(CORE)), "finish");
    story.send('n');
    assert_eq!(story.exits(1), "alarm(Exited) finish");
}

#[test]
fn a_start_that_fails_for_want_of_processes_is_tried_again_and_does_not_count() {
    let mut story = Story::new(policy());
    story.step(Event::Begin(true));
    for _ in 0..9 {
        assert_eq!(story.step(start_failed(NO_PROCESSES)), "");
        assert_eq!(story.machine.reason(), Some(Reason::StartFailed(NO_PROCESSES)));
        assert_eq!(story.backoff(), seconds(1.0));
        assert_eq!(story.due(), "start");
    }
    story.started();
    assert_eq!(story.machine.reason(), None);
    assert_eq!(story.exits(1), "alarm(Exited) finish");
}

#[test]
fn a_start_that_needs_a_person_counts_like_an_exit() {
    let mut story = Story::new(policy());
    story.step(Event::Begin(true));
    for expected in ["alarm(Exited) finish", "finish", "finish"] {
        assert_eq!(story.step(start_failed(NO_FILE)), expected);
        story.no_finish();
        assert_eq!(story.due(), "start");
    }
    assert_eq!(story.step(start_failed(NO_FILE)), "alarm(gave up after 3 restarts) finish");
    story.no_finish();
    assert_eq!(story.state(), State::Failed);
}

#[test]
fn a_start_that_fails_under_once_is_not_tried_again() {
    let mut story = Story::new(policy());
    story.step(Event::Begin(false));
    story.send('o');
    assert_eq!(story.step(start_failed(NO_FILE)), "finish");
    story.no_finish();
    assert_eq!((story.state(), story.machine.want()), (State::Down, Want::Down));
}

#[test]
fn the_restart_setting_decides_after_an_exit_that_nobody_asked_for() {
    let failed = Rest::Restart { never: true, exit: ExitStatus::Code(1) };
    for (restart, code, rest) in [
        (RestartPolicy::Never, 0, Some(Rest::Finished)),
        (RestartPolicy::Never, 1, Some(failed)),
        (RestartPolicy::OnFailure, 0, Some(Rest::Finished)),
        (RestartPolicy::OnFailure, 1, None),
        (RestartPolicy::Always, 0, None),
    ] {
        let mut story = Story::up(Policy { restart, ..policy() });
        story.wait(5.0).exits(code);
        assert_eq!(story.no_finish(), if rest.is_none() { "start" } else { "" }, "{restart:?} {code}");
        assert_eq!(story.machine.reason(), rest.map(Reason::Rests));
        let done = story.machine.shown_state() == ModuleState::Done;
        assert_eq!(done, rest == Some(Rest::Finished), "{restart:?} {code}");
    }
}

#[test]
fn what_is_down_says_why() {
    let reason = |story: &Story| story.machine.reason();
    let mut stopped = Story::up(policy());
    stopped.send('d');
    stopped.exits(0);
    stopped.no_finish();
    assert_eq!(reason(&stopped), Some(Reason::Rests(Rest::Command)));
    let mut once = Story::up(policy());
    once.send('o');
    once.exits(3);
    once.no_finish();
    assert_eq!(reason(&once), Some(Reason::Rests(Rest::Once(ExitStatus::Code(3)))));
    once.send('d');
    assert_eq!(reason(&once), Some(Reason::Rests(Rest::Once(ExitStatus::Code(3)))), "it did not run");
    let mut delayed = Story::up(policy());
    delayed.exits(1);
    delayed.no_finish();
    delayed.send('d');
    assert_eq!((delayed.state(), reason(&delayed)), (State::Down, Some(Reason::Rests(Rest::Command))));
}

#[test]
fn ends_are_counted_where_nobody_has_asked_for_them() {
    let mut story = Story::up(policy());
    story.wait(5.0).exits(1);
    story.no_finish();
    story.wait(1.0);
    story.send('d');
    let tally = story.machine.tally();
    assert_eq!((tally.exits, tally.failed_starts, tally.recent.count(story.now)), (1, 0, 1));
    assert_eq!(tally.recent.count(story.now + seconds(400.0)), 0);
}

#[test]
fn a_reason_that_is_overruled_is_forgotten_at_once() {
    let mut story = Story::up(Policy { restart: RestartPolicy::Never, ..policy() });
    story.exits(0);
    story.no_finish();
    assert_eq!(story.send('u'), "");
    assert_eq!((story.backoff(), story.machine.reason()), (seconds(1.0), None));
}

// ----- the restart hook, and what is asked for while a start is under way ------------------------------------------

/// The hook was asked for, after the first end.
fn hooked() -> Story {
    let mut story = Story::up_with(WITH_HOOK, Policy { interval: None, ..policy() });
    assert_eq!(story.wait(5.0).exits(1), "hook(1)");
    story
}

#[test]
fn the_hook_comes_after_each_end_whatever_was_wanted() {
    let mut story = hooked();
    story.finish_runs();
    assert_eq!(story.finish_ends(125), "start", "it cannot forbid the restart");
    for (bytes, state) in [("d", State::Down), ("o", State::Down), ("x", State::Ended)] {
        let mut story = Story::up_with(WITH_HOOK, Policy { interval: None, ..policy() });
        story.wait(5.0);
        bytes.chars().for_each(|byte| drop(story.send(byte)));
        assert_eq!(story.exits(0), "hook(1)", "{bytes}");
        assert_eq!(story.no_finish(), "", "{bytes}");
        assert_eq!(story.state(), state, "{bytes}");
    }
}

#[test]
fn the_hook_comes_at_once_and_the_start_after_the_delay() {
    let mut story = Story::up_with(WITH_HOOK, Policy { interval: None, ..policy() });
    assert_eq!(story.wait(0.25).exits(1), "hook(1)");
    assert_eq!(story.no_finish(), "");
    assert_eq!(story.state(), State::Backoff { until: at(1.0) });
}

#[test]
fn down_while_the_hook_is_prepared_or_runs_means_no_start() {
    let mut story = hooked();
    story.send('d');
    assert_eq!(story.no_finish(), "");
    assert_eq!(story.state(), State::Down);

    let mut story = hooked();
    story.finish_runs();
    assert_eq!(story.machine.deadline(), None, "it may take as long as it likes");
    story.send('d');
    assert_eq!(story.finish_ends(0), "");
    assert_eq!(story.state(), State::Down);
}

#[test]
fn leaving_does_not_wait_for_a_hook_that_runs() {
    for leave in [Leave::WhenDown, Leave::Stop] {
        let mut story = hooked();
        story.finish_runs();
        assert_eq!(story.step(Event::Leave(leave)), "kill-helper");
        assert_eq!(story.finish_ends(9), "");
        assert_eq!(story.state(), State::Ended);
    }
}

// ----- what scripts of the C program rely on ---------------------------------------------------------------------------

#[test]
fn while_alarms_are_off_nothing_counts() {
    let mut story = Story::up(Policy { max_tries: Some(1), max_cores: Some(1), ..policy() });
    story.send('s');
    for _ in 0..4 {
        story.wait(5.0);
        assert_eq!(story.step(exited(CORE)), "finish");
        assert_eq!(story.no_finish(), "start");
        story.started();
    }
    story.send('n');
    story.wait(5.0);
    assert!(story.exits(1).contains("alarm"), "the first of its window");
}

#[test]
fn a_reset_begins_a_new_window() {
    let mut story = Story::up(Policy { max_tries: Some(1), ..policy() });
    for _ in 0..4 {
        story.wait(5.0);
        assert!(story.exits(1).contains("alarm"));
        assert_eq!(story.no_finish(), "start");
        story.started();
        assert_eq!(story.step(Event::ResetLimits), "");
    }
}

#[test]
fn once_while_a_stop_goes_on_starts_nothing_after_it() {
    for (bytes, again) in [("do", false), ("du", true), ("duo", false), ("dou", true)] {
        let mut story = Story::up(policy());
        story.wait(5.0);
        bytes.chars().for_each(|byte| drop(story.send(byte)));
        story.exits(0);
        assert_eq!(story.no_finish(), if again { "start" } else { "" }, "{bytes}");
    }
}

#[test]
fn what_was_asked_for_during_a_start_is_done_after_it() {
    let launching = || {
        let mut story = Story::new(policy());
        story.step(Event::Begin(true));
        story
    };
    for (bytes, then) in [("d", "TERM CONT"), ("du", ""), ("x", ""), ("xd", "TERM CONT"), ("o", "")] {
        let mut story = launching();
        for byte in bytes.chars() {
            assert_eq!(story.send(byte), "");
        }
        assert_eq!(story.started(), then, "{bytes}");
    }
    for (event, then) in
        [(Event::Leave(Leave::Stop), "TERM CONT"), (Event::KillNow, "TERM CONT"), (Event::Leave(Leave::EndOfInput), "")]
    {
        let mut story = launching();
        story.step(event.clone());
        assert_eq!(story.started(), then, "{event:?}");
        assert!(story.machine.deadline().is_some());
    }
}

#[test]
fn a_start_that_fails_while_leaving_is_not_tried_again() {
    for error in [NO_FILE, NO_PROCESSES] {
        let mut story = Story::new(policy());
        story.step(Event::Begin(true));
        story.step(Event::Leave(Leave::Stop));
        story.step(start_failed(error));
        if story.state() == State::FinishRequested(Next::AsWanted) {
            story.no_finish();
        }
        assert_eq!(story.state(), State::Ended);
    }
}
