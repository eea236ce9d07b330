//! What the fuzzers assert, each for any bytes. The targets feed them; `cargo test` feeds them the seeds.

pub mod commands;
pub mod conf;
mod driver;
pub mod identity;
pub mod journal;
pub mod letter;
pub mod log_config;
mod log_lines;
pub mod log_options;
pub mod notify;
pub mod record;
pub mod state;
pub mod tree_state;

/// Asserts something for any bytes.
pub type Check = fn(&[u8]);

/// All of them, by the names of their targets and of the folders with their seeds.
pub const ALL: [(&str, Check); 11] = [
    ("commands", commands::check),
    ("conf", conf::check),
    ("identity", identity::check),
    ("journal", journal::check),
    ("letter", letter::check),
    ("log_config", log_config::check),
    ("log_options", log_options::check),
    ("notify", notify::check),
    ("record", record::check),
    ("state", state::check),
    ("tree_state", tree_state::check),
];
