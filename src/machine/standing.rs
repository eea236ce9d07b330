//! The words that a module and the order of modules share: what has become of one, and why it waits.

use crate::conf::relations::Relation;
use std::fmt;

/// What has become of a module, as far as others have to know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It is known, and has not yet said anything of itself.
    #[default]
    Unheard,
    /// Nothing of it runs, and nothing is going to.
    Down {
        /// Somebody has said so by a command, or it is to leave.
        by_command: bool,
    },
    /// Nothing of it runs, and nothing is going to: it has ended well, and is to be started on demand alone.
    Finished,
    /// Nothing of it runs yet: it waits, be it for others or for its delay.
    Coming,
    /// Something of it runs, but not the run process: what comes before a start, or `finish`.
    Around,
    /// Its run process lives, and is not ready, or ready no more.
    Up,
    /// Its run process lives and is ready.
    Ready,
    /// A one-shot that has succeeded.
    Done,
    /// It gave up.
    Failed,
}

impl Standing {
    /// Whether a process of it lives, so that what it needs has to stay.
    pub fn lives(self) -> bool {
        match self {
            Standing::Around | Standing::Up | Standing::Ready => true,
            Standing::Unheard
            | Standing::Down { .. }
            | Standing::Finished
            | Standing::Coming
            | Standing::Done
            | Standing::Failed => false,
        }
    }

    /// Whether its run process lives.
    pub fn runs(self) -> bool {
        match self {
            Standing::Up | Standing::Ready => true,
            Standing::Unheard
            | Standing::Down { .. }
            | Standing::Finished
            | Standing::Coming
            | Standing::Around
            | Standing::Done
            | Standing::Failed => false,
        }
    }
}

/// What one who waits has to know of the one that it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lack {
    /// No module has this name, or none has this tag.
    Unknown,
    /// Nobody wants it up.
    Down,
    /// It has ended well, and is no one-shot, whose end would be enough.
    Finished,
    /// It gave up.
    Failed,
    /// It is on its way.
    NotReady,
    /// It is being stopped.
    Stopping,
}

impl Lack {
    /// The end of a sentence that begins with the module's name.
    pub fn text(self) -> &'static str {
        match self {
            Lack::Unknown => "which there is not",
            Lack::Down => "which is down",
            Lack::Finished => "which has finished",
            Lack::Failed => "which is failed",
            Lack::NotReady => "which is not ready yet",
            Lack::Stopping => "which is being stopped",
        }
    }
}

/// What the order has to tell a module by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Stop, for one that it needs is going to; what is wanted of it stays.
    Halt,
    /// Restart: a module that it names in `restart_with` has a new process.
    Restart,
}

/// How the reason of one that is in a circle begins: it does not pass by itself.
pub const IN_A_CIRCLE: &str = "in a circle: ";

/// Why a module may not start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// Another one is not there.
    Lacks {
        /// What it is to the one that waits.
        relation: Relation,
        /// Its name, or `@tag`.
        name: String,
        /// What is the matter with it.
        lack: Lack,
    },
    /// It is not known yet who else there is.
    Early,
    /// It is in a circle, `a needs b needs a`.
    Circle(String),
    /// Others that need it, or come after it, are still to stop.
    Others {
        /// How many.
        count: usize,
        /// Their names; of many, those of the first alone.
        names: Vec<String>,
        /// Nothing kills one of them, or of those that these wait for.
        unlimited: bool,
    },
}

impl Hold {
    /// The module or tag that is waited for, where it is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Hold::Lacks { name, .. } => Some(name),
            Hold::Early | Hold::Circle(_) | Hold::Others { .. } => None,
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::Lacks { relation, name, lack } => write!(f, "{} {name}, {}", relation.key(), lack.text()),
            Hold::Early => f.write_str("the other modules are not known yet"),
            Hold::Circle(text) => write!(f, "{IN_A_CIRCLE}{text}"),
            Hold::Others { count, names, .. } => {
                f.write_str("waits for the end of ")?;
                match (&names[..], count.saturating_sub(names.len())) {
                    ([], more) => write!(f, "{more} that need it"),
                    ([first @ .., last], 0) if !first.is_empty() => write!(f, "{} and {last}", first.join(", ")),
                    (names, 0) => f.write_str(&names.join(", ")),
                    (names, more) => write!(f, "{} and {more} more", names.join(", ")),
                }
            }
        }
    }
}
