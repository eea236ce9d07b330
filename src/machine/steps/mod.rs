//! What the table leads to.
//!
//! | file | what is in it |
//! |---|---|
//! | `starting` | hook and start, from the command to the running process |
//! | `stopping` | signals, stops and restarts of a running process |
//! | `ending` | a process has ended: whether it is started again, `finish`, the end of supervision |
//! | `last_words` | a logger whose service is gone: how it reads to the end |
//! | `resuming` | going on where another supervisor was killed |

pub(super) mod ending;
pub(super) mod last_words;
mod resuming;
mod starting;
pub(super) mod stopping;
