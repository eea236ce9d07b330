//! The machine, tested without a process and without a clock.
//!
//! | file | what is in it |
//! |---|---|
//! | `story` | a machine, a time, and short words for what happens to it |
//! | `cases` | the rules of the manual, one story each |
//! | `controls` | the scripts in `control/` |
//! | `limits` | more of them: limits, loggers, hooks |
//! | `table` | every event in every state |
//! | `rows` | the rows and columns of that table |
//! | `loggers` | how loggers end |
//! | `predecessor` | what a killed supervisor has left |
//! | `shutdown` | whose end is the tree's end |
//! | `world` | a simulated process table, and what must never happen in it |
//! | `random` | random histories in that world |
//! | `exhaustive` | all histories in that world, as far as two restarts |

mod cases;
mod controls;
mod exhaustive;
mod limits;
mod loggers;
mod predecessor;
mod random;
mod recovery;
mod rows;
mod shutdown;
mod story;
mod table;
mod world;
