//! `--runit-compat`: runit's files for runit's tools, and who else may supervise.
//!
//! | file | what is in it |
//! |---|---|
//! | [`foreign`] | a service directory that somebody else supervises is left alone |
//! | [`files`] | runit's files of one module, beside our own |
//! | [`links`] | the links to them in the service directories, and the packaged ones that they replace |

pub mod files;
pub mod foreign;
pub mod links;

pub use files::RunitTree;
