//! `torque introduce`

mod figures;
mod guests;
mod names;
mod notices;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::json;
use torque_socket::{Config, DEFAULT_PORT, PublicKey, Relay, Socket};

use crate::failure::Failure;
use crate::key_log;
use crate::listening::{Listening, tell_counters};
use crate::logs::{Level, Logs};
use crate::metrics_listener::MetricsListener;
use crate::output::{DIM, Output};
use crate::socket_options::SocketOptions;
use crate::stop::{self, END_AT_MOST, LOOK_EVERY};
use guests::Guests;

const EXAMPLES: &str = "\
Examples:
  torque introduce --key lobby.key           on port 28000, with a permanent key; prints its URL
  torque host --via torque://tk1...@lobby --as pond
                                             register a host there, from behind any NAT
  torque connect --via torque://tk1...@lobby tk1...@pond
                                             connect to it
  torque nat torque://tk1...@lobby           what a machine's NAT is like
  torque introduce --relay                   pass packets on for those who have no direct path
  torque introduce --allow-key tk1... --allow-key tk1...
                                             for these two only
  torque introduce --metrics 127.0.0.1:9280  counters at http://127.0.0.1:9280/metrics

The lobby needs an address that both sides can reach: a public one, unless all are in one network. All three need the same \
--application.

It tells each side the other's key, addresses and a fresh secret. The two open their NATs to each other and connect. From then \
on they need the lobby only if it relays. It cannot read what it relays. It could name a wrong key: the two should know \
each other's keys from elsewhere.

The lobby uses a second UDP port to see how the NAT of each side behaves: some give another port for each destination, and these two sides need more \
tries. Without that port both sides try everything, later and with more datagrams.

A name belongs to the key that registered it first, as long as a host with that key is connected.

Logs have a time in UTC and a level. RUST_LOG=warn shows less, and RUST_LOG=torque_proto=debug the events of the protocol.
";

/// Be a lobby: introduce hosts and clients that are behind NATs
///
/// Hosts register a name, clients ask for one, and the lobby introduces them: they connect to each other directly, or by its
/// relay if it is one.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Address and UDP port; 0.0.0.0 and [::] mean all addresses, IPv4 and IPv6 [default: 0.0.0.0:28000]
    #[arg(value_name = "BIND")]
    bind: Option<String>,

    /// Second port where the lobby sees how NATs behave, better at another IP address of this machine; behind a router that translates addresses, give only the port. Firewalls must let UDP in there as well
    /// [default: the port after that of BIND, if it is free]
    #[arg(long, value_name = "[ADDRESS:]PORT", value_parser = parse_observe)]
    observe: Option<SocketAddr>,

    /// Let this key register and ask (tk1...); may be repeated. Without any, everybody may
    #[arg(long, value_name = "KEY")]
    allow_key: Vec<PublicKey>,

    /// Pass packets on while two parties have no direct path
    #[arg(long, overrides_with = "no_relay", help_heading = "Relay")]
    relay: bool,

    /// Do not (default): where no direct path works, parties are not connected
    #[arg(long, help_heading = "Relay")]
    no_relay: bool,

    /// Bytes a second that two parties may send through the lobby, each way; what is above is dropped
    #[arg(long, value_name = "BYTES/S", default_value_t = 128_000, requires = "relay", value_parser = clap::value_parser!(u32).range(1_000..), help_heading = "Relay")]
    relay_rate: u32,

    /// The same for all together
    #[arg(long, value_name = "BYTES/S", default_value_t = 12_500_000, requires = "relay", value_parser = clap::value_parser!(u64).range(1_000..), help_heading = "Relay")]
    relay_rate_total: u64,

    /// The most pairs that it relays for at a time
    #[arg(long, value_name = "N", default_value_t = 1_024, requires = "relay", value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Relay")]
    relay_pairs: u32,

    /// The most connections; further ones are told that the lobby is full
    #[arg(long = "max", value_name = "N", default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(1..=500_000), help_heading = "Limits")]
    connections: u32,

    /// The most connections from one IPv4 address or IPv6 /64
    #[arg(long = "max-per-network", value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=500_000), help_heading = "Limits")]
    per_network: u32,

    /// The most names that are registered from one IPv4 address or IPv6 /64
    #[arg(long = "max-names-per-network", value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=500_000), help_heading = "Limits")]
    names_per_network: u32,

    /// Other sockets use the same --key: see `torque host --help`
    #[arg(long, requires = "key")]
    shared_key: bool,

    /// Serve Prometheus metrics over HTTP at this address; it is not protected, so keep it on a private network
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,

    /// End after this many seconds
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,

    #[command(flatten)]
    socket: SocketOptions,
}

impl Args {
    /// What the lobby lends to two parties that it introduces.
    fn relay(&self) -> Option<Relay> {
        self.relay.then(|| {
            let mut relay = Relay::default();
            relay.bytes_per_second = self.relay_rate;
            relay
        })
    }

    fn config(&self) -> Config {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let mut config = self.socket.config();
        // A key of this run alone belongs to no earlier connection.
        config.sole_identity = self.socket.key.is_some() && !self.shared_key;
        config.introduction.introduces = true;
        config.introduction.circuits = size(self.relay_pairs);
        config.introduction.circuits_rate = self.relay_rate_total;
        // A relayed pair keeps its introduction; every other one is kept for a minute.
        let records = size(self.relay_pairs).saturating_add(size(self.connections));
        config.introduction.records = config.introduction.records.max(records);
        config.limits.connections_per_network = size(self.per_network);
        // Room beside the connections for those that are pending, and for those that have ended and answer for a few seconds
        // more, so that --max is what binds.
        let needed = 2 * size(self.connections) + config.limits.pending;
        config.limits.connections = config.limits.connections.max(needed);
        config
    }
}

/// Reads `[ADDRESS:]PORT`. Without an address it is that of the lobby.
fn parse_observe(text: &str) -> Result<SocketAddr, String> {
    let port = || text.parse().map(|port: u16| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    text.parse()
        .or_else(|_| port())
        .map_err(|_| "write 28001, 203.0.113.2:28001 or [2001:db8::2]:28001".into())
}

pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    stop::watch()?;
    let bind = args.bind.clone().unwrap_or_else(|| format!("0.0.0.0:{DEFAULT_PORT}"));
    let mut builder = args.socket.builder()?.config(args.config());
    if let Some(address) = args.observe {
        builder = builder.observe_at(address);
    }
    let mut socket = builder.bind(&bind)?;
    key_log::install(&mut socket, output)?;
    let metrics = args.metrics.map(MetricsListener::bind).transpose()?;
    let logs = Logs::new(Level::Info, output);
    let mut guests = Guests::new(args, &logs);
    announce(args, &socket, metrics.as_ref(), output)?;

    let end = args.seconds.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
    let mut ran = Ok(());
    while ran.is_ok() && !stop::requested() {
        let now = Instant::now();
        if end.is_some_and(|end| end <= now) {
            break;
        }
        let turn_end = end.map_or(now + LOOK_EVERY, |end| end.min(now + LOOK_EVERY));
        while let Some(event) = socket.wait_event(turn_end.saturating_duration_since(Instant::now())) {
            ran = guests.event(Some(&mut socket), event);
            if ran.is_err() || turn_end <= Instant::now() || stop::requested() {
                break;
            }
        }
        ran = ran.and_then(|()| guests.turn(&mut socket));
        if let Some(metrics) = &metrics {
            metrics.answer(|| socket.metrics() + &guests.metrics(&socket));
        }
    }
    end_in_order(socket, &mut guests, ran, output)
}

/// Closes everything, even if `ran`, the result so far, is a failure, and tells the counters.
fn end_in_order(
    socket: Socket,
    guests: &mut Guests<'_>,
    ran: Result<(), Failure>,
    output: &Output,
) -> Result<(), Failure> {
    if guests.count() > 0 {
        output.note(format_args!("{DIM}closing {} connections{DIM:#}", guests.count()));
    }
    let mut told = ran;
    let shutdown = socket.shutdown(END_AT_MOST, |event| {
        let shown = guests.event(None, event);
        if told.is_ok() {
            told = shown;
        }
    });
    told?;
    guests.tell_last_refusals()?;
    tell_counters(&shutdown.stats, &shutdown.io_stats, output)
}

/// Says where the lobby is.
fn announce(
    args: &Args,
    socket: &Socket,
    metrics: Option<&MetricsListener>,
    output: &Output,
) -> Result<(), Failure> {
    let listening = Listening {
        local: socket.local_addr(),
        public_key: socket.public_key(),
        metrics: metrics.map(|metrics| metrics.address),
    };
    let rate = args.relay.then_some(args.relay_rate);
    let commands = ["torque host --via URL --as NAME", "torque connect --via URL KEY@NAME"];
    let observing = socket.observing_addr();
    let more = json!({ "relay_rate": rate, "observing": observing.map(|address| address.to_string()) });
    listening.tell(&commands, more, output)?;
    match observing {
        Some(address) if address.ip() == socket.local_addr().ip() => {
            output.line(format_args!("  sees at port {} how NATs behave", address.port()))?;
        }
        Some(address) => output.line(format_args!("  sees at {address} how NATs behave"))?,
        None => output.line(format_args!(
            "  {DIM}has no second port, and does not see how NATs behave (--observe){DIM:#}"
        ))?,
    }
    match rate {
        Some(rate) => output.line(format_args!("  relays {rate} bytes a second each way for two parties")),
        None => output.line(format_args!("  {DIM}does not relay (--relay){DIM:#}")),
    }
}
