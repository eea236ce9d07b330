//! `supervise.conf`, in any bytes: it never fails, complains of lines that are there, and yields settings in range.

use std::path::Path;
use std::time::Duration;
use supervise_tree::conf::settings::GSM_MAX;
use supervise_tree::conf::{Config, GLOBAL, Origin, Program};

/// Asserts it.
pub fn check(bytes: &[u8]) {
    let config = Config::parse(Path::new("supervise.conf"), bytes);
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    for complaint in config.complaints() {
        assert!(complaint.line.is_none_or(|line| (1..=lines).contains(&line)), "{complaint}");
        assert!(!complaint.to_string().contains('\n'), "one line for a log: {complaint:?}");
    }
    let text = String::from_utf8_lossy(bytes);
    let names = text.lines().filter_map(|line| line.trim_end().strip_prefix('[')?.strip_suffix(']'));
    for module in names.chain([GLOBAL, "web", "web/log"]).take(20) {
        for program in [Program::Tree, Program::Single] {
            let effective = config.effective(module, None, program);
            let settings = &effective.settings;
            assert!(settings.policy.interval.is_none_or(|interval| interval >= Duration::from_secs(60)));
            assert!(settings.policy.delay_max >= settings.policy.delay);
            assert!(settings.alarms.gsm.len() <= GSM_MAX);
            assert!((1..=64).contains(&settings.policy.stop_signal));
            // What a program that gets them could take for an option.
            let words = settings.alarms.mail.iter().chain(&settings.alarms.gsm);
            assert!(words.clone().all(|word| !word.starts_with('-')), "{words:?}");
            for value in effective.values {
                match value.origin {
                    Origin::Default | Origin::S6(_) => {}
                    Origin::Global(line) | Origin::Directory(line) | Origin::Own(line) => {
                        assert!((1..=lines).contains(&line))
                    }
                }
            }
        }
    }
}
