//! `torque discover`

use std::collections::HashMap;
use std::time::{Duration, Instant};

use torque_socket::discovery::{Finder, FoundHost};
use torque_socket::{DEFAULT_PORT, PublicKey};

use super::query::{self, show};
use crate::addresses::Reach;
use crate::failure::{Code, Failure};
use crate::output::Output;
use crate::stop::{self, LOOK_EVERY};

const EXAMPLES: &str = "\
Examples:
  torque discover                           hosts of `torque host` on these networks, port 28000
  torque discover --service pond --port 27015

Answers are not authenticated: anyone on the network can answer in any name. Each URL pins the key in the answer, so
connecting with it reaches the owner of that key, or nobody.
";

/// Find hosts on the local networks
///
/// Asks by broadcast and multicast, on IPv4 and IPv6. Prints each host that answers once, with its best address: one of a
/// network, or else of this machine, or else a link-local one.
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

/// The interval of questions, which are repeated because they may be lost.
const ASK_EVERY: Duration = Duration::from_millis(700);
/// The time to wait for a better address of a host.
const PATIENCE: Duration = Duration::from_millis(500);

/// A host that answered.
enum Known {
    /// It may still answer from a better address.
    Waiting {
        best: FoundHost,
        until: Instant,
    },
    Shown,
}

pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    stop::watch()?;
    let mut finder = Finder::new(&args.service).map_err(|error| Failure::usage(error.to_string()))?;
    let end = Instant::now() + Duration::from_secs_f64(args.wait);
    let mut asked: Option<Instant> = None;
    let mut known: HashMap<PublicKey, Known> = HashMap::new();
    while Instant::now() < end && !stop::requested() {
        if asked.is_none_or(|at| at.elapsed() >= ASK_EVERY) {
            asked = Some(Instant::now());
            finder.ask(args.port).map_err(|error| {
                Failure::failed(error.to_string()).next("check that this machine is on a network")
            })?;
        }
        let left = end.saturating_duration_since(Instant::now()).min(LOOK_EVERY);
        if let Some(host) = finder.next_answer(left) {
            take(&mut known, host);
        }
        show_ready(&mut known, |until| until <= Instant::now(), output)?;
    }
    show_ready(&mut known, |_| true, output)?;
    if known.is_empty() {
        return Err(Failure::new(
            Code::NoAnswer,
            format!("no host of the service \"{}\" answered at port {}", args.service, args.port),
        )
        .next("check --service and --port; some networks keep broadcasts back: ask the host itself with `torque query`"));
    }
    Ok(())
}

/// Remembers an answer, if it is the first of its host or came from a better address.
fn take(known: &mut HashMap<PublicKey, Known>, host: FoundHost) {
    let reach = |host: &FoundHost| Reach::of(host.address.ip());
    // No better address can come.
    let patience = if reach(&host) == Reach::Network { Duration::ZERO } else { PATIENCE };
    let until = Instant::now() + patience;
    match known.get_mut(&host.public_key) {
        None => drop(known.insert(host.public_key, Known::Waiting { best: host, until })),
        Some(Known::Waiting { best, until: old }) if reach(&host) < reach(best) => {
            *old = until.min(*old);
            *best = host;
        }
        // Each repeated question gets its own answer.
        Some(_) => {}
    }
}

/// Prints the hosts that have waited long enough.
fn show_ready(
    known: &mut HashMap<PublicKey, Known>,
    is_ready: impl Fn(Instant) -> bool,
    output: &Output,
) -> Result<(), Failure> {
    for host in known.values_mut() {
        if matches!(host, Known::Waiting { until, .. } if is_ready(*until))
            && let Known::Waiting { best, .. } = std::mem::replace(host, Known::Shown)
        {
            show(&best, output)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use torque_socket::KeyPair;
    use torque_socket::discovery::HostInfo;

    fn at(address: &str) -> FoundHost {
        FoundHost {
            address: address.parse().unwrap(),
            public_key: KeyPair::from_seed([1; 32]).public(),
            info: HostInfo::default(),
            time: Duration::ZERO,
        }
    }

    #[test]
    fn the_best_address_of_a_host_counts_in_any_order_of_answers() {
        let [link, machine, network] = ["[fe80::1%3]:9", "127.0.0.1:9", "10.0.0.7:9"];
        for order in [[link, machine, network], [network, link, machine], [machine, network, link]] {
            let mut known = HashMap::new();
            order.map(at).into_iter().for_each(|host| take(&mut known, host));
            let Some(Known::Waiting { best, until }) = known.into_values().next() else {
                panic!("{order:?}")
            };
            assert_eq!(best.address, network.parse().unwrap());
            assert!(until <= Instant::now(), "it is shown at once");
        }
    }
}
