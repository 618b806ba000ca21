//! The life of the process: parse, do, tell.

use std::process::ExitCode;

fn main() -> ExitCode {
    weir::cli::main()
}
