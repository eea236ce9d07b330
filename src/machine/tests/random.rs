//! Random histories in the simulated world: what must never happen does not, and what is asked for comes.

use crate::conf::policy::{KillMode, Policy, RestartPolicy};
use crate::conf::readiness::Unhealthy;
use crate::conf::relations::Kind;
use crate::machine::Leave;
use crate::machine::health::{HealthRules, Notice, ReadyWhen};
use crate::machine::standing::Call;
use crate::machine::tests::story::{CORE, NO_FILE, NO_PROCESSES, PLAIN, WITH_CONTROLS, WITH_HOOK, policy, seconds};
use crate::machine::tests::world::{Op, World};
use crate::machine::words::command::Command;
use crate::sys::process::pidfd::ExitStatus;
use proptest::prelude::*;
use proptest::sample::select;

fn any_policy() -> impl Strategy<Value = Policy> {
    let window = (select(vec![None, Some(10.0), Some(60.0)]), 0u32..4, 0u32..3);
    let delays = (select(vec![0.0, 0.5, 1.0, 5.0]), select(vec![0.0, 1.0, 30.0]));
    let ends = (select(vec![None, Some(0.5), Some(10.0)]), select(vec![None, Some(0.5), Some(5.0)]));
    let modes = select(vec![KillMode::Process, KillMode::Mixed, KillMode::Group]);
    let restart =
        select(vec![RestartPolicy::Always, RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never]);
    (window, delays, ends, modes, restart).prop_map(
        |((interval, tries, cores), (delay, more), (kill, finish), kill_mode, restart)| Policy {
            interval: interval.map(seconds),
            max_tries: Some(tries).filter(|tries| *tries > 0),
            max_cores: Some(cores).filter(|cores| *cores > 0),
            delay: seconds(delay),
            delay_max: seconds(delay + more),
            kill_timeout: kill.map(seconds),
            finish_timeout: finish.map(seconds),
            kill_mode,
            restart,
            ..policy()
        },
    )
}

fn any_command() -> impl Strategy<Value = Op> {
    // What starts and stops comes more often than what does neither.
    select(b"uuuudddookkttiqhaqpcpcxXsn12wr".to_vec()).prop_map(|byte| match byte {
        b'X' => Op::Command(Command::StopAndExit),
        byte => Op::Command(Command::from_byte(byte).expect("a byte that means something")),
    })
}

fn any_exit() -> impl Strategy<Value = ExitStatus> {
    let killed = ExitStatus::Signal { number: libc::SIGTERM, core: false };
    select(vec![ExitStatus::Code(0), ExitStatus::Code(1), ExitStatus::Code(125), killed, CORE, ExitStatus::Unknown])
}

fn any_op() -> impl Strategy<Value = Op> {
    let times = vec![0.05, 0.3, 1.0, 3.0, 20.0, 61.0];
    prop_oneof![
        8 => any_command(),
        1 => select(vec![Op::Leave(Leave::EndOfInput), Op::Leave(Leave::WhenDown), Op::Leave(Leave::Stop), Op::KillNow]),
        1 => any_policy().prop_map(Op::Policy),
        8 => prop_oneof![
            2 => any::<bool>().prop_map(Op::Hook),
            6 => select(vec![Ok(()), Ok(()), Ok(()), Err(NO_FILE), Err(NO_PROCESSES)]).prop_map(Op::Start),
            6 => any::<bool>().prop_map(Op::Finish),
        ],
        8 => prop_oneof![any_exit().prop_map(Op::RunEnds), any_exit().prop_map(Op::HelperEnds)],
        4 => any::<bool>().prop_map(Op::ScriptEnds),
        4 => select(times).prop_map(|time| Op::Wait(seconds(time))),
        1 => Just(Op::LookEarly),
        4 => Just(Op::DeadlineReached),
    ]
}

/// All ways of getting ready, and all that can follow from being unwell.
fn any_health() -> impl Strategy<Value = HealthRules> {
    let ready =
        vec![ReadyWhen::Started, ReadyWhen::Told, ReadyWhen::Checked, ReadyWhen::Lived(seconds(1.0)), ReadyWhen::Never];
    let times = || select(vec![None, Some(0.5), Some(3.0)]);
    let unhealthy = select(vec![Unhealthy::Restart, Unhealthy::Alarm, Unhealthy::Ignore]);
    (select(ready), times(), times(), times(), 1u32..4, unhealthy).prop_map(
        |(ready, timeout, interval, watchdog, check_failures, unhealthy)| HealthRules {
            ready,
            ready_timeout: timeout.map(seconds),
            check_interval: interval.map(seconds),
            watchdog: watchdog.map(seconds),
            check_failures,
            unhealthy,
            ..HealthRules::default()
        },
    )
}

/// What the order and the run process have to say, and the looks at that.
fn any_word() -> impl Strategy<Value = Op> {
    let notices = vec![
        Notice::Ready,
        Notice::Ready,
        Notice::Reloading,
        Notice::Stopping,
        Notice::Alive,
        Notice::Unwell,
        Notice::WatchdogInterval(seconds(0.3)),
        Notice::WatchdogInterval(seconds(0.0)),
        Notice::Extend(seconds(5.0)),
    ];
    prop_oneof![
        4 => (any::<bool>(), any::<bool>()).prop_map(|(starts, stops)| Op::Order { starts, stops }),
        1 => select(vec![Op::Call(Call::Halt), Op::Call(Call::Restart)]),
        3 => select(notices).prop_map(Op::Says),
        4 => any::<bool>().prop_map(Op::CheckEnds),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_the_rules(
        setup in select(vec![PLAIN, WITH_HOOK, WITH_CONTROLS]), policy in any_policy(), wanted in any::<bool>(), ops in prop::collection::vec(any_op(), 1..200)
    ) {
        let mut world = World::new(setup, policy, wanted);
        for op in ops.into_iter() {
            if world.can(op) {
                world.happens(op);
            }
        }
        world.can_leave();
        world.can_come_up();
        world.can_go_down();
        world.can_stop_reading();
    }

    /// In an order, with readiness and health: besides, nothing is ready without a process, nothing is stopped before those that
    /// need it, and each stop ends once the order allows it.
    #[test]
    fn no_history_in_an_order_breaks_the_rules(
        setup in select(vec![PLAIN, WITH_CONTROLS]), policy in any_policy(), health in any_health(), wanted in any::<bool>(),
        ops in prop::collection::vec(prop_oneof![2 => any_op(), 1 => any_word()], 1..200)
    ) {
        let kind = if health.ready == ReadyWhen::Never { Kind::Oneshot } else { Kind::Longrun };
        let mut world = World::ordered(setup, Policy { kind, ..policy }, health, wanted);
        for op in ops.into_iter() {
            // The kind of a service stays: what it has to say goes by that.
            let op = if let Op::Policy(policy) = op { Op::Policy(Policy { kind, ..policy }) } else { op };
            // Loggers alone are told to read the rest, and they have no place in the order.
            if world.can(op) && !matches!(op, Op::Leave(Leave::EndOfInput)) {
                world.happens(op);
            }
        }
        world.can_leave();
        world.can_come_up();
        world.can_go_down();
    }
}
