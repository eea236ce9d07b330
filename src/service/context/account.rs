//! User and groups: names into numbers, and the variables that tell a program who it is.

use super::refuse::{refuse, refuse_for};
use crate::conf::context::account::{Groups, Id, User};
use crate::sys::Errno;
use crate::sys::context::accounts::{self, Account, LookUpError};
use crate::sys::context::{Ids, Part};
use crate::sys::process::start::StartError;
use std::ffi::{OsStr, OsString};

/// Variables that are set, or taken away.
pub type Changes = Vec<(OsString, Option<OsString>)>;

/// Whoever knows users and groups.
pub trait Accounts {
    /// The user called `name`.
    ///
    /// # Errors
    /// It cannot be told.
    fn user(&self, name: &str) -> Result<Option<Account>, LookUpError>;
    /// The user with this number.
    ///
    /// # Errors
    /// It cannot be told.
    fn user_by_number(&self, uid: u32) -> Result<Option<Account>, LookUpError>;
    /// The number of the group called `name`.
    ///
    /// # Errors
    /// It cannot be told.
    fn group(&self, name: &str) -> Result<Option<u32>, LookUpError>;
    /// All groups of the user called `name`, `first` among them.
    ///
    /// # Errors
    /// It cannot be told.
    fn groups(&self, name: &str, first: u32) -> Result<Vec<u32>, LookUpError>;
    /// The supplementary groups that we have ourselves.
    fn own_groups(&self) -> Vec<u32>;
}

/// The databases of this system.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Accounts for System {
    fn user(&self, name: &str) -> Result<Option<Account>, LookUpError> {
        accounts::user(name)
    }

    fn user_by_number(&self, uid: u32) -> Result<Option<Account>, LookUpError> {
        accounts::user_by_number(uid)
    }

    fn group(&self, name: &str) -> Result<Option<u32>, LookUpError> {
        accounts::group(name)
    }

    fn groups(&self, name: &str, first: u32) -> Result<Vec<u32>, LookUpError> {
        accounts::groups(name, first)
    }

    fn own_groups(&self) -> Vec<u32> {
        nix::unistd::getgroups().unwrap_or_default().into_iter().map(nix::unistd::Gid::as_raw).collect()
    }
}

/// Who a service runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The numbers.
    pub ids: Ids,
    /// The variables.
    pub variables: Changes,
}

/// The variables that tell a program who it is.
const VARIABLES: [&str; 4] = ["HOME", "USER", "LOGNAME", "SHELL"];

/// Looks up who `user` and `groups` mean.
///
/// A number that the database does not have is taken as it is: its group is that of the same number, unless another is
/// said; it has no supplementary groups, and none of the variables, for those that are there tell of somebody else.
///
/// # Errors
/// A name that is none, or a database that does not answer.
pub fn resolve(user: Option<&User>, groups: Option<&Groups>, accounts: &dyn Accounts) -> Result<Person, StartError> {
    let Some(user) = user else {
        let supplementary = match groups {
            None => None,
            Some(Groups::None) => Some(Vec::new()),
            Some(Groups::Beside(more)) => Some(united(accounts.own_groups(), more, accounts)?),
        };
        let ids = Ids { uid: None, gid: None, groups: supplementary.filter(|wanted| !is_ours(wanted, accounts)) };
        return Ok(Person { ids, variables: Vec::new() });
    };
    let failed = |error| late_or_broken(Part::User, error);
    let (uid, account) = match &user.user {
        Id::Name(name) => {
            let found = accounts.user(name).map_err(failed)?;
            let account = found.ok_or_else(|| refuse(Part::User, &format!("no such user {name:?}")))?;
            (account.uid, Some(account))
        }
        Id::Number(uid) => (*uid, accounts.user_by_number(*uid).map_err(failed)?),
    };
    let gid = match &user.group {
        Some(group) => number(group, Part::User, accounts)?,
        None => account.as_ref().map_or(uid, |account| account.gid),
    };
    if uid == u32::MAX || gid == u32::MAX {
        // To the kernel, it means "as it is", and that is root.
        return Err(refuse(Part::User, "the user database gives a number that is none"));
    }
    let of_database = match &account {
        Some(account) => accounts.groups(&account.name, gid).map_err(failed)?,
        None => Vec::new(),
    };
    let supplementary = match groups {
        None => united(of_database, &[], accounts)?,
        Some(Groups::None) => Vec::new(),
        Some(Groups::Beside(more)) => united(of_database, more, accounts)?,
    };
    let groups = Some(supplementary).filter(|wanted| !is_ours(wanted, accounts));
    Ok(Person { ids: Ids { uid: Some(uid), gid: Some(gid), groups }, variables: variables(account.as_ref()) })
}

fn variables(account: Option<&Account>) -> Changes {
    let value = |name: &str| -> Option<&OsStr> {
        let account = account?;
        match name {
            "HOME" => Some(&account.home),
            "SHELL" => Some(&account.shell),
            _ => Some(OsStr::new(&account.name)),
        }
    };
    VARIABLES.iter().map(|name| (OsString::from(name), value(name).map(OsStr::to_owned))).collect()
}

/// Nobody needs a privilege to keep the groups that we have.
fn is_ours(wanted: &[u32], accounts: &dyn Accounts) -> bool {
    let mut ours = accounts.own_groups();
    ours.sort_unstable();
    ours.dedup();
    ours == wanted
}

/// All of both, sorted, each once.
fn united(mut all: Vec<u32>, more: &[Id], accounts: &dyn Accounts) -> Result<Vec<u32>, StartError> {
    for group in more {
        all.push(number(group, Part::Groups, accounts)?);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn number(group: &Id, part: Part, accounts: &dyn Accounts) -> Result<u32, StartError> {
    match group {
        Id::Number(gid) => Ok(*gid),
        Id::Name(name) => {
            let found = accounts.group(name).map_err(|error| late_or_broken(part, error))?;
            found.ok_or_else(|| refuse(part, &format!("no such group {name:?}")))
        }
    }
}

/// The number of a group.
///
/// # Errors
/// What is wrong, for the user.
pub fn group_number(group: &Id, accounts: &dyn Accounts) -> Result<u32, String> {
    number(group, Part::Groups, accounts).map_err(|error| error.to_string())
}

fn late_or_broken(part: Part, error: LookUpError) -> StartError {
    let errno = match error {
        LookUpError::Errno(errno) => errno,
        LookUpError::Late => Errno::EAGAIN,
    };
    refuse_for(part, errno, &format!("cannot look it up: {error}"))
}
