//! Which file the settings come from, and reading it (again).

use super::defaults::Defaults;
use super::{Complaint, Config};
use crate::sys::files::file;
use crate::sys::memory;
use log::Level;
use std::path::{Path, PathBuf};

/// So many times its size, in bytes, a file needs while it is read.
const READ_FACTOR: usize = 16;

/// The file that was asked for, or those that are taken where nobody asked.
///
/// A path that is relative stays so: the working directory may be renamed, and what is in it is still meant. In complaints
/// and in `state.json` it is absolute, for they are read elsewhere.
#[derive(Clone, Debug)]
pub struct ConfigSource {
    asked: Option<PathBuf>,
    fallbacks: Vec<PathBuf>,
    defaults: Defaults,
}

impl ConfigSource {
    /// What `-F` says; else the first of `fallbacks` that exists whenever the file is read.
    pub fn choose(asked: Option<PathBuf>, fallbacks: impl IntoIterator<Item = PathBuf>) -> ConfigSource {
        ConfigSource { asked, fallbacks: fallbacks.into_iter().collect(), defaults: Defaults::default() }
    }

    /// No file at all.
    pub fn none() -> ConfigSource {
        ConfigSource { asked: None, fallbacks: Vec::new(), defaults: Defaults::default() }
    }

    /// The same with defaults that the tree's command line has changed.
    pub fn with_defaults(self, defaults: Defaults) -> ConfigSource {
        ConfigSource { defaults, ..self }
    }

    /// Those defaults.
    pub fn defaults(&self) -> Defaults {
        self.defaults
    }

    fn adapted(&self, config: Config) -> Config {
        config.with_defaults(self.defaults)
    }

    /// The file, as things are now; one of the fallbacks, if none exists.
    fn here(&self) -> &Path {
        let exists = || self.fallbacks.iter().find(|path| path.exists());
        let chosen = self.asked.as_ref().or_else(exists).or(self.fallbacks.first());
        chosen.map_or(Path::new(""), PathBuf::as_path)
    }

    /// The same for those who have another working directory.
    pub fn path(&self) -> PathBuf {
        shown(self.here())
    }

    /// Reads the file for the first time: one that nobody asked for may be missing.
    ///
    /// If it cannot be read, the defaults, and the complaint that tells why.
    pub fn first(&self) -> (Config, Option<Complaint>) {
        let path = self.here();
        if self.asked.is_none() && !path.exists() {
            return (self.adapted(Config::empty()), None);
        }
        match Config::read_as(path, &shown(path)) {
            Ok(config) => (self.adapted(config), None),
            Err(mut complaint) => {
                complaint.what += "; the defaults hold";
                (self.adapted(Config::empty()), Some(complaint))
            }
        }
    }

    /// Reads the file after the program has replaced itself. If it cannot be read, the settings that the program before had
    /// stay as they are, and the complaint tells why; one that is missing and that nobody asked for is no trouble.
    pub fn after_upgrade(&self, old: Option<Config>) -> (Config, Option<Complaint>) {
        let Some(old) = old else { return self.first() };
        match self.read_again() {
            Ok(config) => (config, None),
            Err(_) if self.is_absent() => (self.adapted(old), None),
            Err(mut complaint) => {
                complaint.what += "; the old settings stay";
                (self.adapted(old), Some(complaint))
            }
        }
    }

    /// Whether there is nothing to read: nobody asked for a file, and none of the fallbacks exists.
    pub fn is_absent(&self) -> bool {
        self.asked.is_none() && !self.here().exists()
    }

    /// Reads the file again, because somebody has asked for that.
    pub fn reload(&self) -> Reload {
        if self.is_absent() {
            let text = "there is no configuration file: the settings stay as they are";
            return Reload { config: None, lines: vec![(Level::Info, text.into())] };
        }
        match self.read_again() {
            Ok(config) => {
                let lines = config.complaints().iter().map(|complaint| (Level::Warn, complaint.to_string())).collect();
                Reload { config: Some(config), lines }
            }
            Err(complaint) => {
                Reload { config: None, lines: vec![(Level::Warn, format!("{complaint}; the old settings stay"))] }
            }
        }
    }

    /// A file that is gone is a complaint, and so is a pipe, which can be read once.
    fn read_again(&self) -> Result<Config, Complaint> {
        let path = self.here();
        if file::leads_to_fifo(path) {
            let what = "is a pipe, which is read at the start alone".into();
            return Err(Complaint { path: shown(path), line: None, what });
        }
        // Settings that are short of memory on the way would end the program; the old ones are as good as they were.
        let size = std::fs::metadata(path).map_or(0, |metadata| usize::try_from(metadata.len()).unwrap_or(usize::MAX));
        if memory::probe(size.saturating_mul(READ_FACTOR).saturating_add(memory::RESERVE)).is_err() {
            return Err(Complaint::whole(&shown(path), "cannot be read: there is no memory to spare".into()));
        }
        Config::read_as(path, &shown(path)).map(|config| self.adapted(config))
    }
}

/// What reading the file again has come to.
#[derive(Debug)]
pub struct Reload {
    /// The new settings; the old ones stay if there are none.
    pub config: Option<Config>,
    /// The lines for the log.
    pub lines: Vec<(Level, String)>,
}

fn shown(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let writer = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, "[global]\nmax_tries : 3\n").unwrap()
        });
        let source = ConfigSource::choose(Some(path), []);
        let (config, complaint) = source.first();
        writer.join().unwrap();
        assert_eq!(complaint, None);
        assert!(config.has_section("global"));
        let Reload { config: None, lines } = source.reload() else { panic!() };
        assert!(lines.len() == 1 && lines[0].1.contains("is a pipe"), "{lines:?}");
        assert!(lines[0].1.ends_with("; the old settings stay"), "{lines:?}");
    }

    #[test]
    fn old_settings_outlive_a_file_that_is_gone_or_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        let old = || Some(Config::parse(&path, b"[global]\nmax_tries : 3\n"));
        let asked = ConfigSource::choose(Some(path.clone()), []);
        let (config, complaint) = asked.after_upgrade(old());
        assert!(config.has_section("global"));
        assert!(complaint.unwrap().what.ends_with("; the old settings stay"));
        let (config, complaint) = ConfigSource::choose(None, [path.clone()]).after_upgrade(old());
        assert!(config.has_section("global") && complaint.is_none());
        std::fs::write(&path, "[web]\nmax_tries : 3\n").unwrap();
        let (config, complaint) = asked.after_upgrade(old());
        assert!(config.has_section("web") && !config.has_section("global") && complaint.is_none());
        assert_eq!(config.text(), Some(b"[web]\nmax_tries : 3\n".as_slice()));
    }

    #[test]
    fn what_is_not_there_is_no_trouble_unless_somebody_asked() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none");
        assert_eq!(ConfigSource::choose(None, [missing.clone()]).first().1, None);
        let complaint = ConfigSource::choose(Some(missing), []).first().1.unwrap();
        assert!(complaint.what.ends_with("; the defaults hold"), "{complaint}");
        assert!(ConfigSource::none().is_absent() && ConfigSource::none().first().1.is_none());
    }
}
