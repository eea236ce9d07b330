//! When a service is ready, and how its health is looked at: the values of `ready`, `check` and `unhealthy`.

use crate::conf::shell_words;
use nix::sys::signal::Signal;
use std::path::PathBuf;
use std::time::Duration;

/// What makes a service ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ready {
    /// What the files of the service directory say: `notification-fd`, else `check`, else that it runs.
    #[default]
    ByFiles,
    /// That it runs.
    Start,
    /// A newline on a descriptor (s6, notifywhenup): this one, or the one in the file `notification-fd`, or 3.
    Fd(Option<u8>),
    /// `READY=1` (sd_notify(3)).
    Notify,
    /// A check that succeeds.
    Check,
    /// That it has lived for so long.
    Lived(Duration),
}

/// The lowest descriptor that can be used to tell readiness: the others are input, output and error.
pub const FD_MIN: u8 = 3;

/// What a check is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A program and its arguments; exit code 0 is a success.
    Program(Vec<String>),
    /// Somebody accepts connections there.
    Tcp {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// Somebody accepts connections at this socket.
    Socket(PathBuf),
    /// An answer with a status of 200 to 299.
    Http(Url),
}

/// A URL that is looked at without encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What is asked for, from the `/` on.
    pub path: String,
}

/// What follows when a service that was ready fails its checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unhealthy {
    /// It is stopped and started again, which counts as a failure.
    #[default]
    Restart,
    /// An alarm.
    Alarm,
    /// It is shown, and no more.
    Ignore,
}

/// Reads the value of `ready`; a time is read by `time`.
///
/// # Errors
/// What is wrong with it.
pub fn ready(value: &str, time: fn(&str) -> Result<Duration, String>) -> Result<Ready, String> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    match words[..] {
        [] => Ok(Ready::ByFiles),
        ["start"] => Ok(Ready::Start),
        ["notify"] => Ok(Ready::Notify),
        ["check"] => Ok(Ready::Check),
        ["fd"] => Ok(Ready::Fd(None)),
        ["fd", number] => descriptor(number).map(|number| Ready::Fd(Some(number))),
        [word] if word.starts_with(|letter: char| letter.is_ascii_digit()) => time(word).map(Ready::Lived),
        _ => Err(format!("{value:?} is not start, fd, fd NUMBER, notify, check or a time")),
    }
}

/// Reads the number of a descriptor, as `ready` and the file `notification-fd` give it.
///
/// # Errors
/// What is wrong with it.
pub fn descriptor(word: &str) -> Result<u8, String> {
    match word.parse::<u8>() {
        Ok(number) if number >= FD_MIN => Ok(number),
        Ok(number) => Err(format!("descriptor {number} is input, output or error: take one from {FD_MIN} on")),
        Err(_) => Err(format!("{word:?} is not a descriptor from {FD_MIN} to {}", u8::MAX)),
    }
}

/// Reads the value of `check`; `None` if it is empty.
///
/// # Errors
/// What is wrong with it.
pub fn check(value: &str) -> Result<Option<Check>, String> {
    let words = shell_words::split(value)?;
    let of = |check: Result<Check, String>| check.map(Some);
    match &words[..] {
        [] => Ok(None),
        [kind, place] if kind == "tcp" && place.starts_with('/') => of(Ok(Check::Socket(place.into()))),
        [kind, place] if kind == "tcp" => of(address(place).map(|(host, port)| Check::Tcp { host, port })),
        [kind, url] if kind == "http" => of(self::url(url).map(Check::Http)),
        [kind, ..] if kind == "tcp" => Err("tcp takes HOST:PORT, or the path of a socket".into()),
        [kind, ..] if kind == "http" => Err("http takes one URL".into()),
        _ => of(Ok(Check::Program(words))),
    }
}

fn address(text: &str) -> Result<(String, u16), String> {
    let bad = || format!("{text:?} is not HOST:PORT");
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(bad)?,
        None if host.contains(':') => return Err(format!("{text:?}: write an IPv6 address as [ADDRESS]:PORT")),
        None => host,
    };
    let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| format!("{port:?} is not a port"))?;
    if host.is_empty() || host.contains(|letter: char| letter.is_control() || letter.is_whitespace()) {
        Err(bad())
    } else {
        Ok((host.to_string(), port))
    }
}

fn url(text: &str) -> Result<Url, String> {
    if text.starts_with("https://") {
        return Err(format!("{text:?}: https is not looked at; use a program, such as curl -f"));
    }
    let rest = text.strip_prefix("http://").ok_or_else(|| format!("{text:?} is not a URL: http://HOST:PORT/PATH"))?;
    let (place, path) = rest.find(['/', '?']).map_or((rest, "/"), |at| rest.split_at(at));
    if text.contains(|letter: char| letter.is_control() || letter.is_whitespace()) || place.contains('@') {
        return Err(format!("{text:?} is not a URL that can be asked for"));
    }
    let has_port = place.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let (host, port) = address(&if has_port { place.to_string() } else { format!("{place}:80") })?;
    let path = path.split('#').next().unwrap_or_default();
    Ok(Url { host, port, path: if path.starts_with('/') { path.into() } else { format!("/{path}") } })
}

/// The keys about readiness and health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// What makes it ready.
    pub ready: Ready,
    /// How long that may take; `None`: for ever.
    pub ready_timeout: Option<Duration>,
    /// How it is looked at, if not by the file `check`.
    pub check: Option<Check>,
    /// How long one look may take.
    pub check_timeout: Duration,
    /// So many failures in a row are one too many.
    pub check_failures: u32,
    /// How often it is looked at once it is ready; `None`: never.
    pub check_interval: Option<Duration>,
    /// What follows from failures.
    pub unhealthy: Unhealthy,
    /// How often it has to say that it is well; `None`: never.
    pub watchdog: Option<Duration>,
    /// The number of the signal that it gets if it does not.
    pub watchdog_signal: i32,
}

impl Default for Readiness {
    fn default() -> Readiness {
        Readiness {
            ready: Ready::ByFiles,
            ready_timeout: None,
            check: None,
            check_timeout: Duration::from_secs(3),
            check_failures: 3,
            check_interval: None,
            unhealthy: Unhealthy::Restart,
            watchdog: None,
            watchdog_signal: Signal::SIGABRT as i32,
        }
    }
}

/// Reads the value of `unhealthy`.
///
/// # Errors
/// What is wrong with it.
pub fn unhealthy(value: &str) -> Result<Unhealthy, String> {
    match value {
        "restart" => Ok(Unhealthy::Restart),
        "alarm" => Ok(Unhealthy::Alarm),
        "ignore" => Ok(Unhealthy::Ignore),
        other => Err(format!("{other:?} is not restart, alarm or ignore")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_one_of_five_ways() {
        let cases = [
            ("", Ready::ByFiles),
            ("start", Ready::Start),
            ("fd", Ready::Fd(None)),
            ("fd  7", Ready::Fd(Some(7))),
            ("notify", Ready::Notify),
            ("check", Ready::Check),
            ("2", Ready::Lived(Duration::from_secs(2))),
        ];
        let ready = |value| ready(value, |word| word.parse().map(Duration::from_secs).map_err(|_| "no time".into()));
        for (value, is) in cases {
            assert_eq!(ready(value), Ok(is), "{value}");
        }
        for bad in ["fd 0", "fd 1", "fd 2", "fd 256", "fd -3", "fd x", "fd 3 4", "sometime", "-1", "5 6", "2x"] {
            assert!(ready(bad).is_err(), "{bad}");
        }
        assert!(ready("fd 1").unwrap_err().contains("from 3 on"));
    }

    #[test]
    fn a_check_is_a_program_or_a_place() {
        let tcp = |host: &str, port| Check::Tcp { host: host.into(), port };
        let http = |host: &str, port, path: &str| Check::Http(Url { host: host.into(), port, path: path.into() });
        let cases = [
            ("curl -f 'a b'", Check::Program(vec!["curl".into(), "-f".into(), "a b".into()])),
            ("tcp localhost:80", tcp("localhost", 80)),
            ("tcp [::1]:5432", tcp("::1", 5432)),
            ("tcp /run/db.sock", Check::Socket("/run/db.sock".into())),
            ("http http://localhost", http("localhost", 80, "/")),
            ("http http://[::1]:8080/health?x=1#here", http("::1", 8080, "/health?x=1")),
            ("http http://web?x", http("web", 80, "/?x")),
        ];
        for (value, is) in cases {
            assert_eq!(check(value), Ok(Some(is)), "{value}");
        }
        assert_eq!(check("  "), Ok(None));
        for bad in
            ["tcp", "tcp localhost", "tcp :80", "tcp a:0", "tcp a:70000", "tcp ::1:80", "tcp a:1 b:2", "tcp [::1:2"]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
        for bad in
            ["http", "http ftp://a/", "http https://a/", "http http://", "http http://a@b/", "http 'http://a/ b'", "'"]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
