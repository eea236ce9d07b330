//! Random histories in the simulated world: what must never happen does not, and what is asked for comes.

use crate::conf::policy::{KillMode, Policy, RestartPolicy};
use crate::machine::Leave;
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
    }
}
