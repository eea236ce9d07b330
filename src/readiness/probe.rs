//! A look at a socket or a URL: what the hidden mode `--probe` of our programs does.
//!
//! It is a process of its own: a look-up of a name may hang for as long as it likes, and is killed with it. It sets no time
//! limit but the one after which it would be forgotten.

use crate::conf::readiness::{Check, Url, check};
use crate::sys::errno_text;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The first argument of a program that is to look.
pub const FLAG: &str = "--probe";

/// Nobody waits longer than this for one address: whoever has started us may be gone.
const LIMIT: Duration = Duration::from_secs(60);

/// A status line is not longer than this, in bytes.
const STATUS_LINE_MAX: u64 = 4096;

/// Looks, if the arguments (the program's name first) say so.
///
/// `None`: they do not. Otherwise the exit code, and what is wrong has been said on standard error.
pub fn run_if_asked(arguments: &[OsString]) -> Option<u8> {
    let [_, flag, kind, place] = arguments else { return None };
    if flag != FLAG {
        return None;
    }
    let (kind, place) = (kind.to_string_lossy(), place.to_string_lossy());
    // As it was written in the configuration, where it has passed once.
    let quoted = place.replace('\'', "'\\''");
    let found = check(&format!("{kind} '{quoted}'"));
    let result = match found {
        Ok(Some(check)) => look(&check),
        Ok(None) => Err("nothing to look at".into()),
        Err(why) => Err(why),
    };
    match result {
        Ok(()) => Some(0),
        Err(why) => {
            // Nobody may read it.
            let _ = writeln!(io::stderr(), "{kind} {place}: {why}");
            Some(1)
        }
    }
}

/// The arguments with which our program looks; `None` if it is a program of somebody else's.
pub fn arguments(check: &Check) -> Option<[String; 2]> {
    let bracketed = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    match check {
        Check::Program(_) => None,
        Check::Tcp { host, port } => Some(["tcp".into(), format!("{}:{port}", bracketed(host))]),
        Check::Socket(path) => Some(["tcp".into(), path.to_string_lossy().into_owned()]),
        Check::Http(Url { host, port, path }) => {
            Some(["http".into(), format!("http://{}:{port}{path}", bracketed(host))])
        }
    }
}

fn look(check: &Check) -> Result<(), String> {
    match check {
        Check::Program(_) => Err("a program is not looked at by us".into()),
        Check::Tcp { host, port } => connect(host, *port).map(drop),
        Check::Socket(path) => UnixStream::connect(path).map(drop).map_err(|error| errno_text(&error)),
        Check::Http(url) => ask(url, connect(&url.host, url.port)?),
    }
}

/// The first of the name's addresses that answers.
fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses = (host, port).to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
    let mut last = format!("{host} has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, LIMIT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("connect: {}", errno_text(&error)),
        }
    }
    Err(last)
}

fn ask(url: &Url, mut stream: TcpStream) -> Result<(), String> {
    let failed = |error: io::Error| errno_text(&error);
    stream.set_read_timeout(Some(LIMIT)).map_err(failed)?;
    stream.set_write_timeout(Some(LIMIT)).map_err(failed)?;
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
    let port = if url.port == 80 { String::new() } else { format!(":{}", url.port) };
    let version = env!("CARGO_PKG_VERSION");
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {host}{port}\r\nUser-Agent: supervise-tree/{version}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        url.path
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut line = Vec::new();
    for byte in io::BufReader::new(stream.take(STATUS_LINE_MAX)).bytes() {
        match byte.map_err(failed)? {
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    match status(&line) {
        Some(200..=299) => Ok(()),
        Some(status) => Err(format!("status {status}")),
        None if line.is_empty() => Err("closed without an answer".into()),
        None => Err("the answer is not HTTP".into()),
    }
}

/// The status of a status line: `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let code = rest.split(|byte| *byte == b' ').nth(1)?;
    let code = code.strip_suffix(b"\r").unwrap_or(code);
    std::str::from_utf8(code).ok().filter(|code| code.len() == 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    fn run(kind: &str, place: &str) -> Option<u8> {
        run_if_asked(&["supervise-tree", FLAG, kind, place].map(OsString::from))
    }

    #[test]
    fn other_arguments_are_not_ours() {
        assert_eq!(run_if_asked(&["supervise-tree", "root"].map(OsString::from)), None);
        assert_eq!(run_if_asked(&["supervise-tree", "-p", "a", "b"].map(OsString::from)), None);
    }

    #[test]
    fn a_socket_that_accepts_is_enough() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap().to_string();
        assert_eq!(run("tcp", &place), Some(0));
        drop(listener);
        assert_eq!(run("tcp", &place), Some(1));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it's here");
        assert_eq!(run("tcp", path.to_str().unwrap()), Some(1));
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(run("tcp", path.to_str().unwrap()), Some(0));
    }

    #[test]
    fn a_url_has_to_answer_with_success() {
        let cases: [(&[u8], u8); 7] = [
            (b"HTTP/1.1 200 OK\r\n\r\n", 0),
            (b"HTTP/1.0 204\r\n\r\n", 0),
            (b"HTTP/1.1 301 Moved\r\n\r\n", 1),
            (b"HTTP/1.1 503 Busy\r\n\r\n", 1),
            (b"SSH-2.0-OpenSSH\r\n", 1),
            (b"", 1),
            (&[b'x'; 100_000], 1),
        ];
        for (answer, code) in cases {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/health?full=1", listener.local_addr().unwrap());
            let server = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                let read = stream.read(&mut request).unwrap();
                let _ = stream.write_all(answer);
                String::from_utf8_lossy(&request[..read]).into_owned()
            });
            assert_eq!(run("http", &url), Some(code), "{:?}", String::from_utf8_lossy(&answer[..answer.len().min(40)]));
            let request = server.join().unwrap();
            assert!(request.starts_with("GET /health?full=1 HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
        }
    }

    #[test]
    fn what_we_pass_on_is_what_was_configured() {
        for text in ["tcp [::1]:80", "tcp /run/x", "http http://[::1]:81/x?y", "http http://a:80/"] {
            let found = check(text).unwrap().unwrap();
            let [kind, place] = arguments(&found).unwrap();
            assert_eq!(check(&format!("{kind} {place}")), Ok(Some(found)));
        }
        assert_eq!(arguments(&Check::Program(vec!["true".into()])), None);
    }
}
