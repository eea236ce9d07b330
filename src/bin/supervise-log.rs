//! See `supervise_tree::cli::supervise_log` and supervise-log(8).

fn main() -> std::process::ExitCode {
    supervise_tree::cli::supervise_log::main(std::env::args_os())
}
