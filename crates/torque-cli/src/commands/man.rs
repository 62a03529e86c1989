//! `torque man`

use std::path::PathBuf;

use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;

/// Write manual pages, one for each subcommand, into a directory
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The directory; it is made if it does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub fn run(args: &Args, program: clap::Command, output: &Output) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::file("writing manual pages to", &args.directory, &error);
    std::fs::create_dir_all(&args.directory).map_err(failed)?;
    clap_mangen::generate_to(program, &args.directory).map_err(failed)?;
    output.line(format_args!(
        "Wrote the manual pages; read one with `man -l {}/torque.1`",
        args.directory.display()
    ))?;
    output.record(|| json!({ "event": "written", "directory": args.directory.display().to_string() }))
}
