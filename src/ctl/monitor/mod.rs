//! The verbs for programs that watch: a stream of changes, and numbers.
//!
//! | file | what is in it |
//! |---|---|
//! | [`events`] | `events`: waits for changes, and writes a line for each |
//! | [`event`] | what a change is, and how it is told |
//! | [`metrics`] | `metrics`: what is told of modules and of the tree, in numbers |
//! | [`openmetrics`] | the text format of OpenMetrics |

pub mod event;
pub mod events;
pub mod metrics;
pub mod openmetrics;
