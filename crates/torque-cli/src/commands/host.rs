//! `torque host`

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use torque_socket::discovery::{HostInfo, Responder};
use torque_socket::{Address, ConnectionId, Credential, DEFAULT_PORT, Event, IoStats, PublicKey, Stats};

use crate::connecting::with_credential;
use crate::failure::Failure;
use crate::handshake_text::short_key;
use crate::host_socket::HostSocket;
use crate::metrics_listener::MetricsListener;
use crate::output::{BAD, DIM, GOOD, NAME, Output};
use crate::socket_options::SocketOptions;
use crate::stop::{self, END_AT_MOST, LOOK_EVERY};
use crate::units::{hex, printable, text_or_hex};

const EXAMPLES: &str = "\
Examples:
  torque host --key pond.key                       on port 28000, with a key that stays the same
  torque host --bind 127.0.0.1:0                   on this machine only, at a free port
  torque host --accept-key tk1... --accept-key tk1...
                                                   only these two may connect
  torque host --authority tk1...                   only those whose key this authority signed
  torque host --trusted-gateway tk1... --allowed-origin https://game.example
                                                   only pages of that site, which the gateway vouches for
  torque host --shards 4                           on four cores; still one address and one key
  torque host --metrics 127.0.0.1:9280             counters at http://127.0.0.1:9280/metrics
  torque host --link terrible                      what would it be like on a bad network?

It also answers `torque query` and `torque discover`.
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

    /// The most connections
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    max: u16,

    /// Share the work among this many sockets and threads at the one port; limits hold for each of them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    shards: u8,

    /// Serve Prometheus metrics over HTTP at this address
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,

    /// End when the first connection has ended
    #[arg(long)]
    once: bool,

    /// End after this many seconds
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,

    /// Tell of every packet
    #[arg(long, short)]
    verbose: bool,

    #[command(flatten)]
    socket: SocketOptions,
}

pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    stop::watch()?;
    let bind = args.bind.clone().unwrap_or_else(|| format!("0.0.0.0:{DEFAULT_PORT}"));
    let mut config = args.socket.config();
    config.origins.trusted_gateways.clone_from(&args.trusted_gateway);
    config.origins.allowed_origins.clone_from(&args.allowed_origin);
    config.origins.allow_native = args.allow_native;
    let builder = args.socket.builder()?.config(config);
    let mut socket = HostSocket::bind(builder, args.shards.into(), &bind)?;
    socket.install_key_log(output)?;
    let shown = with_credential(args.credential.as_deref(), args.data.as_bytes())?;
    socket.set_challenge_response_data(&shown).map_err(|error| {
        Failure::usage(format!("--data and --credential: {error}")).next("shorten --data")
    })?;
    let metrics = args.metrics.map(MetricsListener::bind).transpose()?;
    let mut host = Host {
        args,
        output,
        responder: Responder::new(&args.service, HostInfo::default())
            .map_err(|error| Failure::usage(error.to_string()))?,
        guests: HashMap::new(),
        ended: 0,
    };
    host.tell_info()?;
    announce(&socket, metrics.as_ref(), output)?;

    let end = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let is_done = |host: &Host<'_>| stop::requested() || (args.once && host.ended > 0);
    while !is_done(&host) {
        let now = Instant::now();
        if end.is_some_and(|end| end <= now) {
            break;
        }
        let turn_end = end.map_or(now + LOOK_EVERY, |end| end.min(now + LOOK_EVERY));
        while let Some(event) = socket.next_event(turn_end) {
            host.event(Some(&mut socket), event)?;
            if turn_end <= Instant::now() || is_done(&host) {
                break;
            }
        }
        if let Some(metrics) = &metrics {
            metrics.answer(|| socket.metrics());
        }
    }
    end_in_order(socket, &mut host)
}

/// Closes everything. What has come already is shown before that is told, and the counters are the last word.
fn end_in_order(socket: HostSocket, host: &mut Host<'_>) -> Result<(), Failure> {
    if !host.guests.is_empty() {
        host.output.note(format_args!("{DIM}closing {} connections{DIM:#}", host.guests.len()));
    }
    let mut told = Ok(());
    let shutdown = socket.shutdown(END_AT_MOST, |event| {
        let shown = host.event(None, event);
        if told.is_ok() {
            told = shown;
        }
    });
    told?;
    tell_counters(&shutdown.stats, &shutdown.io_stats, host.output)
}

/// Says where the host is, as something to be copied into `torque connect`.
fn announce(socket: &HostSocket, metrics: Option<&MetricsListener>, output: &Output) -> Result<(), Failure> {
    let (local, key) = (socket.local_addr(), socket.public_key());
    let place = match local.ip().is_unspecified() {
        true => format!("THIS-MACHINE:{}", local.port()),
        false => local.to_string(),
    };
    output.line(format_args!("{GOOD}listening{GOOD:#} on {local}"))?;
    output.line(format_args!("  torque connect {NAME}torque://{key}@{place}{NAME:#}"))?;
    if let Some(metrics) = metrics {
        output.line(format_args!("  metrics at http://{}/metrics", metrics.address))?;
    }
    if socket.shards() > 1 {
        output.line(format_args!("  {} shards", socket.shards()))?;
    }
    output.record(|| {
        json!({
            "event": "listening",
            "address": local.to_string(),
            "public_key": key.to_string(),
            "url": format!("torque://{key}@{place}"),
            "shards": socket.shards(),
            "steering": socket.steering(),
            "metrics": metrics.map(|metrics| metrics.address.to_string()),
        })
    })
}

/// The counters of all shards together.
fn tell_counters(stats: &Stats, io: &IoStats, output: &Output) -> Result<(), Failure> {
    output.record(|| {
        let object = |counters: Vec<(&'static str, u64)>| -> Value {
            counters.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
        };
        json!({
            "event": "counters",
            "protocol": object(stats.iter().collect()),
            "io": object(io.iter().collect()),
        })
    })
}

struct Host<'a> {
    args: &'a Args,
    output: &'a Output,
    responder: Responder,
    guests: HashMap<ConnectionId, Guest>,
    ended: u64,
}

#[derive(Default)]
struct Guest {
    is_established: bool,
    echoed: u64,
    held_back: u64,
}

impl Host<'_> {
    /// `socket` is none when it shuts down: then nothing can be answered any more.
    fn event(&mut self, socket: Option<&mut HostSocket>, event: Event) -> Result<(), Failure> {
        match event {
            Event::InfoPacket { remote, local, payload } => {
                if let Some(socket) = socket
                    && let Some(answer) = self.responder.answer(remote, socket.public_key(), &payload)
                {
                    // If too much waits to be sent, whoever asks will ask again.
                    let _ = socket.send_info_from(local, remote, &answer);
                }
                Ok(())
            }
            Event::ConnectRequest { connection, remote, public_key, connect_data, origin, .. } => {
                let Some(socket) = socket else { return Ok(()) };
                self.request(socket, connection, remote, public_key, &connect_data, origin.as_deref())
            }
            Event::Established { connection, remote, public_key, settings, .. } => {
                self.guests.entry(connection).or_default().is_established = true;
                self.tell_info()?;
                self.output.line(format_args!(
                    "{GOOD}established{GOOD:#} {connection} {remote} ({NAME}{}{NAME:#}) {DIM}{settings}{DIM:#}",
                    short_key(&public_key)
                ))?;
                self.output.record(|| {
                    json!({
                        "event": "established",
                        "connection": connection.get(),
                        "remote": remote.to_string(),
                        "public_key": public_key.to_string(),
                        "settings": settings.to_string(),
                    })
                })
            }
            Event::Packet { connection, sequence, payload } => {
                let echo = socket.map(|socket| socket.send(connection, &payload));
                if let Some(guest) = self.guests.get_mut(&connection) {
                    match echo {
                        Some(Ok(_)) => guest.echoed += 1,
                        // An echo is not worth a queue: the window is full, or the connection is closing.
                        _ => guest.held_back += 1,
                    }
                }
                if !self.args.verbose {
                    return Ok(());
                }
                self.output.line(format_args!("packet {connection} {sequence} {}", text_or_hex(&payload)))?;
                self.output.record(|| {
                    json!({
                        "event": "packet",
                        "connection": connection.get(),
                        "sequence": sequence.0,
                        "text": String::from_utf8_lossy(&payload),
                        "hex": hex(&payload),
                    })
                })
            }
            Event::PacketDeliveryNotify { connection, sequence, delivery } if self.args.verbose => {
                let word = format!("{delivery:?}").to_lowercase();
                self.output.line(format_args!("verdict {connection} {sequence} {word}"))?;
                self.output.record(|| {
                    json!({
                        "event": "verdict",
                        "connection": connection.get(),
                        "sequence": sequence.0,
                        "delivery": word,
                    })
                })
            }
            Event::Close { connection, code, reason, .. } => {
                self.closed(connection, code.name(), &reason)?;
                self.tell_info()
            }
            _ => Ok(()),
        }
    }

    fn request(
        &mut self,
        socket: &mut HostSocket,
        connection: ConnectionId,
        remote: Address,
        public_key: PublicKey,
        connect_data: &[u8],
        origin: Option<&str>,
    ) -> Result<(), Failure> {
        let verdict = self.judge(public_key, connect_data);
        let (word, reason) = match &verdict {
            Ok(()) => ("accepted", ""),
            Err(why) => ("refused", why.as_str()),
        };
        let style = if verdict.is_ok() { GOOD } else { BAD };
        self.output.line(format_args!(
            "{style}{word}{style:#} {connection} {remote} {NAME}{public_key}{NAME:#} {} {reason} {DIM}{}{DIM:#}",
            origin.unwrap_or_default(),
            printable(connect_data)
        ))?;
        self.output.record(|| {
            json!({
                "event": "request",
                "connection": connection.get(),
                "remote": remote.to_string(),
                "public_key": public_key.to_string(),
                "origin": origin,
                "connect_data": printable(connect_data),
                "accepted": verdict.is_ok(),
                "reason": reason,
            })
        })?;
        // The request may have been given up meanwhile; its close event tells.
        let _ = match verdict {
            Ok(()) => {
                self.guests.insert(connection, Guest::default());
                socket.accept_connection(connection, self.args.accept_data.as_bytes())
            }
            Err(why) => socket.close(connection, why.as_bytes()),
        };
        Ok(())
    }

    /// Whether the initiator may come in; if not, what it is told.
    fn judge(&self, key: PublicKey, connect_data: &[u8]) -> Result<(), String> {
        let args = self.args;
        if self.guests.len() >= usize::from(args.max) {
            return Err("the host is full".into());
        }
        let (credential, data) = match Credential::parse_prefix(connect_data) {
            Ok((credential, rest)) => (Some(credential), rest),
            Err(_) => (None, connect_data),
        };
        if args.require_data.as_ref().is_some_and(|wanted| wanted.as_bytes() != data) {
            return Err("the connect data is not what this host wants".into());
        }
        if args.accept_key.is_empty() && args.authority.is_empty() {
            return Ok(());
        }
        if args.accept_key.iter().any(|accepted| accepted.same_identity(&key)) {
            return Ok(());
        }
        if args.authority.is_empty() {
            return Err("this key is not on the list".into());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        match credential {
            None => Err("no credential was shown".into()),
            Some(credential) => {
                credential.verify(key, &args.authority, now).map_err(|error| error.to_string())
            }
        }
    }

    fn closed(&mut self, connection: ConnectionId, code: &str, reason: &[u8]) -> Result<(), Failure> {
        // What never got in was told as refused.
        let Some(guest) = self.guests.remove(&connection) else { return Ok(()) };
        self.ended += 1;
        let Guest { echoed, held_back, .. } = guest;
        self.output.line(format_args!(
            "closed {connection}: {code} {} {DIM}({echoed} packets echoed, {held_back} not){DIM:#}",
            printable(reason)
        ))?;
        self.output.record(|| {
            json!({
                "event": "closed",
                "connection": connection.get(),
                "code": code,
                "reason": printable(reason),
                "echoed": echoed,
                "held_back": held_back,
            })
        })
    }

    /// Renews what queries are told.
    fn tell_info(&mut self) -> Result<(), Failure> {
        let players = self.guests.values().filter(|guest| guest.is_established).count();
        let info = HostInfo {
            name: self.args.name.clone(),
            players: u16::try_from(players).unwrap_or(u16::MAX),
            max_players: self.args.max,
            data: Vec::new(),
        };
        self.responder.set_info(info).map_err(|error| Failure::usage(error.to_string()))
    }
}
