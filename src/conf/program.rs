//! For which of the two supervisors a file is read.

/// Which program reads the file: some defaults differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `supervise-tree`.
    Tree,
    /// `supervise`.
    Single,
}
