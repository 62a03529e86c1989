//! `torque host`

mod figures;
mod guests;
mod limits;
mod registration;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use torque_socket::{DEFAULT_PORT, Event, PublicKey};

use crate::connecting::with_credential;
use crate::failure::Failure;
use crate::host_socket::HostSocket;
use crate::listening::{Listening, tell_counters};
use crate::logs::{Level, Logs};
use crate::metrics_listener::MetricsListener;
use crate::output::{DIM, Output};
use crate::socket_options::SocketOptions;
use crate::stop::{self, END_AT_MOST, LOOK_EVERY};
use guests::Guests;
use limits::LimitOptions;
use registration::{Registration, RegistrationOptions};

const EXAMPLES: &str = "\
Examples:
  torque host --key pond.key                       on port 28000, with a permanent key
  torque host --bind 127.0.0.1:0                   on this machine only, at a free port
  torque host --accept-key tk1... --accept-key tk1...
                                                   only these two may connect
  torque host --authority tk1...                   only those whose key this authority signed
  torque host --trusted-gateway tk1... --allowed-origin https://game.example
                                                   only pages of that site, as the gateway attests
  torque host --shards 4                           on four cores, with one address and one key
  torque host --metrics 127.0.0.1:9280             counters at http://127.0.0.1:9280/metrics
  torque host --link terrible                      what would it be like on a bad network?
  torque host --via torque://tk1...@lobby --as pond
                                                   behind a NAT: a lobby brings guests

It also answers `torque query` and `torque discover`.

Each limit counts what it turns away: [counter: busy] is torque_busy_total in the metrics.

Logs have a time in UTC and a level. RUST_LOG=warn shows less, RUST_LOG=debug every packet and the events of the \
protocol, and RUST_LOG=torque=info,torque_proto=debug sets each level. Connections have the same id everywhere.
";

/// Be a host that echoes every packet
///
/// Whatever a connection sends is sent back once; what is lost on the way stays lost. With --accept-key,
/// --authority or --require-data it refuses everybody else, with a reason.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Address and UDP port; 0.0.0.0 and [::] mean all addresses, IPv4 and IPv6 [default: 0.0.0.0:28000]
    #[arg(long, value_name = "ADDR")]
    bind: Option<String>,

    /// Let this key in (tk1...); may be repeated. Without any, everybody may connect
    #[arg(long, value_name = "KEY")]
    accept_key: Vec<PublicKey>,

    /// Let in keys that this authority signed, shown by `torque connect --credential`; may be repeated
    #[arg(long, value_name = "KEY")]
    authority: Vec<PublicKey>,

    /// Believe this gateway (tk1...) which web page an initiator is; may be repeated
    #[arg(long, value_name = "KEY")]
    trusted_gateway: Vec<PublicKey>,

    /// Let in web pages of this origin, as browsers write it: https://game.example; may be repeated
    #[arg(long, value_name = "ORIGIN", requires = "trusted_gateway")]
    allowed_origin: Vec<String>,

    /// Let in programs beside the pages of --allowed-origin, and pages that do not say which they are
    #[arg(long, requires = "allowed_origin")]
    allow_native: bool,

    /// Let in only those whose connect data is this text
    #[arg(long, value_name = "TEXT")]
    require_data: Option<String>,

    /// Challenge response data: what everybody who asks is shown
    #[arg(long, value_name = "TEXT", default_value = "")]
    data: String,

    /// A credential to show before the data, as `torque sign` writes it
    #[arg(long, value_name = "FILE")]
    credential: Option<PathBuf>,

    /// Accept data: what those who are let in are told
    #[arg(long, value_name = "TEXT", default_value = "")]
    accept_data: String,

    /// Name in the answers to `torque query` and `torque discover`
    #[arg(long, value_name = "NAME", default_value = "torque host")]
    name: String,

    /// Service under which it can be found
    #[arg(long, value_name = "NAME", default_value = "torque")]
    service: String,

    /// Share the work among this many sockets and threads at the one port; limits other than --max hold for each of them.
    /// With more than one, connections do not follow clients whose address changes, and end by time-out when the host is restarted
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    shards: u8,

    /// Other hosts use the same --key, on this machine or others. Without this, a host with a stored key that was restarted
    /// tells clients at once that it has lost their connections; hosts with one key would say that for each other
    #[arg(long, requires = "key")]
    shared_key: bool,

    /// Serve Prometheus metrics over HTTP at this address; it is not protected, so keep it on a private network
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,

    /// End when the first connection has ended
    #[arg(long)]
    once: bool,

    /// End after this many seconds
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,

    /// Tell of every packet and verdict too (as RUST_LOG=debug does). A RUST_LOG that names torque, or no target, wins
    #[arg(long, short)]
    verbose: bool,

    /// Show the connect data of requests, which may be a secret of the initiator
    #[arg(long)]
    log_connect_data: bool,

    #[command(flatten)]
    registration: RegistrationOptions,

    #[command(flatten)]
    limits: LimitOptions,

    #[command(flatten)]
    socket: SocketOptions,
}

pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    stop::watch()?;
    let logs = Logs::new(if args.verbose { Level::Debug } else { Level::Info }, output);
    let mut registration = args.registration.registration(&logs)?;
    if registration.is_some() && args.shards > 1 {
        return Err(Failure::usage("a host of several shards cannot be introduced")
            .next("leave out --shards, or --via and --as"));
    }
    let bind = args.bind.clone().unwrap_or_else(|| format!("0.0.0.0:{DEFAULT_PORT}"));
    let mut config = args.socket.config();
    config.origins.trusted_gateways.clone_from(&args.trusted_gateway);
    config.origins.allowed_origins.clone_from(&args.allowed_origin);
    config.origins.allow_native = args.allow_native;
    args.registration.configure(&mut config);
    // A key of this run alone belongs to no earlier connection.
    config.sole_identity = args.socket.key.is_some() && !args.shared_key;
    args.limits.apply(&mut config);
    let builder = args.limits.buffers(args.socket.builder()?.config(config));
    let mut socket = HostSocket::bind(builder, args.shards.into(), &bind)?;
    socket.install_key_log(output)?;
    let shown = with_credential(args.credential.as_deref(), socket.public_key(), args.data.as_bytes())?;
    socket.set_challenge_response_data(&shown).map_err(|error| {
        Failure::usage(format!("--data and --credential: {error}")).next("shorten --data")
    })?;
    let metrics = args.metrics.map(MetricsListener::bind).transpose()?;
    let mut guests = Guests::new(args, &logs)?;
    announce(&socket, metrics.as_ref(), output)?;

    let end = args.seconds.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
    let is_done = |guests: &Guests<'_>| stop::requested() || (args.once && guests.ended > 0);
    let mut ran = renew(registration.as_mut(), &mut socket);
    while ran.is_ok() && !is_done(&guests) {
        let now = Instant::now();
        if end.is_some_and(|end| end <= now) {
            break;
        }
        let turn_end = end.map_or(now + LOOK_EVERY, |end| end.min(now + LOOK_EVERY));
        while let Some(event) = socket.event_before(turn_end) {
            ran = take(Some(&mut socket), event, registration.as_mut(), &mut guests);
            if ran.is_err() || turn_end <= Instant::now() || is_done(&guests) {
                break;
            }
        }
        ran = ran
            .and_then(|()| guests.tell_refusals())
            .and_then(|()| renew(registration.as_mut(), &mut socket));
        if let Some(metrics) = &metrics {
            metrics.answer(|| socket.metrics() + &guests.metrics());
        }
    }
    end_in_order(socket, registration, &mut guests, ran, output)
}

/// Connects with the lobby, if it is time to.
fn renew(registration: Option<&mut Registration<'_>>, socket: &mut HostSocket) -> Result<(), Failure> {
    match (registration, socket) {
        (Some(registration), HostSocket::One(socket)) => registration.renew(socket),
        _ => Ok(()),
    }
}

/// Handles an event. `socket` is none when it shuts down.
fn take(
    mut socket: Option<&mut HostSocket>,
    event: Event,
    registration: Option<&mut Registration<'_>>,
    guests: &mut Guests<'_>,
) -> Result<(), Failure> {
    let event = match registration {
        Some(registration) => {
            let single = match &mut socket {
                Some(HostSocket::One(socket)) => Some(&mut **socket),
                _ => None,
            };
            registration.event(single, event)?
        }
        None => Some(event),
    };
    event.map_or(Ok(()), |event| guests.event(socket, event))
}

/// Closes everything, even if `ran`, the result so far, is a failure. Shows first the packets that have already come, then
/// the closes, and at last the counters.
fn end_in_order(
    socket: HostSocket,
    mut registration: Option<Registration<'_>>,
    guests: &mut Guests<'_>,
    ran: Result<(), Failure>,
    output: &Output,
) -> Result<(), Failure> {
    if guests.count() > 0 {
        output.note(format_args!("{DIM}closing {} connections{DIM:#}", guests.count()));
    }
    let mut told = ran;
    let shutdown = socket.shutdown(END_AT_MOST, |event| {
        let shown = take(None, event, registration.as_mut(), guests);
        if told.is_ok() {
            told = shown;
        }
    });
    told?;
    guests.tell_last_refusals()?;
    if let Some(registration) = &mut registration {
        registration.tell_last()?;
    }
    tell_counters(&shutdown.stats, &shutdown.io_stats, output)
}

/// Says where the host is.
fn announce(socket: &HostSocket, metrics: Option<&MetricsListener>, output: &Output) -> Result<(), Failure> {
    let listening = Listening {
        local: socket.local_addr(),
        public_key: socket.public_key(),
        metrics: metrics.map(|metrics| metrics.address),
    };
    let shards = json!({ "shards": socket.shards(), "steering": socket.steering() });
    listening.tell(&["torque connect URL"], shards, output)?;
    if socket.shards() > 1 {
        output.line(format_args!("  {} shards", socket.shards()))?;
    }
    Ok(())
}
