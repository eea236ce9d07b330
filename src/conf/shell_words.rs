//! Splitting a command into words as a POSIX shell does, and nothing else that a shell does.
//!
//! The crates for this (shlex, shell-words) take `#` for the start of a comment, which would silently drop
//! arguments of commands that have worked for years.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Splits at blanks; `'…'`, `"…"` and backslash quote. No expansion, no comments, no operators.
///
/// # Errors
/// What is unbalanced.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => single(&mut letters, word.get_or_insert_default())?,
            '"' => double(&mut letters, word.get_or_insert_default())?,
            '\\' => match letters.next() {
                Some('\n') => {}
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err("a backslash at the end".into()),
            },
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The same for a text in any encoding.
///
/// # Errors
/// What is unbalanced.
pub fn split_bytes(text: &OsStr) -> Result<Vec<OsString>, String> {
    // One letter for each byte: what splits and quotes is ASCII, so nothing else can be taken for it.
    let letters: String = text.as_bytes().iter().map(|byte| char::from(*byte)).collect();
    let word = |word: String| OsString::from_vec(word.chars().filter_map(|letter| u8::try_from(letter).ok()).collect());
    Ok(split(&letters)?.into_iter().map(word).collect())
}

fn single(letters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    for letter in letters {
        match letter {
            '\'' => return Ok(()),
            other => word.push(other),
        }
    }
    Err("a ' that is not closed".into())
}

fn double(letters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Ok(()),
            '\\' => match letters.next() {
                Some('\n') => {}
                Some(next @ ('$' | '`' | '"' | '\\')) => word.push(next),
                Some(next) => word.extend(['\\', next]),
                None => break,
            },
            other => word.push(other),
        }
    }
    Err("a \" that is not closed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_quotes_as_a_shell_and_expands_nothing() {
        let words = |text| split(text).unwrap();
        assert_eq!(words("  python  app.py\t-p 80 "), ["python", "app.py", "-p", "80"]);
        assert_eq!(words(r#"a 'b c' "d \" $e" f\ g '' h"i"'j'"#), ["a", "b c", "d \" $e", "f g", "", "hij"]);
        assert_eq!(words("a #1 ; b|c * $(x) ~"), ["a", "#1", ";", "b|c", "*", "$(x)", "~"]);
        assert_eq!(words(r#""a\b""#), [r"a\b"]);
        assert!(words("").is_empty());
    }

    #[test]
    fn what_is_unbalanced_is_said() {
        for text in ["a 'b", "a \"b", "a \"b\\", "a \\"] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}
