//! What is asked of a supervisor thread from outside.
//!
//! | file | what is in it |
//! |---|---|
//! | [`mailbox`] | what the tree, or a signal, asks of the thread |
//! | [`stop_offer`] | the stop that the tree may send without asking |
//! | [`parking`] | holding the threads still while the program replaces itself |

pub mod mailbox;
pub mod parking;
pub mod stop_offer;
