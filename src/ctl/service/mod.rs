//! What a module is started from: its service directory, and the settings.
//!
//! | file | what is in it |
//! |---|---|
//! | [`directory`] | the service directory, and as whom it may be touched |
//! | [`context`] | the context that the module's processes have, worked out from the files |
//! | [`outdated`] | whether a process is older than what it would be started from |

pub mod context;
pub mod directory;
pub mod outdated;
