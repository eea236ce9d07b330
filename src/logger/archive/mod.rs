//! Old files: how they are called, which are kept, and how they are compressed, all beside the reading.
//!
//! | file | what is in it |
//! |---|---|
//! | [`names`] | names that sort by age, whatever the clock did |
//! | [`prune`] | which old files go |
//! | [`compress`] | one file compressed, by a process of its own |
//! | [`keeper`] | the thread that does all this |

pub mod compress;
pub mod keeper;
pub mod names;
pub mod prune;
