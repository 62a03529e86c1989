//! `torque keygen`

use std::path::PathBuf;

use serde_json::json;

use crate::failure::Failure;
use crate::key_files::{self, KeyFile};
use crate::output::{DIM, NAME, Output};

const EXAMPLES: &str = "\
Examples:
  torque keygen --out pond.key                      a key for a host
  torque host --key pond.key
  torque keygen --authority --out authority.key     a key that signs others
  torque sign --authority authority.key pond.key --name pond --out pond.credential
";

/// Make a key pair
///
/// The secret key goes into a file that only its owner can read, or to standard output. The public key, tk1...,
/// belongs into URLs, so that others can be sure whom they talk to.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Make the key of an authority, which signs other keys and cannot be used by a socket
    #[arg(long)]
    authority: bool,

    /// Write the secret key into this file instead of to standard output; an existing file is left alone
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let key = KeyFile { pair: key_files::generate()?, is_authority: args.authority };
    let public = key.pair.public();
    if let Some(path) = &args.out {
        key_files::write(path, &key)?;
        output.line(format_args!("{NAME}{public}{NAME:#}"))?;
        output.note(format_args!(
            "{DIM}The secret key is in {}. Keep a copy: anyone who has it can act as this {}, and it cannot be recovered.{DIM:#}",
            path.display(),
            if args.authority { "authority" } else { "socket" },
        ));
        output.record(|| {
            json!({
                "event": "key",
                "public_key": public.to_string(),
                "authority": args.authority,
                "file": path.display().to_string(),
            })
        })
    } else {
        output.note(format_args!("{DIM}Public key: {public}{DIM:#}"));
        output.line(format_args!("{}", key_files::text(&key).trim_end()))?;
        output.record(|| {
            json!({
                "event": "key",
                "public_key": public.to_string(),
                "secret_key": key.pair.to_secret_text().as_str(),
                "authority": args.authority,
            })
        })
    }
}
