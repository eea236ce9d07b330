//! The figures as Markdown, and as one picture.

use super::measure::{Figures, Measure};
use super::peers::Peer;
use plotters::prelude::*;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

/// Medians and all values, by supervisor and number of services.
pub type Results = BTreeMap<(usize, Peer), Figures>;

/// The rows of the big table: measure, its title, and what is aimed at as a multiple of the floor.
const ROWS: [(Measure, &str); 12] = [
    (Measure::StartAll, "start of all, ms a service"),
    (Measure::Restart, "restart after KILL, ms"),
    (Measure::KillAll, "all killed at once, ms a service"),
    (Measure::Command, "`k` on the FIFO to the new process, ms"),
    (Measure::NewDirectory, "new directory to running, ms"),
    (Measure::Removal, "removal to gone, ms"),
    (Measure::Dead, "stop of all until the last service is dead, ms"),
    (Measure::StopAll, "stop of all, ms"),
    (Measure::Wakeups, "idle: wakeups a second"),
    (Measure::IdleCpu, "idle: processor time, ms"),
    (Measure::Memory, "memory a service, KiB"),
    (Measure::Descriptors, "descriptors a service"),
];

/// What costs the same however many services there are, if all is well.
const BY_NUMBER: [(Measure, &str); 3] = [
    (Measure::StartAll, "start of all, ms a service"),
    (Measure::KillAll, "all killed at once, ms a service"),
    (Measure::Restart, "restart after KILL, ms"),
];

/// The median; not a number if there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count => (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0,
    }
}

/// The least, which other programs disturb least; not a number if there is none.
pub fn least(values: &[f64]) -> f64 {
    values.iter().copied().reduce(f64::min).unwrap_or(f64::NAN)
}

/// Fills in what follows from others: memory is what a supervisor needs beyond the bare services.
pub fn less_the_floor(results: &mut Results) {
    let floors: BTreeMap<usize, f64> = results
        .iter()
        .filter(|((_, peer), _)| *peer == Peer::Floor)
        .filter_map(|((count, _), figures)| Some((*count, median(figures.get(&Measure::Memory)?))))
        .collect();
    for ((count, _), figures) in results {
        let floor = floors.get(count).copied().unwrap_or(0.0);
        for value in figures.get_mut(&Measure::Memory).into_iter().flatten() {
            *value -= floor;
        }
    }
}

/// Everything about `count` services: a row for each measure, a column for each supervisor.
pub fn table(results: &Results, count: usize) -> String {
    let peers: Vec<Peer> = results.keys().filter(|(n, _)| *n == count).map(|(_, peer)| *peer).collect();
    let mut text = format!("| {count} services |");
    text.extend(peers.iter().map(|peer| format!(" {} |", peer.name())));
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(peers.len()));
    text.push('\n');
    for (measure, title) in ROWS {
        let value = |peer: &Peer| Some(median(results.get(&(count, *peer))?.get(&measure)?));
        text.push_str(&format!("| {title} |"));
        for peer in &peers {
            let cell = match (value(peer), value(&Peer::Floor)) {
                (None, _) => "–".into(),
                (Some(value), Some(floor)) if floor != 0.0 && *peer != Peer::Floor && is_time(measure) => {
                    format!("{} ({:.2}×)", number(value), value / floor)
                }
                (Some(value), _) => number(value),
            };
            text.push_str(&format!(" {cell} |"));
        }
        text.push('\n');
    }
    text
}

fn is_time(measure: Measure) -> bool {
    matches!(measure, Measure::StartAll | Measure::Restart | Measure::KillAll)
}

/// What the number of services does to the cost of each.
pub fn by_number(results: &Results, counts: &[usize]) -> String {
    let mut text = String::from("| |");
    text.extend(counts.iter().map(|count| format!(" {count} services |")));
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(counts.len()));
    text.push('\n');
    let mut peers: Vec<Peer> = results.keys().map(|(_, peer)| *peer).collect();
    peers.sort();
    peers.dedup();
    for (measure, title) in BY_NUMBER {
        for peer in &peers {
            text.push_str(&format!("| {title}: {} |", peer.name()));
            for count in counts {
                let value = |peer: Peer| Some(median(results.get(&(*count, peer))?.get(&measure)?));
                let cell = match (value(*peer), value(Peer::Floor)) {
                    (None, _) => "–".into(),
                    (Some(value), Some(floor)) if *peer != Peer::Floor => {
                        format!("{} ({:.2}×)", number(value), value / floor)
                    }
                    (Some(value), _) => number(value),
                };
                text.push_str(&format!(" {cell} |"));
            }
            text.push('\n');
        }
    }
    text
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        0.0 => "0".into(),
        _ => format!("{value:.2}"),
    }
}

/// The start of all against the number of services, as an SVG.
///
/// # Errors
/// When the file cannot be written.
pub fn picture(results: &Results, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut lines: BTreeMap<Peer, Vec<(f64, f64)>> = BTreeMap::new();
    for ((count, peer), figures) in results {
        if let Some(values) = figures.get(&Measure::StartAll) {
            lines.entry(*peer).or_default().push((*count as f64, median(values)));
        }
    }
    let points: Vec<(f64, f64)> = lines.values().flatten().copied().collect();
    let ends = |of: fn(&(f64, f64)) -> f64| {
        let all = points.iter().map(of);
        all.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
    };
    let ((left, right), (low, high)) = (ends(|point| point.0), ends(|point| point.1));
    let root = SVGBackend::new(path, (760, 440)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Start of all services: cost of each against their number", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((left..right * 1.02).log_scale(), (low * 0.8..high * 1.25).log_scale())?;
    chart.configure_mesh().x_desc("services").y_desc("ms a service").light_line_style(WHITE).draw()?;
    for (index, (peer, line)) in lines.iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        chart
            .draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(2)))?
            .label(peer.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(line.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    root.present()?;
    Ok(())
}
