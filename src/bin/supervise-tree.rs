//! See `supervise_tree::all_in_one` and supervise-tree(8).

fn main() -> std::process::ExitCode {
    supervise_tree::all_in_one::main(std::env::args_os())
}
