//! What an order of modules costs: the tree alone, with the same services in different shapes, in turn.

use super::cost::Memory;
use super::measure::{Figures, Measure, Thoroughness, start_and_stop};
use super::peers::Peer;
use super::place::Place;
use super::report::least;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Instant;

/// Who needs whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nobody anybody.
    Plain,
    /// Each the one before it.
    Chain,
    /// All but one that one.
    Star,
    /// Each the ten before it.
    Mesh,
}

const SHAPES: [(Shape, &str); 4] = [
    (Shape::Plain, "without an order"),
    (Shape::Star, "all need one"),
    (Shape::Chain, "in one chain"),
    (Shape::Mesh, "each needs the ten before it"),
];

/// What is measured of each.
const MEASURES: [(Measure, &str); 3] = [
    (Measure::StartAll, "start of all, ms a service"),
    (Measure::Dead, "stop of all until the last is dead, ms"),
    (Measure::StopAll, "stop of all, ms"),
];

/// How often the settings are checked.
const CHECKS: usize = 10;

impl Shape {
    /// Writes the settings for `count` services.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn set(self, place: &Place, count: usize) -> io::Result<()> {
        let mut text = String::new();
        for number in 1..count {
            let first = match self {
                Shape::Plain => return Ok(()),
                Shape::Chain => number - 1,
                Shape::Star => 0,
                Shape::Mesh => number.saturating_sub(10),
            };
            let last = if self == Shape::Star { 0 } else { number - 1 };
            let _ = write!(text, "[s{number}]\nneeds :");
            for needed in first..=last {
                let _ = write!(text, " s{needed}");
            }
            text.push('\n');
        }
        std::fs::write(place.root().join("supervise.conf"), text)
    }
}

/// How long `svctl config --check` takes, from its start to its end, to read and check that each needs the ten before it.
fn check(parent: &Path, probe: &Path, count: usize) -> io::Result<f64> {
    let place = Place::new(parent, probe, count)?;
    Shape::Mesh.set(&place, count)?;
    let mut values = Vec::new();
    for _ in 0..CHECKS {
        let began = Instant::now();
        let status = place
            .command(env!("CARGO_BIN_EXE_svctl"))
            .args(["config", "--check"])
            .current_dir(place.root())
            .status()?;
        if !status.success() {
            return Err(io::Error::other(format!("svctl config --check: {status}")));
        }
        values.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(least(&values))
}

/// Measures every shape as often as `rounds` says, and gives a table.
pub fn table(probe: &Path, memory: &Memory, how: Thoroughness, count: usize, rounds: usize) -> String {
    let mut all = SHAPES.map(|_| Figures::new());
    for round in 1..=rounds {
        for ((shape, title), figures) in SHAPES.iter().zip(&mut all) {
            eprintln!("round {round} of {rounds}: {count} services {title}");
            match start_and_stop(Peer::Tree, count, probe, memory, Thoroughness { order: *shape, ..how }) {
                Ok(new) => {
                    new.into_iter().for_each(|(measure, values)| figures.entry(measure).or_default().extend(values))
                }
                Err(error) => eprintln!("not measured: {error}"),
            }
        }
    }
    let [plain, ..] = &all;
    let mut text = format!("| {count} services, the least of {rounds} |");
    MEASURES.iter().for_each(|(_, title)| text.push_str(&format!(" {title} |")));
    text.push_str("\n|---|---|---|---|\n");
    for ((_, title), figures) in SHAPES.iter().zip(&all) {
        let _ = write!(text, "| {title} |");
        for (measure, _) in MEASURES {
            let (value, plain) = (value(figures, measure), value(plain, measure));
            let _ = write!(text, " {value:.2} ({:.2}×) |", value / plain);
        }
        text.push('\n');
    }
    match check(probe.parent().unwrap_or(Path::new("/")), probe, count) {
        Ok(time) => drop(writeln!(text, "\nEach needs the ten before it: read and checked by svctl in {time:.0} ms.")),
        Err(error) => eprintln!("not measured: {error}"),
    }
    text
}

fn value(figures: &Figures, measure: Measure) -> f64 {
    least(figures.get(&measure).map_or(&[], Vec::as_slice))
}
