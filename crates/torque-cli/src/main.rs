//! The `torque` command: hosts, connects, pings, queries and decodes TorqueSocket.
//!
//! `cli` describes the command line, and `commands` has one file per subcommand, which share the other modules. Every command
//! returns a [`failure::Failure`] or nothing, and only `main` exits.

// Comments on arguments are the text of --help, where [brackets], <angles> and URLs mean what they do there.
#![allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
#![forbid(unsafe_code)]

mod addresses;
mod cli;
mod commands;
mod connecting;
mod failure;
mod handshake_text;
mod host_socket;
mod key_files;
mod key_log;
mod listening;
mod lobby;
mod logs;
mod metrics_listener;
mod output;
mod path_watch;
mod refusals;
mod socket_options;
mod stop;
mod trust;
mod units;
mod via;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::Cli;
use crate::output::Output;

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.color.write_global();
    let output = Output::new(cli.json);
    match commands::run(cli.command, Cli::command(), &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.code.number())
        }
    }
}
