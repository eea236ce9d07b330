//! The table of keys: name, default, and how a value becomes a setting. The manual's table is the same.

use super::policy::{KillMode, RestartPolicy, ShutdownOn};
use super::program::Program;
use super::settings::Settings;
use crate::conf::context::{self, account, amounts, attributes, capabilities, cgroup, limits, variables};
use crate::conf::{readiness, relations, shell_words};
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
    Key {
        name: "alarm_recovery",
        default: |_| "no",
        adds: false,
        apply: |s, v| set(&mut s.policy.alarm_recovery, context::yes_or_no(v)),
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
    Key {
        name: "shutdown_on",
        default: |_| "never",
        adds: false,
        apply: |s, v| set(&mut s.policy.shutdown_on, shutdown_on(v)),
    },
    plain("user", |s, v| set(&mut s.context.user, given(v, account::user))),
    plain("groups", |s, v| set(&mut s.context.groups, given(v, account::groups))),
    plain("directory", |s, v| set(&mut s.context.directory, context::directory(v))),
    plain("umask", |s, v| set(&mut s.context.umask, given(v, attributes::umask))),
    plain("nice", |s, v| set(&mut s.context.nice, given(v, attributes::nice))),
    plain("oom_score", |s, v| set(&mut s.context.oom_score, given(v, attributes::oom_score))),
    plain("cpus", |s, v| set(&mut s.context.cpus, given_or(v, attributes::cpus))),
    plain("io_class", |s, v| set(&mut s.context.io_class, given(v, attributes::io_class))),
    plain("limit_as", |s, v| limit(s, "limit_as", v)),
    plain("limit_core", |s, v| limit(s, "limit_core", v)),
    plain("limit_cpu", |s, v| limit(s, "limit_cpu", v)),
    plain("limit_data", |s, v| limit(s, "limit_data", v)),
    plain("limit_fsize", |s, v| limit(s, "limit_fsize", v)),
    plain("limit_locks", |s, v| limit(s, "limit_locks", v)),
    plain("limit_memlock", |s, v| limit(s, "limit_memlock", v)),
    plain("limit_msgqueue", |s, v| limit(s, "limit_msgqueue", v)),
    plain("limit_nice", |s, v| limit(s, "limit_nice", v)),
    plain("limit_nofile", |s, v| limit(s, "limit_nofile", v)),
    plain("limit_nproc", |s, v| limit(s, "limit_nproc", v)),
    plain("limit_rss", |s, v| limit(s, "limit_rss", v)),
    plain("limit_rtprio", |s, v| limit(s, "limit_rtprio", v)),
    plain("limit_rttime", |s, v| limit(s, "limit_rttime", v)),
    plain("limit_sigpending", |s, v| limit(s, "limit_sigpending", v)),
    plain("limit_stack", |s, v| limit(s, "limit_stack", v)),
    plain("no_new_privileges", |s, v| set(&mut s.context.no_new_privileges, given_or(v, context::yes_or_no))),
    plain("capabilities", |s, v| set(&mut s.context.capabilities, given(v, capabilities::capabilities))),
    Key { name: "env", default: |_| "", adds: true, apply: |s, v| set(&mut s.context.env, variables::env(v)) },
    plain("env_file", |s, v| set(&mut s.context.env_file, variables::env_file(v))),
    plain("env_clear", |s, v| set(&mut s.context.env_clear, given_or(v, context::yes_or_no))),
    plain("cgroup", |s, v| set(&mut s.context.group.required, given_or(v, cgroup::required))),
    plain("memory_max", |s, v| set(&mut s.context.group.memory_max, given(v, cgroup::memory))),
    plain("memory_high", |s, v| set(&mut s.context.group.memory_high, given(v, cgroup::memory))),
    plain("cpu_max", |s, v| set(&mut s.context.group.cpu_max, given(v, cgroup::cpu))),
    plain("tasks_max", |s, v| set(&mut s.context.group.tasks_max, given(v, cgroup::tasks))),
    log("log", |_| "files", |s, v| s.log.set("log", v)),
    log("log_size", |_| "16M", |s, v| s.log.set("log_size", v)),
    log("log_age", |_| "0", |s, v| s.log.set("log_age", v)),
    log("log_keep", |_| "10", |s, v| s.log.set("log_keep", v)),
    log("log_total", |_| "0", |s, v| s.log.set("log_total", v)),
    log("log_stamp", |_| "iso", |s, v| s.log.set("log_stamp", v)),
    log("log_format", |_| "text", |s, v| s.log.set("log_format", v)),
    log("log_prefix", |_| "", |s, v| s.log.set("log_prefix", v)),
    log("log_compress", |_| "no", |s, v| s.log.set("log_compress", v)),
    log("log_match", |_| "", |s, v| s.log.set("log_match", v)),
    log("log_full", |_| "block", |s, v| s.log.set("log_full", v)),
    log("log_rate", |_| "0", |s, v| s.log.set("log_rate", v)),
    log("log_user", |_| "", |s, v| s.log.set("log_user", v)),
    plain("status_group", |s, v| set(&mut s.status_group, given(v, account::group))),
    plain("control_group", |s, v| set(&mut s.control_group, given(v, account::group))),
    Key {
        name: "type",
        default: |_| "longrun",
        adds: false,
        apply: |s, v| set(&mut s.policy.kind, relations::kind(v)),
    },
    // Empty: what the files of the service directory say.
    plain("ready", |s, v| set(&mut s.readiness.ready, readiness::ready(v, seconds))),
    Key {
        name: "ready_timeout",
        default: |_| "0",
        adds: false,
        apply: |s, v| set(&mut s.readiness.ready_timeout, seconds(v).map(unless_zero)),
    },
    plain("check", |s, v| set(&mut s.readiness.check, readiness::check(v))),
    Key {
        name: "check_timeout",
        default: |_| "3",
        adds: false,
        apply: |s, v| set(&mut s.readiness.check_timeout, seconds(v).and_then(not_zero)),
    },
    Key {
        name: "check_failures",
        default: |_| "3",
        adds: false,
        apply: |s, v| set(&mut s.readiness.check_failures, count(v).and_then(not_zero_count)),
    },
    Key {
        name: "check_interval",
        default: |_| "0",
        adds: false,
        apply: |s, v| set(&mut s.readiness.check_interval, seconds(v).map(unless_zero)),
    },
    Key {
        name: "unhealthy",
        default: |_| "restart",
        adds: false,
        apply: |s, v| set(&mut s.readiness.unhealthy, readiness::unhealthy(v)),
    },
    Key {
        name: "watchdog",
        default: |_| "0",
        adds: false,
        apply: |s, v| set(&mut s.readiness.watchdog, seconds(v).map(unless_zero)),
    },
    Key {
        name: "watchdog_signal",
        default: |_| "ABRT",
        adds: false,
        apply: |s, v| set(&mut s.readiness.watchdog_signal, signal(v)),
    },
    Key { name: "needs", default: |_| "", adds: true, apply: |s, v| set(&mut s.relations.needs, Ok(names(v))) },
    Key {
        name: "after",
        default: |_| "",
        adds: true,
        apply: |s, v| set(&mut s.relations.after, Ok(good_words(v, relations::name_or_all))),
    },
    Key {
        name: "restart_with",
        default: |_| "",
        adds: true,
        apply: |s, v| set(&mut s.relations.restart_with, Ok(names(v))),
    },
    Key { name: "tags", default: |_| "", adds: true, apply: |s, v| set(&mut s.relations.tags, Ok(tags(v))) },
];

/// A key that nobody has set unless a file does, and whose later value replaces the earlier one.
const fn plain(name: &'static str, apply: fn(&mut Settings, &str) -> Result<(), String>) -> Key {
    Key { name, default: |_| "", adds: false, apply }
}

/// A key about the log. What it says where nobody set it is what supervise-log does without the option, too.
const fn log(
    name: &'static str,
    default: fn(Program) -> &'static str,
    apply: fn(&mut Settings, &str) -> Result<(), String>,
) -> Key {
    Key { name, default, adds: false, apply }
}

/// A value, where there is any.
fn given<T>(value: &str, read: fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if value.is_empty() { Ok(None) } else { read(value).map(Some) }
}

/// A value, or that of a key that nobody has set.
fn given_or<T: Default>(value: &str, read: fn(&str) -> Result<T, String>) -> Result<T, String> {
    given(value, read).map(Option::unwrap_or_default)
}

fn limit(settings: &mut Settings, name: &str, value: &str) -> Result<(), String> {
    if !value.is_empty() {
        settings.context.set_limit(limits::limit(name, value)?);
    }
    Ok(())
}

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

fn not_zero(time: Duration) -> Result<Duration, String> {
    if time.is_zero() { Err("0 is no time for it".into()) } else { Ok(time) }
}

fn not_zero_count(count: Option<u32>) -> Result<u32, String> {
    count.ok_or_else(|| "at least 1".into())
}

/// The names in a value of `needs`, but for those that are none.
pub(super) fn names(value: &str) -> Vec<String> {
    good_words(value, relations::name)
}

fn tags(value: &str) -> Vec<String> {
    good_words(value, relations::tag)
}

/// The words that stand; what is wrong with the others is said by [`refused`].
fn good_words(value: &str, check: fn(&str) -> Result<(), String>) -> Vec<String> {
    words(value).filter(|word| check(word).is_ok()).map(str::to_string).collect()
}

fn interval(value: &str) -> Result<Option<Duration>, String> {
    let seconds = amounts::seconds(without_comment(value))?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds.max(INTERVAL_MIN))))
}

fn count(value: &str) -> Result<Option<u32>, String> {
    let count: u32 = without_comment(value).parse().map_err(|_| format!("{value:?} is not a whole number"))?;
    Ok((count > 0).then_some(count))
}

fn seconds(value: &str) -> Result<Duration, String> {
    amounts::time(without_comment(value))
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
    format!("SIG{name}").parse::<Signal>().map(|signal| signal as i32).map_err(|_| format!("{value:?} is not a signal"))
}

fn kill_mode(value: &str) -> Result<KillMode, String> {
    match value {
        "process" => Ok(KillMode::Process),
        "mixed" => Ok(KillMode::Mixed),
        "group" => Ok(KillMode::Group),
        "cgroup" => Ok(KillMode::Cgroup),
        other => Err(format!("{other:?} is not process, mixed, group or cgroup")),
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

fn shutdown_on(value: &str) -> Result<ShutdownOn, String> {
    match value {
        "never" => Ok(ShutdownOn::Never),
        "failed" => Ok(ShutdownOn::Failed),
        "failure" => Ok(ShutdownOn::Failure),
        "exit" => Ok(ShutdownOn::Exit),
        other => Err(format!("{other:?} is not never, failed, failure or exit")),
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
        "groups" => account::refused_groups(value).into_iter().map(left_out).collect(),
        "env" => variables::refused_env(value).into_iter().map(left_out).collect(),
        "env_file" => variables::refused_env_files(value).into_iter().map(left_out).collect(),
        "log_match" => super::log::refused_patterns(value).into_iter().map(left_out).collect(),
        "needs" | "restart_with" => bad_words(value, relations::name),
        "after" => bad_words(value, relations::name_or_all),
        "tags" => bad_words(value, relations::tag),
        _ => Vec::new(),
    }
}

fn left_out(why: String) -> String {
    format!("{why}; it is left out")
}

fn bad_words(value: &str, check: fn(&str) -> Result<(), String>) -> Vec<String> {
    words(value).filter_map(|word| check(word).err()).map(left_out).collect()
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
