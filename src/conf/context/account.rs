//! Who a service runs as: `user`, `groups`.

use super::list;

/// A name or a number of the user or group database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// To be looked up.
    Name(String),
    /// As it is.
    Number(u32),
}

/// The value of `user`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub user: Id,
    /// The first group; that of the database, if it is not said.
    pub group: Option<Id>,
}

/// The value of `groups`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Groups {
    /// No supplementary group at all.
    None,
    /// These beside those of the database.
    Beside(Vec<Id>),
}

/// What the kernel takes for "leave it as it is".
const UNCHANGED: u64 = u32::MAX as u64;

/// Longer than any name that a database has (`LOGIN_NAME_MAX` of Linux).
const NAME_MAX: usize = 256;

/// Reads `NAME`, `UID`, `NAME:GROUP` and the like.
///
/// # Errors
/// What is wrong with it.
pub fn user(value: &str) -> Result<User, String> {
    let (user, group) = match value.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (value, None),
    };
    Ok(User { user: id(user, "user")?, group: group.map(|group| id(group, "group")).transpose()? })
}

/// Reads names and numbers of groups, or `-`.
///
/// # Errors
/// What is wrong with it.
pub fn groups(value: &str) -> Result<Groups, String> {
    match value {
        "-" => Ok(Groups::None),
        value => list::good(value.split_ascii_whitespace().map(group)).map(Groups::Beside),
    }
}

/// What is wrong with single words of a value of `groups`, where others stand.
pub fn refused_groups(value: &str) -> Vec<String> {
    if value == "-" { Vec::new() } else { list::refused(value.split_ascii_whitespace().map(group)) }
}

/// Reads one name or number of a group.
///
/// # Errors
/// What is wrong with it.
pub fn group(value: &str) -> Result<Id, String> {
    id(value, "group")
}

fn id(word: &str, what: &str) -> Result<Id, String> {
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        // (uid_t)-1 would change nothing, and the service would run as root.
        return match word.parse::<u64>() {
            Ok(number) if number < UNCHANGED => Ok(Id::Number(number as u32)),
            _ => Err(format!("there is no {what} {word}: the largest number is {}", UNCHANGED - 1)),
        };
    }
    let is_plain = |letter: char| !letter.is_control() && !letter.is_whitespace() && !":/,".contains(letter);
    if !word.is_empty() && word.len() <= NAME_MAX && !word.starts_with('-') && word.chars().all(is_plain) {
        Ok(Id::Name(word.into()))
    } else {
        Err(format!("{word:?} is not a name of a {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Id {
        Id::Name(text.into())
    }

    #[test]
    fn users_are_names_or_numbers_with_or_without_a_group() {
        assert_eq!(user("www"), Ok(User { user: name("www"), group: None }));
        assert_eq!(user("www:adm"), Ok(User { user: name("www"), group: Some(name("adm")) }));
        assert_eq!(user("1000:0"), Ok(User { user: Id::Number(1000), group: Some(Id::Number(0)) }));
        assert_eq!(user("4294967294").unwrap().user, Id::Number(4_294_967_294));
        assert_eq!(user("dom\\jo.do-1$").unwrap().user, name("dom\\jo.do-1$"));
    }

    #[test]
    fn what_is_no_user_is_said() {
        for bad in ["", ":", "www:", ":www", "a b", "-1", "4294967295", "4294967296", "99999999999999999999999", "a/b"]
        {
            assert!(user(bad).is_err(), "{bad}");
        }
        assert!(user("4294967295").unwrap_err().contains("largest"));
    }

    #[test]
    fn groups_are_a_list_or_none() {
        assert_eq!(groups("adm 4"), Ok(Groups::Beside(vec![name("adm"), Id::Number(4)])));
        assert_eq!(groups("-"), Ok(Groups::None));
        assert_eq!(groups("adm -"), Ok(Groups::Beside(vec![name("adm")])));
        assert_eq!(refused_groups("adm - x/y").len(), 2);
        assert!(groups("adm,tty").is_err());
    }
}
