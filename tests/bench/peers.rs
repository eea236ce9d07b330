//! The supervisors that are compared, and how each is told what to do.

use super::place::{Place, signal};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Peer {
    /// A loop of vfork, exec and wait.
    Floor,
    /// This project's.
    Tree,
    /// runsvdir with a runsv for each service.
    Runit,
    /// s6-svscan with an s6-supervise for each service.
    S6,
    /// svscan with a supervise for each service.
    Daemontools,
    /// supervisord.
    Supervisord,
    /// dinit as an ordinary program.
    Dinit,
    /// nitro as an ordinary program.
    Nitro,
}

/// Whether such a program is installed.
pub fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

impl Peer {
    /// Its name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Floor => "floor",
            Peer::Tree => "supervise-tree",
            Peer::Runit => "runit",
            Peer::S6 => "s6",
            Peer::Daemontools => "daemontools",
            Peer::Supervisord => "supervisord",
            Peer::Dinit => "dinit",
            Peer::Nitro => "nitro",
        }
    }

    /// Whether it is on this machine.
    pub fn is_there(self) -> bool {
        let program = match self {
            Peer::Floor | Peer::Tree => return true,
            Peer::Runit => "runsvdir",
            Peer::S6 => "s6-svscan",
            Peer::Daemontools => "svscan",
            Peer::Supervisord => "supervisord",
            Peer::Dinit => "dinit",
            Peer::Nitro => "nitro",
        };
        is_in_path(program)
    }

    /// How many services it can have, or can have in bearable time.
    pub fn most(self) -> usize {
        match self {
            // Both compiled in.
            Peer::Runit | Peer::Daemontools => 1000,
            Peer::Nitro => 499,
            // 10 ms for each start, 16 for each restart.
            Peer::Supervisord => 1000,
            Peer::Floor | Peer::Tree | Peer::S6 | Peer::Dinit => usize::MAX,
        }
    }

    /// Makes what it needs beside the service directories.
    pub fn prepare(self, place: &Place, count: usize) -> io::Result<()> {
        match self {
            Peer::Supervisord => {
                let mut text = format!(
                    "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={0}/pid\nminfds=20000\n\
                     minprocs=2000\n[unix_http_server]\nfile={0}/socket\n[rpcinterface:supervisor]\n\
                     supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
                     [supervisorctl]\nserverurl=unix://{0}/socket\n",
                    place.path().display()
                );
                for number in 0..count {
                    text.push_str(&program_section(&format!("s{number}"), &place.program()));
                }
                std::fs::write(place.path().join("supervisord.conf"), text)
            }
            Peer::Dinit => {
                let dir = place.path().join("dinit.d");
                std::fs::create_dir(&dir)?;
                let mut boot = "type = internal\n".to_owned();
                for number in 0..count {
                    std::fs::write(dir.join(format!("s{number}")), dinit_service(&place.program()))?;
                    let _ = writeln!(boot, "waits-for: s{number}");
                }
                std::fs::write(dir.join("boot"), boot)
            }
            _ => Ok(()),
        }
    }

    /// Its command line.
    pub fn command(self, place: &Place, count: usize) -> Command {
        let mut command = match self {
            Peer::Floor => place.command(std::env::current_exe().unwrap_or_default()),
            Peer::Tree => place.command(env!("CARGO_BIN_EXE_supervise-tree")),
            Peer::Runit => place.command("runsvdir"),
            Peer::S6 => place.command("s6-svscan"),
            Peer::Daemontools => place.command("svscan"),
            Peer::Supervisord => place.command("supervisord"),
            Peer::Dinit => place.command("dinit"),
            Peer::Nitro => place.command("nitro"),
        };
        match self {
            Peer::Floor => command.arg("--floor").arg(place.program()).args(["--services", &count.to_string()]),
            Peer::Tree => command.arg("-p").arg(place.path().join("status")).arg(place.root()),
            Peer::S6 => command.args(["-c", &(count + 100).to_string()]).arg(place.root()),
            Peer::Supervisord => command.arg("-c").arg(place.path().join("supervisord.conf")),
            Peer::Dinit => command
                .args(["-u", "-q", "-d"])
                .arg(place.path().join("dinit.d"))
                .arg("-p")
                .arg(place.path().join("dinitctl")),
            Peer::Nitro => command.arg(place.root()).env("NITRO_SOCK", place.path().join("nitro.sock")),
            Peer::Runit | Peer::Daemontools => command.arg(place.root()),
        };
        command
    }

    /// The FIFO on which `k` kills a service.
    pub fn control(self, place: &Place, service: &str) -> Option<PathBuf> {
        match self {
            Peer::Tree => Some(place.path().join("status").join(service).join("control")),
            Peer::Runit | Peer::S6 | Peer::Daemontools => Some(place.root().join(service).join("supervise/control")),
            Peer::Floor | Peer::Supervisord | Peer::Dinit | Peer::Nitro => None,
        }
    }

    /// Brings in a service that was made in `staging`; false if it cannot.
    pub fn add(self, place: &Place, staging: &Path, service: &str) -> io::Result<bool> {
        let target = place.root().join(service);
        match self {
            Peer::Floor | Peer::Nitro => return Ok(false),
            Peer::Supervisord => {
                let path = place.path().join("supervisord.conf");
                let old = std::fs::read_to_string(&path)?;
                std::fs::write(&path, old + &program_section(service, &place.program()))?;
                supervisorctl(place, "update")?;
            }
            Peer::Dinit => {
                std::fs::write(place.path().join("dinit.d").join(service), dinit_service(&place.program()))?;
                dinitctl(place, &["start", service])?;
            }
            Peer::S6 => {
                std::fs::rename(staging, target)?;
                place.command("s6-svscanctl").arg("-a").arg(place.root()).status()?;
            }
            Peer::Tree | Peer::Runit | Peer::Daemontools => std::fs::rename(staging, target)?,
        }
        Ok(true)
    }

    /// Takes a service away; false if it cannot.
    pub fn remove(self, place: &Place, service: &str) -> io::Result<bool> {
        let away = place.path().join(format!("gone-{service}"));
        match self {
            Peer::Floor | Peer::Nitro | Peer::Daemontools => return Ok(false),
            Peer::Supervisord => {
                let path = place.path().join("supervisord.conf");
                let old = std::fs::read_to_string(&path)?;
                std::fs::write(&path, old.replace(&program_section(service, &place.program()), ""))?;
                supervisorctl(place, "update")?;
            }
            Peer::Dinit => dinitctl(place, &["stop", service])?,
            Peer::S6 => {
                std::fs::rename(place.root().join(service), away)?;
                place.command("s6-svscanctl").arg("-an").arg(place.root()).status()?;
            }
            Peer::Tree | Peer::Runit => std::fs::rename(place.root().join(service), away)?,
        }
        Ok(true)
    }

    /// Tells it to stop everything and itself.
    pub fn stop(self, place: &Place, pid: i32, services: &[i32]) -> io::Result<()> {
        match self {
            Peer::Floor => {
                signal(pid, libc::SIGKILL);
                services.iter().for_each(|pid| {
                    signal(*pid, libc::SIGTERM);
                });
            }
            Peer::Runit => {
                signal(pid, libc::SIGHUP);
            }
            Peer::S6 => drop(place.command("s6-svscanctl").arg("-t").arg(place.root()).status()?),
            Peer::Daemontools => {
                signal(pid, libc::SIGTERM);
                let directories = std::fs::read_dir(place.root())?.flatten().map(|entry| entry.path());
                place.command("svc").arg("-dx").args(directories).status()?;
            }
            Peer::Tree | Peer::Supervisord | Peer::Dinit | Peer::Nitro => {
                signal(pid, libc::SIGTERM);
            }
        }
        Ok(())
    }
}

fn program_section(name: &str, program: &Path) -> String {
    format!(
        "[program:{name}]\ncommand={}\nautorestart=true\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n",
        program.display()
    )
}

fn dinit_service(program: &Path) -> String {
    format!("type = process\ncommand = {}\nrestart = true\nrestart-limit-count = 0\n", program.display())
}

fn supervisorctl(place: &Place, verb: &str) -> io::Result<()> {
    place.command("supervisorctl").arg("-c").arg(place.path().join("supervisord.conf")).arg(verb).status().map(drop)
}

fn dinitctl(place: &Place, words: &[&str]) -> io::Result<()> {
    place.command("dinitctl").arg("-p").arg(place.path().join("dinitctl")).args(words).status().map(drop)
}
