//! The `inventory` command. Everything is in the library beside it, where tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    inventory_cli::run().into()
}
