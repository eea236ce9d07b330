//! How a module stands to others: the values of `needs`, `after`, `restart_with`, `tags` and `type`.
//!
//! | file | what is in it |
//! |---|---|
//! | [`graph`] | names resolved to modules, and what `[global]` adds |
//! | `circles` | who is in a circle, and the shortest way round |
//! | [`lint`] | what is wrong with the relations of all modules together |

mod circles;
pub mod graph;
pub mod lint;

/// A module in the order. It stays the same for as long as the module is known, and may be given to another one after that.
pub type Id = usize;

/// What a name of a tag begins with, where a module's name could stand.
pub const TAG: char = '@';

/// What stands for all other modules in `after`: those that do not come after this one.
pub const ALL: &str = "*";

/// A name longer than this, in bytes, names no directory: `NAME_MAX` of Linux.
const NAME_MAX: usize = 255;

/// A module's relations to others, as its settings name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relations {
    /// Modules, or `@tag`, that must be ready before it starts, and that are stopped after it.
    pub needs: Vec<String>,
    /// Modules, `@tag` or [`ALL`], that it starts after, if they start at all.
    pub after: Vec<String>,
    /// Modules, or `@tag`, with which it is restarted.
    pub restart_with: Vec<String>,
    /// What it can be called by, together with others.
    pub tags: Vec<String>,
}

impl Relations {
    /// Whether it has nothing to do with any other module.
    pub fn is_empty(&self) -> bool {
        self.needs.is_empty() && self.after.is_empty() && self.restart_with.is_empty() && self.tags.is_empty()
    }

    /// Whether it names any other module.
    pub fn names_others(&self) -> bool {
        !(self.needs.is_empty() && self.after.is_empty() && self.restart_with.is_empty())
    }
}

/// One module's relation to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Relation {
    /// It starts only when the other one is ready, and stops before that.
    Needs,
    /// It starts after the other one.
    After,
    /// It is restarted with the other one.
    RestartWith,
}

impl Relation {
    /// The key in `supervise.conf`.
    pub fn key(self) -> &'static str {
        match self {
            Relation::Needs => "needs",
            Relation::After => "after",
            Relation::RestartWith => "restart_with",
        }
    }
}

/// Whether a run process is meant to stay or to come to an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It stays: what ends is started again.
    #[default]
    Longrun,
    /// It ends: exit code 0 means that it is done.
    Oneshot,
}

/// Reads the value of `type`.
///
/// # Errors
/// What is wrong with it.
pub fn kind(value: &str) -> Result<Kind, String> {
    match value {
        "longrun" => Ok(Kind::Longrun),
        "oneshot" => Ok(Kind::Oneshot),
        other => Err(format!("{other:?} is not longrun or oneshot")),
    }
}

/// Checks one name of `needs`, `after` or `restart_with`: a module that is not a logger, or `@tag`.
///
/// # Errors
/// What is wrong with it.
pub fn name(word: &str) -> Result<(), String> {
    match word.strip_prefix(TAG) {
        Some(tag) => is_name(tag).then_some(()).ok_or_else(|| format!("{word:?} is not a tag")),
        None if word.contains('/') => Err(format!("{word:?}: a logger comes and goes with its service alone")),
        None => is_name(word).then_some(()).ok_or_else(|| format!("{word:?} is not a module's name")),
    }
}

/// Checks one word of `after`: a name, or [`ALL`].
///
/// # Errors
/// What is wrong with it.
pub fn name_or_all(word: &str) -> Result<(), String> {
    if word == ALL { Ok(()) } else { name(word) }
}

/// Checks one word of `tags`.
///
/// # Errors
/// What is wrong with it.
pub fn tag(word: &str) -> Result<(), String> {
    let word_itself = word.strip_prefix(TAG).unwrap_or(word);
    match is_name(word_itself) && word_itself.len() == word.len() {
        true => Ok(()),
        false if is_name(word_itself) => Err(format!("{word:?}: a tag has its {TAG} only where it is used")),
        false => Err(format!("{word:?} is not a tag")),
    }
}

/// As a directory in the services root may be called, and a word in a list can be.
fn is_name(word: &str) -> bool {
    let is_plain = |letter: char| !letter.is_control() && !letter.is_whitespace() && !"/*?".contains(letter);
    !word.is_empty() && word.len() <= NAME_MAX && !word.starts_with(['.', TAG]) && word.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_module_or_a_tag_and_never_a_logger() {
        for good in ["db", "web-1", "@db", "getty.1", "Käse", "a:b", "br[1]"] {
            assert_eq!(name(good), Ok(()), "{good}");
        }
        for bad in ["", "@", "@@a", ".hidden", "web/log", "a/b", "web*", "a\tb", "a\u{7}", &"x".repeat(256)] {
            assert!(name(bad).is_err(), "{bad}");
        }
        assert!(name("web/log").unwrap_err().contains("logger"));
    }

    #[test]
    fn all_others_are_a_word_of_after_alone() {
        assert_eq!(name_or_all(ALL), Ok(()));
        assert_eq!(name_or_all("db"), Ok(()));
        assert!(name(ALL).is_err() && name_or_all("web*").is_err());
    }

    #[test]
    fn a_tag_is_given_without_its_sign() {
        assert_eq!(tag("blue"), Ok(()));
        assert!(tag("@blue").unwrap_err().contains("only where it is used"));
        for bad in ["", "@", "a/b", ".x"] {
            assert!(tag(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn there_are_two_types() {
        assert_eq!(kind("longrun"), Ok(Kind::Longrun));
        assert_eq!(kind("oneshot"), Ok(Kind::Oneshot));
        assert!(kind("once").is_err());
    }
}
