//! Tasks of this repository: `cargo xtask <task>`.

mod codes;

use std::process::ExitCode;

const USAGE: &str = "cargo xtask <task>

  codes [--check]   write the code tables from spec/codes.csv (--check: only say whether they are up to date)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let outcome = match arguments.first().map(String::as_str) {
        Some("codes") => codes::run(rest),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}
