//! The command line. The arguments of each subcommand are in its own file.

use clap::{ColorChoice, Parser, ValueEnum};

use crate::commands::Command;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed: anything that is not listed below
  2  usage: the command line, a file or a text cannot be used
  3  no answer: the other side did not answer, stopped answering, or was restarted
  4  refused: the other side refused, or the two sides are incompatible
  5  key mismatch: the other side has the wrong key, or one that is not trusted
  130  stopped by a second Ctrl-C

Environment:
  TORQUE_KEYLOG  names a file that receives the secrets of all connections, so that
                 `torque decode` can open a capture. Anyone who has it can read everything.
  RUST_LOG       sets what is logged: a level (error, warn, info, debug, trace, off), or several
                 as TARGET=LEVEL, separated by commas. The target torque is the command itself;
                 torque_proto, torque_socket and torque_gateway are the protocol, the driver and
                 the gateway, which log to standard error.

Examples:
  torque host --key pond.key                   echo every packet
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

    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The use of colours.
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
    /// Applies this to all output from now on.
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
