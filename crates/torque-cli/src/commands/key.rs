//! `torque key show`

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use serde_json::json;
use torque_socket::{Credential, PublicKey};

use crate::failure::Failure;
use crate::key_files;
use crate::output::{BAD, GOOD, NAME, Output};
use crate::units::{hex, printable};

/// Look at keys and credentials
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Tell what a key, key file or credential is; secrets are not shown
    #[command(after_long_help = "\
Examples:
  torque key show pond.key           the public key of a key file
  torque key show pond.credential    who says what about which key, and until when
  torque key show tk1...             whether a text is a key, and its bytes
  torque keygen | torque key show -
")]
    Show {
        /// tk1..., or a file with a secret key or a credential, or - for a key file on standard input
        #[arg(value_name = "KEY|FILE")]
        what: String,
    },
}

pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let Action::Show { what } = &args.action;
    if what.get(..3).is_some_and(|prefix| prefix.eq_ignore_ascii_case("tk1")) {
        return show_public("public key", &key_files::public_from(what)?, output);
    }
    if what.get(..3).is_some_and(|prefix| prefix.eq_ignore_ascii_case("ts1")) {
        return Err(Failure::usage("this is a secret key on the command line, which other programs can see")
            .next("put it into a file, and make a new one if this was a real one"));
    }
    if what != "-"
        && let Ok(credential) = key_files::read_credential(Path::new(what))
    {
        return show_credential(&credential, output);
    }
    let key = key_files::read(Path::new(what))?;
    let kind = if key.is_authority { "secret key of an authority" } else { "secret key" };
    show_public(kind, &key.pair.public(), output)
}

fn show_public(kind: &str, key: &PublicKey, output: &Output) -> Result<(), Failure> {
    output.line(format_args!("{kind}"))?;
    output.line(format_args!("  public  {NAME}{key}{NAME:#}"))?;
    output.line(format_args!("  bytes   {}", hex(key.as_bytes())))?;
    output.record(|| {
        json!({
            "event": "key",
            "kind": kind,
            "public_key": key.to_string(),
            "bytes": hex(key.as_bytes()),
        })
    })
}

fn show_credential(credential: &Credential, output: &Output) -> Result<(), Failure> {
    let expires = credential.expires_unix_seconds();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // Whether the authority is trusted is not asked here: it vouches for itself.
    let verified = credential.verify(credential.subject(), &[credential.authority()], now);
    output.line(format_args!("credential"))?;
    output.line(format_args!("  key        {NAME}{}{NAME:#}", credential.subject()))?;
    output.line(format_args!("  name       {}", printable(credential.name().as_bytes())))?;
    output.line(format_args!("  authority  {NAME}{}{NAME:#}", credential.authority()))?;
    output.line(format_args!("  expires    {expires} (seconds since 1970-01-01)"))?;
    match &verified {
        Ok(()) => output.line(format_args!(
            "  {GOOD}good{GOOD:#} for {} more days, for those who trust the authority",
            expires.saturating_sub(now) / 86_400
        ))?,
        Err(error) => output.line(format_args!("  {BAD}void{BAD:#}: {error}"))?,
    }
    output.record(|| {
        json!({
            "event": "credential",
            "public_key": credential.subject().to_string(),
            "name": credential.name(),
            "authority": credential.authority().to_string(),
            "expires": expires,
            "good": verified.is_ok(),
            "error": verified.err().map(|error| error.to_string()),
        })
    })
}
