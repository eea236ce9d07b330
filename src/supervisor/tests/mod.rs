//! The machine, tested without a process and without a clock.
//!
//! | file | what is in it |
//! |---|---|
//! | `story` | a machine, a time, and short words for what happens to it |
//! | `cases` | the rules of the manual, one story each |
//! | `limits` | more of them: limits, loggers, hooks |

mod cases;
mod limits;
mod story;
