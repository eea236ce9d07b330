//! `logs`: what the modules wrote.
//!
//! | file | what is in it |
//! |---|---|
//! | [`mod@print`] | the verb: many files, their lines mixed |
//! | [`logged`] | where the output of a service with a logger is |
//! | [`archive`], [`old_file`] | a logger's old files |
//! | [`filter`], [`time`] | which lines are shown |
//! | [`last_words`] | what a service wrote last, wherever that went |
//! | [`tail`], [`rotation`] | one file, followed through truncation and rename |

pub mod archive;
pub mod filter;
pub mod last_words;
pub mod logged;
pub mod old_file;
pub mod print;
pub mod rotation;
pub mod tail;
pub mod time;
