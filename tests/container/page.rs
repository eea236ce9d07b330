//! Examples in the manual, as they stand there. A comment names each: `.\" example: NAME`.

use std::path::Path;

/// The example `name` in the manual page `page`.
pub fn example(page: &str, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(page);
    let text = std::fs::read_to_string(&path).unwrap();
    let mark = format!(".\\\" example: {name}");
    let (_, rest) = text.split_once(&mark).unwrap_or_else(|| panic!("{page} has no {mark}"));
    let (_, rest) = rest.split_once("\n.Bd -literal -offset indent\n").expect("a display");
    let (display, _) = rest.split_once("\n.Ed\n").expect("its end");
    let plain = display.replace("\\(dq", "\"").replace("\\&", "").replace("\\-", "-").replace("\\e", "\\");
    assert!(!plain.lines().any(|line| line.starts_with(['.', '\''])), "a macro in {name}:\n{plain}");
    plain + "\n"
}

/// The rest of the line of a Dockerfile that begins with this instruction; lines that end in a backslash go on.
pub fn instructions(dockerfile: &str, instruction: &str) -> Vec<String> {
    let joined = dockerfile.replace("\\\n", " ");
    let of = |line: &str| line.strip_prefix(instruction)?.strip_prefix(' ').map(|rest| rest.trim().to_string());
    joined.lines().filter_map(of).collect()
}

/// The words of a command in its JSON form.
pub fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}
