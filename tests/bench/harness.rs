//! The benchmark: the same services under a bare loop of vfork and exec (the floor), under this project's tree, and
//! under every other supervisor that is installed, in turn.
//!
//! `cargo bench` runs all of it (a quarter of an hour); `cargo bench -- --quick` takes half a minute, and compares the tree with the
//! floor alone; `cargo bench -- --log` has loggers side by side; `cargo bench -- --help` lists the rest. What is printed is Markdown, and the picture is written
//! to `target/bench.svg`. Times are medians, in milliseconds; those in brackets are multiples of the floor's, and
//! only these can be compared between machines.

// A test fails by a panic, and says to the one who runs it what it saw.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod context;
mod cost;
mod floor;
mod logging;
mod measure;
mod order;
mod peers;
mod place;
mod report;

use clap::Parser;
use cost::Memory;
use measure::Thoroughness;
use peers::Peer;
use report::Results;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Descriptors enough for 4000 services.
const DESCRIPTORS: u64 = 50_000;

/// Measures supervisors side by side.
#[derive(Parser, Debug)]
#[command(name = "bench", disable_version_flag = true)]
struct Arguments {
    /// Half a minute instead of many: the floor and the tree, with 10 and 1000 services.
    #[arg(long)]
    quick: bool,
    /// Services of another user, with variables of their own: by keys under the tree, by chpst under runit, by s6-envdir
    /// and s6-setuidgid under s6. As root.
    #[arg(long)]
    context: bool,
    /// What an order of services costs: all in one chain, all after one, each after ten, and none, in turn.
    #[arg(long)]
    order: bool,
    /// Starts and stops alone, of all supervisors that are installed, in turn: the least of all rounds.
    #[arg(long)]
    ends: bool,
    /// Loggers instead of supervisors: a gigabyte of lines through each.
    #[arg(long)]
    log: bool,
    /// Numbers of services.
    #[arg(short = 'n', long, value_delimiter = ',', default_values_t = [100, 1000, 4000])]
    services: Vec<usize>,
    /// How often everything is measured; 3 times, or once with --quick.
    #[arg(short, long)]
    rounds: Option<usize>,
    /// Which supervisors; all that are installed if none is named.
    #[arg(short, long, value_delimiter = ',')]
    only: Vec<Peer>,
    /// Where services and status directories are made. A file system on a disk measures the disk's, too: ext4 looks for
    /// an inode longer, the more files were removed in the last minute, so one run there slows the next one down.
    #[arg(short, long, default_value = "/dev/shm")]
    dir: PathBuf,
    /// What the floor is, as a program: starts services that run this, for ever.
    #[arg(long, hide = true)]
    floor: Option<PathBuf>,
    /// What the floor of loggers is, as a program: standard input into this file.
    #[arg(long, hide = true)]
    copy: Option<PathBuf>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = Arguments::parse();
    if let Some(program) = &arguments.floor {
        floor::run(program, arguments.services.first().copied().unwrap_or(1));
    }
    if let Some(path) = &arguments.copy {
        return Ok(logging::copy(path)?);
    }
    if !arguments.bench {
        // `cargo test --all-targets` runs us, too, and wants no benchmark.
        println!("nothing is measured without --bench, which `cargo bench` gives");
        return Ok(());
    }
    if arguments.log {
        let megabytes = if arguments.quick { 200 } else { 1000 };
        return Ok(logging::run(&arguments.dir, megabytes, rounds(&arguments))?);
    }
    let mut how = Thoroughness {
        samples: 100,
        patience: Duration::from_secs(6),
        idle: Duration::from_secs(10),
        whole: true,
        context: arguments.context,
        order: order::Shape::Plain,
    };
    if arguments.quick {
        arguments.services = vec![10, 1000];
        if !arguments.context {
            arguments.only = vec![Peer::Floor, Peer::Tree];
        }
        how = Thoroughness { samples: 50, patience: Duration::from_secs(2), idle: Duration::from_secs(1), ..how };
    }
    nix::sys::prctl::set_child_subreaper(true)?;
    raise_descriptor_limit();
    let work = tempfile::Builder::new().prefix("svbench").tempdir_in(&arguments.dir)?;
    let probe = place::compile(work.path())?;
    let memory = Memory::new();
    if arguments.order {
        let count = arguments.services.iter().copied().find(|count| *count >= 1000).unwrap_or(1000);
        println!("{}", order::table(&probe, &memory, how, count, rounds(&arguments)));
        return Ok(());
    }
    if arguments.ends {
        ends(&arguments, &probe, &memory, how);
        return Ok(());
    }
    let results = measure(&arguments, &probe, &memory, how);
    print(&arguments, &results, &memory);
    if arguments.services.len() > 1 {
        let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench.svg");
        report::picture(&results, &picture)?;
        println!("\nThe picture is {}.", picture.display());
    }
    Ok(())
}

fn wanted(arguments: &Arguments) -> Vec<Peer> {
    let all = <Peer as clap::ValueEnum>::value_variants();
    if arguments.only.is_empty() {
        all.iter().copied().filter(|peer| peer.is_there()).collect()
    } else {
        arguments.only.clone()
    }
}

fn ends(arguments: &Arguments, probe: &Path, memory: &Memory, how: Thoroughness) {
    for &count in &arguments.services {
        let mut results = Results::new();
        for round in 1..=rounds(arguments) {
            for peer in wanted(arguments).into_iter().filter(|peer| peer.most() >= count) {
                eprintln!("round {round} of {}: {count} services under {}", rounds(arguments), peer.name());
                match measure::start_and_stop(peer, count, probe, memory, how) {
                    Ok(figures) => figures.into_iter().for_each(|(measure, values)| {
                        results.entry((count, peer)).or_default().entry(measure).or_default().extend(values);
                    }),
                    Err(error) => eprintln!("not measured: {error}"),
                }
            }
        }
        let values = results.values_mut().flat_map(std::collections::BTreeMap::values_mut);
        values.for_each(|values| *values = vec![report::least(values)]);
        println!("{}", report::table(&results, count));
    }
}

fn measure(arguments: &Arguments, probe: &Path, memory: &Memory, how: Thoroughness) -> Results {
    let wanted = wanted(arguments);
    let wanted: Vec<Peer> = if arguments.context {
        wanted.into_iter().filter(|peer| matches!(peer, Peer::Tree | Peer::Runit | Peer::S6)).collect()
    } else {
        wanted
    };
    let mut results = Results::new();
    for &count in &arguments.services {
        // Some hold no more than 1000; with as many, they cannot take one more. With more, all takes long.
        let how = Thoroughness { whole: count <= 1000, ..how };
        let how = Thoroughness { idle: if count == 1000 { how.idle } else { Duration::from_secs(1) }, ..how };
        for round in 1..=rounds(arguments) {
            for peer in wanted.iter().copied().filter(|peer| peer.most() >= count) {
                eprintln!("round {round} of {}: {count} services under {}", rounds(arguments), peer.name());
                match measure::run(peer, count, probe, memory, how) {
                    Ok(figures) => {
                        let place = results.entry((count, peer)).or_default();
                        figures.into_iter().for_each(|(measure, values)| {
                            place.entry(measure).or_default().extend(values);
                        });
                    }
                    Err(error) => eprintln!("not measured: {error}"),
                }
            }
        }
    }
    report::less_the_floor(&mut results);
    results
}

fn rounds(arguments: &Arguments) -> usize {
    arguments.rounds.unwrap_or(if arguments.quick { 1 } else { 3 })
}

fn print(arguments: &Arguments, results: &Results, memory: &Memory) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    println!(
        "{cores} cores, Linux {}; medians of {} rounds; memory: {}.\n",
        kernel.unwrap_or_default(),
        rounds(arguments),
        memory.describe()
    );
    for &count in &arguments.services {
        println!("{}", report::table(results, count));
    }
    if arguments.services.len() > 1 {
        println!("{}", report::by_number(results, &arguments.services));
    }
}

/// To what thousands of services take, or to what we may; the supervisors inherit it.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let enough = hard.max(DESCRIPTORS);
    if setrlimit(Resource::RLIMIT_NOFILE, enough, enough).is_err() {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
