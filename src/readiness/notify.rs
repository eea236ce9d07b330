//! What a datagram to `$NOTIFY_SOCKET` says (sd_notify(3) of systemd): assignments, a line each.

use std::time::Duration;

/// A datagram that is longer than this, in bytes, says nothing.
pub const DATAGRAM_MAX: usize = 16 * 1024;

/// The text of a status that is longer than this, in characters, is cut.
const STATUS_MAX: usize = 256;

/// More than this many assignments in one datagram are nobody's.
const ASSIGNMENTS_MAX: usize = 64;

/// One assignment that means something to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// `READY=1`: it is ready, for the first time or after a reload.
    Ready,
    /// `RELOADING=1`; a `READY=1` follows. With the time of `MONOTONIC_USEC`, if it was given.
    Reloading(Option<Duration>),
    /// `STOPPING=1`: it is going to end by itself.
    Stopping,
    /// `STATUS=`: a line for people.
    Status(String),
    /// `ERRNO=`: why it fails.
    Errno(i32),
    /// `MAINPID=`: this process is the service.
    MainPid(i32),
    /// `WATCHDOG=1`: it is well.
    Alive,
    /// `WATCHDOG=trigger`: it is not.
    Trigger,
    /// `WATCHDOG_USEC=`: how often it will say that it is well from now on.
    WatchdogInterval(Duration),
    /// `EXTEND_TIMEOUT_USEC=`: what it is doing takes so long from now on.
    Extend(Duration),
    /// `BARRIER=1`, alone: who has sent it waits until everything before it was read.
    Barrier,
}

/// Reads a datagram, in the order of its lines. What is not known, or has no sense, is passed over.
pub fn parse(datagram: &[u8]) -> Vec<Assignment> {
    if datagram.len() > DATAGRAM_MAX {
        return Vec::new();
    }
    let lines = || datagram.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(ASSIGNMENTS_MAX);
    let fields = || lines().filter_map(|line| line.iter().position(|byte| *byte == b'=').map(|at| line.split_at(at)));
    let reloaded_at = fields().find(|(name, _)| *name == b"MONOTONIC_USEC").and_then(|(_, value)| time(&value[1..]));
    let is_alone = lines().nth(1).is_none();
    let assignment = |(name, value): (&[u8], &[u8])| one(name, value.get(1..)?, reloaded_at);
    fields().filter_map(assignment).filter(|assignment| is_alone || *assignment != Assignment::Barrier).collect()
}

fn one(name: &[u8], value: &[u8], reloaded_at: Option<Duration>) -> Option<Assignment> {
    Some(match (name, value) {
        (b"READY", b"1") => Assignment::Ready,
        (b"RELOADING", b"1") => Assignment::Reloading(reloaded_at),
        (b"STOPPING", b"1") => Assignment::Stopping,
        (b"STATUS", text) => Assignment::Status(line(text)),
        (b"ERRNO", digits) => Assignment::Errno(i32::try_from(number(digits)?).ok()?),
        (b"MAINPID", digits) => Assignment::MainPid(i32::try_from(number(digits)?).ok().filter(|pid| *pid > 1)?),
        (b"WATCHDOG", b"1") => Assignment::Alive,
        (b"WATCHDOG", b"trigger") => Assignment::Trigger,
        (b"WATCHDOG_USEC", digits) => Assignment::WatchdogInterval(time(digits)?),
        (b"EXTEND_TIMEOUT_USEC", digits) => Assignment::Extend(time(digits)?),
        (b"BARRIER", b"1") => Assignment::Barrier,
        _ => return None,
    })
}

/// Microseconds. A time of more than a hundred years is none.
fn time(digits: &[u8]) -> Option<Duration> {
    number(digits).map(Duration::from_micros).filter(|time| time.as_secs() < 3_155_760_000)
}

fn number(digits: &[u8]) -> Option<u64> {
    // `parse` would take a sign, too.
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_plain)?.parse().ok()
}

/// A text for people, as it can be shown on a terminal.
pub fn line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.trim().chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(STATUS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Assignment::*;

    #[test]
    fn every_assignment_is_understood() {
        let micros = Duration::from_micros;
        let cases: [(&str, &[Assignment]); 16] = [
            ("READY=1", &[Ready]),
            ("READY=1\n", &[Ready]),
            ("READY=1\nSTATUS=up and well\nMAINPID=77", &[Ready, Status("up and well".into()), MainPid(77)]),
            ("RELOADING=1\nMONOTONIC_USEC=123", &[Reloading(Some(micros(123)))]),
            ("MONOTONIC_USEC=123\nRELOADING=1", &[Reloading(Some(micros(123)))]),
            ("RELOADING=1", &[Reloading(None)]),
            ("STOPPING=1\nERRNO=2", &[Stopping, Errno(2)]),
            ("WATCHDOG=1", &[Alive]),
            ("WATCHDOG=trigger", &[Trigger]),
            ("WATCHDOG_USEC=20000000", &[WatchdogInterval(micros(20_000_000))]),
            ("EXTEND_TIMEOUT_USEC=1", &[Extend(micros(1))]),
            ("BARRIER=1", &[Barrier]),
            ("FDSTORE=1\nFDNAME=x\nX_OWN=y\nBUSERROR=z\nREADY=1", &[Ready]),
            ("STATUS=", &[Status(String::new())]),
            ("STATUS=a=b", &[Status("a=b".into())]),
            ("\n\nREADY=1\n\nSTOPPING=1", &[Ready, Stopping]),
        ];
        for (datagram, says) in cases {
            assert_eq!(parse(datagram.as_bytes()), says, "{datagram:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_says_nothing() {
        let none = [
            "",
            "\n",
            "=",
            "=1",
            "READY",
            "READY=",
            "READY=0",
            "READY=11",
            " READY=1",
            "ready=1",
            "READY =1",
            "MAINPID=0",
            "MAINPID=1",
            "MAINPID=-7",
            "MAINPID=99999999999",
            "MAINPID=+7",
            "MAINPID=7x",
            "ERRNO=-1",
            "WATCHDOG=2",
            "WATCHDOG_USEC=",
            "WATCHDOG_USEC=1s",
            "EXTEND_TIMEOUT_USEC=99999999999999999999",
            "EXTEND_TIMEOUT_USEC=18446744073709551615",
            "BARRIER=1\nX=1",
            "X=1\nBARRIER=1",
            "BARRIER=2",
        ];
        for datagram in none {
            assert_eq!(parse(datagram.as_bytes()), [], "{datagram:?}");
        }
        assert_eq!(parse(&vec![b'x'; DATAGRAM_MAX + 1]), []);
        let mut huge = b"READY=1\n".to_vec();
        huge.resize(DATAGRAM_MAX + 1, b'x');
        assert_eq!(parse(&huge), []);
        assert_eq!(parse("STOPPING=1\n".repeat(10_000).as_bytes()).len(), 0);
        assert_eq!(parse("READY=1\n".repeat(1000).as_bytes()).len(), ASSIGNMENTS_MAX);
    }

    #[test]
    fn a_status_can_be_shown_whatever_is_in_it() {
        assert_eq!(parse(b"STATUS=\x1b[31mred\x07\xff"), [Status(" [31mred \u{fffd}".into())]);
        let long = format!("STATUS={}", "\u{e4}".repeat(5000));
        assert_eq!(parse(long.as_bytes()), [Status("\u{e4}".repeat(STATUS_MAX))]);
    }
}
