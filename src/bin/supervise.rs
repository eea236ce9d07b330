//! See `supervise_tree::cli::supervise` and supervise(8).

fn main() -> std::process::ExitCode {
    supervise_tree::cli::supervise::main(std::env::args_os())
}
