//! `supervise-log`: a logger that may be killed.
//!
//! # How a line comes into its file
//!
//! 1. The service writes into a pipe. [`run`] asks how much is there, and has the kernel store exactly that in the journal, a
//!    file that is mapped into memory ([`journal`], [`mapped`]).
//! 2. [`lines::render`] finds whole lines in it, leaves out those that nobody wants, and puts a stamp in front of the rest: the
//!    time of the read, made once.
//! 3. The write is noted in the journal, done, and taken out of hand by one word. Whoever is killed anywhere on this way
//!    has a successor who knows what was done, and goes on from there.
//! 4. A file that is large or old enough is renamed ([`directory`]); what becomes of it then is the business of a
//!    thread ([`archive::keeper`]) and its compressor, which hold up nobody.
//!
//! | room or file | what is in it |
//! |---|---|
//! | [`run`] | the loop: read, write, wait; signals |
//! | [`trouble`] | what keeps us from writing, said once |
//! | [`journal`] | the steps of the intake, pure |
//! | [`lines`] | stamps, patterns, text and JSON, pure |
//! | [`archive`] | old files |
//! | [`merge`] | `log : stdout`: many modules into one standard output |
//! | [`directory`], [`mapped`], [`pieces`] | the files of a log, and a long line on its way there |
//! | [`counters`] | what a log has counted, for others |
//! | [`settings`], [`svlogd`] | what a log is told |

pub mod archive;
pub mod counters;
pub mod directory;
pub mod journal;
pub mod lines;
pub mod mapped;
pub mod merge;
pub mod pieces;
pub mod run;
pub mod settings;
pub mod svlogd;
pub mod trouble;
