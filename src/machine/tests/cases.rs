//! The rules of the manual, one story each.

use crate::conf::policy::{KillMode, Policy, RestartPolicy};
use crate::machine::tests::story::*;
use crate::machine::words::command::Signal;
use crate::machine::{Action, Event, Leave, Next, Reaped, Reason, State, Stop, Want};
use crate::status::rest::Rest;
use crate::sys::process::pidfd::ExitStatus;

// ----- up, down, once ---------------------------------------------------------------------------------------

#[test]
fn down_then_up_while_it_stops_starts_it_again_after_the_end_whatever_the_policy() {
    let mut story = Story::up(Policy { restart: RestartPolicy::Never, ..policy() });
    story.wait(5.0);
    assert_eq!(story.send('d'), "TERM CONT");
    assert_eq!(story.send('u'), "");
    assert!(matches!(story.state(), State::Up(run) if run.restart_after_stop && run.stop != Stop::No));
    assert_eq!(story.exits(0), "finish");
    assert_eq!(story.state(), State::FinishRequested(Next::Start));
    assert_eq!(story.no_finish(), "start");
}

#[test]
fn a_second_down_takes_the_up_between_them_back() {
    let mut story = Story::up(policy());
    story.wait(5.0);
    for byte in ['d', 'u', 'd'] {
        story.send(byte);
    }
    story.exits(0);
    assert_eq!(story.no_finish(), "");
    assert_eq!(story.state(), State::Down);
}

#[test]
fn once_while_it_runs_lets_it_run_and_starts_no_other() {
    let mut story = Story::up(policy());
    assert_eq!(story.send('o'), "");
    assert_eq!(story.exits(1), "finish");
    story.no_finish();
    assert_eq!((story.state(), story.machine.want()), (State::Down, Want::Once));
}

#[test]
fn up_after_once_makes_it_stay() {
    let mut story = Story::new(policy());
    story.step(Event::Begin(false));
    assert_eq!(story.send('o'), "start");
    story.started();
    story.wait(5.0).send('u');
    story.exits(0);
    assert_eq!(story.no_finish(), "start");
}

#[test]
fn a_down_file_keeps_it_down_until_somebody_wants_it() {
    let mut story = Story::new(policy());
    assert_eq!(story.step(Event::Begin(false)), "");
    assert_eq!((story.state(), story.machine.reason()), (State::Down, Some(Reason::Rests(Rest::DownFile))));
    assert_eq!(story.send('u'), "start");
    assert_eq!(story.machine.reason(), None);
}

// ----- backoff ----------------------------------------------------------------------------------------------

/// In a delay that has grown to 8 s, of which nothing has passed.
fn backoff() -> Story {
    let mut story = Story::up(Policy { interval: None, delay_max: seconds(60.0), ..policy() });
    for _ in 0..3 {
        story.exits(1);
        story.no_finish();
        assert_eq!(story.due(), "start");
        story.started();
    }
    story.exits(1);
    story.no_finish();
    assert_eq!(story.backoff(), seconds(8.0));
    story
}

#[test]
fn up_cuts_a_grown_delay_but_honours_restart_delay() {
    let mut story = backoff();
    story.wait(0.25);
    assert_eq!(story.send('u'), "");
    assert_eq!(story.backoff(), seconds(0.75));
    assert_eq!(story.send('u'), "");
    assert_eq!(story.backoff(), seconds(0.75));
    assert_eq!(story.due(), "start");
}

#[test]
fn up_after_the_plain_delay_starts_at_once() {
    let mut story = backoff();
    assert_eq!(story.wait(1.5).send('u'), "start");
}

#[test]
fn down_in_a_delay_cancels_the_start_and_up_brings_it_back() {
    let mut story = backoff();
    assert_eq!(story.send('d'), "");
    assert_eq!((story.state(), story.machine.deadline()), (State::Down, None));
    assert_eq!(story.send('u'), "");
    assert_eq!(story.backoff(), seconds(1.0));
}

#[test]
fn a_deadline_that_is_not_reached_starts_nothing() {
    let mut story = backoff();
    assert_eq!(story.wait(7.9).step(Event::DeadlineReached), "");
    assert_eq!(story.wait(0.1).step(Event::DeadlineReached), "start");
}

// ----- finish -----------------------------------------------------------------------------------------------

fn finishing() -> Story {
    let mut story = Story::up(policy());
    story.wait(5.0).exits(1);
    story.finish_runs();
    story
}

#[test]
fn down_during_finish_means_no_start_after_it() {
    let mut story = finishing();
    story.send('d');
    assert_eq!(story.finish_ends(0), "");
    assert_eq!(story.state(), State::Down);
}

#[test]
fn down_then_up_during_finish_means_a_start_after_it() {
    let mut story = finishing();
    story.send('d');
    story.send('u');
    assert_eq!(story.finish_ends(0), "start");
}

#[test]
fn finish_125_means_no_restart_unless_somebody_asks_for_one_meanwhile() {
    let mut story = finishing();
    assert_eq!(story.finish_ends(125), "");
    let expected = (State::Down, Want::Down, Some(Reason::Rests(Rest::Finish)));
    assert_eq!((story.state(), story.machine.want(), story.machine.reason()), expected);

    let mut story = finishing();
    story.send('u');
    assert_eq!(story.finish_ends(125), "start");
    assert_eq!(story.machine.want(), Want::Up);
}

#[test]
fn once_during_finish_starts_it_once_more() {
    let mut story = finishing();
    story.send('o');
    assert_eq!(story.finish_ends(125), "start");
    assert_eq!(story.machine.want(), Want::Once);
}

#[test]
fn a_finish_that_hangs_is_killed_once() {
    let mut story = finishing();
    assert_eq!(story.wait(4.9).step(Event::DeadlineReached), "");
    assert_eq!(story.due(), "kill-helper");
    assert_eq!(story.machine.deadline(), None);
    assert_eq!(
        story.step(Event::Reaped(Reaped::Finish(ExitStatus::Signal { number: libc::SIGKILL, core: false }))),
        "start"
    );
}

#[test]
fn without_finish_timeout_it_may_run_for_ever() {
    let mut story = finishing();
    story.finish_ends(0);
    story.policy(|policy| policy.finish_timeout = None);
    story.started();
    story.exits(0);
    story.finish_runs();
    assert_eq!(story.machine.deadline(), None);
}

#[test]
fn during_finish_no_signal_is_sent_to_anybody() {
    let mut story = finishing();
    for byte in ['k', 't', 'i', 'h', 'a', 'q', '1', '2', 'w', 'p', 'c'] {
        assert_eq!(story.send(byte), "", "{byte}");
    }
}

// ----- exit -------------------------------------------------------------------------------------------------

#[test]
fn exit_lets_it_run_and_leaves_after_its_end() {
    let mut story = Story::up(policy());
    assert_eq!(story.wait(5.0).send('x'), "");
    assert_eq!(story.send('u'), "");
    assert_eq!(story.exits(1), "finish");
    story.finish_runs();
    assert_eq!(story.finish_ends(0), "");
    assert_eq!((story.state(), story.machine.leave()), (State::Ended, Some(Leave::WhenDown)));
}

#[test]
fn exit_during_finish_waits_for_it() {
    let mut story = finishing();
    assert_eq!(story.send('x'), "");
    assert_eq!(story.finish_ends(0), "");
    assert_eq!(story.state(), State::Ended);
}

#[test]
fn exit_after_down_leaves_when_it_has_stopped() {
    let mut story = Story::up(policy());
    story.send('d');
    story.send('x');
    story.exits(0);
    story.no_finish();
    assert_eq!(story.state(), State::Ended);
}

#[test]
fn why_supervision_ended_is_known_whatever_the_state_was() {
    let leaves = [Leave::WhenDown, Leave::EndOfInput, Leave::Stop].map(|leave| (Event::Leave(leave), leave));
    for (event, leave) in leaves.into_iter().chain([(Event::KillNow, Leave::Stop)]) {
        let mut down = Story::new(policy());
        down.step(Event::Begin(false));
        let mut failed = Story::up(policy());
        failed.step(exited(CORE));
        failed.no_finish();
        for mut story in [down, failed] {
            story.step(event.clone());
            assert_eq!((story.state(), story.machine.leave()), (State::Ended, Some(leave)));
        }
    }
}

// ----- signals, pause -----------------------------------------------------------------------------------------

#[test]
fn each_byte_sends_its_signal_once() {
    let sent = [('k', "KILL"), ('t', "TERM"), ('i', "INT"), ('h', "HUP"), ('a', "ALRM"), ('q', "QUIT")];
    for (byte, signal) in sent.into_iter().chain([('1', "USR1"), ('2', "USR2"), ('w', "WINCH")]) {
        let mut story = Story::up(policy());
        assert_eq!(story.send(byte), signal);
        story.policy(|policy| policy.kill_mode = KillMode::Group);
        assert_eq!(story.send(byte), format!("{signal}-group"));
    }
}

#[test]
fn pause_and_continue_set_and_clear_the_mark_and_a_stop_clears_it_too() {
    let paused = |story: &Story| story.machine.run().is_some_and(|run| run.paused);
    let mut story = Story::up(policy());
    assert_eq!(story.send('p'), "STOP");
    assert!(paused(&story));
    assert_eq!(story.send('u'), "");
    assert!(paused(&story));
    assert_eq!(story.send('c'), "CONT");
    assert!(!paused(&story));
    story.send('p');
    assert_eq!(story.send('d'), "TERM CONT");
    assert!(!paused(&story));
}

#[test]
fn a_new_process_is_not_paused() {
    let mut story = Story::up(policy());
    story.send('p');
    story.wait(5.0).send('k');
    story.exits(0);
    story.no_finish();
    story.started();
    assert!(story.machine.run().is_some_and(|run| !run.paused));
}

// ----- stopping -----------------------------------------------------------------------------------------------

#[test]
fn kill_follows_after_kill_timeout_which_a_second_down_does_not_begin_anew() {
    let mut story = Story::up(policy());
    story.send('d');
    assert_eq!(story.wait(6.0).send('d'), "TERM CONT");
    assert_eq!(story.machine.deadline(), Some(at(10.0)));
    assert_eq!(story.wait(3.9).step(Event::DeadlineReached), "");
    assert_eq!(story.due(), "KILL-group");
    assert_eq!(story.machine.deadline(), None);
}

#[test]
fn without_kill_timeout_nothing_follows_until_one_is_set_and_a_stop_asked_for_again() {
    let mut story = Story::up(Policy { kill_timeout: None, ..policy() });
    story.send('d');
    assert_eq!(story.machine.deadline(), None);
    story.policy(|policy| policy.kill_timeout = Some(seconds(3.0)));
    story.wait(5.0).send('d');
    assert_eq!(story.machine.deadline(), Some(at(8.0)));
}

#[test]
fn another_stop_signal_is_sent_when_the_settings_say_so() {
    let mut story = Story::up(Policy { stop_signal: libc::SIGQUIT, kill_mode: KillMode::Group, ..policy() });
    assert_eq!(story.send('d'), "QUIT-group CONT-group");
}

#[test]
fn what_is_left_of_the_group_is_killed_as_kill_mode_says() {
    for (mode, running, stopping, killed) in [
        (KillMode::Process, false, false, "KILL"),
        (KillMode::Mixed, false, true, "KILL-group"),
        (KillMode::Group, true, true, "KILL-group"),
    ] {
        let mut story = Story::up(Policy { kill_mode: mode, ..policy() });
        assert_eq!(story.machine.kills_leftovers(), running, "{mode:?}");
        story.signal(Signal::Term);
        assert_eq!(story.machine.kills_leftovers(), running, "{mode:?}: a signal is not a stop");
        story.send('d');
        assert_eq!(story.machine.kills_leftovers(), stopping, "{mode:?}");
        assert_eq!(story.due(), killed);
        assert_eq!(story.machine.kills_leftovers(), stopping, "{mode:?}");
    }
}

#[test]
fn kill_now_kills_what_runs_and_leaves() {
    let mut story = Story::up(policy());
    assert_eq!(story.step(Event::KillNow), "KILL-group");
    assert_eq!(story.step(Event::KillNow), "KILL-group");
    let ended = Event::Reaped(Reaped::Run { status: ExitStatus::Code(0), has_finish: true });
    let actions = story.machine.step(ended, story.now);
    let finish = |action: &Action| matches!(action, Action::RunFinish { has_finish: false, .. });
    assert!(actions.iter().any(finish), "nobody waits for a finish: {actions:?}");
    assert_eq!(story.no_finish(), "");
    assert_eq!(story.state(), State::Ended);

    let mut story = finishing();
    assert_eq!(story.step(Event::KillNow), "kill-helper");
    story.finish_ends(0);
    assert_eq!(story.state(), State::Ended);
}
