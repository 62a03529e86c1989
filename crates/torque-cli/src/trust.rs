//! Decides whether a host's key is right: pinned, known, signed, or confirmed by the person at the terminal.

use std::fmt;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

use torque_socket::PublicKey;
use torque_socket::trust::{Judge, Judgement, KnownHosts, Reason};

use crate::failure::{Code, Failure};
use crate::lobby::Name;
use crate::output::{BAD, DIM, NAME, Output};
use crate::units::printable;

/// A host, as the person named it. Its text is its name in the known hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Named {
    /// A name or an address, with a port.
    Host(String),
    /// A name at a lobby.
    AtLobby { name: Name, lobby: String },
}

impl Named {
    /// Returns how this host is named together with its key.
    fn pinned(&self, key: PublicKey) -> String {
        match self {
            Self::Host(host) => format!("torque://{key}@{host}"),
            Self::AtLobby { name, .. } => format!("{key}@{name}"),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => f.write_str(host),
            Self::AtLobby { name, lobby } => write!(f, "{name}@{lobby}"),
        }
    }
}

/// Ways to trust a host. A key in the URL overrides all of them.
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Trust")]
pub struct TrustOptions {
    /// Trust hosts whose key this authority signed (tk1...); may be repeated
    #[arg(long, value_name = "KEY")]
    pub authority: Vec<PublicKey>,

    /// Trust a host's key on the first visit and expect it afterwards; keys are kept in this file
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,

    /// Trust any key: anyone who can answer in the host's place can pretend to be the host
    #[arg(long)]
    pub trust_anyone: bool,
}

impl TrustOptions {
    /// Decides about the key and data of a host. `harmless` says that nothing secret will be sent, so that an
    /// unknown key is accepted.
    pub fn decide(
        &self,
        host: &Named,
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
        match judge.judge(&host.to_string(), key, data) {
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
            .next("ask the operator of the host; if the new key is right, remove the old line from the known hosts")),
            Judgement::Unknown if self.trust_anyone || harmless => Ok(()),
            Judgement::Unknown => {
                if let Some(known) = &mut known
                    && self.authority.is_empty()
                {
                    output.note(format_args!("{DIM}first visit: {host} has the key {key}{DIM:#}"));
                    return known.remember(&host.to_string(), key).map_err(|error| Failure::failed(error.to_string()));
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
                    "if it is right, pin it: {}; or keep it with --known-hosts FILE, or take any with --trust-anyone",
                    host.pinned(key)
                )))
            }
        }
    }
}

/// Asks the person at the terminal, if there is one.
fn ask(host: &Named, key: PublicKey, output: &Output) -> Result<bool, Failure> {
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
