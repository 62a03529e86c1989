//! `torque demo`: the main job on real sockets, with proof.
//!
//! A host and its clients each have a thread and a socket of their own on loopback. Both ends of every connection
//! keep a record of each packet (`record`); when everything is closed the records are held against each other
//! (`summary`). `board` is what the threads tell the view while it runs. With the feature `gateway` there is also an
//! `arena` for web pages, and `web` puts it into the world; it is no part of the summary.

#[cfg(feature = "gateway")]
mod arena;
mod board;
mod client;
mod host;
mod plain;
mod record;
mod summary;
mod traffic;
mod view;
#[cfg(feature = "gateway")]
mod web;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use torque_socket::{Cipher, LinkConfig, Settings};

use crate::failure::Failure;
use crate::output::Output;
use crate::socket_options::SocketOptions;
use crate::stop;
use board::Board;
use summary::Summary;

const EXAMPLES: &str = "\
Examples:
  torque demo                          four clients on a link that loses 3 %
  torque demo --link mobile            on something like a mobile network
  torque demo --clients 16 --rate 120  more of everything
  torque demo --link perfect --seconds 10 --json
                                       what the protocol costs when nothing is lost
  cargo xtask demo                     builds the web pages too, for an arena in the browser

The link delays and loses in both directions. `overhead_bytes` is what goes over the wire for each
data packet beyond its payload: header, tag, acknowledgments, pings and close.

The command succeeds only if, of every packet, what the sender was told is what the receiver got.
";

/// Watch a host and its clients talk over a lossy link, and check every verdict
///
/// On a terminal it runs until q is pressed; elsewhere it prints a line a second and ends after ten.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// How many clients connect
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub clients: u16,

    /// End after this many seconds of traffic
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,

    /// Packets a second, each way on each connection
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,

    /// Bytes of payload
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u16).range(8..=1_150))]
    pub size: u16,

    /// The link: perfect, home, mobile, terrible, or a text like delay=40,jitter=10,loss=5%
    #[arg(long, value_name = "LINK", default_value = "delay=20,jitter=5,loss=3%")]
    pub link: LinkConfig,

    /// Loss in each direction instead of the link's own, for example 10%
    #[arg(long, value_name = "PERCENT", value_parser = parse_loss)]
    pub loss: Option<f64>,

    /// Delay in each direction instead of the link's own, in milliseconds
    #[arg(long, value_name = "MS", value_parser = parse_delay)]
    pub delay: Option<Duration>,

    /// Bits of client puzzle that the host demands
    #[arg(long, value_name = "BITS", default_value_t = 4, value_parser = clap::value_parser!(u8).range(0..=22))]
    pub difficulty: u8,

    /// Wishes for the connections: window=128;tag=8;ack_delay=50;max_packet=1150
    #[arg(long, value_name = "SETTINGS")]
    pub settings: Option<Settings>,

    /// The packet cipher: aes128-gcm-sst, aes128-gcm or chacha20-poly1305
    #[arg(long, value_name = "NAME")]
    pub cipher: Option<Cipher>,

    /// Seed of the link's chances, to lose the same packets again as far as timing allows
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// Lines instead of the live view, on a terminal too
    #[arg(long)]
    pub plain: bool,

    #[cfg(feature = "gateway")]
    #[command(flatten)]
    pub web: web::WebArgs,
}

fn parse_loss(text: &str) -> Result<f64, String> {
    let link: LinkConfig = format!("loss={text}").parse().map_err(|error| format!("{error}"))?;
    Ok(link.loss)
}

fn parse_delay(text: &str) -> Result<Duration, String> {
    let link: LinkConfig = format!("delay={text}").parse().map_err(|error| format!("{error}"))?;
    Ok(link.delay)
}

impl Args {
    fn link(&self) -> LinkConfig {
        let mut link = self.link;
        link.loss = self.loss.unwrap_or(link.loss);
        link.delay = self.delay.unwrap_or(link.delay);
        link
    }

    fn socket_options(&self) -> SocketOptions {
        SocketOptions {
            application: "torque demo".into(),
            settings: self.settings,
            cipher: self.cipher.into_iter().collect(),
            ..SocketOptions::default()
        }
    }

    fn period(&self) -> Duration {
        Duration::from_secs(1) / self.rate
    }
}

/// How long a close may take: longer than usual, so that every verdict becomes certain on bad links too.
const CLOSE_WAIT: Duration = Duration::from_secs(10);
/// How long a run without a terminal lasts if nobody says.
const DEFAULT_SECONDS: u64 = 10;

pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    stop::watch()?;
    #[cfg(feature = "gateway")]
    if let Some(files) = &args.web.web {
        return web::run(args, files, output);
    }
    run_clients(args, None, output)
}

/// The host and its clients. `page`: where the web part is, to be shown with them.
fn run_clients(args: &Args, page: Option<String>, output: &Output) -> Result<(), Failure> {
    let live = output.is_terminal() && !args.plain;
    let seconds = args.seconds.or((!live).then_some(DEFAULT_SECONDS));
    let board = Arc::new(Board::new(args, page));

    let host_socket = host::open(args, output)?;
    let host = (host_socket.local_addr(), host_socket.public_key());
    let host_thread = {
        let (board, traffic) = (Arc::clone(&board), traffic::Traffic::new(args));
        thread::spawn(move || host::run(host_socket, &board, traffic))
    };
    let mut client_threads = Vec::new();
    for number in 0..args.clients {
        let socket = client::open(args, number, output)?;
        let (board, traffic) = (Arc::clone(&board), traffic::Traffic::new(args));
        client_threads.push(thread::spawn(move || client::run(socket, number, host, &board, traffic)));
    }

    // Time counts from when the first connection is up, so that a slow handshake takes nothing from the traffic.
    let end = Deadline { seconds, since: None };
    let shown = if live { view::run(args, &board, end) } else { plain::run(&board, end, output) };
    board.stop();
    let clients = client_threads.into_iter().map(join).collect::<Result<Vec<_>, _>>()?;
    board.clients_are_done();
    let hosted = join(host_thread)?;
    shown?;

    let summary = Summary::new(&clients, &hosted);
    summary.print(output)?;
    summary.verdict()
}

fn join<T>(thread: thread::JoinHandle<T>) -> Result<T, Failure> {
    thread
        .join()
        .map_err(|_| Failure::failed("a thread of the demo broke down; please report what it printed"))
}

/// When the traffic ends.
struct Deadline {
    seconds: Option<u64>,
    since: Option<Instant>,
}

impl Deadline {
    /// Whether it has passed. Looks at the board for when it begins.
    fn passed(&mut self, board: &Board) -> bool {
        if stop::requested() || board.all_over() {
            return true;
        }
        if self.since.is_none() && board.any_established() {
            self.since = Some(Instant::now());
        }
        match (self.seconds, self.since) {
            (Some(seconds), Some(since)) => since.elapsed() >= Duration::from_secs(seconds),
            _ => false,
        }
    }
}
