//! `torque query`

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde_json::json;
use torque_socket::discovery::{Finder, FoundHost};
use torque_socket::{HostName, PublicKey, Target, ToTarget};

use crate::failure::{Code, Failure};
use crate::output::{BAD, DIM, GOOD, NAME, Output};
use crate::stop::{self, LOOK_EVERY};
use crate::units::{hex, millis, millis_number, printable};

const EXAMPLES: &str = "\
Examples:
  torque query host                       a `torque host` at port 28000
  torque query torque://tk1...@host:27015 --service pond

The answer is not authenticated: anyone could have sent it. Connect with the URL to be sure.
";

/// Ask one host about itself, without connecting
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// torque://[KEY@]HOST[:PORT], or the same without torque://
    #[arg(value_name = "URL")]
    url: String,

    /// Service that the host belongs to
    #[arg(long, value_name = "NAME", default_value = "torque")]
    service: String,

    /// Seconds to wait for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = parse_seconds)]
    wait: f64,
}

pub fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.01..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("write seconds from 0.01 to 3600".into()),
    }
}

/// The first pause before the question is repeated, and the longest. It doubles each time.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));

pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    stop::watch()?;
    let (addresses, pinned) = resolve(&args.url)?;
    let mut finder = Finder::new(&args.service).map_err(|error| Failure::usage(error.to_string()))?;
    let end = Instant::now() + Duration::from_secs_f64(args.wait);
    let (mut pause, longest) = PAUSES;
    let mut told = false;
    while Instant::now() < end && !stop::requested() {
        let mut failed = None;
        for address in &addresses {
            failed = finder.ask_at(*address).err().or(failed);
        }
        if let Some(error) = failed
            && !std::mem::replace(&mut told, true)
        {
            output.note(format_args!("{DIM}{error}{DIM:#}"));
        }
        let again = end.min(Instant::now() + pause);
        while Instant::now() < again && !stop::requested() {
            let left = again.saturating_duration_since(Instant::now());
            let Some(found) = finder.next_answer(left.min(LOOK_EVERY)) else { continue };
            show(&found, output)?;
            return match pinned {
                Some(key) if key != found.public_key => Err(Failure::new(
                    Code::KeyMismatch,
                    format!("the host says that its key is {}", found.public_key),
                )
                .next("ask the operator of the host for its key")),
                _ => Ok(()),
            };
        }
        pause = (2 * pause).min(longest);
    }
    if stop::requested() {
        return Err(Failure::failed("stopped before an answer came"));
    }
    Err(Failure::new(Code::NoAnswer, format!("{} did not answer", args.url)).next(format!(
        "check the address and that the host answers queries of the service \"{}\"",
        args.service
    )))
}

/// All addresses of the host, and its key if the URL pins one.
fn resolve(url: &str) -> Result<(Vec<SocketAddr>, Option<PublicKey>), Failure> {
    let target = url.to_target()?;
    let address = target.address()?;
    let (name, key) = match &target {
        Target::Url(url) => (Some((&url.host, url.port)), url.key),
        _ => (None, None),
    };
    let addresses = match (address, name) {
        (Some(address), _) => address.socket_addr().into_iter().collect(),
        (None, Some((HostName::Name(name), port))) => (name.as_str(), port)
            .to_socket_addrs()
            .map_err(|error| {
                Failure::new(Code::NoAnswer, format!("the name {name} leads nowhere: {error}"))
                    .next("check the name, or use the address itself")
            })?
            .collect(),
        _ => return Err(Failure::usage(format!("`{url}` cannot be asked"))),
    };
    Ok((addresses, key))
}

/// Prints the answer of a host.
pub fn show(found: &FoundHost, output: &Output) -> Result<(), Failure> {
    let info = &found.info;
    let full = info.players >= info.max_players;
    let style = if full { BAD } else { GOOD };
    output.line(format_args!(
        "{GOOD}{}{GOOD:#}  {style}{} of {}{style:#} players  {DIM}{}{DIM:#}  {NAME}{}{NAME:#}{}",
        printable(info.name.as_bytes()),
        info.players,
        info.max_players,
        millis(found.time),
        found.url(),
        if info.data.is_empty() { String::new() } else { format!("  {}", printable(&info.data)) },
    ))?;
    output.record(|| {
        json!({
            "event": "host",
            "name": info.name,
            "players": info.players,
            "max_players": info.max_players,
            "data": hex(&info.data),
            "address": found.address.to_string(),
            "public_key": found.public_key.to_string(),
            "url": found.url().to_string(),
            "time_ms": millis_number(found.time),
        })
    })
}
