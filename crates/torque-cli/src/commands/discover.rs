//! `torque discover`

use std::time::{Duration, Instant};

use torque_socket::DEFAULT_PORT;
use torque_socket::discovery::Finder;

use super::query::{self, show};
use crate::failure::{Code, Failure};
use crate::output::Output;
use crate::stop::{self, LOOK_EVERY};

const EXAMPLES: &str = "\
Examples:
  torque discover                           hosts of `torque host` on these networks, port 28000
  torque discover --service pond --port 27015

Answers are not authenticated: anybody on the network can answer in anybody's name. The URLs pin the key that
was told, so connecting with one reaches whoever has that key, or nobody.
";

/// Find hosts on the local networks
///
/// Asks by broadcast and multicast, on IPv4 and IPv6, and prints every host that answers once.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Service to look for
    #[arg(long, value_name = "NAME", default_value = "torque")]
    service: String,

    /// UDP port at which hosts listen
    #[arg(long, value_name = "PORT", default_value_t = DEFAULT_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// Seconds to look
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = query::parse_seconds)]
    wait: f64,
}

/// Questions get lost, so they are repeated.
const ASK_EVERY: Duration = Duration::from_millis(700);

pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    stop::watch()?;
    let mut finder = Finder::new(&args.service).map_err(|error| Failure::usage(error.to_string()))?;
    let end = Instant::now() + Duration::from_secs_f64(args.wait);
    let mut asked: Option<Instant> = None;
    let mut found = Vec::new();
    while Instant::now() < end && !stop::requested() {
        if asked.is_none_or(|at| at.elapsed() >= ASK_EVERY) {
            asked = Some(Instant::now());
            finder.ask(args.port).map_err(|error| {
                Failure::failed(error.to_string()).next("check that this machine is on a network")
            })?;
        }
        let left = end.saturating_duration_since(Instant::now()).min(LOOK_EVERY);
        let Some(host) = finder.next_answer(left) else { continue };
        // Every repeat of the question has its answer.
        if !found.contains(&host.public_key) {
            found.push(host.public_key);
            show(&host, output)?;
        }
    }
    if found.is_empty() {
        return Err(Failure::new(
            Code::NoAnswer,
            format!("no host of the service \"{}\" answered at port {}", args.service, args.port),
        )
        .next("check --service and --port; some networks keep broadcasts back: ask the host itself with `torque query`"));
    }
    Ok(())
}
