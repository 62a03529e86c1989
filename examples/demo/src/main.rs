//! The demo of TorqueSocket, on real sockets, with proof.
//!
//! `clients` is a host and its clients on loopback; it checks every verdict. With the feature `gateway` there is also an
//! `arena` for web pages and a `lobby` and a `parrot` for their chat, and `web` serves them. `cargo xtask demo` builds the pages and runs both.
// Comments on arguments are the text of --help, where [brackets] and <angles> mean what they do there.
#![allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
#![forbid(unsafe_code)]

#[cfg(feature = "gateway")]
mod arena;
mod args;
mod clients;
mod failure;
#[cfg(feature = "gateway")]
mod lobby;
mod output;
#[cfg(feature = "gateway")]
mod parrot;
mod stop;
mod units;
#[cfg(feature = "gateway")]
mod web;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::failure::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    let args = Args::parse();
    let output = Output::new(args.json);
    match run(&args, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    stop::watch()?;
    #[cfg(feature = "gateway")]
    if let Some(files) = &args.web.files {
        return web::run(args, files, output);
    }
    clients::run(args, None, output)
}
