use super::*;
use crate::status::state::{Memory, StateFile};
use std::time::UNIX_EPOCH;

const T0: Mono = Mono(Duration::from_secs(1000));

fn clock(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A module in `state` since `since`, with a process that was started then, if any.
fn seen(state: &str, since: u64, pid: Option<u32>) -> Snapshot {
    let state = StateFile {
        state: ModuleState::from_name(state),
        since: format!("@{since}"),
        pid,
        want: Some(crate::status::record::Want::Up),
        ..StateFile::default()
    };
    Snapshot { supervised: Supervised::Yes, state, raw: None, changed: Some(clock(since)) }
}

fn after(mut snapshot: Snapshot, at: &str, code: i32) -> Snapshot {
    snapshot.state.last_exit = Some(LastExit { code: Some(code), at: at.into(), ..LastExit::default() });
    snapshot
}

fn trace(goal: Goal, before: &Snapshot) -> Progress {
    Progress::new(goal, before, T0, clock(100))
}

fn in_ms(ms: u64) -> Mono {
    T0 + Duration::from_millis(ms)
}

#[test]
fn what_has_to_end_first_is_neither_up_nor_paused_for_good() {
    // A start while the old one is being stopped.
    let mut trace_of = trace(Goal::Up, &seen("stopping", 50, Some(7)));
    assert_eq!(trace_of.look(&seen("stopping", 50, Some(7)), in_ms(10)), Verdict::NotYet(None));
    assert_eq!(trace_of.look(&after(seen("backoff", 60, None), "a", 9), in_ms(20)), Verdict::NotYet(None));
    let up = after(seen("up", 61, Some(8)), "a", 9);
    assert!(matches!(trace_of.look(&up, in_ms(30)), Verdict::NotYet(Some(_))));
    assert_eq!(trace_of.look(&up, in_ms(2000)), Verdict::Reached);
    // A restart of what is paused, or waits.
    let mut trace_of = trace(Goal::NewRun, &seen("paused", 50, Some(7)));
    assert_eq!(trace_of.look(&seen("paused", 50, Some(7)), in_ms(10)), Verdict::NotYet(None));
    let mut trace_of = trace(Goal::NewRun, &seen("backoff", 50, None));
    assert_eq!(trace_of.look(&seen("backoff", 51, None), in_ms(10)), Verdict::NotYet(None));
    let mut failed = seen("backoff", 52, None);
    failed.state.failed_starts = 1;
    assert!(matches!(trace_of.look(&failed, in_ms(20)), Verdict::Failed(_)));
}

#[test]
fn a_one_shot_is_ready_when_it_is_done() {
    let mut runs = seen("up", 50, Some(7));
    runs.state.memory = Some(Memory { unready: true, ..Memory::default() });
    let mut progress = trace(Goal::IsReady, &runs);
    assert_eq!(progress.look(&runs, in_ms(2000)), Verdict::NotYet(None));
    assert_eq!(progress.look(&seen("done", 53, None), in_ms(3000)), Verdict::Reached);
    assert_eq!(
        trace(Goal::IsReady, &seen("up", 50, Some(7))).look(&seen("up", 50, Some(7)), in_ms(10)),
        Verdict::Reached
    );
}

#[test]
fn what_is_in_a_circle_is_not_waited_for() {
    let waits = |why: &str| {
        let mut waits = seen("waiting", 50, None);
        waits.state.reason = Some(why.into());
        waits
    };
    for goal in [Goal::Up, Goal::NewRun, Goal::Once] {
        let mut trace_of = trace(goal, &waits("needs b, which waits"));
        assert_eq!(trace_of.look(&waits("needs b, which waits"), in_ms(10)), Verdict::NotYet(None));
        let circle = "in a circle: a needs b needs a";
        assert_eq!(trace_of.look(&waits(circle), in_ms(20)), Verdict::Failed(format!("cannot be started: {circle}")));
    }
}

#[test]
fn what_was_written_before_the_command_was_taken_says_nothing() {
    // A stop comes before our start, and nothing tells of it yet.
    let before = counted(seen("up", 50, Some(7)), 4);
    let mut trace_of = trace(Goal::Up, &before).with_command(&before, 1);
    assert_eq!(trace_of.look(&before, in_ms(1)), Verdict::NotYet(None));
    assert_eq!(trace_of.look(&counted(seen("stopping", 50, Some(7)), 5), in_ms(2)), Verdict::NotYet(None));
    let up = counted(after(seen("up", 100, Some(8)), "a", 0), 5);
    assert!(matches!(trace_of.look(&up, in_ms(30)), Verdict::NotYet(Some(_))));
    assert_eq!(trace_of.look(&up, in_ms(2000)), Verdict::Reached);
    // Two bytes are two commands, and who counts from the beginning will not come so far.
    let mut trace_of = trace(Goal::Taken, &before).with_command(&before, 2);
    assert_eq!(trace_of.look(&counted(before.clone(), 5), in_ms(1)), Verdict::NotYet(None));
    assert_eq!(trace_of.clone().look(&counted(before.clone(), 6), in_ms(1)), Verdict::Reached);
    assert_eq!(trace_of.look(&counted(before, 1), in_ms(1)), Verdict::Reached);
}

#[test]
fn a_process_that_got_a_signal_to_end_is_not_up_before_it_has_outlived_it() {
    let up = seen("up", 50, Some(7));
    let mut signalled = up.clone();
    let until = (T0 + EXPECTED_EXIT_WINDOW).nanoseconds();
    let memory = crate::status::state::Memory { expected_exit_until: Some(until), ..Default::default() };
    signalled.state.memory = Some(memory);
    let mut trace_of = trace(Goal::Up, &up);
    assert_eq!(trace_of.look(&signalled, in_ms(10)), Verdict::NotYet(Some(in_ms(1000))));
    assert_eq!(trace_of.clone().look(&signalled, in_ms(1000)), Verdict::Reached);
    assert!(matches!(trace_of.look(&after(seen("up", 100, Some(8)), "a", 0), in_ms(30)), Verdict::NotYet(_)));
}

#[test]
fn a_service_that_is_up_for_long_is_up() {
    let up = seen("up", 50, Some(7));
    assert_eq!(trace(Goal::Up, &up).look(&up, in_ms(0)), Verdict::Reached);
}

#[test]
fn a_start_is_done_a_second_after_the_process_came() {
    let mut trace = trace(Goal::Up, &seen("down", 50, None));
    assert_eq!(trace.look(&seen("down", 50, None), in_ms(0)), Verdict::NotYet(None));
    let up = seen("up", 100, Some(7));
    assert_eq!(trace.look(&up, in_ms(10)), Verdict::NotYet(Some(in_ms(1010))));
    assert_eq!(trace.look(&up, in_ms(1010)), Verdict::Reached);
}

#[test]
fn a_restart_wants_another_process() {
    let before = seen("up", 50, Some(7));
    let mut trace = trace(Goal::NewRun, &before);
    assert_eq!(trace.look(&before, in_ms(5)), Verdict::NotYet(None));
    let stopping = Snapshot { changed: before.changed, ..seen("stopping", 100, Some(7)) };
    assert_eq!(trace.look(&stopping, in_ms(10)), Verdict::NotYet(None));
    assert_eq!(trace.look(&after(seen("backoff", 100, None), "a", 0), in_ms(20)), Verdict::NotYet(None));
    let up = after(seen("up", 101, Some(8)), "a", 0);
    assert_eq!(trace.look(&up, in_ms(30)), Verdict::NotYet(Some(in_ms(1030))));
    assert_eq!(trace.look(&up, in_ms(1030)), Verdict::Reached);
}

#[test]
fn a_restart_of_what_has_just_begun_ends_a_process_that_was_not_written_down_yet() {
    for before in ["", "starting"] {
        let mut trace = trace(Goal::NewRun, &seen(before, 99, None));
        assert_eq!(
            trace.look(&after(seen("backoff", 100, None), "a", 0), in_ms(20)),
            Verdict::NotYet(None),
            "{before}"
        );
        let up = after(seen("up", 101, Some(8)), "a", 0);
        assert_eq!(trace.look(&up, in_ms(30)), Verdict::NotYet(Some(in_ms(1030))), "{before}");
        assert_eq!(trace.clone().look(&up, in_ms(1030)), Verdict::Reached, "{before}");
        let died = after(seen("backoff", 102, None), "b", 3);
        assert!(matches!(trace.look(&died, in_ms(200)), Verdict::Failed(_)), "{before}");
    }
}

#[test]
fn the_same_number_for_a_later_process_is_another_process() {
    let mut trace = trace(Goal::NewRun, &seen("up", 50, Some(7)));
    let up = after(seen("up", 100, Some(7)), "a", 0);
    assert!(matches!(trace.look(&up, in_ms(10)), Verdict::NotYet(Some(_))));
}

#[test]
fn a_process_that_dies_at_once_is_a_failure() {
    let mut trace = trace(Goal::NewRun, &seen("up", 50, Some(7)));
    trace.look(&after(seen("up", 100, Some(8)), "a", 0), in_ms(10));
    let verdict = trace.look(&after(seen("backoff", 101, None), "b", 3), in_ms(210));
    assert_eq!(verdict, Verdict::Failed("came up (pid 8) and ended after 0.2 s: exit 3".into()));
}

#[test]
fn so_is_one_whose_life_was_too_short_to_be_seen() {
    let mut up = trace(Goal::Up, &seen("down", 50, None));
    let verdict = up.look(&after(seen("backoff", 100, None), "a", 3), in_ms(10));
    assert_eq!(verdict, Verdict::Failed("came up and ended at once: exit 3".into()));
    let mut restart = trace(Goal::NewRun, &seen("up", 50, Some(7)));
    restart.look(&after(seen("up", 100, Some(8)), "a", 0), in_ms(10));
    let verdict = restart.look(&after(seen("up", 101, Some(9)), "b", 3), in_ms(900));
    assert!(matches!(verdict, Verdict::Failed(_)), "{verdict:?}");
}

#[test]
fn a_delay_before_the_start_is_no_failure_and_a_second_one_is() {
    let mut trace = trace(Goal::Up, &seen("down", 50, None));
    assert_eq!(trace.look(&seen("starting", 100, None), in_ms(1)), Verdict::NotYet(None));
    assert_eq!(trace.look(&seen("backoff", 100, None), in_ms(10)), Verdict::NotYet(None));
    let mut again = seen("backoff", 101, None);
    again.state.reason = Some("run: execve: Permission denied".into());
    again.state.failed_starts = 1;
    let verdict = trace.look(&again, in_ms(1010));
    assert_eq!(verdict, Verdict::Failed("cannot be started: run: execve: Permission denied".into()));
}

#[test]
fn the_delays_of_other_restarts_are_no_failures() {
    let mut trace = trace(Goal::NewRun, &seen("up", 50, Some(7)));
    for at in 100..105 {
        let delay = after(seen("backoff", at, None), "@100", 15);
        assert_eq!(trace.look(&delay, in_ms(10 * at)), Verdict::NotYet(None));
    }
}

#[test]
fn a_start_that_cannot_succeed_is_a_failure_at_once() {
    let mut up = trace(Goal::Up, &seen("down", 50, None));
    let mut failed = seen("backoff", 100, None);
    failed.state.failed_starts = 1;
    failed.state.reason = Some("run is not executable".into());
    assert_eq!(up.clone().look(&failed, in_ms(1)), Verdict::NotYet(None), "it may pass");
    failed.state.memory = Some(crate::status::state::Memory { start_is_hopeless: true, ..Default::default() });
    let mut again = trace(Goal::Up, &failed);
    assert_eq!(again.look(&failed, in_ms(1)), Verdict::NotYet(None), "that was before the command");
    let verdict = up.look(&failed, in_ms(1));
    assert_eq!(verdict, Verdict::Failed("cannot be started: run is not executable".into()));
}

#[test]
fn giving_up_is_a_failure_unless_it_happened_before() {
    let before = seen("failed", 50, None);
    let mut trace = trace(Goal::Up, &before);
    assert_eq!(trace.look(&before, in_ms(0)), Verdict::NotYet(None));
    assert!(matches!(trace.look(&seen("failed", 100, None), in_ms(10)), Verdict::Failed(_)));
}

#[test]
fn once_may_end_well() {
    let mut well = trace(Goal::Once, &seen("down", 50, None));
    assert_eq!(well.look(&after(seen("down", 100, None), "a", 0), in_ms(10)), Verdict::Reached);
    let mut badly = trace(Goal::Once, &seen("down", 50, None));
    assert!(matches!(badly.look(&after(seen("down", 100, None), "a", 1), in_ms(10)), Verdict::Failed(_)));
}

#[test]
fn a_stop_is_done_when_nothing_runs() {
    let before = seen("up", 50, Some(7));
    let mut trace = trace(Goal::Down, &before);
    assert_eq!(trace.look(&before, in_ms(0)), Verdict::NotYet(None));
    assert_eq!(trace.look(&seen("finishing", 100, None), in_ms(10)), Verdict::NotYet(None));
    assert_eq!(trace.look(&seen("down", 100, None), in_ms(20)), Verdict::Reached);
}

#[test]
fn a_supervisor_that_ends_is_noticed() {
    let gone = |state, pid| Snapshot { supervised: Supervised::No { runs_on: false }, ..seen(state, 50, pid) };
    let before = seen("up", 50, Some(7));
    assert_eq!(trace(Goal::NewRun, &before).look(&gone("up", Some(7)), in_ms(0)), Verdict::Abandoned);
    assert_eq!(trace(Goal::Down, &before).look(&gone("down", None), in_ms(0)), Verdict::Reached);
    assert_eq!(trace(Goal::IsUp, &before).look(&gone("up", Some(7)), in_ms(0)), Verdict::NotYet(None));
}

#[test]
fn a_start_leaves_a_pause_as_it_is_and_a_restart_does_not_count_it_as_up() {
    let paused = seen("paused", 50, Some(7));
    assert_eq!(trace(Goal::Up, &paused).look(&paused, in_ms(0)), Verdict::Reached);
    let down = seen("down", 50, None);
    let verdict = trace(Goal::NewRun, &down).look(&paused, in_ms(0));
    assert!(matches!(verdict, Verdict::Failed(ref why) if why.contains("cont")), "{verdict:?}");
}

#[test]
fn a_service_that_says_when_it_is_ready_is_waited_for() {
    let mut starting = seen("up", 100, Some(7));
    starting.state.ready = Some(false);
    let mut up = trace(Goal::Up, &seen("down", 50, None));
    up.look(&starting, in_ms(10));
    assert_eq!(up.look(&starting, in_ms(2000)), Verdict::NotYet(None));
    assert_eq!(trace(Goal::IsReady, &starting).look(&starting, in_ms(10)), Verdict::NotYet(None));
    starting.state.ready = Some(true);
    assert_eq!(up.look(&starting, in_ms(2010)), Verdict::Reached);
}

fn counted(snapshot: Snapshot, commands: u64) -> Snapshot {
    Snapshot { state: StateFile { commands: Some(commands), ..snapshot.state.clone() }, ..snapshot }
}

#[test]
fn a_restart_of_what_comes_up_by_itself_meanwhile_ends_a_process_that_was_not_there_before() {
    for before in ["waiting", "backoff", "starting", "down"] {
        let before = after(counted(seen(before, 50, None), 4), "z", 0);
        let begun = trace(Goal::NewRun, &before).with_command(&before, 2);
        let up = counted(after(seen("up", 101, Some(8)), "a", 15), 6);
        let died = counted(after(seen("backoff", 102, None), "b", 3), 6);
        // It is seen while it is being stopped, or not at all. That another one ended before is none of ours either.
        let stopping = counted(after(seen("stopping", 99, Some(7)), "y", 1), 6);
        let delay = counted(after(seen("backoff", 100, None), "a", 15), 6);
        for way in [&[stopping, delay.clone()][..], &[delay]] {
            let mut trace_of = begun.clone();
            for seen in way {
                assert_eq!(trace_of.look(seen, in_ms(10)), Verdict::NotYet(None), "{before:?}");
            }
            assert_eq!(trace_of.look(&up, in_ms(30)), Verdict::NotYet(Some(in_ms(1030))), "{before:?}");
            assert_eq!(trace_of.clone().look(&up, in_ms(1030)), Verdict::Reached, "{before:?}");
            assert!(matches!(trace_of.look(&died, in_ms(200)), Verdict::Failed(_)), "{before:?}");
        }
        // Nothing came up: the first end is that of ours.
        let mut trace_of = begun.clone();
        let waits = counted(after(seen("waiting", 50, None), "z", 0), 6);
        assert_eq!(trace_of.look(&waits, in_ms(10)), Verdict::NotYet(None));
        assert!(matches!(trace_of.look(&died, in_ms(200)), Verdict::Failed(_)), "{before:?}");
    }
}

#[test]
fn a_stop_that_is_overtaken_is_over_once_the_process_has_ended() {
    let before = counted(seen("up", 50, Some(7)), 4);
    let wanted = |snapshot: Snapshot, want| {
        let state = StateFile { want: Some(want), ..snapshot.state.clone() };
        counted(Snapshot { state, ..snapshot }, 6)
    };
    let mut trace_of = trace(Goal::Down, &before).with_command(&before, 1);
    // Somebody has restarted it, and ours is still to come.
    let up = wanted(seen("up", 51, Some(8)), Want::Up);
    assert_eq!(trace_of.look(&up, in_ms(0)), Verdict::NotYet(Some(in_ms(300))));
    assert_eq!(trace_of.look(&wanted(seen("stopping", 51, Some(8)), Want::Down), in_ms(100)), Verdict::NotYet(None));
    assert_eq!(trace_of.clone().look(&wanted(seen("down", 52, None), Want::Down), in_ms(500)), Verdict::Reached);
    // It is wanted up while it is being stopped, and comes up again.
    assert_eq!(trace_of.look(&wanted(seen("stopping", 51, Some(8)), Want::Up), in_ms(500)), Verdict::NotYet(None));
    assert_eq!(
        trace_of.look(&wanted(seen("backoff", 52, None), Want::Up), in_ms(600)),
        Verdict::NotYet(Some(in_ms(900)))
    );
    let verdict = trace_of.look(&wanted(seen("up", 53, Some(9)), Want::Up), in_ms(900));
    assert_eq!(verdict, Verdict::Failed("stopped, and wanted up again meanwhile".into()));
    // One that stopped for nobody is not said to have stopped.
    let mut trace_of = trace(Goal::Down, &before).with_command(&before, 1);
    trace_of.look(&wanted(seen("up", 50, Some(7)), Want::Up), in_ms(0));
    let verdict = trace_of.look(&wanted(seen("up", 50, Some(7)), Want::Up), in_ms(300));
    assert_eq!(verdict, Verdict::Failed("wanted up again meanwhile".into()));
    // Who does not count commands may not have ours yet.
    let mut trace_of = trace(Goal::Down, &seen("up", 50, Some(7)));
    assert_eq!(trace_of.look(&seen("up", 51, Some(8)), in_ms(900)), Verdict::NotYet(None));
}

#[test]
fn a_service_that_has_finished_is_not_ready_as_a_one_shot_is() {
    let mut finished = seen("done", 53, None);
    finished.state.want = Some(crate::status::record::Want::Down);
    finished.state.memory = Some(Memory::default());
    assert_eq!(trace(Goal::IsReady, &finished).look(&finished, in_ms(10)), Verdict::NotYet(None));
}

#[test]
fn a_start_that_is_overtaken_is_over_soon() {
    let down = |since, commands| {
        let mut down = counted(seen("down", since, None), commands);
        (down.state.want, down.state.reason) =
            (Some(crate::status::record::Want::Down), Some("finish exited 125".into()));
        down
    };
    for (goal, before) in [(Goal::Up, down(50, 4)), (Goal::NewRun, counted(seen("backoff", 50, None), 4))] {
        let mut trace_of = trace(goal, &before).with_command(&before, 2);
        assert_eq!(trace_of.look(&down(50, 4), in_ms(0)), Verdict::NotYet(None));
        assert_eq!(trace_of.look(&down(60, 7), in_ms(10)), Verdict::NotYet(Some(in_ms(310))));
        // Ours came after that.
        assert_eq!(trace_of.look(&counted(seen("backoff", 61, None), 8), in_ms(20)), Verdict::NotYet(None));
        assert_eq!(trace_of.look(&down(62, 9), in_ms(100)), Verdict::NotYet(Some(in_ms(400))));
        let verdict = trace_of.look(&down(62, 9), in_ms(400));
        assert_eq!(verdict, Verdict::Failed("wanted down again meanwhile: finish exited 125".into()));
    }
}
