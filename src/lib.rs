//! x
pub mod conf;
pub mod status;
pub mod sys;
