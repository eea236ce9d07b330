//! The table of `status`, made for reading at three in the morning: what is not up comes first, and says why.

use crate::ctl::format;
use crate::ctl::report::SUMMARY_FROM;
use crate::ctl::root::Module;
use crate::ctl::snapshot::{STALE, Snapshot, SnapshotError, Supervised};
use crate::status::module_state::ModuleState;
use crate::status::record::Want;
use crate::sys::time::Mono;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::time::SystemTime;

/// One module, and what is known of it.
pub type Seen = (Module, Result<Snapshot, SnapshotError>);

/// How a module does, in the order in which the table shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// Gave up.
    Failed,
    /// Ends again and again, whatever it does just now.
    Flapping,
    /// Nobody supervises it, though somebody should.
    Unsupervised,
    /// What its files say is over.
    Stale,
    /// We may not look.
    Denied,
    /// Waits for its next start.
    Backoff,
    /// Up, and its checks fail.
    Unhealthy,
    /// Waits for modules that it needs.
    Waiting,
    /// On its way up or down, or in a state that we do not know.
    Changing,
    /// Paused.
    Paused,
    /// Down, though it is wanted up.
    NotUp,
    /// Down, as it is wanted.
    Down,
    /// Done, and not to be started again.
    Done,
    /// Up.
    Up,
    /// The service was removed, and this is left of it.
    Removed,
}

impl Health {
    /// How `seen` does; `None` for one that vanished while we looked.
    pub fn of(seen: &Result<Snapshot, SnapshotError>) -> Option<Health> {
        let snapshot = match seen {
            Ok(snapshot) => snapshot,
            Err(SnapshotError::Gone) => return None,
            Err(SnapshotError::Denied(_)) => return Some(Health::Denied),
        };
        Some(match snapshot.supervised {
            Supervised::Removed => Health::Removed,
            Supervised::No { .. } => Health::Unsupervised,
            Supervised::NotBegun => Health::Failed,
            Supervised::Stale => Health::Stale,
            Supervised::Yes if snapshot.state.state == ModuleState::Unhealthy => Health::Unhealthy,
            Supervised::Yes if snapshot.is_flapping() => Health::Flapping,
            Supervised::Yes if snapshot.is_up() => Health::Up,
            Supervised::Yes => match snapshot.state.state {
                ModuleState::Failed => Health::Failed,
                ModuleState::Backoff => Health::Backoff,
                ModuleState::Paused => Health::Paused,
                ModuleState::Done => Health::Done,
                ModuleState::Down if snapshot.state.want == Some(Want::Down) => Health::Down,
                ModuleState::Down => Health::NotUp,
                ModuleState::Waiting => Health::Waiting,
                ModuleState::Unhealthy => Health::Unhealthy,
                ModuleState::Starting
                | ModuleState::Reloading
                | ModuleState::Up
                | ModuleState::Ready
                | ModuleState::Stopping
                | ModuleState::Finishing
                | ModuleState::Unknown(_) => Health::Changing,
            },
        })
    }

    /// Whether it is as it is wanted: nobody has to look at it.
    pub fn is_as_wanted(self) -> bool {
        match self {
            Health::Down | Health::Done | Health::Up | Health::Removed => true,
            Health::Failed
            | Health::Flapping
            | Health::Unsupervised
            | Health::Stale
            | Health::Denied
            | Health::Backoff
            | Health::Unhealthy
            | Health::Waiting
            | Health::Changing
            | Health::Paused
            | Health::NotUp => false,
        }
    }

    /// The colour of its state, as SGR parameters.
    fn colour(self) -> &'static str {
        match self {
            Health::Failed | Health::Flapping | Health::Unsupervised | Health::Stale | Health::Denied => "1;31",
            Health::Backoff | Health::Waiting | Health::Changing | Health::Paused => "33",
            Health::NotUp | Health::Unhealthy => "1;31",
            Health::Down => "35",
            Health::Up | Health::Done => "32",
            Health::Removed => "2",
        }
    }

    /// Its name in the summary.
    fn name(self) -> &'static str {
        match self {
            Health::Failed => "failed",
            Health::Flapping => "flapping",
            Health::Unsupervised => "not supervised",
            Health::Stale => "stale",
            Health::Denied => "not readable",
            Health::Backoff => "in backoff",
            Health::Unhealthy => "unhealthy",
            Health::Waiting => "waiting",
            Health::Changing => "changing",
            Health::Paused => "paused",
            Health::NotUp => "not up",
            Health::Down => "down",
            Health::Done => "done",
            Health::Up => "up",
            Health::Removed => "removed",
        }
    }
}

/// How the table is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// With colours.
    pub colour: bool,
    /// The columns that there are; lines are cut there. `None`: as long as they get.
    pub columns: Option<usize>,
    /// The time that is now.
    pub now: SystemTime,
}

const HEADINGS: [&str; COLUMNS] = ["MODULE", "STATE", "PID", "UPTIME", "RESTARTS", "LAST EXIT", ""];
const COLUMNS: usize = 7;

/// Which column is the state's.
const STATE: usize = 1;

/// Blanks between two columns.
const GAP: &str = "  ";

/// What stands before a reason on a line of its own.
const INDENT: &str = "      ";

struct Row {
    health: Health,
    cells: [String; COLUMNS],
}

/// The table of `all`, which come ordered by name.
pub fn draw(all: &[Seen], style: Style) -> String {
    let rows = rows(all, style.now);
    if rows.is_empty() {
        return "no modules\n".into();
    }
    let mut widths = HEADINGS.map(format::width);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(&row.cells) {
            *width = (*width).max(format::width(cell));
        }
    }
    let mut text = line(&HEADINGS.map(String::from), &widths, style, None);
    for row in &rows {
        text += &line(&row.cells, &widths, style, Some(row.health));
    }
    if rows.len() > SUMMARY_FROM {
        text += &summary(&rows);
    }
    text
}

/// A logger stands below its service, in the place of whichever of the two needs looking at more.
fn rows(all: &[Seen], now: SystemTime) -> Vec<Row> {
    let seen: Vec<(&Module, &Result<Snapshot, SnapshotError>, Health)> =
        all.iter().filter_map(|(module, seen)| Health::of(seen).map(|health| (module, seen, health))).collect();
    let names: HashSet<&OsStr> = seen.iter().map(|(module, ..)| module.name.as_os_str()).collect();
    let service = |module: &Module| -> Option<OsString> {
        module.logged().filter(|service| names.contains(service)).map(OsStr::to_owned)
    };
    let mut worst: HashMap<OsString, Health> = HashMap::new();
    for (module, _, health) in &seen {
        let group = service(module).unwrap_or_else(|| module.name.clone());
        let worst = worst.entry(group).or_insert(*health);
        *worst = (*worst).min(*health);
    }
    let mut keyed: Vec<_> = seen
        .into_iter()
        .map(|(module, seen, health)| {
            let under = service(module);
            let group = under.clone().unwrap_or_else(|| module.name.clone());
            let row = Row { health, cells: cells(module, seen, under.is_some(), now) };
            ((worst.get(&group).copied().unwrap_or(health), group, under.is_some()), row)
        })
        .collect();
    keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
    keyed.into_iter().map(|(_, row)| row).collect()
}

fn cells(
    module: &Module,
    seen: &Result<Snapshot, SnapshotError>,
    indented: bool,
    now: SystemTime,
) -> [String; COLUMNS] {
    let name = format!("{}{}", if indented { "  " } else { "" }, module.shown());
    let none = || "-".to_string();
    let snapshot = match seen {
        Ok(snapshot) => snapshot,
        Err(unseen) => {
            let why = if let SnapshotError::Denied(why) = unseen { why.clone() } else { String::new() };
            return [name, "?".into(), none(), none(), none(), none(), why];
        }
    };
    let (state, note) = state_and_note(snapshot, now);
    let exit = snapshot.state.last_exit.as_ref().map(|exit| {
        let ago = snapshot.ended_ago(now).map_or(String::new(), |ago| format!(", {} ago", format::duration(ago)));
        format!("{}{ago}", format::ending(exit))
    });
    let uptime = match snapshot.supervised {
        Supervised::Yes => snapshot.uptime(now).map(format::duration),
        // Nobody has looked after it since; it may have ended long ago.
        Supervised::No { .. } | Supervised::Stale | Supervised::Removed | Supervised::NotBegun => None,
    };
    [
        name,
        state,
        snapshot.state.pid.map_or_else(none, |pid| pid.to_string()),
        uptime.unwrap_or_else(none),
        snapshot.state.restarts.to_string(),
        exit.unwrap_or_else(none),
        note,
    ]
}

fn state_and_note(snapshot: &Snapshot, now: SystemTime) -> (String, String) {
    let state = snapshot.state_name();
    let next = match snapshot.next_start(now) {
        Some(wait) if snapshot.state.state == ModuleState::Backoff => {
            Some(format!("next start in {}", format::duration(wait)))
        }
        _ => None,
    };
    let wanted = match snapshot.state.want {
        Some(want @ (Want::Down | Want::Up))
            if snapshot.state.state == ModuleState::Down && snapshot.state.reason.is_none() =>
        {
            Some(format!("wanted {}", want.name()))
        }
        Some(Want::Down | Want::Up | Want::Once) | None => None,
    };
    let reason = snapshot.state.reason.as_deref().map(format::text);
    let says = |state: &str, why: &str| (state.to_string(), why.to_string());
    match (snapshot.supervised, snapshot.state.pid) {
        (Supervised::Removed, _) => says("removed", "the service directory is gone"),
        (Supervised::NotBegun, _) => (state, reason.unwrap_or_default()),
        (Supervised::Stale, _) => ("stale".into(), format!("{STALE}, was {state}")),
        (Supervised::No { runs_on: true }, _) => {
            ("orphaned".into(), format!("not supervised, was {state}; the process runs on"))
        }
        (Supervised::No { .. }, Some(_)) => {
            ("dead".into(), format!("not supervised, was {state}; the process is gone"))
        }
        (Supervised::No { .. }, None) => ("dead".into(), format!("not supervised, was {state}")),
        (Supervised::Yes, _) => {
            let unrecorded = snapshot.state.unrecorded.as_deref().map(format::text);
            let flapping = snapshot.is_flapping().then(|| {
                let exits = snapshot.state.recent_exits_at(Mono::now());
                format!("flapping: {exits} exits in 5 minutes")
            });
            let parts: Vec<String> = [flapping, reason, wanted, next, unrecorded].into_iter().flatten().collect();
            (state, parts.join("; "))
        }
    }
}

/// One row. The last cell says why: where the line is too short for it, it gets one of its own.
fn line(cells: &[String; COLUMNS], widths: &[usize; COLUMNS], style: Style, health: Option<Health>) -> String {
    let (why, cells) = cells.split_last().unwrap_or((&cells[0], &[]));
    let mut text = String::new();
    let mut used = 0;
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let room = style.columns.map_or(usize::MAX, |columns| columns.saturating_sub(used));
        let cell = format::cut(cell, room);
        let blanks = " ".repeat((*width).min(room) - format::width(&cell));
        match health {
            Some(health) if style.colour && column == STATE => {
                text += &format!("\x1b[{}m{cell}\x1b[0m{blanks}{GAP}", health.colour());
            }
            _ => text += &format!("{cell}{blanks}{GAP}"),
        }
        used += width + GAP.len();
    }
    match style.columns {
        Some(columns) if used + format::width(why) > columns && !why.is_empty() => {
            format!("{}\n{}\n", text.trim_end(), format::cut(&format!("{INDENT}{why}"), columns))
        }
        _ => format!("{}\n", (text + why).trim_end()),
    }
}

/// `1000 modules: 1 failed, 999 up`
fn summary(rows: &[Row]) -> String {
    let mut counts: Vec<(Health, usize)> = Vec::new();
    let mut healths: Vec<Health> = rows.iter().map(|row| row.health).collect();
    healths.sort();
    for health in healths {
        match counts.last_mut() {
            Some((last, count)) if *last == health => *count += 1,
            _ => counts.push((health, 1)),
        }
    }
    let parts: Vec<String> = counts.iter().map(|(health, count)| format!("{count} {}", health.name())).collect();
    format!("{} modules: {}\n", rows.len(), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::StatusDir;
    use crate::status::state::{LastExit, StateFile};
    use std::time::{Duration, UNIX_EPOCH};

    /// 2026-01-31 12:00:00 UTC.
    const NOW: u64 = 1_769_860_800;

    fn ago(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW - seconds)
    }

    fn stamp(at: SystemTime) -> String {
        chrono::DateTime::<chrono::Utc>::from(at).to_rfc3339()
    }

    fn module(name: &str) -> Module {
        Module { name: name.into(), dir: StatusDir::new("/nowhere") }
    }

    fn seen(name: &str, state: &str, pid: Option<u32>, since: u64, more: impl FnOnce(&mut Snapshot)) -> Seen {
        let state = StateFile {
            state: ModuleState::from_name(state),
            want: Want::from_name(if matches!(state, "down" | "stopping") { "down" } else { "up" }),
            pid,
            ..StateFile::default()
        };
        let mut snapshot = Snapshot { supervised: Supervised::Yes, state, raw: None, changed: Some(ago(since)) };
        more(&mut snapshot);
        (module(name), Ok(snapshot))
    }

    fn ended(snapshot: &mut Snapshot, code: Option<i32>, signal: Option<&str>, core: bool, at: u64) {
        snapshot.state.last_exit = Some(LastExit { code, signal: signal.map(Into::into), core, at: stamp(ago(at)) });
    }

    fn three_in_the_morning() -> Vec<Seen> {
        vec![
            seen("api", "up", Some(812), 273_600, |_| ()),
            seen("api/log", "up", Some(813), 273_601, |_| ()),
            seen("cache", "paused", Some(900), 7320, |_| ()),
            seen("db", "failed", None, 125, |s| {
                s.state.restarts = 10;
                s.state.reason = Some("gave up after 10 restarts in 60 s".into());
                ended(s, Some(3), None, false, 125);
            }),
            seen("mail", "down", None, 4000, |s| ended(s, None, Some("TERM"), false, 4000)),
            seen("queue", "up", Some(1200), 31, |_| ()),
            seen("queue/log", "backoff", None, 2, |s| {
                s.state.restarts = 7;
                s.state.next_start = Some(stamp(UNIX_EPOCH + Duration::from_secs(NOW + 3)));
                ended(s, None, Some("SEGV"), true, 2);
            }),
            seen("web", "stopping", Some(77), 100_000, |_| ()),
        ]
    }

    fn style(colour: bool, columns: Option<usize>) -> Style {
        Style { colour, columns, now: ago(0) }
    }

    #[test]
    fn what_is_not_up_comes_first_and_says_why() {
        insta::assert_snapshot!(draw(&three_in_the_morning(), style(false, None)));
    }

    #[test]
    fn states_have_colours_and_columns_still_line_up() {
        let text = draw(&three_in_the_morning(), style(true, None));
        insta::assert_snapshot!(text.replace('\x1b', "^"));
    }

    #[test]
    fn a_narrow_terminal_cuts_lines_and_wraps_none() {
        let text = draw(&three_in_the_morning(), style(false, Some(40)));
        assert!(text.lines().all(|line| format::width(line.trim_end()) <= 40), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_is_left_of_a_dead_tree_says_so() {
        let left = |runs_on| move |s: &mut Snapshot| s.supervised = Supervised::No { runs_on };
        let all = [
            seen("gone", "down", None, 90, |s| s.supervised = Supervised::Removed),
            seen("idle", "down", None, 90, left(false)),
            seen("lives", "up", Some(5), 90, left(true)),
            (module("secret"), Err(SnapshotError::Denied("status/secret: Permission denied".into()))),
            seen("stale", "up", Some(6), 90, left(false)),
            (module("vanished"), Err(SnapshotError::Gone)),
        ];
        insta::assert_snapshot!(draw(&all, style(false, None)));
    }

    #[test]
    fn any_name_is_one_word_in_one_line() {
        let names =
            ["a b", "line\nbreak", "\x1b[31mred", "-option", "服务器", "x".repeat(60).as_str()].map(String::from);
        let all: Vec<Seen> = names.iter().map(|name| seen(name, "up", Some(1), 5, |_| ())).collect();
        insta::assert_snapshot!(draw(&all, style(false, None)));
    }

    #[test]
    fn many_modules_are_summed_up() {
        let mut all: Vec<Seen> = (0..11).map(|n| seen(&format!("w{n:02}"), "up", Some(n), 5, |_| ())).collect();
        all.push(seen("z", "failed", None, 5, |_| ()));
        let text = draw(&all, style(false, None));
        assert_eq!(text.lines().last(), Some("12 modules: 1 failed, 11 up"));
        assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("z ")), "{text}");
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        assert_eq!(draw(&[], style(false, None)), "no modules\n");
    }
}
