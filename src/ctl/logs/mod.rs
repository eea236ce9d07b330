//! `logs`: what the modules wrote.
//!
//! | file | what is in it |
//! |---|---|
//! | [`mod@print`] | the verb: many files, their lines mixed |
//! | [`logged`] | where the output of a service with a logger is |
//! | [`source`] | the lines of one file and the old ones beside it, a part at a time |
//! | [`merge`] | those of several loggers, in the order of their times |
//! | [`archive`], [`old_file`], [`seek`] | a logger's old files, and where in them a time begins |
//! | [`filter`], [`time`] | which lines are shown |
//! | [`last_words`] | what a service wrote last, wherever that went |
//! | [`tail`], [`rotation`] | one file, followed through truncation and rename |

pub mod archive;
pub mod filter;
pub mod last_words;
pub mod logged;
pub mod merge;
pub mod old_file;
pub mod print;
pub mod rotation;
pub mod seek;
pub mod source;
pub mod tail;
pub mod time;
