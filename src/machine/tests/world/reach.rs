//! What can always be reached: a way out, a way up, a way down.

use super::*;

impl World {
    /// Told to stop and leave, in a world that obeys KILL and nothing else, it leaves.
    pub fn can_leave(&self) {
        self.reaches(
            "leave",
            Op::Leave(Leave::Stop),
            |world| world.machine.state() == State::Ended,
            |world| {
                let dies = ExitStatus::Signal { number: libc::SIGKILL, core: false };
                match (world.pending, world.run, world.helper, world.machine.deadline()) {
                    (None, Some(run), _, _) if run.killed => Op::RunEnds(dies),
                    (None, _, Some(helper), _) if helper.killed => Op::HelperEnds(dies),
                    // Its time is over.
                    (None, Some(_), _, _) if !world.scripts.is_empty() => Op::ScriptEnds(false),
                    (None, _, _, Some(_)) => Op::DeadlineReached,
                    // There is no kill_timeout: somebody must lose patience.
                    (None, _, _, None) => Op::KillNow,
                    (Some(_), ..) => world.good_answer(),
                }
            },
        );
    }

    /// Told to go up, in a world in which all goes well, it comes up.
    pub fn can_come_up(&self) {
        let up = |world: &World| matches!(world.machine.state(), State::Up(run) if run.stop == Stop::No);
        if self.machine.leave().is_none() {
            self.reaches("come up", Op::Command(Command::Up), up, World::good_answer);
        }
    }

    /// Told to go down, in a world in which all goes well, it goes down.
    pub fn can_go_down(&self) {
        let down =
            |world: &World| matches!(world.machine.state(), State::Down | State::Failed | State::Done | State::Ended);
        self.reaches("go down", Op::Command(Command::Down), down, World::good_answer);
    }

    /// Told to read to the end, in a world in which each logger dies of that, it leaves, and has tried.
    pub fn can_stop_reading(&self) {
        let dies = ExitStatus::Signal { number: libc::SIGSEGV, core: false };
        let ended = |world: &World| world.machine.state() == State::Ended;
        self.reaches("stop reading", Op::Leave(Leave::EndOfInput), ended, |world| match world.good_answer() {
            Op::RunEnds(_) => Op::RunEnds(dies),
            op => op,
        });
    }

    /// What a well-behaved world does next.
    fn good_answer(&self) -> Op {
        match (self.pending, self.run, self.helper) {
            (Some(Pending::Hook), ..) => Op::Hook(false),
            (Some(Pending::Start), ..) => Op::Start(Ok(())),
            (Some(Pending::Finish), ..) => Op::Finish(false),
            (None, Some(_), _) if !self.scripts.is_empty() => Op::ScriptEnds(true),
            (None, Some(_), _) if self.machine.run().is_some_and(|run| matches!(run.stop, Stop::Held(_))) => {
                Op::Order { starts: true, stops: true }
            }
            (None, Some(_), _) => Op::RunEnds(ExitStatus::Code(0)),
            (None, None, Some(_)) => Op::HelperEnds(ExitStatus::Code(0)),
            (None, None, None) if self.machine.state() == State::Waiting => Op::Order { starts: true, stops: true },
            (None, None, None) => Op::DeadlineReached,
        }
    }

    fn reaches(&self, what: &str, first: Op, there: impl Fn(&World) -> bool, next: impl Fn(&World) -> Op) {
        let mut world = self.clone();
        world.happens(first);
        for _ in 0..STEPS {
            if there(&world) {
                return;
            }
            let op = next(&world);
            assert!(world.can(op), "it does not {what}: {op:?} is to come, {world:?}");
            world.happens(op);
        }
        panic!("it does not {what}: {world:?}, which began as {self:?}");
    }
}
