//! In which order modules start and stop: who needs whom, and what has become of each.
//!
//! It is pure: whoever drives it tells what becomes of the modules, asks before a start and before a stop, and wakes
//! those that it names. Who names whom is [`crate::conf::relations`]. It never says anything to a module that has no relation to another one.
//!
//! | file | what is in it |
//! |---|---|
//! | [`places`] | the order as the threads share it |
//! | [`rules`] | who may start, who has to stop first, and who is restarted with whom |

pub mod places;
pub mod rules;
#[cfg(test)]
mod tests;

pub use places::Places;
pub use rules::Order;
