//! The order, without a process.

mod cases;
mod random;
mod world;
