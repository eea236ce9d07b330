//! supervise-log, as a process beside others.

mod archive;
mod kill;
mod lines;
mod pipe;
mod trouble;
