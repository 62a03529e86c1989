//! `torque ping`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use torque_socket::{ClosedBy, Delivery, Event, SendError, Sequence, Socket};

use crate::connecting::{self, Connected, LastFigures, Wish};
use crate::failure::{Code, Failure};
use crate::key_log;
use crate::output::{BAD, DIM, Output, WARN};
use crate::socket_options::SocketOptions;
use crate::stop::{self, LOOK_EVERY};
use crate::trust::TrustOptions;
use crate::units::{millis, millis_number, percent};

const EXAMPLES: &str = "\
Examples:
  torque ping host                            until Ctrl-C
  torque ping torque://tk1...@host -c 20 -i 0.05
  torque ping host --link mobile              what would it be like from a phone?

A host that echoes (`torque host`) gives a time for every packet. For other hosts the time of the verdict is shown, which
may be longer than a round trip because hosts collect acknowledgments. The summary has the true round trip in any case.
";

/// Measure round trips, loss and jitter of a connection
///
/// Connects and sends a packet at each interval. Accepts any key unless the URL pins one, because nothing secret is sent.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// torque://[KEY@]HOST[:PORT], or the same without torque://
    #[arg(value_name = "URL")]
    url: String,

    /// Stop after this many packets
    #[arg(long, short, value_name = "N")]
    count: Option<u64>,

    /// Seconds between packets
    #[arg(long, short, value_name = "SECONDS", default_value_t = 1.0, value_parser = parse_interval)]
    interval: f64,

    /// Bytes of payload
    #[arg(long, short, value_name = "BYTES", default_value_t = 56, value_parser = clap::value_parser!(u16).range(8..))]
    size: u16,

    /// Seconds to wait for what is outstanding at the end
    #[arg(long, short = 'W', value_name = "SECONDS", default_value_t = 2.0, value_parser = parse_interval)]
    wait: f64,

    /// Print only the summary
    #[arg(long, short)]
    quiet: bool,

    /// Connect data that the host's application is shown
    #[arg(long, value_name = "TEXT", default_value = "")]
    data: String,

    /// A credential to show the host before the data, as `torque sign` writes it
    #[arg(long, value_name = "FILE")]
    credential: Option<PathBuf>,

    #[command(flatten)]
    trust: TrustOptions,

    #[command(flatten)]
    socket: SocketOptions,
}

fn parse_interval(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("write seconds from 0.001 to 3600".into()),
    }
}

pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    stop::watch()?;
    let mut socket = args.socket.builder()?.client()?;
    key_log::install(&mut socket, output)?;
    let wish = Wish {
        target: &args.url,
        trust: &args.trust,
        settings: args.socket.settings,
        data: args.data.as_bytes(),
        credential: args.credential.as_deref(),
        harmless: true,
    };
    let connected = connecting::establish(&mut socket, &wish, output)?;
    output.line(format_args!("PING {} ({}): {} bytes", connected.remote, connected.public_key, args.size))?;
    let mut pinger = Pinger {
        args,
        output,
        connected,
        pings: BTreeMap::new(),
        numbers: BTreeMap::new(),
        next_number: 0,
        tally: Tally::default(),
        figures: LastFigures::default(),
        ended: None,
    };
    let ran = pinger.run(&mut socket);
    pinger.finish(socket, ran)
}

/// A packet that is under way.
struct Ping {
    sent: Instant,
    is_delivered: bool,
}

#[derive(Default)]
struct Tally {
    sent: u64,
    delivered: u64,
    dropped: u64,
    unknown: u64,
    /// The times of all echoes, in order.
    echoes: Vec<Duration>,
}

struct Pinger<'a> {
    args: &'a Args,
    output: &'a Output,
    connected: Connected,
    /// The pings, by number, whose verdict or echo is still open.
    pings: BTreeMap<u64, Ping>,
    numbers: BTreeMap<Sequence, u64>,
    next_number: u64,
    tally: Tally,
    figures: LastFigures,
    ended: Option<Failure>,
}

impl Pinger<'_> {
    fn run(&mut self, socket: &mut Socket) -> Result<(), Failure> {
        let interval = Duration::from_secs_f64(self.args.interval);
        let patience = Duration::from_secs_f64(self.args.wait);
        let mut next = Instant::now();
        let mut last = Instant::now();
        while self.ended.is_none() && !stop::requested() {
            let is_done = self.args.count.is_some_and(|count| self.next_number >= count);
            let now = Instant::now();
            if !is_done && now >= next {
                next = (next + interval).max(now);
                last = now;
                self.send(socket)?;
            }
            if is_done && (self.pings.is_empty() || last.elapsed() >= patience) {
                break;
            }
            let until = if is_done { LOOK_EVERY } else { next.saturating_duration_since(now) };
            self.figures.renew(socket, self.connected.id);
            socket.wait(until.min(LOOK_EVERY));
            socket.poll();
            while let Some(event) = socket.next_event() {
                self.event(event)?;
            }
            self.give_up_echoes(patience)?;
        }
        Ok(())
    }

    fn send(&mut self, socket: &mut Socket) -> Result<(), Failure> {
        let mut payload = vec![0; usize::from(self.args.size)];
        payload[..8].copy_from_slice(&self.next_number.to_be_bytes());
        match socket.send(self.connected.id, &payload) {
            Ok(sequence) => {
                self.numbers.insert(sequence, self.next_number);
                self.pings.insert(self.next_number, Ping { sent: Instant::now(), is_delivered: false });
                self.tally.sent += 1;
                self.next_number += 1;
            }
            // More than a window is under way: this one is left out.
            Err(SendError::WindowFull | SendError::Blocked | SendError::Closed) => {}
            Err(error) => return Err(Failure::usage(error.to_string())),
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Packet { payload, .. } => {
                let number = payload.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
                let Some(ping) = number.and_then(|number| self.pings.get(&number)) else { return Ok(()) };
                let (number, time) = (number.unwrap_or_default(), ping.sent.elapsed());
                self.tally.echoes.push(time);
                if ping.is_delivered {
                    self.pings.remove(&number);
                }
                self.tell(
                    number,
                    "echo",
                    time,
                    format_args!("{} bytes: seq={number} time={}", payload.len(), millis(time)),
                )
            }
            Event::Verdict { sequence, delivery, .. } => self.verdict(sequence, delivery),
            Event::PathChanged { remote, round_trip, .. } if !self.args.quiet => {
                self.connected.moved(remote, round_trip, self.output)
            }
            Event::Close { by: ClosedBy::Application, .. } => Ok(()),
            Event::Close { code, by, reason, .. } => {
                connecting::note_close(code, by, self.output);
                self.ended = Some(Failure::closed(code, &reason));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn verdict(&mut self, sequence: Sequence, delivery: Delivery) -> Result<(), Failure> {
        let Some(number) = self.numbers.remove(&sequence) else { return Ok(()) };
        let after = self.pings.get(&number).map(|ping| ping.sent.elapsed()).unwrap_or_default();
        let (counter, word, style) = match delivery {
            Delivery::Delivered => {
                self.tally.delivered += 1;
                if let Some(ping) = self.pings.get_mut(&number) {
                    ping.is_delivered = true;
                }
                return Ok(());
            }
            Delivery::Dropped => (&mut self.tally.dropped, "dropped", BAD),
            Delivery::Unknown => (&mut self.tally.unknown, "unknown", WARN),
        };
        *counter += 1;
        self.pings.remove(&number);
        let text =
            format_args!("{style}{word}{style:#}: seq={number} {DIM}(told after {}){DIM:#}", millis(after));
        self.tell(number, word, after, text)
    }

    /// Stops waiting for the echoes of delivered packets after a while; their verdict is all that will be known.
    fn give_up_echoes(&mut self, patience: Duration) -> Result<(), Failure> {
        let late: Vec<u64> = self
            .pings
            .iter()
            .filter(|(_, ping)| ping.is_delivered && ping.sent.elapsed() >= patience)
            .map(|(number, _)| *number)
            .collect();
        for number in late {
            self.pings.remove(&number);
            let text = format_args!("{WARN}delivered, no echo{WARN:#}: seq={number}");
            self.tell(number, "delivered", patience, text)?;
        }
        Ok(())
    }

    fn tell(
        &self,
        number: u64,
        what: &str,
        time: Duration,
        text: std::fmt::Arguments<'_>,
    ) -> Result<(), Failure> {
        if self.args.quiet {
            return Ok(());
        }
        self.output.line(text)?;
        self.output.record(|| json!({ "event": what, "seq": number, "time_ms": millis_number(time) }))
    }

    /// `ran`: how the pinging went. However that was, what has come is shown and what was sent gets its verdict.
    fn finish(&mut self, socket: Socket, ran: Result<(), Failure>) -> Result<(), Failure> {
        self.figures.renew(&socket, self.connected.id);
        let told = connecting::end(socket, self.connected.id, ran, |event| self.event(event));
        // The connection's own figure serves hosts that do not echo.
        let rtt = self.figures.rtt();
        let Tally { sent, delivered, dropped, unknown, echoes } = &self.tally;
        let times = Times::of(echoes);
        self.output.line(format_args!("\n--- {} ---", self.connected.remote))?;
        self.output.line(format_args!(
            "{sent} packets sent, {delivered} delivered, {dropped} dropped, {unknown} unknown, {} echoes; {:.1} % lost on the way there",
            echoes.len(),
            percent(*dropped, delivered + dropped),
        ))?;
        match &times {
            Some(times) => self.output.line(format_args!(
                "echo min/avg/max/jitter = {} / {} / {} / {}",
                millis(times.min),
                millis(times.mean),
                millis(times.max),
                millis(times.jitter)
            ))?,
            None => match rtt {
                Some(rtt) => self
                    .output
                    .line(format_args!("round trip {} (of the protocol's own pings)", millis(rtt)))?,
                None => self.output.line(format_args!("round trip unknown"))?,
            },
        }
        self.output.record(|| {
            let time = |pick: fn(&Times) -> Duration| times.as_ref().map(|times| millis_number(pick(times)));
            json!({
                "event": "summary",
                "sent": sent,
                "delivered": delivered,
                "dropped": dropped,
                "unknown": unknown,
                "echoes": echoes.len(),
                "min_ms": time(|times| times.min),
                "avg_ms": time(|times| times.mean),
                "max_ms": time(|times| times.max),
                "jitter_ms": time(|times| times.jitter),
                "rtt_ms": rtt.map(millis_number),
            })
        })?;
        match self.ended.take().map_or(told, Err) {
            Ok(()) if *sent > 0 && *delivered == 0 => {
                Err(Failure::new(Code::NoAnswer, "none of the packets was delivered"))
            }
            told => told,
        }
    }
}

/// A summary of the times of many round trips.
struct Times {
    min: Duration,
    mean: Duration,
    max: Duration,
    /// Mean difference between one and the next.
    jitter: Duration,
}

impl Times {
    fn of(times: &[Duration]) -> Option<Self> {
        let count = u32::try_from(times.len()).ok().filter(|count| *count > 0)?;
        let steps: Duration = times.windows(2).map(|pair| pair[0].abs_diff(pair[1])).sum();
        Some(Self {
            min: *times.iter().min()?,
            mean: times.iter().sum::<Duration>() / count,
            max: *times.iter().max()?,
            jitter: steps / (count - 1).max(1),
        })
    }
}
