//! What lines look like.

use super::pipe::Pipe;
use nix::sys::signal::Signal;
use std::process::{Command, Stdio};

/// Runs a logger on `input` until its end, and gives what it has written.
fn logged(options: &[&str], input: &[u8]) -> String {
    let mut pipe = Pipe::new();
    let mut logger = pipe.logger(options);
    pipe.write(input);
    pipe.let_go();
    super::pipe::wait_until("the end of the logger", || !logger.is_running());
    assert_eq!(pipe.errors(), "");
    pipe.lossy()
}

#[test]
fn each_stamp_stands_in_front_of_each_line() {
    for (stamp, length) in [("iso", 26), ("utc", 26), ("tai64n", 25), ("none", 0)] {
        let text = logged(&["--stamp", stamp], b"one\n\nlast");
        let lines: Vec<&str> = text.lines().collect();
        assert!(text.ends_with('\n') && lines.len() == 3, "{text}");
        let rest = |line: &str| line.split_once(' ').map_or(line.to_string(), |(_, rest)| rest.to_string());
        assert_eq!([rest(lines[0]), rest(lines[1]), rest(lines[2])], ["one", "", "last"], "{stamp}");
        assert!(lines.iter().all(|line| line.len() >= length), "{text}");
    }
}

#[test]
fn tai64nlocal_reads_our_label() {
    let pipe = Pipe::new();
    let before = chrono::Utc::now();
    std::fs::create_dir(pipe.log()).unwrap();
    let logger = pipe.logger(&["-t"]);
    pipe.write(b"hello\n");
    pipe.wait_text("hello\n");
    drop(logger);
    let label = pipe.lossy();
    let shown = Command::new("tai64nlocal")
        .stdin(std::fs::File::open(pipe.current()).unwrap())
        .env("TZ", "UTC")
        .stderr(Stdio::null())
        .output();
    let Ok(shown) = shown else {
        assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "tai64nlocal of daemontools is needed");
        return eprintln!("skipped: no tai64nlocal");
    };
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let time = chrono::NaiveDateTime::parse_from_str(&shown[..29], "%Y-%m-%d %H:%M:%S%.f").unwrap().and_utc();
    assert!((time - before).num_seconds().abs() < 60, "{label} is {shown}, not {before}");
}

#[test]
fn bytes_that_are_no_text_are_kept_or_said_in_json() {
    assert_eq!(logged(&["--stamp", "none"], b"a\0b\r\tc\n"), "a\0b\r\tc\n");
    let text = logged(&["--format", "json", "--module", "web"], b"a\0\xff\nplain\n");
    let values: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((values[0]["line"].as_str(), values[0]["base64"].as_str()), (Some("a\0\u{fffd}"), Some("YQD/")));
    assert_eq!((values[1]["line"].as_str(), values[1]["module"].as_str()), (Some("plain"), Some("web")));
    assert!(values[1].get("base64").is_none());
    chrono::DateTime::parse_from_rfc3339(values[1]["time"].as_str().unwrap()).unwrap();
}

#[test]
fn a_line_above_the_limit_is_cut_and_nothing_of_it_lost() {
    let mut input = vec![b'x'; 2_500_000];
    input.extend(b"\nend\n");
    let text = logged(&["--stamp", "none"], &input);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].ends_with("x[...]") && lines[1].starts_with("[...]x") && lines[1].ends_with("x[...]"));
    assert_eq!((lines[2].starts_with("[...]x"), lines[3]), (true, "end"));
    assert_eq!(text.matches('x').count(), 2_500_000);
    let whole = logged(&["--stamp", "none"], &[vec![b'y'; 1024 * 1024], b"\n".to_vec()].concat());
    assert_eq!(whole.len(), 1024 * 1024 + 1);
}

#[test]
fn in_json_each_piece_of_such_a_line_says_that_it_is_one() {
    let input = [vec![b'x'; 2_500_000], b"\nend\n".to_vec()].concat();
    let text = logged(&["--format", "json"], &input);
    let values: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let pieces: Vec<&str> = values.iter().map(|value| value["line"].as_str().unwrap()).collect();
    assert_eq!((pieces.len(), pieces[..3].concat().len(), pieces[3]), (4, 2_500_000, "end"));
    assert_eq!(values.iter().map(|value| value["part"] == true).collect::<Vec<_>>(), [true, true, true, false]);
}

#[test]
fn every_byte_but_newline_is_kept_in_text_and_in_json() {
    let bytes: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    let mut pipe = Pipe::new();
    let mut logger = pipe.logger(&["--stamp", "none"]);
    // The last line has no end.
    pipe.write(&bytes);
    pipe.let_go();
    super::pipe::wait_until("the end of the logger", || !logger.is_running());
    assert_eq!(pipe.text(), [&bytes[..], b"\n"].concat());
    let text = logged(&["--format", "json"], &bytes);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut base64 = Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut base64.stdin.take().unwrap(), value["base64"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(base64.wait_with_output().unwrap().stdout, bytes);
}

#[test]
fn ten_million_empty_lines_are_lines() {
    let count = if cfg!(debug_assertions) { 1_000_000 } else { 10_000_000 };
    let text = logged(&["--stamp", "none", "-s", "0"], &vec![b'\n'; count]);
    assert_eq!(text.len(), count);
}

#[test]
fn the_last_pattern_that_matches_decides_and_a_prefix_is_put_in_front() {
    let options = ["--stamp", "none", "-p", "web: ", "-m", "-*", "-m", "+*error*"];
    assert_eq!(logged(&options, b"debug\nan error\n"), "web: an error\n");
}

#[test]
fn lines_above_the_rate_are_counted_in_place() {
    let pipe = Pipe::new();
    let _logger = pipe.logger(&["--stamp", "none", "--rate", "2"]);
    pipe.write(b"1\n2\n3\n4\n5\n");
    // No more lines come, and it is said all the same.
    pipe.wait_text("1\n2\nsupervise-log: 3 lines left out, they were more than the rate allows\n");
}

#[test]
fn a_half_line_goes_on_where_the_last_logger_has_ended() {
    let mut pipe = Pipe::new();
    let logger = pipe.logger(&["--stamp", "none"]);
    pipe.write(b"whole\nhalf");
    pipe.wait_text("whole\n");
    logger.signal(Signal::SIGTERM);
    assert!(logger.stop().success());
    assert_eq!(pipe.lossy(), "whole\n");
    let mut next = pipe.logger(&["--stamp", "none"]);
    pipe.write(b" a line\n");
    pipe.wait_text("half a line\n");
    pipe.write(b"of another pipe");
    pipe.let_go();
    super::pipe::wait_until("the end of the logger", || !next.is_running());
    assert_eq!(pipe.lossy(), "whole\nhalf a line\nof another pipe\n");
}

#[test]
fn term_reads_what_is_in_the_pipe() {
    let pipe = Pipe::new();
    let logger = pipe.logger(&["--stamp", "none"]);
    pipe.write(b"first\n");
    pipe.wait_text("first\n");
    logger.signal(Signal::SIGSTOP);
    let text: String = (0..5000).map(|number| format!("{number}\n")).collect();
    pipe.write(text.as_bytes());
    logger.signal(Signal::SIGTERM);
    logger.signal(Signal::SIGCONT);
    assert!(logger.stop().success());
    assert_eq!(pipe.lossy(), format!("first\n{text}"));
}
