//! svlogd's `config`, in any bytes: it never fails, complains of lines that are there, and lines are written by it.

use super::log_lines;
use supervise_tree::logger::settings::Options;
use supervise_tree::logger::svlogd;

/// Asserts it.
pub fn check(bytes: &[u8]) {
    let (said, complaints) = svlogd::parse(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').count();
    for complaint in &complaints {
        let rest = complaint.strip_prefix("config, line ").expect("it names the line");
        let number: usize = rest.split(':').next().and_then(|number| number.parse().ok()).expect("a number");
        assert!((1..=lines).contains(&number), "{complaint}");
        assert!(!complaint.contains('\n'), "one line for a log: {complaint:?}");
    }
    let (_, renderer) = Options::default().settle(said).expect("patterns that are none are complained of");
    log_lines::check(renderer);
}
