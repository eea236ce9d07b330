//! From the bytes of a service to the lines of its log.
//!
//! | file | what is in it |
//! |---|---|
//! | [`stamp`] | the time in front of a line, made once for each read |
//! | [`pattern`] | which lines are wanted |
//! | [`svlogd_pattern`] | the same as svlogd's `config` has it |
//! | [`rate`] | how many a second |
//! | [`form`] | a line as text or as JSON |
//! | [`render`] | many lines at once, as far as the memory for them goes |
//! | [`plain`] | the same for lines that need no more than a stamp |

pub mod form;
pub mod pattern;
pub mod plain;
pub mod rate;
pub mod render;
pub mod stamp;
pub mod svlogd_pattern;
