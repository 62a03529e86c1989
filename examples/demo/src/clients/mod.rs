//! A host and its clients, each with a thread and a socket, over a lossy link on loopback.
//!
//! Both ends of every connection keep a record of each packet (`record`). When everything is closed, the records are
//! compared (`summary`). The threads post what happens on the `board`, and a view shows it: `view` on a terminal, `plain`
//! elsewhere.

mod board;
mod client;
mod host;
mod plain;
mod record;
mod summary;
mod traffic;
mod view;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::failure::{Failure, join};
use crate::output::Output;
use crate::stop;
use board::Board;
use summary::Summary;

/// The time that a close may take. It is longer than usual, so that every verdict becomes certain on bad links too.
const CLOSE_WAIT: Duration = Duration::from_secs(10);
/// The default length of a run without a terminal.
const DEFAULT_SECONDS: u64 = 10;

/// Runs them until the time is over, and checks every verdict. `page` is the address of the arena, which the view shows.
pub fn run(args: &Args, page: Option<String>, output: &Output) -> Result<(), Failure> {
    let live = output.is_terminal() && !args.plain;
    let seconds = args.seconds.or((!live).then_some(DEFAULT_SECONDS));
    let board = Arc::new(Board::new(args, page));

    let host_socket = host::open(args)?;
    let host = (host_socket.local_addr(), host_socket.public_key());
    let host_thread = {
        let (board, traffic) = (Arc::clone(&board), traffic::Traffic::new(args));
        thread::spawn(move || host::run(host_socket, &board, traffic))
    };
    let mut client_threads = Vec::new();
    for number in 0..args.clients {
        let socket = client::open(args, number)?;
        let (board, traffic) = (Arc::clone(&board), traffic::Traffic::new(args));
        client_threads.push(thread::spawn(move || client::run(socket, number, host, &board, traffic)));
    }

    // Time counts from the first established connection, so that a slow handshake does not shorten the traffic.
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

/// The end of the traffic.
struct Deadline {
    seconds: Option<u64>,
    since: Option<Instant>,
}

impl Deadline {
    /// Returns whether it has passed. The time starts when the board shows an established connection.
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
