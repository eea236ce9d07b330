//! The table of keys: name, default, and how a value becomes a setting. The manual's table is the same.

use super::Program;
use super::policy::{KillMode, RestartPolicy};
use super::settings::Settings;
use crate::conf::shell_words;
use nix::sys::signal::Signal;
use std::time::Duration;

/// One key of `supervise.conf`.
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its value where nobody set it.
    pub default: fn(Program) -> &'static str,
    /// Whether a module's own value adds to that of `[global]` instead of replacing it.
    pub adds: bool,
    /// Sets the setting from a value, or says what is wrong with it.
    pub apply: fn(&mut Settings, &str) -> Result<(), String>,
}

/// An interval shorter than this counts as this, in seconds as with the C program `supervise`.
const INTERVAL_MIN: u64 = 60;

/// Times longer than this, in seconds, are typing errors: a hundred years.
const SECONDS_MAX: f64 = 3_155_760_000.0;

/// All keys, in the manual's order.
pub const KEYS: &[Key] = &[
    Key {
        name: "alarm_interval",
        default: |_| "0",
        adds: false,
        apply: |s, v| set(&mut s.policy.interval, interval(v)),
    },
    Key { name: "alarm_mail", default: |_| "", adds: true, apply: |s, v| set(&mut s.alarms.mail, list(v)) },
    Key { name: "alarm_gsm", default: |_| "", adds: true, apply: |s, v| set(&mut s.alarms.gsm, list(v)) },
    Key { name: "max_tries", default: |_| "0", adds: false, apply: |s, v| set(&mut s.policy.max_tries, count(v)) },
    Key {
        name: "max_tries_if_coredumped",
        default: |_| "0",
        adds: false,
        apply: |s, v| set(&mut s.policy.max_cores, count(v)),
    },
    Key {
        name: "alarm_command",
        default: |_| "",
        adds: false,
        apply: |s, v| set(&mut s.alarms.command, shell_words::split(v)),
    },
    Key { name: "alarm_mailer", default: |_| "mail", adds: false, apply: |s, v| set(&mut s.alarms.mailer, program(v)) },
    Key {
        name: "alarm_gsm_command",
        default: |_| "gsmsend-script",
        adds: false,
        apply: |s, v| set(&mut s.alarms.gsm_command, program(v)),
    },
    Key { name: "restart_delay", default: |_| "1", adds: false, apply: |s, v| set(&mut s.policy.delay, seconds(v)) },
    Key {
        name: "restart_delay_max",
        // Empty: the same as restart_delay.
        default: |_| "",
        adds: false,
        apply: |s, v| set(&mut s.policy.delay_max, if v.is_empty() { Ok(Duration::ZERO) } else { seconds(v) }),
    },
    Key {
        name: "kill_timeout",
        default: |program| if program == Program::Tree { "10" } else { "0" },
        adds: false,
        apply: |s, v| set(&mut s.policy.kill_timeout, seconds(v).map(unless_zero)),
    },
    Key {
        name: "finish_timeout",
        default: |_| "5",
        adds: false,
        apply: |s, v| set(&mut s.policy.finish_timeout, seconds(v).map(unless_zero)),
    },
    Key {
        name: "stop_signal",
        default: |_| "TERM",
        adds: false,
        apply: |s, v| set(&mut s.policy.stop_signal, signal(v)),
    },
    Key {
        name: "kill_mode",
        default: |program| if program == Program::Tree { "mixed" } else { "process" },
        adds: false,
        apply: |s, v| set(&mut s.policy.kill_mode, kill_mode(v)),
    },
    Key { name: "restart", default: |_| "always", adds: false, apply: |s, v| set(&mut s.policy.restart, restart(v)) },
];

/// The key called `name`.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

fn set<T>(place: &mut T, value: Result<T, String>) -> Result<(), String> {
    *place = value?;
    Ok(())
}

fn unless_zero(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}

fn interval(value: &str) -> Result<Option<Duration>, String> {
    let seconds: u64 =
        without_comment(value).parse().map_err(|_| format!("{value:?} is no whole number of seconds"))?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds.clamp(INTERVAL_MIN, SECONDS_MAX as u64))))
}

fn count(value: &str) -> Result<Option<u32>, String> {
    let count: u32 = without_comment(value).parse().map_err(|_| format!("{value:?} is no whole number"))?;
    Ok((count > 0).then_some(count))
}

fn seconds(value: &str) -> Result<Duration, String> {
    let bad = || format!("{value:?} is no number of seconds");
    // f64 would take `inf`, `nan` and `1e3`, too.
    if !value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(bad());
    }
    let seconds: f64 = value.parse().map_err(|_| bad())?;
    Ok(Duration::from_secs_f64(seconds.min(SECONDS_MAX)))
}

fn program(value: &str) -> Result<Vec<String>, String> {
    match shell_words::split(value)? {
        words if words.is_empty() => Err("names no program".into()),
        words => Ok(words),
    }
}

fn signal(value: &str) -> Result<i32, String> {
    let name = value.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    if let Ok(number) = name.parse::<i32>() {
        return if (1..=64).contains(&number) { Ok(number) } else { Err(format!("there is no signal {number}")) };
    }
    format!("SIG{name}").parse::<Signal>().map(|signal| signal as i32).map_err(|_| format!("{value:?} is no signal"))
}

fn kill_mode(value: &str) -> Result<KillMode, String> {
    match value {
        "process" => Ok(KillMode::Process),
        "mixed" => Ok(KillMode::Mixed),
        "group" => Ok(KillMode::Group),
        other => Err(format!("{other:?} is not process, mixed or group")),
    }
}

fn restart(value: &str) -> Result<RestartPolicy, String> {
    match value {
        "always" => Ok(RestartPolicy::Always),
        "on-failure" => Ok(RestartPolicy::OnFailure),
        "never" => Ok(RestartPolicy::Never),
        other => Err(format!("{other:?} is not always, on-failure or never")),
    }
}

/// The words of a list that can be used, each by itself: a program that gets them must not take one for an option.
fn list(value: &str) -> Result<Vec<String>, String> {
    Ok(words(value).filter(|word| !word.starts_with('-')).map(str::to_string).collect())
}

/// What is wrong with single words of a value whose others stand.
pub fn refused(name: &str, value: &str) -> Vec<String> {
    match name {
        "alarm_mail" | "alarm_gsm" => words(value)
            .filter(|word| word.starts_with('-'))
            .map(|word| format!("{word:?} looks like an option and is left out"))
            .collect(),
        _ => Vec::new(),
    }
}

/// The words up to a comment: there, one ends a list or a number.
fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split_ascii_whitespace().take_while(|word| !word.starts_with(['#', ';']))
}

/// A value without the comment behind it. Scripts' files have `max_tries : 3   # as agreed`.
fn without_comment(value: &str) -> &str {
    let comment = value.match_indices([' ', '\t']).find(|(at, _)| value[at + 1..].starts_with(['#', ';']));
    comment.map_or(value, |(at, _)| value[..at].trim_end())
}
