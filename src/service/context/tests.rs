//! Files and names that are right and wrong, and what comes out of them.

use super::account::{Accounts, resolve as resolve_account};
use super::*;
use crate::conf::context::account::{groups, user};
use crate::conf::context::variables::{env, env_file as env_files};
use crate::sys::context::accounts::{Account, LookUpError};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A database of one user and two groups.
struct Few;

impl Accounts for Few {
    fn user(&self, name: &str) -> Result<Option<Account>, LookUpError> {
        match name {
            "www" => Ok(Some(www())),
            "late" => Err(LookUpError::Late),
            "broken" => Ok(Some(Account { uid: u32::MAX, ..www() })),
            _ => Ok(None),
        }
    }

    fn user_by_number(&self, uid: u32) -> Result<Option<Account>, LookUpError> {
        Ok((uid == 33).then(www))
    }

    fn group(&self, name: &str) -> Result<Option<u32>, LookUpError> {
        Ok([("www", 33), ("ssl", 70)].into_iter().find(|(known, _)| *known == name).map(|(_, gid)| gid))
    }

    fn groups(&self, name: &str, first: u32) -> Result<Vec<u32>, LookUpError> {
        assert_eq!(name, "www");
        Ok(vec![first, 90, 80])
    }

    fn own_groups(&self) -> Vec<u32> {
        vec![7, 5]
    }
}

fn www() -> Account {
    Account { name: "www".into(), uid: 33, gid: 33, home: "/var/www".into(), shell: "/bin/false".into() }
}

/// Uid, gid, supplementary groups.
type Numbers = (Option<u32>, Option<u32>, Option<Vec<u32>>);

fn ids(user_value: &str, groups_value: &str) -> Result<Numbers, String> {
    let user = (!user_value.is_empty()).then(|| user(user_value).unwrap());
    let groups = (!groups_value.is_empty()).then(|| groups(groups_value).unwrap());
    let person = resolve_account(user.as_ref(), groups.as_ref(), &Few).map_err(|error| error.to_string())?;
    Ok((person.ids.uid, person.ids.gid, person.ids.groups))
}

#[test]
fn names_become_numbers_with_the_databases_groups() {
    assert_eq!(ids("", ""), Ok((None, None, None)));
    assert_eq!(ids("www", ""), Ok((Some(33), Some(33), Some(vec![33, 80, 90]))));
    assert_eq!(ids("33", ""), ids("www", ""));
    assert_eq!(ids("www:ssl", ""), Ok((Some(33), Some(70), Some(vec![70, 80, 90]))));
    assert_eq!(ids("www", "ssl 4"), Ok((Some(33), Some(33), Some(vec![4, 33, 70, 80, 90]))));
    assert_eq!(ids("www", "-"), Ok((Some(33), Some(33), Some(vec![]))));
    assert_eq!(ids("4711", ""), Ok((Some(4711), Some(4711), Some(vec![]))));
    assert_eq!(ids("4711:0", "ssl"), Ok((Some(4711), Some(0), Some(vec![70]))));
    assert_eq!(ids("", "ssl"), Ok((None, None, Some(vec![5, 7, 70]))));
    assert_eq!(ids("", "5 7"), Ok((None, None, None)), "we have these already");
}

#[test]
fn who_is_not_there_is_named() {
    assert_eq!(ids("wwww", ""), Err("user: no such user \"wwww\"".into()));
    assert_eq!(ids("www:sll", ""), Err("user: no such group \"sll\"".into()));
    assert_eq!(ids("www", "sll"), Err("groups: no such group \"sll\"".into()));
    assert!(ids("late", "").unwrap_err().contains("within 10 s"));
    assert!(ids("broken", "").unwrap_err().contains("number that is none"));
}

#[test]
fn only_what_passes_by_itself_is_said_to() {
    let error = |value| resolve_account(Some(&user(value).unwrap()), None, &Few).unwrap_err();
    assert!(error("late").passes_by_itself());
    assert!(!error("nobody-here").passes_by_itself());
}

/// A service directory, and what is asked for in it.
struct Place {
    dir: tempfile::TempDir,
    context: Context,
    lists_env: bool,
}

impl Place {
    fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap(), context: Context::default(), lists_env: false }
    }

    fn file(self, name: &str, content: &[u8]) -> Place {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    fn with(mut self, set: impl FnOnce(&mut Context)) -> Place {
        set(&mut self.context);
        self
    }

    fn variables(&self) -> Result<ResolvedVariables, String> {
        let inherited = Variables::from_environ(b"PATH=/bin\0HOME=/root\0USER=root\0TREE=1\0=x\0junk\0");
        let ours = [("SUPERVISE_MODULE".into(), "web".into())];
        let place = Some(self.dir.path());
        let request = Request { context: &self.context, place, lists_env: self.lists_env, inherited, ours: &ours };
        resolve_variables(request, &Few).map_err(|error| error.to_string())
    }

    fn value(&self, name: &str) -> Option<String> {
        let variables = self.variables().unwrap().variables;
        let found = variables.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| value.to_string_lossy().into_owned())
    }

    /// What is said instead of a start, without the directory's path.
    fn refused(&self) -> String {
        self.variables().map(|_| ()).unwrap_err().replace(&format!("{}/", self.dir.path().display()), "")
    }

    fn warnings(&self) -> Vec<String> {
        let path = format!("{}/", self.dir.path().display());
        self.variables().unwrap().warnings.iter().map(|line| line.replace(&path, "")).collect()
    }

    fn env_file(self, content: &[u8]) -> Place {
        self.file("web.env", content).with(|context| context.env_file = env_files("web.env").unwrap())
    }
}

#[test]
fn the_later_wins() {
    let place = Place::new()
        .file("env/A", b"dir\n")
        .file("env/B", b"dir\n")
        .file("env/C", b"dir\n")
        .file("env/HOME", b"/dir\n")
        .env_file(b"B=file\nC=file\nSUPERVISE_MODULE=file\n")
        .with(|context| {
            context.env = env("C=key").unwrap();
            context.user = Some(user("www").unwrap());
        });
    let all = ["TREE", "A", "B", "C", "HOME", "USER", "LOGNAME", "SHELL", "SUPERVISE_MODULE", "PATH"];
    let values: Vec<_> = all.iter().map(|name| place.value(name).unwrap()).collect();
    assert_eq!(values, ["1", "dir", "file", "key", "/dir", "www", "www", "/bin/false", "web", "/bin"]);
}

#[test]
fn cleared_it_begins_with_path_alone() {
    let place = Place::new().with(|context| {
        context.env_clear = true;
        context.env = env("A=1").unwrap();
    });
    let names: Vec<_> = place.variables().unwrap().variables.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, ["A", "PATH", "SUPERVISE_MODULE"]);
}

#[test]
fn a_number_without_an_entry_has_nobodys_home() {
    let place = Place::new().with(|context| context.user = Some(user("4711").unwrap()));
    assert_eq!((place.value("HOME"), place.value("USER")), (None, None));
}

#[test]
fn an_empty_file_takes_a_variable_away_and_dots_are_passed_over() {
    let place = Place::new().file("env/TREE", b"").file("env/.git", b"x").file("env/a=b", b"x");
    assert_eq!((place.value("TREE"), place.value(".git"), place.value("PATH")), (None, None, Some("/bin".into())));
    assert_eq!(place.warnings(), ["env/a=b: no name of a variable has a =; it is ignored"]);
    assert_eq!(Place::new().file("env", b"a file").value("TREE"), Some("1".into()), "it is for a shell");
}

#[test]
fn what_is_in_env_and_cannot_be_read_is_a_failure() {
    let place = Place::new().file("env/A/B", b"x");
    assert_eq!(place.refused(), "env/: env/A: not a regular file");
    let place = Place::new().file("env/B", b"x");
    nix::unistd::mkfifo(&place.dir.path().join("env/A"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(place.refused(), "env/: env/A: not a regular file");
    let place = Place::new().file("env/A", &[b'x'; 200_000]);
    assert_eq!(place.refused(), "env/: env/A: longer than the kernel takes (128 KiB)");
}

#[test]
fn an_env_file_that_is_none_is_one_line() {
    let of = |value: &str| Place::new().with(|context| context.env_file = env_files(value).unwrap());
    assert_eq!(of("none.env").refused(), "env_file: none.env: No such file or directory");
    assert_eq!(of("-none.env").warnings(), [""; 0]);
    assert_eq!(of("sub/").file("sub/x", b"").refused(), "env_file: sub/: not a regular file");
    assert_eq!(of("-sub").file("sub/x", b"").refused(), "env_file: sub: not a regular file");
    let place = of("fifo");
    nix::unistd::mkfifo(&place.dir.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(place.refused(), "env_file: fifo: not a regular file");
    let place = of("huge");
    std::fs::File::create(place.dir.path().join("huge")).unwrap().set_len(10 << 20).unwrap();
    assert_eq!(place.refused(), "env_file: huge: is larger than 1024 KiB");
    let place = of("loop");
    std::os::unix::fs::symlink("loop", place.dir.path().join("loop")).unwrap();
    assert!(place.refused().starts_with("env_file: loop: Too many"), "{}", place.refused());
}

#[test]
fn what_is_not_understood_is_told_with_its_line_and_without_its_text() {
    let content = b"# secret\nsecret\nA=1\n2B=secret\nC=secret #secret\nD='secret\n\nsecret'\nE=\0secret\nF=x\nsecret line=secret\nG=\"secret";
    let place = Place::new().env_file(content);
    assert_eq!(
        place.warnings(),
        [
            "web.env:2: is not NAME=value and is ignored",
            "web.env:4: has no valid name before the = and is ignored",
            "web.env:5: has a # within: it belongs to the value, for comments are lines of their own",
            "web.env:9: has a NUL byte and is ignored",
            "web.env:11: has no valid name before the = and is ignored",
            "web.env:12: has a quote that is never closed; the value goes to the end of the file",
        ]
    );
    assert_eq!((place.value("A"), place.value("F"), place.value("E")), (Some("1".into()), Some("x".into()), None));
    assert!(place.warnings().iter().all(|line| !line.contains("secret")));
}

#[test]
fn bytes_are_kept_whatever_they_are() {
    let place = Place::new().env_file(b"A=\xff\xfe\n");
    let variables = place.variables().unwrap().variables;
    let strings = variables.into_strings().unwrap();
    assert!(strings.iter().any(|string| string.as_bytes() == b"A=\xff\xfe"));
}

#[test]
fn a_value_that_no_program_can_be_given_is_named_and_not_shown() {
    let mut content = b"BIG=".to_vec();
    content.extend([b'x'; 200_000]);
    let place = Place::new().env_file(&content);
    let error = place.variables().unwrap().variables.into_strings().unwrap_err().to_string();
    assert_eq!(error, "env: the value of BIG is longer than the kernel takes (128 KiB)");
}

#[test]
fn export_is_passed_over() {
    let place = Place::new().env_file(b"export A=1\nexport\tB='2'\nexport=3\nexported=4\nexport C D=5\n");
    let value = |name| place.value(name).unwrap_or_default();
    assert_eq!(
        (value("A"), value("B"), value("export"), value("exported")),
        ("1".into(), "2".into(), "3".into(), "4".into())
    );
    assert_eq!(place.warnings().len(), 1);
}

/// Names and values.
type Pairs = &'static [(&'static [u8], &'static [u8])];

/// Each content, and the variables that systemd 252 reads from it: the values were taken from its own `load_env_file`. Where
/// systemd has changed since, its present manual is followed: a comment ends with its line.
const GRAMMAR: &[(&[u8], Pairs)] = &[
    (b"A=1", &[(b"A", b"1")]),
    (b"A=1\n", &[(b"A", b"1")]),
    (b"A=", &[(b"A", b"")]),
    (b"A=\nB=", &[(b"A", b""), (b"B", b"")]),
    (b" A=1", &[(b"A", b"1")]),
    (b"A =1", &[(b"A", b"1")]),
    (b"A= 1", &[(b"A", b"1")]),
    (b"A=1  ", &[(b"A", b"1")]),
    (b"A=a  b", &[(b"A", b"a  b")]),
    (b"A=a\tb\t", &[(b"A", b"a\tb")]),
    (b"# c\nA=1", &[(b"A", b"1")]),
    (b"; c\nA=1", &[(b"A", b"1")]),
    (b"  # c\nA=1", &[(b"A", b"1")]),
    (b"A=a#b", &[(b"A", b"a#b")]),
    (b"A=#b", &[(b"A", b"#b")]),
    (b"A=a ;b", &[(b"A", b"a ;b")]),
    (b"\n\nA=1\r\nB=2\r\n", &[(b"A", b"1"), (b"B", b"2")]),
    (b"A=1\nA=2", &[(b"A", b"2")]),
    (b"A='a b'", &[(b"A", b"a b")]),
    (b"A=\"a b\"", &[(b"A", b"a b")]),
    (b"A='a\nb'", &[(b"A", b"a\nb")]),
    (b"A=\"a\nb\"", &[(b"A", b"a\nb")]),
    (b"A='a\\b'", &[(b"A", b"a\\b")]),
    (b"A='a'b", &[(b"A", b"ab")]),
    (b"A=b'a'", &[(b"A", b"b'a'")]),
    (b"A=\"a\"'b'", &[(b"A", b"ab")]),
    (b"A=\"a\" \"b\"", &[(b"A", b"ab")]),
    (b"A=\"a\" b", &[(b"A", b"ab")]),
    (b"A='it'\\''s'", &[(b"A", b"it''s'")]),
    (b"A=\"a\\\"b\"", &[(b"A", b"a\"b")]),
    (b"A=\"a\\$b\\`c\\\\d\"", &[(b"A", b"a$b`c\\d")]),
    (b"A=\"a\\nb\"", &[(b"A", b"a\\nb")]),
    (b"A=\"a\\\nb\"", &[(b"A", b"ab")]),
    (b"A='a\\\nb'", &[(b"A", b"a\\\nb")]),
    (b"A=a\\\nb", &[(b"A", b"ab")]),
    (b"A=a\\\n b", &[(b"A", b"a b")]),
    (b"A=a \\\nb", &[(b"A", b"a b")]),
    (b"A=a\\ ", &[(b"A", b"a ")]),
    (b"A=a\\", &[(b"A", b"a")]),
    (b"A=a\\nb", &[(b"A", b"anb")]),
    (b"A=\\'a\\'", &[(b"A", b"'a'")]),
    (b"A=\\\"a", &[(b"A", b"\"a")]),
    (b"A=a\\\\b", &[(b"A", b"a\\b")]),
    (b"A=$HOME", &[(b"A", b"$HOME")]),
    (b"A=${X:-y} `id`", &[(b"A", b"${X:-y} `id`")]),
    (b"A=a=b=c", &[(b"A", b"a=b=c")]),
    (b"A==", &[(b"A", b"=")]),
    (b"A='a", &[(b"A", b"a")]),
    (b"A=\"a", &[(b"A", b"a")]),
    (b"A=\"a\\", &[(b"A", b"a")]),
    (b"A=' a '  ", &[(b"A", b" a ")]),
    (b"A=\" a \"\n", &[(b"A", b" a ")]),
    (b"A=''", &[(b"A", b"")]),
    (b"A=\"\"", &[(b"A", b"")]),
    (b"A='a' # c", &[(b"A", b"a# c")]),
    (b"A=a\\\n\\\nb", &[(b"A", b"ab")]),
    (b"A=\\\nb", &[(b"A", b"b")]),
    (b"foo\nA=1", &[(b"A", b"1")]),
    (b"foo", &[]),
    (b"A=a\\\r\nB=2", &[(b"A", b"a"), (b"B", b"2")]),
    (b"A=\"a\rb\"", &[(b"A", b"a\rb")]),
    (b"A=\"a'b\"", &[(b"A", b"a'b")]),
    (b"A='a\"b'", &[(b"A", b"a\"b")]),
    (b"A=a\"b\"c", &[(b"A", b"a\"b\"c")]),
    (b"A=\xc3\xa4", &[(b"A", b"\xc3\xa4")]),
    (b"_a1=x", &[(b"_a1", b"x")]),
    (b"A=a \\", &[(b"A", b"a ")]),
    (b"A=\\ a", &[(b"A", b" a")]),
    (b"A=  'a'", &[(b"A", b"a")]),
    (b"# c \\\nA=1", &[(b"A", b"1")]),
];

#[test]
fn the_grammar_is_that_of_systemd() {
    for (content, expected) in GRAMMAR {
        let mut variables = Variables::default();
        variables.extend(env_file::parse(content).into_iter().filter_map(|line| line.variable));
        let read: Vec<_> = variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let expected: Vec<_> = expected.iter().map(|(name, value)| (os(name), os(value))).collect();
        assert_eq!(read, expected, "{}", String::from_utf8_lossy(content));
    }
}

fn os(bytes: &[u8]) -> OsString {
    OsStr::from_bytes(bytes).to_owned()
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_to_their_end(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let lines = env_file::parse(&bytes);
        let last = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
        proptest::prop_assert!(lines.iter().all(|line| line.number <= last));
        proptest::prop_assert!(lines.iter().all(|line| line.variable.is_some() || line.complaint.is_some()));
    }
}

#[test]
fn a_directory_of_variables_that_has_vanished_is_not_done_without() {
    let place = Place { lists_env: true, ..Place::new() };
    assert_eq!(place.refused(), "env/: env: was listed, and cannot be found");
    assert!(place.file("env/PORT", b"80\n").value("PORT").is_some());
    // A file of that name is none, and neither is a link that leads nowhere.
    let place = Place { lists_env: true, ..Place::new() };
    std::os::unix::fs::symlink("nowhere", place.dir.path().join("env")).unwrap();
    assert!(place.variables().is_ok());
}
