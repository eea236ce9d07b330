//! The verbs that show: they read status directories, and change nothing.
//!
//! | file | what is in it |
//! |---|---|
//! | [`status`] | `status`, once: as a table or as JSON |
//! | [`health`] | how a module does, in one word |
//! | [`table`] | the table itself |
//! | [`watch`] | `status --watch` |
//! | [`page`] | `show`: all about one module |
//! | [`relations`] | what it needs, and who needs it |
//! | [`config`] | `config`: what is in force, and where it comes from |
//! | [`in_force`] | what supervisors go by, where the files have changed |
//! | [`complaints`] | what is wrong in the files |
//! | [`environment`] | `config --env`: the variables of a module's next start |

pub mod complaints;
pub mod config;
pub mod environment;
pub mod health;
pub mod in_force;
pub mod page;
pub mod relations;
pub mod status;
pub mod table;
pub mod watch;
