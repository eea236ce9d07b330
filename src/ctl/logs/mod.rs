//! `logs`: what the modules wrote.
//!
//! | file | what is in it |
//! |---|---|
//! | [`mod@print`] | the verb: many files, their lines mixed |
//! | [`tail`] | one file, followed through truncation and rename |

pub mod print;
pub mod tail;
