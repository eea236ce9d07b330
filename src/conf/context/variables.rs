//! The values of `env` and `env_file`.

use super::list;
use crate::conf::shell_words;

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// One file of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFile {
    /// Where it is; by a relative path, in the service directory.
    pub path: String,
    /// Whether it may be missing.
    pub optional: bool,
}

/// Reads `A=1 B="two words"`.
///
/// # Errors
/// What is wrong with it; a value is not in it.
pub fn env(value: &str) -> Result<Vec<Variable>, String> {
    list::good(variables(&shell_words::split(value)?))
}

/// What is wrong with single words of a value of `env`, where others stand.
pub fn refused_env(value: &str) -> Vec<String> {
    shell_words::split(value).map_or_else(|_| Vec::new(), |words| list::refused(variables(&words)))
}

fn variables(words: &[String]) -> impl Iterator<Item = Result<Variable, String>> {
    words.iter().enumerate().map(|(at, word)| {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("word {} has no =", at + 1))?;
        if is_name(name.as_bytes()) {
            Ok(Variable { name: name.into(), value: value.into() })
        } else {
            Err(format!("{name:?} is not a name of a variable: letters, digits and _"))
        }
    })
}

/// Reads paths, each with a `-` in front if it may be missing.
///
/// # Errors
/// What is wrong with it.
pub fn env_file(value: &str) -> Result<Vec<EnvFile>, String> {
    list::good(env_files(&shell_words::split(value)?))
}

/// What is wrong with single words of a value of `env_file`, where others stand.
pub fn refused_env_files(value: &str) -> Vec<String> {
    shell_words::split(value).map_or_else(|_| Vec::new(), |words| list::refused(env_files(&words)))
}

fn env_files(words: &[String]) -> impl Iterator<Item = Result<EnvFile, String>> {
    words.iter().map(|word| {
        let (path, optional) = word.strip_prefix('-').map_or((word.as_str(), false), |path| (path, true));
        if path.is_empty() || path.starts_with('~') {
            Err(format!("{word:?} is not a path"))
        } else {
            Ok(EnvFile { path: path.into(), optional })
        }
    })
}

/// Whether it can be the name of a variable, for a shell, too.
pub fn is_name(name: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    name.first().is_some_and(|byte| !byte.is_ascii_digit()) && name.iter().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_quoted_as_for_a_shell() {
        let env = env("A=1 B=\"two words\" C= D='$x=y'").unwrap();
        let pairs: Vec<_> = env.iter().map(|variable| (variable.name.as_str(), variable.value.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "two words"), ("C", ""), ("D", "$x=y")]);
    }

    #[test]
    fn a_complaint_tells_no_value() {
        for bad in ["1A=secret", "A-B=secret", "=secret", "A=\"secret"] {
            assert!(!env(bad).unwrap_err().contains("secret"), "{bad}");
        }
        assert_eq!(env("A=1 secret").unwrap().len(), 1);
        assert_eq!(refused_env("A=1 secret"), ["word 2 has no ="]);
    }

    #[test]
    fn files_may_be_missing_where_it_is_said() {
        let file = |path: &str, optional| EnvFile { path: path.into(), optional };
        assert_eq!(env_file("/etc/web.env -local.env"), Ok(vec![file("/etc/web.env", false), file("local.env", true)]));
        assert_eq!(env_file("'/a b'"), Ok(vec![file("/a b", false)]));
        assert!(env_file("-").is_err() && env_file("''").is_err() && env_file("~/x").is_err());
    }
}
