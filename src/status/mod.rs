//! The status directory: one file here for each entry there.
//!
//! | entry | file |
//! |---|---|
//! | the directory itself, `lock`, `svcontrol`, names of all entries | [`dir`] |
//! | `control`, `ok` | [`fifo`] |
//! | `status`, 20 bytes | [`record`] |
//! | records of processes, in `lock` and elsewhere | [`recorded`] |
//! | `state.json` | [`state`]; keys: `state` [`module_state`], `reason` [`rest`], `recent_exits` [`recent_exits`], `exits_by` [`counts`] |
//! | `state.json` of the tree itself | [`tree_state`] |
//! | `supervise/` | [`runit_files`] |
//! | links to all status roots of a user, outside of them | [`registry`] |
//! | `supervise.log`, `supervise.log.wf` | [`log`] |

pub mod counts;
pub mod dir;
pub mod fifo;
pub mod log;
pub mod module_state;
pub mod recent_exits;
pub mod record;
pub mod recorded;
pub mod registry;
pub mod rest;
pub mod runit_files;
pub mod runit_link;
pub mod state;
pub mod tree_state;

pub use dir::StatusDir;
