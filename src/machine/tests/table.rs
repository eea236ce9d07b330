//! Every event in every state: the next state, and the actions.
//!
//! [`expected`] is the table. It names every event in every state, so an event that is added compiles only when its
//! column is written.

use crate::machine::tests::rows::{At, On, event, here, kind, reach, with_finish};
use crate::machine::tests::story::*;
use crate::machine::{Event, Leave, Want};

/// The table. An empty text: no action.
#[rustfmt::skip] // One line for one rule.
fn expected(at: At, on: On) -> (At, &'static str) {
    use On::*;
    let stays = (at, "");
    match at {
        At::Down => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            BeginUp | Resume | Up | Once => (At::StartRequested, "start"),
            Adopt => (At::Up, ""),
            EndedUnseen => (At::FinishRequested, "alarm(Exited) finish"),
            Exit | StopAndExit | LeaveWhenDown | LeaveEndOfInput | LeaveStop | KillNow => (At::Ended, ""),
            BeginDown | Down | Term | Hup | Pause | Continue | Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            TooEarly | DeadlineReached => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => cannot_come(at, on),
            Exited | ExitedWell | FinishStarted | NoFinish | FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
        At::Backoff => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            DeadlineReached => (At::StartRequested, "start"),
            Down => (At::Down, ""),
            Exit | StopAndExit | LeaveWhenDown | LeaveStop | KillNow => (At::Ended, ""),
            LeaveEndOfInput => (At::StartRequested, "start"),
            // The delay has not grown, so there is nothing to cut.
            Up | Once => stays,
            TooEarly | Term | Hup | Pause | Continue | Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => cannot_come(at, on),
            Exited | ExitedWell | FinishStarted | NoFinish | FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
        At::Waiting => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            Down => (At::Down, ""),
            Exit | StopAndExit | LeaveWhenDown | LeaveEndOfInput | LeaveStop | KillNow => (At::Ended, ""),
            Up | Once => stays,
            TooEarly | DeadlineReached => stays,
            Term | Hup | Pause | Continue | Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => cannot_come(at, on),
            Exited | ExitedWell | FinishStarted | NoFinish | FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
        At::PreStartRequested => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            HookStarted => (At::PreStart, ""),
            NoHook => (At::StartRequested, "start"),
            // They are remembered until the hook's answer is there.
            Up | Down | Once | Exit | StopAndExit | LeaveWhenDown | LeaveEndOfInput | LeaveStop | KillNow => stays,
            Term | Hup | Pause | Continue | Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            TooEarly | DeadlineReached => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookEnded | Started | StartFailed | StartFailedForNow | Exited | ExitedWell | FinishStarted => cannot_come(at, on),
            NoFinish | FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
        At::PreStart => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            HookEnded => (At::StartRequested, "start"),
            Exit | StopAndExit | LeaveWhenDown | LeaveStop | KillNow | DeadlineReached => (At::PreStart, "kill-helper"),
            // They are remembered until the hook has ended.
            Up | Down | Once | LeaveEndOfInput => stays,
            Term | Hup | Pause | Continue | Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            TooEarly => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookStarted | NoHook | Started | StartFailed | StartFailedForNow | Exited | ExitedWell => cannot_come(at, on),
            FinishStarted | NoFinish | FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
        At::StartRequested => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            Started => (At::Up, ""),
            StartFailed => (At::FinishRequested, "alarm(Exited) finish"),
            StartFailedForNow => (At::Backoff, ""),
            // They are remembered until the start's answer is there.
            Up | Down | Once | Exit | StopAndExit | LeaveWhenDown | LeaveEndOfInput | LeaveStop | KillNow => stays,
            Term | Hup | Pause | Continue | Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            TooEarly | DeadlineReached => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookStarted | NoHook | HookEnded | Exited | ExitedWell | FinishStarted | NoFinish => cannot_come(at, on),
            FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
        At::Up => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            Exited | ExitedWell => (At::FinishRequested, "alarm(Exited) finish"),
            Down | StopAndExit | LeaveStop => (At::Stopping, "TERM CONT"),
            LeaveEndOfInput => (At::Draining, ""),
            KillNow => (At::Killed, "KILL-group"),
            Up | Once | Exit | LeaveWhenDown | TooEarly | DeadlineReached => stays,
            Term | Hup | Pause | Continue => running(at, on),
            Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            AskedStop | AskedStopDone => stays,
            AskedTerm | AskedTermDone | AskedPause | AskedContinueDone | AfterStop | AskedForAnother => running(at, on),
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => cannot_come(at, on),
            FinishStarted | NoFinish | FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
        At::Held => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            Exited | ExitedWell => (At::FinishRequested, "finish"),
            DeadlineReached => (At::Stopping, "TERM CONT"),
            KillNow => (At::Killed, "KILL-group"),
            // It is asked for already; `u` and `o` mean a start after the end.
            TooEarly | Down | StopAndExit | LeaveStop | Up | Once | Exit | LeaveWhenDown | LeaveEndOfInput => stays,
            Term | Hup | Pause | Continue => running(at, on),
            Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            AskedStop | AskedStopDone => stays,
            AskedTerm | AskedTermDone | AskedPause | AskedContinueDone | AfterStop | AskedForAnother => running(at, on),
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => cannot_come(at, on),
            FinishStarted | NoFinish | FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
        At::Draining => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            // One that dies before the end of its input is started again; exit code 0 says that it is through.
            Exited => (At::RequestedToStart, "finish"),
            ExitedWell => (At::FinishRequested, "finish"),
            DeadlineReached | Down | StopAndExit | LeaveStop => (At::Stopping, "TERM CONT"),
            KillNow => (At::Killed, "KILL-group"),
            TooEarly | Up | Once | Exit | LeaveWhenDown | LeaveEndOfInput => stays,
            Term | Hup | Pause | Continue => running(at, on),
            Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            AskedStop | AskedStopDone => stays,
            AskedTerm | AskedTermDone | AskedPause | AskedContinueDone | AfterStop | AskedForAnother => running(at, on),
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => cannot_come(at, on),
            FinishStarted | NoFinish | FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
        // Here there may be scripts, so signals go through them, and the stop signal is followed by one.
        At::Asked => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            Exited | ExitedWell => (At::FinishRequested, "finish"),
            KillNow => (At::Killed, "kill-controls KILL-group"),
            AskedStop => (At::Stopping, "TERM CONT control/d"),
            AskedStopDone => (At::Stopping, "CONT control/d"),
            // It has been asked for; `u` and `o` mean a start after the end.
            Down | StopAndExit | LeaveStop | Up | Once | Exit | LeaveWhenDown | LeaveEndOfInput => stays,
            Term => (at, "control/t"),
            Hup => (at, "control/h"),
            Pause => (at, "control/p"),
            Continue => (at, "control/c"),
            AskedTerm | AskedTermDone | AskedPause | AskedContinueDone | AfterStop | AskedForAnother => running(at, on),
            TooEarly | DeadlineReached | Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => cannot_come(at, on),
            FinishStarted | NoFinish | FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
        At::Stopping => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            Exited | ExitedWell => (At::FinishRequested, "finish"),
            DeadlineReached | KillNow => (At::Killed, "KILL-group"),
            Down | StopAndExit | LeaveStop => (At::Stopping, "TERM CONT"),
            // `u` and `o` mean a start after the end.
            TooEarly | Up | Once | Exit | LeaveWhenDown | LeaveEndOfInput => stays,
            Term | Hup | Pause | Continue => running(at, on),
            Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            AskedStop => (At::Stopping, "TERM CONT"),
            AskedStopDone => (At::Stopping, "CONT"),
            AskedTerm | AskedTermDone | AskedPause | AskedContinueDone | AfterStop | AskedForAnother => running(at, on),
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => cannot_come(at, on),
            FinishStarted | NoFinish | FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
        At::Killed => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            Exited | ExitedWell => (At::FinishRequested, "finish"),
            Down | StopAndExit | LeaveStop => (At::Killed, "TERM CONT"),
            KillNow => (At::Killed, "KILL-group"),
            TooEarly | DeadlineReached | Up | Once | Exit | LeaveWhenDown | LeaveEndOfInput => stays,
            Term | Hup | Pause | Continue => running(at, on),
            Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            AskedStop => (At::Killed, "TERM CONT"),
            AskedStopDone => (At::Killed, "CONT"),
            AskedTerm | AskedTermDone | AskedPause | AskedContinueDone | AfterStop | AskedForAnother => running(at, on),
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => cannot_come(at, on),
            FinishStarted | NoFinish | FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
        At::FinishRequested | At::RequestedToStart | At::RequestedToStayDown | At::RequestedToGiveUp | At::RequestedDone => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            FinishStarted => (with_finish(at), ""),
            NoFinish => after_finish(at),
            Up | Once => (At::RequestedToStart, ""),
            Down if at == At::RequestedToGiveUp => stays,
            Down => (At::FinishRequested, ""),
            // A logger that would be started again is started at once, to read what is left.
            LeaveEndOfInput if at == At::FinishRequested => (At::RequestedToStart, ""),
            LeaveEndOfInput => stays,
            // They are remembered until `finish` is through.
            Exit | StopAndExit | LeaveWhenDown | LeaveStop | KillNow => stays,
            Term | Hup | Pause | Continue | Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            TooEarly | DeadlineReached => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => cannot_come(at, on),
            Exited | ExitedWell | FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
        At::Finishing | At::FinishingToStart | At::FinishingToStayDown | At::FinishingToGiveUp | At::FinishingDone => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            FinishEnded => after_finish(at),
            FinishEnded125 if at == At::Finishing => (At::Down, ""),
            FinishEnded125 => after_finish(at),
            Up | Once => (At::FinishingToStart, ""),
            Down if at == At::FinishingToGiveUp => stays,
            Down => (At::Finishing, ""),
            LeaveEndOfInput if at == At::Finishing => (At::FinishingToStart, ""),
            LeaveEndOfInput => stays,
            DeadlineReached | KillNow => (at, "kill-helper"),
            TooEarly | Exit | StopAndExit | LeaveWhenDown | LeaveStop => stays,
            Term | Hup | Pause | Continue | Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => cannot_come(at, on),
            Exited | ExitedWell | FinishStarted | NoFinish => cannot_come(at, on),
        },
        At::Failed => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            Up | Once => (At::StartRequested, "start"),
            Exit | StopAndExit | LeaveWhenDown | LeaveEndOfInput | LeaveStop | KillNow => (At::Ended, ""),
            Down | Term | Hup | Pause | Continue | Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            TooEarly | DeadlineReached => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => cannot_come(at, on),
            Exited | ExitedWell | FinishStarted | NoFinish | FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
        At::Done => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            Up | Once => (At::StartRequested, "start"),
            Down => (At::Down, ""),
            Exit | StopAndExit | LeaveWhenDown | LeaveEndOfInput | LeaveStop | KillNow => (At::Ended, ""),
            Term | Hup | Pause | Continue | Alarm | Reload | Policy | ResetLimits | HealthRules | Ordered => stays,
            TooEarly | DeadlineReached => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => cannot_come(at, on),
            Exited | ExitedWell | FinishStarted | NoFinish | FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
        At::Ended => match on {
            Unordered | MayStart | MayStop | StopWithin | AskAgain | Halt | Restart | TellsReady | Checked => turn(at, on),
            Up | Down | Once | Term | Hup | Pause | Continue | Exit | StopAndExit | Alarm | Reload => stays,
            LeaveWhenDown | LeaveEndOfInput | LeaveStop | KillNow | TooEarly | DeadlineReached | Policy | ResetLimits | HealthRules | Ordered => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
            BeginUp | BeginDown | Resume | Adopt | EndedUnseen => cannot_come(at, on),
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => cannot_come(at, on),
            Exited | ExitedWell | FinishStarted | NoFinish | FinishEnded | FinishEnded125 => cannot_come(at, on),
        },
    }
}

/// What the order says, and what the run process tells of itself.
fn turn(at: At, on: On) -> (At, &'static str) {
    match (at, on) {
        (At::Waiting, On::MayStart | On::Unordered) => (At::StartRequested, "start"),
        (At::Waiting, On::AskAgain) => (at, "ask-start"),
        (At::PreStart, On::Halt) => (at, "kill-helper"),
        // No order is asked in this story.
        (At::Up, On::Halt | On::Restart) => (At::Stopping, "TERM CONT"),
        (At::Held, On::MayStop | On::Unordered) => (At::Stopping, "TERM CONT"),
        (At::Held, On::AskAgain) => (at, "ask-stop"),
        // Nobody waits for it, it is under way already, or it is of no use.
        _ => (at, ""),
    }
}

/// A bug, of which the log is told; a process that comes with the event is killed, for nobody would remember it.
fn cannot_come(at: At, on: On) -> (At, &'static str) {
    match on {
        On::Adopt | On::HookStarted | On::Started | On::FinishStarted => (at, "bug kill-stray"),
        On::BeginUp | On::BeginDown | On::Resume | On::EndedUnseen | On::NoHook | On::HookEnded | On::NoFinish => {
            (at, "bug")
        }
        On::StartFailed
        | On::StartFailedForNow
        | On::Exited
        | On::ExitedWell
        | On::FinishEnded
        | On::FinishEnded125 => (at, "bug"),
        other => panic!("{other:?} may come at any time"),
    }
}

/// Signals go to a run process whatever else is done to it.
fn running(at: At, on: On) -> (At, &'static str) {
    match on {
        On::Term | On::AskedTerm => (at, "TERM"),
        On::Hup => (at, "HUP"),
        On::Pause | On::AskedPause => (at, "STOP"),
        On::Continue => (at, "CONT"),
        On::AskedTermDone | On::AskedContinueDone | On::AfterStop | On::AskedForAnother => (at, ""),
        other => panic!("{other:?} sends no signal"),
    }
}

fn after_finish(at: At) -> (At, &'static str) {
    match at {
        // It ended after longer than the delay, so it is started at once.
        At::FinishRequested | At::Finishing | At::RequestedToStart | At::FinishingToStart => {
            (At::StartRequested, "start")
        }
        At::RequestedToStayDown | At::FinishingToStayDown => (At::Down, ""),
        At::RequestedToGiveUp | At::FinishingToGiveUp => (At::Failed, ""),
        At::RequestedDone | At::FinishingDone => (At::Done, ""),
        other => panic!("{other:?} waits for no finish"),
    }
}

#[test]
fn every_event_in_every_state_leads_where_the_table_says() {
    let mut pairs = 0;
    for &at in At::ALL {
        for &on in On::ALL {
            let mut story = reach(at);
            if on == On::DeadlineReached {
                story.now = story.machine.deadline().unwrap_or(story.now);
            }
            let row = kind(event(on));
            assert!(row == on || (row, on) == (On::DeadlineReached, On::TooEarly), "{on:?} is the event of {row:?}");
            let before = story.clone();
            let done = story.step(event(on));
            let (then, actions) = expected(at, on);
            assert_eq!((here(story.state()), done.as_str()), (then, actions), "{on:?} in {at:?}");
            remembers_what_was_asked(&before, &story, at, on);
            pairs += 1;
        }
    }
    assert_eq!(pairs, At::ALL.len() * On::ALL.len());
    println!("{pairs} pairs of state and event");
}

/// What holds in all states: wants, reasons to leave and settings are never lost, and nothing else changes them.
fn remembers_what_was_asked(before: &Story, after: &Story, at: At, on: On) {
    let (old, new) = (&before.machine, &after.machine);
    let say = format!("{on:?} in {at:?}");
    let at_least = |leave| old.leave().max(Some(leave));
    let leave = match on {
        On::Exit | On::StopAndExit | On::LeaveWhenDown => at_least(Leave::WhenDown),
        On::LeaveEndOfInput => at_least(Leave::EndOfInput),
        On::LeaveStop | On::KillNow => at_least(Leave::Stop),
        _ => old.leave(),
    };
    if at == At::Ended {
        assert_eq!((new.want(), new.leave()), (old.want(), old.leave()), "{say}");
    } else {
        assert_eq!(new.leave(), leave, "{say}");
    }
    let want = match on {
        _ if at == At::Ended => old.want(),
        On::Up => Want::Up,
        On::Once => Want::Once,
        On::Down => Want::Down,
        On::BeginUp | On::Resume | On::Adopt | On::EndedUnseen if at == At::Down => Want::Up,
        On::FinishEnded125 if at == At::Finishing => Want::Down,
        _ => old.want(),
    };
    assert_eq!(new.want(), want, "{say}");
    assert_eq!(new.alarm(), on != On::Alarm && old.alarm(), "{say}");
    let policy = if let (On::Policy, Event::Policy(policy)) = (on, event(on)) { *policy } else { old.policy };
    assert_eq!(new.policy, policy, "{say}");
}
