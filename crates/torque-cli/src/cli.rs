//! The words of the command line. What each subcommand takes stands in its own file.

use clap::{ColorChoice, Parser, ValueEnum};

use crate::commands::Command;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed: something else than the following did not work
  2  usage: the command line, a file or a text cannot be used
  3  no answer: nobody answered, or answers no longer
  4  refused: the other side said no, or has nothing in common with this one
  5  key mismatch: the other side has another key than asked for, or none that is trusted

Environment:
  TORQUE_KEYLOG  names a file into which the secrets of all connections are written, so that
                 `torque decode` can open a capture. Whoever has that file can read everything.
  RUST_LOG       what is logged: a level (error, warn, info, debug, trace, off), or several as
                 TARGET=LEVEL with commas in between. torque is the command itself; torque_proto,
                 torque_socket and torque_gateway write to standard error what the protocol, the
                 driver and the gateway see.

Examples:
  torque host --key pond.key                   echo whatever connects
  torque connect torque://tk1...@host:28000    talk to it, and to nobody else in its place
  torque ping host                             how long, how lossy, how steady
";

/// A socket for real-time programs, at the command line: encrypted packets over UDP, with a verdict on each.
///
/// The sender of a packet always learns whether the other side's application got it: `torque host` and
/// `torque connect` show that between two machines.
#[derive(Parser, Debug)]
#[command(name = "torque", version, after_long_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Cli {
    /// One JSON object a line instead of text
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,

    /// Colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", help_heading = "Output")]
    pub color: Color,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Where standard output is a terminal
    #[default]
    Auto,
    /// Even into files and pipes
    Always,
    /// Nowhere
    Never,
}

impl Color {
    /// Makes it so for everything that is written from now on.
    pub fn write_global(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::AlwaysAnsi,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

impl From<Color> for ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}
