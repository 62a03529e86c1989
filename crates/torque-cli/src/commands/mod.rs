//! The subcommands, one file each, with its `Args` (whose comments are the help text) and a `run`.

pub mod completions;
pub mod connect;
pub mod decode;
pub mod discover;
#[cfg(feature = "gateway")]
pub mod gateway;
pub mod host;
pub mod introduce;
pub mod key;
pub mod keygen;
pub mod man;
pub mod nat;
pub mod ping;
pub mod query;
pub mod sign;

use clap::Subcommand;

use crate::failure::Failure;
use crate::logs;
use crate::output::Output;

/// The subcommands, in the order of `torque --help`.
#[derive(Subcommand, Debug)]
pub enum Command {
    Host(Box<host::Args>),
    Connect(connect::Args),
    Ping(ping::Args),
    Query(query::Args),
    Discover(discover::Args),
    Introduce(introduce::Args),
    Nat(nat::Args),
    #[cfg(feature = "gateway")]
    Gateway(Box<gateway::Args>),
    Keygen(keygen::Args),
    Key(key::Args),
    Sign(sign::Args),
    Decode(decode::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs a subcommand. `program` describes the whole command line, for manual pages and completions.
pub fn run(command: Command, program: clap::Command, output: &Output) -> Result<(), Failure> {
    // The gateway has its own logs.
    #[cfg(feature = "gateway")]
    let has_logs = matches!(command, Command::Gateway(_));
    #[cfg(not(feature = "gateway"))]
    let has_logs = false;
    if !has_logs {
        logs::show_protocol(output);
    }
    match command {
        Command::Host(args) => host::run(&args, output),
        Command::Connect(args) => connect::run(&args, output),
        Command::Ping(args) => ping::run(&args, output),
        Command::Query(args) => query::run(&args, output),
        Command::Discover(args) => discover::run(&args, output),
        Command::Introduce(args) => introduce::run(&args, output),
        Command::Nat(args) => nat::run(&args, output),
        #[cfg(feature = "gateway")]
        Command::Gateway(args) => gateway::run(*args, output),
        Command::Keygen(args) => keygen::run(&args, output),
        Command::Key(args) => key::run(&args, output),
        Command::Sign(args) => sign::run(&args, output),
        Command::Decode(args) => decode::run(&args, output),
        Command::Completions(args) => completions::run(&args, program),
        Command::Man(args) => man::run(&args, program, output),
    }
}
