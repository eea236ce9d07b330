//! The verbs that change something, and waiting for the result.
//!
//! | file | what is in it |
//! |---|---|
//! | [`control`], [`send`] | `start`, `stop`, `restart`, signals, `enable` ...: to all first, then waiting |
//! | [`changed`] | whether a command has changed anything: pure rules |
//! | [`company`] | what a start needs, and what a stop stops first |
//! | [`forget`] | `forget`: what is left of a service that is gone |
//! | [`goal`] | when an action is done: pure rules |
//! | [`link`] | `enable NAME SOURCE`: a link in the services root |
//! | [`module_wait`], [`wait`] | one module on its way to that; waiting for many |
//! | [`check`] | a service's own `check` script, and the verb `check` |
//! | [`timeout`] | how long a result is waited for |
//! | [`runit_links`] | `runit-links restore`: the packaged links put back |
//! | [`tree`] | `rescan`, `upgrade`, `shutdown`, `reload` of the whole tree |

pub mod changed;
pub mod check;
pub mod company;
pub mod control;
pub mod forget;
pub mod goal;
pub mod link;
pub mod module_wait;
pub mod runit_links;
pub mod send;
pub mod timeout;
pub mod tree;
pub mod wait;
