//! `torque-counts PATH TIMES`: takes one hot path of the protocol so many times, for a program that counts instructions.
//! `cargo xtask counts` runs it under callgrind, twice with different TIMES; the difference is what the path costs.

mod pair;
mod paths;
mod sides;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&str> = paths::PATHS.iter().map(|(name, _)| *name).collect();
    let path = arguments.first().and_then(|name| paths::PATHS.iter().find(|(other, _)| other == name));
    let times = arguments.get(1).and_then(|text| text.parse().ok());
    match (path, times) {
        (Some((_, run)), Some(times)) => {
            run(times);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("torque-counts PATH TIMES, with PATH one of:\n{}", names.join("\n"));
            ExitCode::FAILURE
        }
    }
}
