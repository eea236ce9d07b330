//! The scanner: service directories come and go, and a supervisor thread comes and goes with each.
//!
//! | file or room | what is in it |
//! |---|---|
//! | [`root`] | the services root: what is in it, and when that changes |
//! | [`order`] | who starts after whom, and who stops before whom |
//! | [`roster`] | who is supervised, and the threads that do it |
//! | [`capacity`] | whether there is room for one more |
//! | [`signals`] | signals and the tree's own FIFO, as messages |
//! | [`handover`] | what the program hands over when it replaces itself |
//! | [`question`] | what it asks the next program before |
//! | [`candidate`] | the program that is at the path now, and what it answers |
//! | [`upgrade`] | the program replaces itself |
//! | [`shutdown`] | how the tree ends, and its exit code: the rules |
//! | `ending` | what is stopped, killed and waited for at its end |
//! | [`standard_output`] | the tree's standard output, for services |
//! | [`status_root`] | where the status directories are |
//! | [`tree_dir`] | the tree's own status directory and its lock |
//! | `begin` | what it needs before anything else |
//! | [`error`] | what keeps a tree from beginning |
//! | [`options`] | what the program was asked to do |
//! | [`run`] | the main loop |

mod begin;
pub mod candidate;
pub mod capacity;
mod ending;
pub mod error;
pub mod handover;
pub mod options;
pub mod order;
pub mod question;
pub mod root;
pub mod roster;
pub mod run;
pub mod shutdown;
pub mod signals;
pub mod standard_output;
pub mod status_root;
pub mod tree_dir;
pub mod upgrade;
