//! `log : stdout`: the lines of many modules into one standard output.
//!
//! One process does it for all, so that lines stay whole. Each module has a FIFO, held open by the tree and by the service: a
//! writer that is killed loses nothing, because it looks at lines, writes them, and only then takes them out of the FIFO. At most
//! the lines of one write, 4096 bytes, or one longer line, may come twice then. Half a line that cannot stay in the FIFO is kept in a
//! journal beside it.
//!
//! The tree gives the names of the modules on standard input, one a line. Its end is the tree's: then what is in the FIFOs is
//! written, and the writer ends.
//!
//! | file | what is in it |
//! |---|---|
//! | [`run`] | the loop |
//! | [`source`] | one module's FIFO, line by line |
//! | [`held`] | half a line that the FIFO cannot keep |
//! | [`output`] | standard output: slow, full or gone |

pub mod held;
pub mod output;
pub mod run;
pub mod source;
