//! The bytes of the control FIFO, decoded once.

/// What one byte asks for (supervise-status(5), COMMANDS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// `u`
    Up,
    /// `d`
    Down,
    /// `o`
    Once,
    /// `k t i h a q 1 2 w`
    Signal(Signal),
    /// `p`
    Pause,
    /// `c`
    Continue,
    /// `x`
    Exit,
    /// runit's `x`: the run process is stopped first
    StopAndExit,
    /// `s`, `n`: alarm off, on
    Alarm(bool),
    /// `r`
    Reload,
}

/// The signals that have a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// `k`
    Kill,
    /// `t`
    Term,
    /// `i`
    Int,
    /// `q`
    Quit,
    /// `h`
    Hup,
    /// `a`
    Alrm,
    /// `1`
    Usr1,
    /// `2`
    Usr2,
    /// `w`
    Winch,
}

impl Signal {
    /// The signal's number.
    pub fn number(self) -> i32 {
        match self {
            Signal::Kill => libc::SIGKILL,
            Signal::Term => libc::SIGTERM,
            Signal::Int => libc::SIGINT,
            Signal::Quit => libc::SIGQUIT,
            Signal::Hup => libc::SIGHUP,
            Signal::Alrm => libc::SIGALRM,
            Signal::Usr1 => libc::SIGUSR1,
            Signal::Usr2 => libc::SIGUSR2,
            Signal::Winch => libc::SIGWINCH,
        }
    }

    /// The byte that sends it.
    pub fn letter(self) -> char {
        match self {
            Signal::Kill => 'k',
            Signal::Term => 't',
            Signal::Int => 'i',
            Signal::Quit => 'q',
            Signal::Hup => 'h',
            Signal::Alrm => 'a',
            Signal::Usr1 => '1',
            Signal::Usr2 => '2',
            Signal::Winch => 'w',
        }
    }

    /// Whether somebody who sends it wants the process to end, so that its end is not a failure.
    pub fn asks_for_exit(self) -> bool {
        match self {
            Signal::Kill | Signal::Term | Signal::Int | Signal::Quit => true,
            Signal::Hup | Signal::Alrm | Signal::Usr1 | Signal::Usr2 | Signal::Winch => false,
        }
    }
}

impl Command {
    /// What `byte` asks for; `None` for newlines and everything unknown.
    pub fn from_byte(byte: u8) -> Option<Command> {
        Some(match byte {
            b'u' => Command::Up,
            b'd' => Command::Down,
            b'o' => Command::Once,
            b'k' => Command::Signal(Signal::Kill),
            b't' => Command::Signal(Signal::Term),
            b'i' => Command::Signal(Signal::Int),
            b'q' => Command::Signal(Signal::Quit),
            b'h' => Command::Signal(Signal::Hup),
            b'a' => Command::Signal(Signal::Alrm),
            b'1' => Command::Signal(Signal::Usr1),
            b'2' => Command::Signal(Signal::Usr2),
            b'w' => Command::Signal(Signal::Winch),
            b'p' => Command::Pause,
            b'c' => Command::Continue,
            b'x' => Command::Exit,
            b's' => Command::Alarm(false),
            b'n' => Command::Alarm(true),
            b'r' => Command::Reload,
            _ => return None,
        })
    }

    /// What `byte` asks for on the FIFO of runit's tools: those that runit does not know mean nothing, and `x` stops
    /// the service first.
    pub fn from_runit_byte(byte: u8) -> Option<Command> {
        match byte {
            b'x' => Some(Command::StopAndExit),
            b'u' | b'd' | b'o' | b'p' | b'c' | b'h' | b'a' | b'i' | b'q' | b'1' | b'2' | b't' | b'k' => {
                Command::from_byte(byte)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eighteen_bytes_mean_something_and_no_two_the_same() {
        let known: Vec<_> = (0..=255).filter_map(Command::from_byte).collect();
        let distinct: std::collections::HashSet<_> = known.iter().collect();
        assert_eq!((known.len(), distinct.len()), (18, 18));
        for command in known {
            if let Command::Signal(signal) = command {
                assert_eq!(Command::from_byte(signal.letter() as u8), Some(command));
            }
        }
        assert_eq!(Command::from_byte(b'\n'), None);
        assert_eq!(Command::from_byte(b'K'), None);
        let runits: Vec<_> = (0..=255).filter(|byte| Command::from_runit_byte(*byte).is_some()).collect();
        assert_eq!(String::from_utf8(runits).unwrap(), "12acdhikopqtux");
    }
}
