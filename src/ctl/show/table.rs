//! The table of `status`, made for reading at three in the morning: what is not up comes first, and says why.

use crate::ctl::format;
use crate::ctl::logs::logged::{self, Service};
use crate::ctl::report::SUMMARY_FROM;
use crate::ctl::root::Module;
use crate::ctl::show::health::Health;
use crate::ctl::snapshot::{STALE, Snapshot, SnapshotError, Supervised};
use crate::status::module_state::ModuleState;
use crate::status::record::Want;
use crate::status::rest::Rest;
use crate::sys::time::Mono;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::time::SystemTime;

/// One module, and what is known of it.
pub type Seen = (Module, Result<Snapshot, SnapshotError>);

/// How the table is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// With colours.
    pub colour: bool,
    /// The columns that there are; what is longer goes on in further lines. `None`: as long as they get.
    pub columns: Option<usize>,
    /// The time that is now.
    pub now: SystemTime,
}

const HEADINGS: [&str; COLUMNS] = ["MODULE", "STATE", "ENABLED", "PID", "UPTIME", "RESTARTS", "LAST EXIT", "REASON"];
const COLUMNS: usize = 8;

/// Names get at least so many columns, whatever else is in the way.
const NAME_MIN: usize = 10;

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
    let widths = widths(&rows, style.columns);
    let mut text = line(&HEADINGS.map(String::from), &widths, style, None);
    for row in &rows {
        text += &line(&row.cells, &widths, style, Some(row.health));
    }
    if rows.len() > SUMMARY_FROM {
        text += &summary(&rows);
    }
    text
}

/// The columns' widths. The name's is what is left where that is not enough for all of them.
fn widths(rows: &[Row], columns: Option<usize>) -> [usize; COLUMNS] {
    let mut widths = HEADINGS.map(format::width);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(&row.cells) {
            *width = (*width).max(format::width(cell));
        }
    }
    if let Some(columns) = columns {
        // The reason has no width of its own, and the gap before it is not needed at the end of a line.
        let others: usize = widths[1..COLUMNS - 1].iter().map(|width| width + GAP.len()).sum();
        widths[0] = widths[0].min(columns.saturating_sub(others).max(NAME_MIN));
    }
    widths
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
            return [name, "?".into(), none(), none(), none(), none(), none(), why];
        }
    };
    let (state, note) = state_and_note(module, snapshot, now);
    let exit = snapshot.state.last_exit.as_ref().map(|exit| {
        let ago = snapshot.ended_ago(now).map_or(String::new(), |ago| format!(", {} ago", format::duration(ago)));
        // The widest cell of all, and the room is scarce.
        format!("{}{ago}", format::ending(exit).replace("(core dumped)", "(core)"))
    });
    let uptime = match snapshot.supervised {
        Supervised::Yes => snapshot.uptime(now).map(format::duration),
        // Nobody has looked after it since; it may have ended long ago.
        Supervised::No { .. } | Supervised::Stale | Supervised::Removed | Supervised::NotBegun => None,
    };
    [
        name,
        state,
        snapshot.is_enabled().map_or("-", |enabled| if enabled { "yes" } else { "no" }).into(),
        snapshot.state.pid.map_or_else(none, |pid| pid.to_string()),
        uptime.unwrap_or_else(none),
        snapshot.state.restarts.to_string(),
        exit.unwrap_or_else(none),
        note,
    ]
}

fn state_and_note(module: &Module, snapshot: &Snapshot, now: SystemTime) -> (String, String) {
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
    // That it is not enabled stands in a column.
    let reason =
        snapshot.state.reason.as_deref().filter(|reason| *reason != Rest::DownFile.to_string()).map(format::text);
    match (snapshot.supervised, snapshot.state.pid) {
        (Supervised::Removed, _) => ("removed".into(), why_removed(module, snapshot)),
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
            let full = snapshot.state.disk_full.then(|| "the disk of its status directory is full".to_string());
            let outdated = snapshot.state.outdated.as_deref().map(|why| format!("outdated: {}", format::text(why)));
            let is_coming = snapshot.state.state == ModuleState::Up && snapshot.is_unfit();
            let unready = is_coming.then(|| "not ready yet".to_string());
            let said = snapshot.check_said();
            let parts = [flapping, unready, reason, said, wanted, next, full, unrecorded, outdated];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            (state, parts.join("; "))
        }
    }
}

fn why_removed(module: &Module, snapshot: &Snapshot) -> String {
    let service = logged::service_of(module, &snapshot.state).filter(|service| *service == Service::Lives);
    match (service, module.logged(), &snapshot.state.log_dir) {
        // What it has written may lie in its status directory, and would go with that.
        (Some(_), Some(service), Some(dir)) => {
            format!("{} logs elsewhere now; its lines of before are in {}", format::name(service), format::text(dir))
        }
        _ => format!("the service directory is gone; to be rid of this: svctl forget {}", module.shown()),
    }
}

/// One row. The last cell says why: where the line is too short for it, it gets lines of its own. So does a name that is too
/// long.
fn line(cells: &[String; COLUMNS], widths: &[usize; COLUMNS], style: Style, health: Option<Health>) -> String {
    let (why, cells) = cells.split_last().unwrap_or((&cells[0], &[]));
    let mut text = String::new();
    let mut used = 0;
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let room = style.columns.map_or(usize::MAX, |columns| columns.saturating_sub(used));
        let is_long_name = column == 0 && format::width(cell) > *width;
        let cell = if is_long_name { String::new() } else { format::cut(cell, room) };
        let blanks = " ".repeat((*width).min(room) - format::width(&cell));
        match health {
            Some(health) if style.colour && column == STATE => {
                text += &format!("\x1b[{}m{cell}\x1b[0m{blanks}{GAP}", health.colour());
            }
            _ => text += &format!("{cell}{blanks}{GAP}"),
        }
        used += width + GAP.len();
    }
    let name = if format::width(&cells[0]) > widths[0] { below(&cells[0], "", style.columns) } else { String::new() };
    match style.columns {
        Some(columns) if used + format::width(why) > columns => {
            // The title of what stands on lines of its own would stand above nothing.
            let why = if health.is_some() { below(why, INDENT, style.columns) } else { String::new() };
            format!("{name}{}\n{why}", text.trim_end())
        }
        _ => format!("{name}{}\n", (text + why).trim_end()),
    }
}

/// `text` on lines of its own.
fn below(text: &str, indent: &str, columns: Option<usize>) -> String {
    if text.is_empty() {
        return String::new();
    }
    let lines = format::wrapped(text, columns.map_or(usize::MAX, |columns| columns.saturating_sub(indent.len())));
    lines.into_iter().map(|line| format!("{indent}{line}\n")).collect()
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
mod tests;
