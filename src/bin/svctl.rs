//! See `supervise_tree::ctl` and svctl(8).

fn main() -> std::process::ExitCode {
    supervise_tree::ctl::main(std::env::args_os())
}
