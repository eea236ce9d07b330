//! Supervision from its beginning to its end. A status directory that cannot be claimed yet is tried again.

use crate::machine::Leave;
use crate::status::log::Log;
use crate::supervisor::host::{Host, Order};
use crate::supervisor::requests::mailbox::Ask;
use crate::supervisor::requests::parking::Descriptors;
use crate::supervisor::spec::{OpenError, Outcome, Spec};
use crate::supervisor::thread::Supervisor;
use crate::sys::threads::poll;
use crate::sys::time::Mono;
use std::os::fd::RawFd;
use std::time::Duration;

/// How often a status directory that somebody else has locked, or that cannot be made, is tried again.
const OPEN_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// After a panic, the thread waits this long before it begins anew.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// Claims the status directory, as often as it takes, and supervises as [`Supervisor::run`] does.
pub fn supervise(mut spec: Box<Spec>) -> Outcome {
    let mut told = false;
    loop {
        match Supervisor::open(spec) {
            Ok(mut supervisor) => {
                supervisor.begin_in_turn();
                match supervisor.run() {
                    Ok(outcome) => return outcome,
                    Err(returned) => spec = returned,
                }
                // One panic may follow another: the pause keeps that from burning a processor.
                match wait_after_panic(&mut spec) {
                    Some(outcome) => return outcome,
                    None => continue,
                }
            }
            Err((returned, error)) => {
                spec = returned;
                // This may take for ever, and no orphan is reaped until every guard is dropped.
                if let Some(inherited) = spec.host.tree_mut().and_then(|tree| tree.inherited.as_mut()) {
                    inherited.adoption_guard = None;
                }
                if !told {
                    tell(&spec, &error);
                    told = true;
                }
            }
        }
        if let Some(outcome) = wait_to_open(&mut spec) {
            return outcome;
        }
    }
}

/// Says why a module is not supervised: in its own log, or in the tree's if it cannot have one.
// Own frame: see `sys::threads::thread`.
#[inline(never)]
fn tell(spec: &Spec, error: &OpenError) {
    let again = OPEN_RETRY_INTERVAL.as_secs();
    let text = format!("{}; not started, tried again every {again} s", error.describe(&spec.dir));
    match (error, &spec.host) {
        (OpenError::Directory(_), Host::Tree(tree)) => log::warn!(logger: tree.log, "{}: {text}", spec.module),
        _ => log::warn!(logger: Log::new(&spec.dir, &spec.module, spec.echo), "{text}"),
    }
}

/// Waits for the next try, or until supervision is to end: nothing runs that would have to be stopped.
// Own frame: see `sys::threads::thread`.
#[inline(never)]
fn wait_to_open(spec: &mut Spec) -> Option<Outcome> {
    match pause(spec, OPEN_RETRY_INTERVAL) {
        Pause::Over => None,
        Pause::Leave { leave, .. } => Some(Outcome::Left(leave)),
        Pause::Abandon => Some(Outcome::Abandoned),
    }
}

/// Waits a moment, or until there is an order that cannot wait: what runs is adopted then, and gets the order.
// Own frame: see `sys::threads::thread`.
#[inline(never)]
fn wait_after_panic(spec: &mut Spec) -> Option<Outcome> {
    match pause(spec, AFTER_PANIC) {
        Pause::Over => None,
        Pause::Leave { leave, kill_now } => {
            spec.leave = spec.leave.max(Some(leave));
            if let (true, Host::Tree(tree)) = (kill_now, &spec.host) {
                tree.mailbox.ask(Ask::KillNow);
            }
            None
        }
        Pause::Abandon => Some(Outcome::Abandoned),
    }
}

/// How a pause has ended.
enum Pause {
    /// Its time is over.
    Over,
    /// Supervision is to end, and `kill_now` says that the process is not to be waited for.
    Leave { leave: Leave, kill_now: bool },
    /// Supervision ends at once, and the process goes on.
    Abandon,
}

/// Waits for `length`, without a status directory and without a process, and takes the orders that come, and those that one that
/// has panicked has left.
// Own frame: see `sys::threads::thread`.
#[inline(never)]
fn pause(spec: &mut Spec, length: Duration) -> Pause {
    let deadline = Mono::now() + length;
    loop {
        let (mut leave, mut kill_now) = (None, false);
        while let Some(order) = spec.host.take_order() {
            match order {
                Order::Ask(Ask::Leave(how)) => leave = leave.max(Some(how)),
                Order::Ask(Ask::KillNow) => (leave, kill_now) = (Some(Leave::Stop), true),
                Order::Ask(Ask::Configure(config)) => spec.config = config,
                Order::Ask(Ask::ChangeOutput(next)) => spec.service.change_output(next),
                Order::Ask(Ask::Park(parking)) => {
                    let numbers = keep_open(spec, true);
                    parking.park(&spec.module, numbers);
                    keep_open(spec, false);
                }
                Order::Ask(Ask::Publish | Ask::Look | Ask::ComeBack) => {}
                Order::ResetLimits => {}
                Order::Abandon(_) => return Pause::Abandon,
            }
        }
        if let Some(leave) = leave {
            return Pause::Leave { leave, kill_now };
        }
        let [ordered] = poll::wait([Some(spec.host.order_source())], Some(deadline));
        if !ordered {
            return Pause::Over;
        }
    }
}

/// What there is to hand over without a supervisor: what the program before us has handed over, with commands in it that nobody
/// has read, and a logger's pipe, with lines.
fn keep_open(spec: &mut Spec, keep: bool) -> Descriptors<RawFd> {
    let inherited = spec.host.tree().and_then(|tree| tree.inherited.as_ref());
    let numbers = inherited.map(|inherited| inherited.keep_open(keep)).unwrap_or_default();
    let pipe = spec.service.input().and_then(|pipe| pipe.keep_open(keep));
    Descriptors { pipe: pipe.or(numbers.pipe), ..numbers }
}
