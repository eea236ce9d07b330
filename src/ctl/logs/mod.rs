//! `logs`: what the modules wrote.
//!
//! | file | what is in it |
//! |---|---|
//! | [`mod@print`] | the verb: many files, their lines mixed |
//! | [`last_words`] | what a service wrote last, wherever that went |
//! | [`tail`] | one file, followed through truncation and rename |

pub mod last_words;
pub mod print;
pub mod tail;
