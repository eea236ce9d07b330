//! What both programs are told: random, and the same for the same seed.

use crate::random::Random;
use std::fmt;

/// What is supervised, and with which settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A process that ends at every signal that ends one.
    Plain,
    /// One that ignores TERM.
    Stubborn,
    /// With `-r`.
    Hook,
    /// With alarms and at most two restarts.
    Limits,
}

/// One thing that is done to both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes into the FIFO.
    Send(&'static str),
    /// A signal to the run process, from outside.
    Kill,
    /// A signal to the supervisor.
    Signal(&'static str),
    /// TERM to the supervisor, KILL to the run process, and the program called again.
    Again,
    /// The program called: it takes over if nobody supervises.
    Call,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Plain, Kind::Stubborn, Kind::Hook, Kind::Limits];

    /// Whether both programs are meant to do the same then.
    pub fn allows(self, step: Step) -> bool {
        match (self, step) {
            // An end that was asked for does not count here, and does in the C program.
            (Kind::Limits, Step::Send(bytes)) => matches!(bytes, "h" | "s" | "n" | "p" | "c" | "a" | "\n" | "?" | "sn"),
            // With -r, `x` has the C program start the service once more.
            (Kind::Hook, Step::Send(bytes)) if bytes.contains('x') => false,
            _ => true,
        }
    }
}

impl Step {
    /// All of them.
    pub const ALL: [Step; 24] = [
        Step::Send("u"),
        Step::Send("d"),
        Step::Send("o"),
        Step::Send("k"),
        Step::Send("t"),
        Step::Send("i"),
        Step::Send("h"),
        Step::Send("a"),
        Step::Send("p"),
        Step::Send("c"),
        Step::Send("s"),
        Step::Send("n"),
        Step::Send("x"),
        Step::Send("r"),
        Step::Send("\n"),
        Step::Send("?"),
        // Of more bytes at once those whose outcome in the C program does not depend on whether an end, or the second after
        // a start, comes between them.
        Step::Send("dk"),
        Step::Send("dx"),
        Step::Send("sn"),
        Step::Kill,
        Step::Signal("HUP"),
        Step::Signal("ALRM"),
        Step::Again,
        Step::Call,
    ];
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Send(bytes) => write!(f, "{bytes:?}"),
            Step::Kill => f.write_str("kill"),
            Step::Signal(name) => write!(f, "{name}-to-supervise"),
            Step::Again => f.write_str("again"),
            Step::Call => f.write_str("call"),
        }
    }
}

/// The sequence of this number: six to twelve steps, and a call after each that may have ended supervision.
pub fn random(seed: u64) -> (Kind, Vec<Step>) {
    let mut random = Random::new(seed);
    let kind = random.pick(&Kind::ALL).expect("kinds");
    let allowed: Vec<Step> = Step::ALL.into_iter().filter(|step| kind.allows(*step)).collect();
    let length = 6 + random.below(7);
    let mut steps = Vec::new();
    while steps.len() < length {
        // Limits are about ends that nobody asked for.
        let often = kind == Kind::Limits && random.chance(50);
        let step = if often { Step::Kill } else { random.pick(&allowed).expect("steps") };
        steps.push(step);
        if matches!(step, Step::Send(bytes) if bytes.contains('x')) && random.chance(60) {
            steps.push(Step::Call);
        }
    }
    (kind, steps)
}
