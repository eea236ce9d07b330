//! A set of variables, and how others replace them.

use super::account::Changes;
use super::refuse::refuse;
use crate::sys::context::Part;
use crate::sys::process::start::StartError;
use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The kernel takes no longer string than this, in bytes, its NUL included (`MAX_ARG_STRLEN`: 32 pages of 4 KiB).
pub const STRING_MAX: usize = 32 * 4096;

/// Variables, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<OsString, OsString>);

impl Variables {
    /// Those that this process has.
    pub fn ours() -> Variables {
        Variables(std::env::vars_os().collect())
    }

    /// Those in a `/proc/PID/environ`.
    pub fn from_environ(bytes: &[u8]) -> Variables {
        let owned = |part: &[u8]| OsString::from_vec(part.to_vec());
        let pair = |text: &[u8]| {
            let at = text.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
            Some((owned(text.get(..at)?), owned(text.get(at + 1..)?)))
        };
        Variables(bytes.split(|byte| *byte == 0).filter_map(pair).collect())
    }

    /// Forgets all but the one called `name`.
    pub fn keep_only(&mut self, name: &str) {
        self.0.retain(|other, _| other == name);
    }

    /// Sets and takes away.
    pub fn change(&mut self, changes: &Changes) {
        for (name, value) in changes {
            match value {
                Some(value) => drop(self.0.insert(name.clone(), value.clone())),
                None => drop(self.0.remove(name)),
            }
        }
    }

    /// Each, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.0.iter()
    }

    /// Each as `NAME=value`.
    ///
    /// # Errors
    /// One that no program can be given.
    pub fn into_strings(self) -> Result<Vec<CString>, StartError> {
        let string = |(name, value): (OsString, OsString)| {
            let text = [name.as_bytes(), b"=", value.as_bytes()].concat();
            let refused = |why: &str| refuse(Part::Environment, &format!("the value of {} {why}", name.display()));
            if text.len() >= STRING_MAX {
                return Err(refused("is longer than the kernel takes (128 KiB)"));
            }
            CString::new(text).map_err(|_| refused("has a NUL byte in it"))
        };
        self.0.into_iter().map(string).collect()
    }
}

impl Extend<(OsString, OsString)> for Variables {
    fn extend<T: IntoIterator<Item = (OsString, OsString)>>(&mut self, more: T) {
        self.0.extend(more);
    }
}
