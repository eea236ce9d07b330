//! See `supervise_tree::cli::supervise_tree` and supervise-tree(8).

fn main() -> std::process::ExitCode {
    supervise_tree::cli::supervise_tree::main(std::env::args_os())
}
