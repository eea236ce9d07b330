//! Every event in every state: where it leads, and what is to be done.
//!
//! [`expected`] is the table. It names every event in every state, and [`here`] and [`kind`] name every state and event
//! of the machine, so one that is added compiles only when its row and column are written.

use crate::conf::settings::Restart;
use crate::machine::command::{Command, Signal};
use crate::machine::limits::{Limits, Policy};
use crate::machine::table::{Control, Event, Leave, Next, SavedState, State, Stop, Want};
use crate::machine::tests::story::*;
use crate::sys::Pid;
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::process::record::Role;

/// An enum of which all values can be gone through.
macro_rules! listed {
    ($(#[$doc:meta])* $name:ident { $($value:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum $name { $($value),* }
        impl $name {
            const ALL: &'static [$name] = &[$($name::$value),*];
        }
    };
}

listed! {
    /// A state, as far as it decides what an event leads to.
    At {
        Down, Backoff, PreStartRequested, PreStart, StartRequested,
        // The run process lives; nobody stops it, it is to read to the end, its `control/t` runs, it has
        // the stop signal, it has KILL.
        Up, Draining, Asked, Stopping, Killed,
        // `finish` was asked for, or runs; what follows is what is wanted, a start, rest, or giving up.
        FinishRequested, EndingToStart, EndingToRest, EndingToGiveUp,
        Finishing, FinishingToStart, FinishingToRest, FinishingToGiveUp,
        Failed, Ended,
    }
}

listed! {
    /// An event, as far as it matters.
    On {
        BeginUp, BeginDown,
        // Where another supervisor was killed: nothing runs any more, or the run process does.
        Resume, Adopt,
        Up, Down, Once, Term, Hup, Pause, Continue, Exit, StopAndExit, Alarm, Reload,
        LeaveWhenDown, LeaveEndOfInput, LeaveStop, KillNow,
        HookStarted, NoHook, HookEnded,
        Started, StartFailed, StartFailedForNow,
        Exited,
        // A script in `control/` has ended, and leaves the signal to us, or not.
        AskedStop, AskedStopDone, AskedTerm, AskedTermDone, AskedPause, AskedContinueDone, AfterStop, AskedForAnother,
        FinishStarted, NoFinish, FinishEnded, FinishEnded125,
        TooEarly, DeadlineReached,
        Policy,
    }
}

/// The table. An empty text: nothing is to be done.
#[rustfmt::skip] // One line for one rule.
fn expected(at: At, on: On) -> (At, &'static str) {
    use On::*;
    let stays = (at, "");
    match at {
        At::Down => match on {
            BeginUp | Resume | Up | Once => (At::StartRequested, "start"),
            Adopt => (At::Up, ""),
            Exit | StopAndExit | LeaveWhenDown | LeaveEndOfInput | LeaveStop | KillNow => (At::Ended, ""),
            BeginDown | Down | Term | Hup | Pause | Continue | Alarm | Reload | Policy => stays,
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => stays,
            Exited | FinishStarted | NoFinish | FinishEnded | FinishEnded125 | TooEarly | DeadlineReached => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
        },
        At::Backoff => match on {
            DeadlineReached => (At::StartRequested, "start"),
            Down => (At::Down, ""),
            Exit | StopAndExit | LeaveWhenDown | LeaveStop | KillNow => (At::Ended, ""),
            LeaveEndOfInput => (At::StartRequested, "start"),
            // The delay has not grown, so there is nothing to cut.
            Up | Once => stays,
            TooEarly | BeginUp | BeginDown | Resume | Adopt | Term | Hup | Pause | Continue | Alarm | Reload | Policy => stays,
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => stays,
            Exited | FinishStarted | NoFinish | FinishEnded | FinishEnded125 => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
        },
        At::PreStartRequested => match on {
            HookStarted => (At::PreStart, ""),
            NoHook => (At::StartRequested, "start"),
            // They are remembered until the hook's answer is there.
            Up | Down | Once | Exit | StopAndExit | LeaveWhenDown | LeaveEndOfInput | LeaveStop | KillNow => stays,
            BeginUp | BeginDown | Resume | Adopt | Term | Hup | Pause | Continue | Alarm | Reload | Policy => stays,
            HookEnded | Started | StartFailed | StartFailedForNow => stays,
            Exited | FinishStarted | NoFinish | FinishEnded | FinishEnded125 | TooEarly | DeadlineReached => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
        },
        At::PreStart => match on {
            HookEnded => (At::StartRequested, "start"),
            Exit | StopAndExit | LeaveWhenDown | LeaveStop | KillNow => (At::PreStart, "kill-aside"),
            // They are remembered until the hook has ended.
            Up | Down | Once | LeaveEndOfInput => stays,
            BeginUp | BeginDown | Resume | Adopt | Term | Hup | Pause | Continue | Alarm | Reload | Policy => stays,
            HookStarted | NoHook | Started | StartFailed | StartFailedForNow => stays,
            Exited | FinishStarted | NoFinish | FinishEnded | FinishEnded125 | TooEarly | DeadlineReached => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
        },
        At::StartRequested => match on {
            Started => (At::Up, ""),
            StartFailed => (At::FinishRequested, "alarm(Exited) finish"),
            StartFailedForNow => (At::Backoff, ""),
            // They are remembered until the start's answer is there.
            Up | Down | Once | Exit | StopAndExit | LeaveWhenDown | LeaveEndOfInput | LeaveStop | KillNow => stays,
            BeginUp | BeginDown | Resume | Adopt | Term | Hup | Pause | Continue | Alarm | Reload | Policy => stays,
            HookStarted | NoHook | HookEnded => stays,
            Exited | FinishStarted | NoFinish | FinishEnded | FinishEnded125 | TooEarly | DeadlineReached => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
        },
        At::Up => match on {
            Exited => (At::FinishRequested, "alarm(Exited) finish"),
            Down | StopAndExit | LeaveStop => (At::Stopping, "TERM CONT"),
            LeaveEndOfInput => (At::Draining, ""),
            KillNow => (At::Killed, "KILL-group"),
            Up | Once | Exit | LeaveWhenDown | TooEarly | DeadlineReached => stays,
            Term | Hup | Pause | Continue => running(at, on),
            BeginUp | BeginDown | Resume | Adopt | Alarm | Reload | Policy => stays,
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => stays,
            FinishStarted | NoFinish | FinishEnded | FinishEnded125 => stays,
            AskedStop | AskedStopDone => stays,
            AskedTerm | AskedTermDone | AskedPause | AskedContinueDone | AfterStop | AskedForAnother => running(at, on),
        },
        At::Draining => match on {
            Exited => (At::FinishRequested, "finish"),
            DeadlineReached | Down | StopAndExit | LeaveStop => (At::Stopping, "TERM CONT"),
            KillNow => (At::Killed, "KILL-group"),
            TooEarly | Up | Once | Exit | LeaveWhenDown | LeaveEndOfInput => stays,
            Term | Hup | Pause | Continue => running(at, on),
            BeginUp | BeginDown | Resume | Adopt | Alarm | Reload | Policy => stays,
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => stays,
            FinishStarted | NoFinish | FinishEnded | FinishEnded125 => stays,
            AskedStop | AskedStopDone => stays,
            AskedTerm | AskedTermDone | AskedPause | AskedContinueDone | AfterStop | AskedForAnother => running(at, on),
        },
        // Here there may be scripts, so signals go through them, and the stop signal is followed by one.
        At::Asked => match on {
            Exited => (At::FinishRequested, "finish"),
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
            TooEarly | DeadlineReached | BeginUp | BeginDown | Resume | Adopt | Alarm | Reload | Policy => stays,
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => stays,
            FinishStarted | NoFinish | FinishEnded | FinishEnded125 => stays,
        },
        At::Stopping => match on {
            Exited => (At::FinishRequested, "finish"),
            DeadlineReached | KillNow => (At::Killed, "KILL-group"),
            Down | StopAndExit | LeaveStop => (At::Stopping, "TERM CONT"),
            // `u` and `o` mean a start after the end.
            TooEarly | Up | Once | Exit | LeaveWhenDown | LeaveEndOfInput => stays,
            Term | Hup | Pause | Continue => running(at, on),
            BeginUp | BeginDown | Resume | Adopt | Alarm | Reload | Policy => stays,
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => stays,
            FinishStarted | NoFinish | FinishEnded | FinishEnded125 => stays,
            AskedStop => (At::Stopping, "TERM CONT"),
            AskedStopDone => (At::Stopping, "CONT"),
            AskedTerm | AskedTermDone | AskedPause | AskedContinueDone | AfterStop | AskedForAnother => running(at, on),
        },
        At::Killed => match on {
            Exited => (At::FinishRequested, "finish"),
            Down | StopAndExit | LeaveStop => (At::Killed, "TERM CONT"),
            KillNow => (At::Killed, "KILL-group"),
            TooEarly | DeadlineReached | Up | Once | Exit | LeaveWhenDown | LeaveEndOfInput => stays,
            Term | Hup | Pause | Continue => running(at, on),
            BeginUp | BeginDown | Resume | Adopt | Alarm | Reload | Policy => stays,
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => stays,
            FinishStarted | NoFinish | FinishEnded | FinishEnded125 => stays,
            AskedStop => (At::Killed, "TERM CONT"),
            AskedStopDone => (At::Killed, "CONT"),
            AskedTerm | AskedTermDone | AskedPause | AskedContinueDone | AfterStop | AskedForAnother => running(at, on),
        },
        At::FinishRequested | At::EndingToStart | At::EndingToRest | At::EndingToGiveUp => match on {
            FinishStarted => (with_finish(at), ""),
            NoFinish => after_finish(at),
            Up | Once => (At::EndingToStart, ""),
            Down if at == At::EndingToGiveUp => stays,
            Down => (At::FinishRequested, ""),
            // A logger that would be started again is started at once, to read what is left.
            LeaveEndOfInput if at == At::FinishRequested => (At::EndingToStart, ""),
            LeaveEndOfInput => stays,
            // They are remembered until `finish` is through.
            Exit | StopAndExit | LeaveWhenDown | LeaveStop | KillNow => stays,
            BeginUp | BeginDown | Resume | Adopt | Term | Hup | Pause | Continue | Alarm | Reload | Policy => stays,
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => stays,
            Exited | FinishEnded | FinishEnded125 | TooEarly | DeadlineReached => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
        },
        At::Finishing | At::FinishingToStart | At::FinishingToRest | At::FinishingToGiveUp => match on {
            FinishEnded => after_finish(at),
            FinishEnded125 if at == At::Finishing => (At::Down, ""),
            FinishEnded125 => after_finish(at),
            Up | Once => (At::FinishingToStart, ""),
            Down if at == At::FinishingToGiveUp => stays,
            Down => (At::Finishing, ""),
            LeaveEndOfInput if at == At::Finishing => (At::FinishingToStart, ""),
            LeaveEndOfInput => stays,
            DeadlineReached | KillNow => (at, "kill-aside"),
            TooEarly | Exit | StopAndExit | LeaveWhenDown | LeaveStop => stays,
            BeginUp | BeginDown | Resume | Adopt | Term | Hup | Pause | Continue | Alarm | Reload | Policy => stays,
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => stays,
            Exited | FinishStarted | NoFinish => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
        },
        At::Failed => match on {
            Up | Once => (At::StartRequested, "start"),
            Exit | StopAndExit | LeaveWhenDown | LeaveEndOfInput | LeaveStop | KillNow => (At::Ended, ""),
            BeginUp | BeginDown | Resume | Adopt | Down | Term | Hup | Pause | Continue | Alarm | Reload | Policy => stays,
            HookStarted | NoHook | HookEnded | Started | StartFailed | StartFailedForNow => stays,
            Exited | FinishStarted | NoFinish | FinishEnded | FinishEnded125 | TooEarly | DeadlineReached => stays,
            AskedStop | AskedStopDone | AskedTerm | AskedTermDone => stays,
            AskedPause | AskedContinueDone | AfterStop | AskedForAnother => stays,
        },
        At::Ended => stays,
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

fn with_finish(at: At) -> At {
    match at {
        At::FinishRequested => At::Finishing,
        At::EndingToStart => At::FinishingToStart,
        At::EndingToRest => At::FinishingToRest,
        At::EndingToGiveUp => At::FinishingToGiveUp,
        other => panic!("{other:?} asks for no finish"),
    }
}

fn after_finish(at: At) -> (At, &'static str) {
    match at {
        // It ended after longer than the delay, so it is started at once.
        At::FinishRequested | At::Finishing | At::EndingToStart | At::FinishingToStart => (At::StartRequested, "start"),
        At::EndingToRest | At::FinishingToRest => (At::Down, ""),
        At::EndingToGiveUp | At::FinishingToGiveUp => (At::Failed, ""),
        other => panic!("{other:?} waits for no finish"),
    }
}

/// The column of a state.
fn here(state: State) -> At {
    match state {
        State::Down => At::Down,
        State::Backoff { .. } => At::Backoff,
        State::PreStartRequested => At::PreStartRequested,
        State::PreStart { .. } => At::PreStart,
        State::StartRequested => At::StartRequested,
        State::Up(run) => match run.stop {
            Stop::No => At::Up,
            Stop::EndOfInput(_) => At::Draining,
            Stop::Asked => At::Asked,
            Stop::Signalled(_) => At::Stopping,
            Stop::Killed => At::Killed,
        },
        State::FinishRequested(next) => match next {
            Next::AsWanted => At::FinishRequested,
            Next::Start => At::EndingToStart,
            Next::StayDown => At::EndingToRest,
            Next::GiveUp => At::EndingToGiveUp,
        },
        State::Finishing { next, .. } => with_finish(here(State::FinishRequested(next))),
        State::Failed => At::Failed,
        State::Ended => At::Ended,
    }
}

/// The row of an event; whether a deadline is reached, the clock decides.
fn kind(event: Event) -> On {
    match event {
        Event::Begin(true) => On::BeginUp,
        Event::Begin(false) => On::BeginDown,
        Event::Resume(_, None) => On::Resume,
        Event::Resume(_, Some(_)) => On::Adopt,
        Event::Command(command) => match command {
            Command::Up => On::Up,
            Command::Down => On::Down,
            Command::Once => On::Once,
            Command::Signal(signal) if signal.asks_for_exit() => On::Term,
            Command::Signal(_) => On::Hup,
            Command::Pause => On::Pause,
            Command::Continue => On::Continue,
            Command::Exit => On::Exit,
            Command::StopAndExit => On::StopAndExit,
            Command::Alarm(_) => On::Alarm,
            Command::Reload => On::Reload,
        },
        Event::Leave(Leave::WhenDown) => On::LeaveWhenDown,
        Event::Leave(Leave::EndOfInput) => On::LeaveEndOfInput,
        Event::Leave(Leave::Stop) => On::LeaveStop,
        Event::KillNow => On::KillNow,
        Event::HookStarted(Some(_)) => On::HookStarted,
        Event::HookStarted(None) => On::NoHook,
        Event::HookEnded => On::HookEnded,
        Event::Started(_) => On::Started,
        Event::StartFailed(error) if error.passes_by_itself() => On::StartFailedForNow,
        Event::StartFailed(_) => On::StartFailed,
        Event::Exited(_) => On::Exited,
        Event::Control { run, .. } if run != RUN => On::AskedForAnother,
        Event::Control { control, done, .. } => match (control, done) {
            (Control::Stop, false) => On::AskedStop,
            (Control::Stop, true) => On::AskedStopDone,
            (Control::Signal(_), false) => On::AskedTerm,
            (Control::Signal(_), true) => On::AskedTermDone,
            (Control::Pause | Control::Continue, false) => On::AskedPause,
            (Control::Pause | Control::Continue, true) => On::AskedContinueDone,
            (Control::Stopped { .. }, _) => On::AfterStop,
        },
        Event::FinishStarted(Some(_)) => On::FinishStarted,
        Event::FinishStarted(None) => On::NoFinish,
        Event::FinishEnded(ExitStatus::Code(125)) => On::FinishEnded125,
        Event::FinishEnded(_) => On::FinishEnded,
        Event::DeadlineReached => On::DeadlineReached,
        Event::Policy(_) => On::Policy,
    }
}

/// What an earlier supervisor may have left: it wanted the service up, and had counted nothing.
const PAST: SavedState = SavedState {
    want: Want::Up,
    alarm: true,
    paused: false,
    failed: false,
    to_start: false,
    leaving: false,
    starts: 3,
    run: None,
    limits: Limits::NONE,
};

/// The run process of a story.
const RUN: Pid = Pid::from_raw(101);

/// The event of a row.
fn event(on: On) -> Event {
    let pid = Pid::from_raw(900);
    let asked = |control, done| Event::Control { control, run: RUN, done };
    match on {
        On::BeginUp => Event::Begin(true),
        On::BeginDown => Event::Begin(false),
        On::Resume => Event::Resume(Box::new(PAST), None),
        On::Adopt => Event::Resume(Box::new(PAST), Some((Role::Run, pid))),
        On::Up => Event::Command(Command::Up),
        On::Down => Event::Command(Command::Down),
        On::Once => Event::Command(Command::Once),
        On::Term => Event::Command(Command::Signal(Signal::Term)),
        On::Hup => Event::Command(Command::Signal(Signal::Hup)),
        On::Pause => Event::Command(Command::Pause),
        On::Continue => Event::Command(Command::Continue),
        On::Exit => Event::Command(Command::Exit),
        On::StopAndExit => Event::Command(Command::StopAndExit),
        On::Alarm => Event::Command(Command::Alarm(false)),
        On::Reload => Event::Command(Command::Reload),
        On::LeaveWhenDown => Event::Leave(Leave::WhenDown),
        On::LeaveEndOfInput => Event::Leave(Leave::EndOfInput),
        On::LeaveStop => Event::Leave(Leave::Stop),
        On::KillNow => Event::KillNow,
        On::HookStarted => Event::HookStarted(Some(pid)),
        On::NoHook => Event::HookStarted(None),
        On::HookEnded => Event::HookEnded,
        On::Started => Event::Started(pid),
        On::StartFailed => Event::StartFailed(NO_FILE),
        On::StartFailedForNow => Event::StartFailed(NO_PROCESSES),
        On::Exited => Event::Exited(ExitStatus::Code(1)),
        On::AskedStop => asked(Control::Stop, false),
        On::AskedStopDone => asked(Control::Stop, true),
        On::AskedTerm => asked(Control::Signal(Signal::Term), false),
        On::AskedTermDone => asked(Control::Signal(Signal::Term), true),
        On::AskedPause => asked(Control::Pause, false),
        On::AskedContinueDone => asked(Control::Continue, true),
        On::AfterStop => asked(Control::Stopped { leaving: false }, true),
        On::AskedForAnother => Event::Control { control: Control::Stop, run: pid, done: false },
        On::FinishStarted => Event::FinishStarted(Some(pid)),
        On::NoFinish => Event::FinishStarted(None),
        On::FinishEnded => Event::FinishEnded(ExitStatus::Code(0)),
        On::FinishEnded125 => Event::FinishEnded(ExitStatus::Code(125)),
        On::TooEarly | On::DeadlineReached => Event::DeadlineReached,
        On::Policy => Event::Policy(Box::new(Policy { max_tries: Some(7), ..policy() })),
    }
}

/// A service that may have scripts, up.
fn with_scripts() -> Story {
    let mut story = Story::new(Policy { controls: true, ..policy() });
    story.step(Event::Begin(true));
    story.step(Event::HookStarted(None));
    story.started();
    story
}

/// A machine in that state, which it has reached on an ordinary way.
fn reach(at: At) -> Story {
    let mut story = match at {
        At::Down | At::Ended => Story::new(policy()),
        At::StartRequested => Story::new(policy()),
        At::Asked => with_scripts(),
        At::PreStartRequested | At::PreStart => Story::up(Policy { restart_hook: true, ..policy() }),
        At::EndingToRest | At::FinishingToRest => Story::up(Policy { restart: Restart::Never, ..policy() }),
        _ => Story::up(policy()),
    };
    let lived = if at == At::Backoff { 0.5 } else { 5.0 };
    story.wait(lived);
    match at {
        At::Down => story.step(Event::Begin(false)),
        At::Ended => story.send('x'),
        At::StartRequested => story.step(Event::Begin(true)),
        At::Up => String::new(),
        At::Draining => story.step(Event::Leave(Leave::EndOfInput)),
        At::Asked | At::Stopping | At::Killed => story.send('d'),
        At::EndingToStart | At::FinishingToStart => {
            story.send('d');
            story.send('u');
            story.exits(1)
        }
        At::EndingToGiveUp | At::FinishingToGiveUp | At::Failed => story.step(Event::Exited(CORE)),
        At::Backoff | At::PreStartRequested | At::PreStart | At::FinishRequested | At::Finishing => story.exits(1),
        At::EndingToRest | At::FinishingToRest => story.exits(1),
    };
    match at {
        At::Killed => story.due(),
        At::Finishing | At::FinishingToStart | At::FinishingToRest | At::FinishingToGiveUp => story.finish_runs(),
        At::Backoff | At::PreStartRequested | At::PreStart | At::Failed => story.no_finish(),
        _ => String::new(),
    };
    if at == At::PreStart {
        story.step(Event::HookStarted(Some(Pid::from_raw(800))));
    }
    assert_eq!(here(story.state()), at);
    story
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
        On::BeginUp | On::Resume | On::Adopt if at == At::Down => Want::Up,
        On::FinishEnded125 if at == At::Finishing => Want::Down,
        _ => old.want(),
    };
    assert_eq!(new.want(), want, "{say}");
    assert_eq!(new.alarm(), on != On::Alarm && old.alarm(), "{say}");
    let policy = if let (On::Policy, Event::Policy(policy)) = (on, event(on)) { *policy } else { old.policy };
    assert_eq!(new.policy, policy, "{say}");
}
