//! Who needs whom, as the status directories of all modules say it: `deps`, both directions in `show`, and whom a start
//! or a stop concerns beside the modules that were named.
//!
//! | file | what is in it |
//! |---|---|
//! | [`known`] | the modules of a status root, and the edges among them |
//! | [`deps`] | the verb `deps`: which modules it shows, and as what |
//! | [`branches`] | one module and what it needs as a tree |

pub mod branches;
pub mod deps;
pub mod known;
