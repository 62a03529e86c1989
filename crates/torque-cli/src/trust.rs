//! Whether a host's key is the right one: pinned, known, signed, or agreed to by the person at the terminal.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

use torque_socket::PublicKey;
use torque_socket::trust::{Judge, Judgement, KnownHosts, Reason};

use crate::failure::{Code, Failure};
use crate::output::{BAD, DIM, NAME, Output};
use crate::units::printable;

/// Ways to trust a host. A key in the URL goes before all of them.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Trust")]
pub struct TrustOptions {
    /// Take a host whose key this authority signed (tk1...); may be repeated
    #[arg(long, value_name = "KEY")]
    pub authority: Vec<PublicKey>,

    /// Expect the key of the first visit ever after; it is kept in this file
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,

    /// Take any key: whoever can answer in the host's place can be the host
    #[arg(long)]
    pub trust_anyone: bool,
}

impl TrustOptions {
    /// Decides about the key and data that the host at `host` has shown. `harmless`: nothing is sent that would
    /// do harm in the wrong hands, so a key that nothing speaks against is taken.
    pub fn decide(
        &self,
        host: &str,
        key: PublicKey,
        data: &[u8],
        harmless: bool,
        output: &Output,
    ) -> Result<(), Failure> {
        let mut known = match &self.known_hosts {
            None => None,
            Some(path) => Some(KnownHosts::load(path).map_err(|error| Failure::usage(error.to_string()))?),
        };
        let judge = Judge { known_hosts: known.as_ref(), authorities: &self.authority, ..Judge::default() };
        match judge.judge(host, key, data) {
            Judgement::Trusted(Reason::Signed { name, authority }) => {
                output.note(format_args!(
                    "{DIM}signed as \"{}\" by {authority}{DIM:#}",
                    printable(name.as_bytes())
                ));
                Ok(())
            }
            Judgement::Trusted(_) => Ok(()),
            Judgement::Mismatch { expected } => Err(Failure::new(
                Code::KeyMismatch,
                format!("{host} has the key {key}, and had {expected} before: somebody may be in between"),
            )
            .next("ask whoever runs the host; if the new key is right, remove the old line from the known hosts")),
            Judgement::Unknown if self.trust_anyone || harmless => Ok(()),
            Judgement::Unknown => {
                if let Some(known) = &mut known
                    && self.authority.is_empty()
                {
                    output.note(format_args!("{DIM}first visit: {host} has the key {key}{DIM:#}"));
                    return known.remember(host, key).map_err(|error| Failure::failed(error.to_string()));
                }
                if self.authority.is_empty() && ask(host, key, output)? {
                    return Ok(());
                }
                let what = if self.authority.is_empty() {
                    format!("nothing says whether {key} is the right key of {host}")
                } else {
                    format!("none of the authorities signed the key of {host}, {key}")
                };
                Err(Failure::new(Code::KeyMismatch, what).next(format!(
                    "if it is right, pin it: torque://{key}@{host}; or keep it with --known-hosts FILE, or take any with --trust-anyone"
                )))
            }
        }
    }
}

/// Asks the person at the terminal, if there is one.
fn ask(host: &str, key: PublicKey, output: &Output) -> Result<bool, Failure> {
    if output.is_json() || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    let mut err = anstream::stderr();
    write!(err, "{host} has the key\n  {NAME}{key}{NAME:#}\n{BAD}Is that the right one?{BAD:#} [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y") || answer.trim().eq_ignore_ascii_case("yes"))
}
