//! Why a module that is down stays down: the keys `reason` and `memory` of `state.json`.

use crate::sys::process::pidfd::ExitStatus;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// Why nothing runs, and nothing is going to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// Somebody has said so, with `d`.
    Command,
    /// `down` was there when supervision began.
    DownFile,
    /// It has ended well, and `restart` wants no more.
    Finished,
    /// It has ended otherwise, and `restart` wants no more.
    Restart {
        /// `restart : never`; else it is `on-failure`.
        never: bool,
        /// How it ended.
        exit: ExitStatus,
    },
    /// It was to run once, and has ended.
    Once(ExitStatus),
    /// `finish` exited 125.
    Finish,
}

impl Display for Rest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Rest::Command => f.write_str("stopped by command"),
            Rest::DownFile => f.write_str("there is a down file"),
            Rest::Finished => f.write_str("finished"),
            Rest::Restart { never, exit } => {
                write!(f, "restart : {} after {}", if *never { "never" } else { "on-failure" }, short(*exit))
            }
            Rest::Once(exit) => write!(f, "ran once: {}", short(*exit)),
            Rest::Finish => f.write_str("finish exited 125: no restart"),
        }
    }
}

/// `exit 1`, and all else as in the log.
fn short(exit: ExitStatus) -> String {
    if let ExitStatus::Code(code) = exit { format!("exit {code}") } else { exit.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_which_exit_and_is_read_back() {
        let killed = ExitStatus::Signal { number: 9, core: false };
        for (rest, said) in [
            (Rest::Command, "stopped by command"),
            (Rest::Restart { never: true, exit: ExitStatus::Code(1) }, "restart : never after exit 1"),
            (Rest::Once(killed), "ran once: signal KILL"),
        ] {
            assert_eq!(rest.to_string(), said);
            let text = serde_json::to_string(&rest).unwrap();
            assert_eq!(serde_json::from_str::<Rest>(&text).unwrap(), rest, "{text}");
        }
    }
}
