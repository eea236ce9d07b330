//! The rows and columns of the table: which states and events there are, as far as they matter, and how to come to each.
//!
//! [`here`] and [`kind`] name every state and event of the machine.

use crate::conf::policy::{Policy, RestartPolicy};
use crate::conf::relations::Kind;
use crate::machine::health::Notice;
use crate::machine::history::tally::Tally;
use crate::machine::standing::Call;
use crate::machine::tests::story::*;
use crate::machine::words::command::{Command, Signal};
use crate::machine::words::events::{Ended, Remains};
use crate::machine::{Answer, Control, Event, Leave, Next, Reaped, SavedState, Sign, State, Stop, Turn};
use crate::sys::Pid;
use crate::sys::process::pidfd::ExitStatus;
use crate::sys::process::record::Role;

/// An enum of which all values can be gone through.
macro_rules! listed {
    ($(#[$doc:meta])* $name:ident { $($value:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($value),* }
        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$value),*];
        }
    };
}

listed! {
    /// A state, as far as it decides what an event leads to.
    At {
        Down, Backoff,
        // The order of modules says when it may start.
        Waiting,
        PreStartRequested, PreStart, StartRequested,
        // The run process lives; nobody stops it, it is to read to the end, its `control/t` runs, it has
        // the stop signal, it has KILL.
        Up,
        // Others have to stop first.
        Held,
        Draining, Asked, Stopping, Killed,
        // `finish` was asked for, or runs; what follows is what is wanted, a start, rest, or giving up.
        FinishRequested, RequestedToStart, RequestedToStayDown, RequestedToGiveUp, RequestedDone,
        Finishing, FinishingToStart, FinishingToStayDown, FinishingToGiveUp, FinishingDone,
        Failed, Done, Ended,
    }
}

listed! {
    /// An event, as far as it matters.
    On {
        BeginUp, BeginDown,
        // Where another supervisor was killed: nothing runs any more, or the run process does.
        Resume, Adopt, EndedUnseen,
        Up, Down, Once, Term, Hup, Pause, Continue, Exit, StopAndExit, Alarm, Reload,
        LeaveWhenDown, LeaveEndOfInput, LeaveStop, KillNow,
        HookStarted, NoHook, HookEnded,
        Started, StartFailed, StartFailedForNow,
        Exited, ExitedWell,
        // A script in `control/` has ended, and leaves the signal to us, or not.
        AskedStop, AskedStopDone, AskedTerm, AskedTermDone, AskedPause, AskedContinueDone, AfterStop, AskedForAnother,
        FinishStarted, NoFinish, FinishEnded, FinishEnded125,
        TooEarly, DeadlineReached,
        Policy, ResetLimits, HealthRules,
        // What the order of modules says, and what the run process does.
        Ordered, Unordered, MayStart, MayStop, StopWithin, AskAgain, Halt, Restart,
        TellsReady, Checked,
    }
}

/// The same once `finish` runs.
pub fn with_finish(at: At) -> At {
    match at {
        At::FinishRequested => At::Finishing,
        At::RequestedToStart => At::FinishingToStart,
        At::RequestedToStayDown => At::FinishingToStayDown,
        At::RequestedToGiveUp => At::FinishingToGiveUp,
        At::RequestedDone => At::FinishingDone,
        other => panic!("{other:?} asks for no finish"),
    }
}

/// The column of a state.
pub fn here(state: State) -> At {
    match state {
        State::Down => At::Down,
        State::Backoff { .. } => At::Backoff,
        State::Waiting => At::Waiting,
        State::Done => At::Done,
        State::PreStartRequested => At::PreStartRequested,
        State::PreStart { .. } => At::PreStart,
        State::StartRequested => At::StartRequested,
        State::Up(run) => match run.stop {
            Stop::No => At::Up,
            Stop::Held(_) => At::Held,
            Stop::EndOfInput(_) => At::Draining,
            Stop::Requested => At::Asked,
            Stop::Signalled(_) => At::Stopping,
            Stop::Killed => At::Killed,
        },
        State::FinishRequested(next) => match next {
            Next::AsWanted => At::FinishRequested,
            Next::Start => At::RequestedToStart,
            // Nothing tells the two apart but the line in the log.
            Next::StayDown | Next::ShutDown => At::RequestedToStayDown,
            Next::GiveUp => At::RequestedToGiveUp,
            Next::Done => At::RequestedDone,
        },
        State::Finishing { next, .. } => with_finish(here(State::FinishRequested(next))),
        State::Failed => At::Failed,
        State::Ended => At::Ended,
    }
}

/// The row of an event; whether a deadline is reached, the clock decides.
pub fn kind(event: Event) -> On {
    match event {
        Event::Begin(true) => On::BeginUp,
        Event::Begin(false) => On::BeginDown,
        Event::Resume(_, Remains::Nothing) => On::Resume,
        Event::Resume(_, Remains::Lives(..)) => On::Adopt,
        Event::Resume(_, Remains::Ended(_)) => On::EndedUnseen,
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
        Event::Answer(Answer::HookStarted(Some(_))) => On::HookStarted,
        Event::Answer(Answer::HookStarted(None)) => On::NoHook,
        Event::Reaped(Reaped::Hook) => On::HookEnded,
        Event::Answer(Answer::Started(_)) => On::Started,
        Event::Answer(Answer::StartFailed { error, .. }) if error.passes_by_itself() => On::StartFailedForNow,
        Event::Answer(Answer::StartFailed { .. }) => On::StartFailed,
        Event::Reaped(Reaped::Run { status: ExitStatus::Code(0), .. }) => On::ExitedWell,
        Event::Reaped(Reaped::Run { .. }) => On::Exited,
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
        Event::Answer(Answer::FinishStarted(Some(_))) => On::FinishStarted,
        Event::Answer(Answer::FinishStarted(None)) => On::NoFinish,
        Event::Reaped(Reaped::Finish(ExitStatus::Code(125))) => On::FinishEnded125,
        Event::Reaped(Reaped::Finish(_)) => On::FinishEnded,
        Event::DeadlineReached => On::DeadlineReached,
        Event::Policy(_) => On::Policy,
        Event::ResetLimits => On::ResetLimits,
        Event::HealthRules(_) => On::HealthRules,
        Event::Turn(turn) => match turn {
            Turn::Ordered(true) => On::Ordered,
            Turn::Ordered(false) => On::Unordered,
            Turn::MayStart => On::MayStart,
            Turn::MayStop => On::MayStop,
            Turn::StopWithin(_) => On::StopWithin,
            Turn::AskAgain => On::AskAgain,
            Turn::Call(Call::Halt) => On::Halt,
            Turn::Call(Call::Restart) => On::Restart,
        },
        Event::Sign(Sign::Notice(_)) => On::TellsReady,
        Event::Sign(Sign::Checked { .. }) => On::Checked,
    }
}

/// What a killed supervisor may have left: it wanted the service up, and had counted nothing.
const SAVED: SavedState = SavedState { tally: Tally { starts: 3, ..Tally::ONE_START }, ..SavedState::UNKNOWN };

/// The run process of a story.
const RUN: Pid = Pid::from_raw(101);

/// The event of a row.
pub fn event(on: On) -> Event {
    let pid = Pid::from_raw(900);
    let asked = |control, done| Event::Control { control, run: RUN, done };
    match on {
        On::BeginUp => Event::Begin(true),
        On::BeginDown => Event::Begin(false),
        On::Resume => Event::Resume(Box::new(SAVED), Remains::Nothing),
        On::EndedUnseen => Event::Resume(Box::new(SAVED), Remains::Ended(Ended { pid, has_finish: true })),
        On::Adopt => Event::Resume(Box::new(SAVED), Remains::Lives(Role::Run, pid)),
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
        On::HookStarted => Event::Answer(Answer::HookStarted(Some(pid))),
        On::NoHook => Event::Answer(Answer::HookStarted(None)),
        On::HookEnded => Event::Reaped(Reaped::Hook),
        On::Started => Event::Answer(Answer::Started(pid)),
        On::StartFailed => start_failed(NO_FILE),
        On::StartFailedForNow => start_failed(NO_PROCESSES),
        On::Exited => exited(ExitStatus::Code(1)),
        On::ExitedWell => exited(ExitStatus::Code(0)),
        On::AskedStop => asked(Control::Stop, false),
        On::AskedStopDone => asked(Control::Stop, true),
        On::AskedTerm => asked(Control::Signal(Signal::Term), false),
        On::AskedTermDone => asked(Control::Signal(Signal::Term), true),
        On::AskedPause => asked(Control::Pause, false),
        On::AskedContinueDone => asked(Control::Continue, true),
        On::AfterStop => asked(Control::Stopped { leaving: false }, true),
        On::AskedForAnother => Event::Control { control: Control::Stop, run: pid, done: false },
        On::FinishStarted => Event::Answer(Answer::FinishStarted(Some(pid))),
        On::NoFinish => Event::Answer(Answer::FinishStarted(None)),
        On::FinishEnded => Event::Reaped(Reaped::Finish(ExitStatus::Code(0))),
        On::FinishEnded125 => Event::Reaped(Reaped::Finish(ExitStatus::Code(125))),
        On::TooEarly | On::DeadlineReached => Event::DeadlineReached,
        On::ResetLimits => Event::ResetLimits,
        On::HealthRules => Event::HealthRules(Box::default()),
        On::Ordered => Event::Turn(Turn::Ordered(true)),
        On::Unordered => Event::Turn(Turn::Ordered(false)),
        On::MayStart => Event::Turn(Turn::MayStart),
        On::MayStop => Event::Turn(Turn::MayStop),
        On::StopWithin => Event::Turn(Turn::StopWithin(seconds(60.0))),
        On::AskAgain => Event::Turn(Turn::AskAgain),
        On::Halt => Event::Turn(Turn::Call(Call::Halt)),
        On::Restart => Event::Turn(Turn::Call(Call::Restart)),
        On::TellsReady => Event::Sign(Sign::Notice(Notice::Ready)),
        On::Checked => Event::Sign(Sign::Checked { run: RUN, passed: true }),
        On::Policy => Event::Policy(Box::new(Policy { max_tries: Some(7), ..policy() })),
    }
}

/// A service that may have scripts, up.
fn with_scripts() -> Story {
    let mut story = Story::with(WITH_CONTROLS, policy());
    story.step(Event::Begin(true));
    story.step(Event::Answer(Answer::HookStarted(None)));
    story.started();
    story
}

/// A machine in that state, which it has reached on an ordinary way.
pub fn reach(at: At) -> Story {
    let mut story = match at {
        At::Down | At::Ended => Story::new(policy()),
        At::StartRequested | At::Waiting => Story::new(policy()),
        At::RequestedDone | At::FinishingDone | At::Done => Story::up(Policy { kind: Kind::Oneshot, ..policy() }),
        At::Asked => with_scripts(),
        At::PreStartRequested | At::PreStart => Story::with(WITH_CONTROLS, policy()),
        At::RequestedToStayDown | At::FinishingToStayDown => {
            Story::up(Policy { restart: RestartPolicy::Never, ..policy() })
        }
        _ => Story::up(policy()),
    };
    let lived = if at == At::Backoff { 0.5 } else { 5.0 };
    story.wait(lived);
    match at {
        At::Down => story.step(Event::Begin(false)),
        At::Ended => story.send('x'),
        At::StartRequested | At::PreStartRequested | At::PreStart => story.step(Event::Begin(true)),
        At::Up => String::new(),
        At::Waiting => {
            story.step(Event::Turn(Turn::Ordered(true)));
            story.step(Event::Begin(true))
        }
        At::Held => {
            story.step(Event::Turn(Turn::Ordered(true)));
            story.send('d');
            story.step(Event::Turn(Turn::StopWithin(seconds(60.0))))
        }
        At::RequestedDone | At::FinishingDone | At::Done => story.exits(0),
        At::Draining => story.step(Event::Leave(Leave::EndOfInput)),
        At::Asked | At::Stopping | At::Killed => story.send('d'),
        At::RequestedToStart | At::FinishingToStart => {
            story.send('d');
            story.send('u');
            story.exits(1)
        }
        At::RequestedToGiveUp | At::FinishingToGiveUp | At::Failed => story.step(exited(CORE)),
        At::Backoff | At::FinishRequested | At::Finishing => story.exits(1),
        At::RequestedToStayDown | At::FinishingToStayDown => story.exits(1),
    };
    match at {
        At::Killed => story.due(),
        At::Finishing | At::FinishingToStart | At::FinishingToStayDown | At::FinishingToGiveUp | At::FinishingDone => {
            story.finish_runs()
        }
        At::Backoff | At::Failed | At::Done => story.no_finish(),
        _ => String::new(),
    };
    if at == At::PreStart {
        story.step(Event::Answer(Answer::HookStarted(Some(Pid::from_raw(800)))));
    }
    assert_eq!(here(story.state()), at);
    story
}
