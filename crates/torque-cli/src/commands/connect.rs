//! `torque connect`

use std::collections::HashMap;
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use serde_json::json;
use torque_socket::{ClosedBy, Delivery, Event, SendError, Sequence, Socket};

use crate::connecting::{self, Connected, LastFigures, Wish};
use crate::failure::Failure;
use crate::key_log;
use crate::output::{BAD, DIM, GOOD, Output, WARN};
use crate::socket_options::SocketOptions;
use crate::stop;
use crate::trust::TrustOptions;
use crate::units::{hex, millis, millis_number, printable, text_or_hex};
use crate::via::{self, ViaOptions};

const EXAMPLES: &str = "\
Examples:
  torque connect torque://tk1...@host:28000      each line typed is a packet
  torque connect host --known-hosts hosts.txt    trust the key of the first visit
  torque connect host --send hello --trust-anyone
                                                 one packet, its verdict, and the answer
  torque connect host --count 600 --rate 60 --size 100 --link mobile
                                                 ten seconds of game traffic over a bad network
  torque connect --via torque://tk1...@lobby tk1...@pond
                                                 the host that a lobby knows as pond

With --via, the lobby's URL is trusted as a host's is without, and so is the host by its own key: in front of the name, known \
(as NAME@LOBBY), signed, or confirmed. The lobby tells a key for the name, too. That alone is no reason to trust it: a \
lobby could introduce itself.

While the lobby introduces the two, the terminal shows where the host may be, how many punches went and came, and the path that \
works. A line says so when the path changes, for example from relayed to direct, with the round trip. With --json the events \
are path_search and path_changed.

Without --send or --count, lines from standard input become packets. At the end it waits for the verdicts.
";

/// Connect to a host and send packets
///
/// Prints the verdict of every packet: delivered, if the host's application received it, or dropped. Prints packets from
/// the host too. Sends nothing again.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// torque://[KEY@]HOST[:PORT], or the same without torque://; with --via [KEY@]NAME
    #[arg(value_name = "URL|NAME")]
    url: String,

    /// Send this text; may be repeated
    #[arg(long, value_name = "TEXT")]
    send: Vec<String>,

    /// Send this many packets: the texts of --send over and over, or generated ones
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// Packets a second
    #[arg(long, value_name = "N", default_value_t = 60.0, value_parser = parse_rate)]
    rate: f64,

    /// Bytes of each generated packet
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    size: u16,

    /// Connect data that the host's application is shown
    #[arg(long, value_name = "TEXT", default_value = "")]
    data: String,

    /// A credential to show the host before the data, as `torque sign` writes it
    #[arg(long, value_name = "FILE")]
    credential: Option<PathBuf>,

    /// Milliseconds to listen on after the last verdict
    #[arg(long, value_name = "MS", default_value_t = 200)]
    linger: u64,

    #[command(flatten)]
    via: ViaOptions,

    #[command(flatten)]
    trust: TrustOptions,

    #[command(flatten)]
    socket: SocketOptions,
}

pub fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=1e6).contains(&rate) => Ok(rate),
        _ => Err("a rate is a number of packets a second, from 0.001 to 1000000".into()),
    }
}

pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    stop::watch()?;
    let mut config = args.socket.config();
    args.via.paths.configure(&mut config);
    let mut socket = args.socket.builder()?.config(config).client()?;
    key_log::install(&mut socket, output)?;
    let wish = Wish {
        target: &args.url,
        trust: &args.trust,
        settings: args.socket.settings,
        data: args.data.as_bytes(),
        credential: args.credential.as_deref(),
        harmless: false,
    };
    let connected = match &args.via.via {
        None => connecting::establish(&mut socket, &wish, output)?,
        Some(lobby) => via::establish(&mut socket, lobby, &args.via, &wish, output)?,
    };
    if !connected.accept_data.is_empty() {
        output.note(format_args!("{DIM}the host says: {}{DIM:#}", printable(&connected.accept_data)));
    }
    let mut talk = Talk::new(args, connected, output);
    let ran = talk.run(&mut socket);
    talk.finish(socket, ran)
}

/// The source of the next packet.
enum Source {
    Lines(Receiver<Vec<u8>>),
    Texts { texts: Vec<Vec<u8>>, next: u64, count: u64 },
    Nothing,
}

impl Source {
    fn new(args: &Args) -> Self {
        let count = args.count.unwrap_or(args.send.len() as u64);
        if count == 0 && args.count.is_none() {
            return Self::Lines(lines());
        }
        let mut texts: Vec<Vec<u8>> = args.send.iter().map(|text| text.clone().into_bytes()).collect();
        if texts.is_empty() {
            texts.push((0..args.size).map(|index| b'a' + (index % 26) as u8).collect());
        }
        Self::Texts { texts, next: 0, count }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let taken = match self {
            Self::Lines(lines) => match lines.try_recv() {
                Ok(line) => return Some(line),
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => None,
            },
            Self::Texts { texts, next, count } if *next < *count => {
                let text = texts.get((*next % texts.len() as u64) as usize).cloned();
                *next += 1;
                text
            }
            Self::Texts { .. } | Self::Nothing => None,
        };
        if taken.is_none() {
            *self = Self::Nothing;
        }
        taken
    }
}

/// The number of lines that are read ahead.
const LINES: usize = 64;

/// Reads the lines of standard input on another thread. They may hold any bytes.
fn lines() -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(LINES);
    std::thread::spawn(move || {
        for mut line in std::io::stdin().lock().split(b'\n').map_while(Result::ok) {
            line.pop_if(|last| *last == b'\r');
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The time after which a typed line leaves, at most.
const TYPED: Duration = Duration::from_millis(20);

struct Talk<'a> {
    args: &'a Args,
    output: &'a Output,
    connected: Connected,
    source: Source,
    /// A packet for which the window had no room.
    waiting: Option<Vec<u8>>,
    sent_at: HashMap<Sequence, (Instant, String)>,
    counts: Counts,
    /// The time at which something last came.
    heard: Instant,
    figures: LastFigures,
    ended: Option<Failure>,
    is_over: bool,
}

#[derive(Default)]
struct Counts {
    sent: u64,
    delivered: u64,
    dropped: u64,
    unknown: u64,
    received: u64,
}

impl<'a> Talk<'a> {
    fn new(args: &'a Args, connected: Connected, output: &'a Output) -> Self {
        Self {
            args,
            output,
            connected,
            source: Source::new(args),
            waiting: None,
            sent_at: HashMap::new(),
            counts: Counts::default(),
            heard: Instant::now(),
            figures: LastFigures::default(),
            ended: None,
            is_over: false,
        }
    }

    fn run(&mut self, socket: &mut Socket) -> Result<(), Failure> {
        let period = Duration::from_secs_f64(1.0 / self.args.rate);
        let linger = Duration::from_millis(self.args.linger);
        let mut next = Instant::now();
        while !self.is_over && !stop::requested() {
            let typed = matches!(self.source, Source::Lines(_));
            let now = Instant::now();
            if typed || now >= next {
                // A machine that was busy for long goes on from here.
                next = (next + period).max(now.checked_sub(period * 4).unwrap_or(now));
                self.send(socket)?;
            }
            let all_sent = matches!(self.source, Source::Nothing) && self.waiting.is_none();
            if all_sent && self.sent_at.is_empty() && self.heard.elapsed() >= linger {
                return Ok(());
            }
            let until = match () {
                () if typed => TYPED,
                () if all_sent => linger.max(Duration::from_millis(1)).min(stop::LOOK_EVERY),
                () => next.saturating_duration_since(Instant::now()).min(stop::LOOK_EVERY),
            };
            self.figures.renew(socket, self.connected.id);
            socket.wait(until);
            socket.poll();
            while let Some(event) = socket.next_event() {
                self.event(event)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, socket: &mut Socket) -> Result<(), Failure> {
        while let Some(payload) = self.waiting.take().or_else(|| self.source.take()) {
            match socket.send(self.connected.id, &payload) {
                Ok(sequence) => {
                    self.counts.sent += 1;
                    self.sent_at.insert(sequence, (Instant::now(), text_or_hex(&payload)));
                }
                Err(SendError::WindowFull | SendError::Blocked) => {
                    self.waiting = Some(payload);
                    return Ok(());
                }
                // The close event tells why.
                Err(SendError::Closed) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if !matches!(self.source, Source::Lines(_)) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), Failure> {
        let output = self.output;
        if event.connection() != Some(self.connected.id) {
            return self.other_event(&event);
        }
        match event {
            Event::Packet { sequence, payload, .. } => {
                self.heard = Instant::now();
                self.counts.received += 1;
                output.line(format_args!("{}", text_or_hex(&payload)))?;
                output.record(|| {
                    json!({
                        "event": "packet",
                        "sequence": sequence.0,
                        "text": String::from_utf8_lossy(&payload),
                        "hex": hex(&payload),
                    })
                })
            }
            Event::Verdict { sequence, delivery, .. } => self.verdict(sequence, delivery),
            Event::PathChanged { remote, round_trip, .. } => self.connected.moved(remote, round_trip, output),
            Event::Close { by: ClosedBy::Application, .. } => Ok(()),
            Event::Close { code, by, reason, .. } => {
                connecting::note_close(code, by, output);
                self.is_over = true;
                self.ended = Some(Failure::closed(code, &reason));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An event that is not the connection's. The lobby may go: nothing ends with it, unless it relays.
    fn other_event(&mut self, event: &Event) -> Result<(), Failure> {
        match event {
            Event::Close { connection, code, by, reason } if Some(*connection) == self.connected.lobby => {
                if *by == ClosedBy::Application {
                    return Ok(());
                }
                self.output.note(format_args!(
                    "{WARN}the lobby has gone{WARN:#}: {code} {DIM}(a direct connection goes on){DIM:#}"
                ));
                self.output.record(
                    || json!({ "event": "lobby_closed", "code": code.name(), "reason": printable(reason) }),
                )
            }
            _ => Ok(()),
        }
    }

    fn verdict(&mut self, sequence: Sequence, delivery: Delivery) -> Result<(), Failure> {
        self.heard = Instant::now();
        let (after, text) = match self.sent_at.remove(&sequence) {
            Some((at, text)) => (at.elapsed(), text),
            None => (Duration::ZERO, String::new()),
        };
        let (counter, word, style) = match delivery {
            Delivery::Delivered => (&mut self.counts.delivered, "delivered", GOOD),
            Delivery::Dropped => (&mut self.counts.dropped, "dropped", BAD),
            Delivery::Unknown => (&mut self.counts.unknown, "unknown", WARN),
        };
        *counter += 1;
        let shown: String = text.chars().take(40).collect();
        self.output.note(format_args!(
            "{style}{word}{style:#} {sequence} {DIM}after {}{DIM:#} {shown}",
            millis(after)
        ));
        self.output.record(|| {
            json!({
                "event": "verdict",
                "sequence": sequence.0,
                "delivery": word,
                "after_ms": millis_number(after),
            })
        })
    }

    /// `ran`: how the talk went. However that was, what has come is shown and what was sent gets its verdict.
    fn finish(&mut self, socket: Socket, ran: Result<(), Failure>) -> Result<(), Failure> {
        self.figures.renew(&socket, self.connected.id);
        let told = connecting::end(socket, self.connected.id, ran, |event| self.event(event));
        let rtt = self.figures.rtt();
        let Counts { sent, delivered, dropped, unknown, received } = self.counts;
        self.output.note(format_args!(
            "{DIM}{sent} sent, {delivered} delivered, {dropped} dropped, {unknown} unknown; {received} received; round trip {}{DIM:#}",
            rtt.map_or("unknown".into(), millis)
        ));
        self.output.record(|| {
            json!({
                "event": "summary",
                "sent": sent,
                "delivered": delivered,
                "dropped": dropped,
                "unknown": unknown,
                "received": received,
                "rtt_ms": rtt.map(millis_number),
            })
        })?;
        match self.ended.take() {
            Some(failure) => Err(failure),
            None => told,
        }
    }
}
