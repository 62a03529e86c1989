//! `torque sign`

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use torque_socket::Credential;

use crate::failure::Failure;
use crate::key_files;
use crate::output::{DIM, Output, WARN};
use crate::units::hex;

const EXAMPLES: &str = "\
Examples:
  torque sign --authority authority.key tk1... --name pond --out pond.credential
  torque host --key pond.key --credential pond.credential
  torque connect pond.example --authority tk1...     (the authority's public key)

There is no revocation: make credentials short-lived (--days) and sign again.
";

/// Sign a key with the key of an authority
///
/// The credential states that the key belongs to a name until a certain time. Programs that trust the authority can then
/// trust hosts, or accept initiators, that they never met.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The key to sign: tk1..., or a file with a secret key
    #[arg(value_name = "KEY")]
    key: String,

    /// File with the authority's secret key
    #[arg(long, value_name = "FILE")]
    authority: PathBuf,

    /// Name of the key's owner, at most 64 bytes
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,

    /// Days for which the credential is valid
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    days: u64,

    /// Write the credential into this file instead of to standard output; an existing file is replaced only if it holds a credential
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let authority = key_files::read(&args.authority)?;
    let subject = key_files::public_from(&args.key)?;
    if !authority.is_authority {
        output.note(format_args!(
            "{WARN}{} was not made with `torque keygen --authority`; better use a key that signs and does nothing else.{WARN:#}",
            args.authority.display()
        ));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let expires = now + args.days * 86_400;
    let credential = Credential::sign(&authority.pair, subject, expires, &args.name)
        .map_err(|error| Failure::usage(format!("`{}` cannot be the name: {error}", args.name)))?;
    let text = key_files::credential_text(&credential);
    match &args.out {
        Some(path) => {
            // A credential may be renewed. Anything else, a key above all, is left alone.
            if path.is_file() && key_files::read_credential(path).is_err() {
                return Err(Failure::usage(format!("{} exists, and is not a credential", path.display()))
                    .next("name another file with --out"));
            }
            std::fs::write(path, &text).map_err(|error| Failure::file("writing", path, &error))?;
            output.note(format_args!("{DIM}The credential is in {}.{DIM:#}", path.display()));
        }
        None => output.line(format_args!("{}", text.trim_end()))?,
    }
    output.record(|| {
        json!({
            "event": "credential",
            "public_key": subject.to_string(),
            "name": args.name,
            "authority": authority.pair.public().to_string(),
            "expires": expires,
            "bytes": hex(&credential.to_bytes()),
        })
    })
}
