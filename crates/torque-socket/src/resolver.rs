//! Names are resolved on threads of their own: a slow name server holds nobody up.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use torque_proto::ConnectionId;

use crate::waker::Waker;

/// Lookups at a time; further ones wait.
const MAX_RUNNING: usize = 8;
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;

/// Finds the addresses of a name, best first. Called on a thread where it may take its time.
pub(crate) type Lookup = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// What the operating system answers.
pub(crate) fn system() -> Lookup {
    Arc::new(|name, port| Ok((name, port).to_socket_addrs()?.collect()))
}

/// What became of a lookup.
pub(crate) struct Answer {
    pub(crate) connection: ConnectionId,
    pub(crate) addresses: io::Result<Vec<SocketAddr>>,
}

struct Question {
    connection: ConnectionId,
    name: String,
    port: u16,
}

/// Resolves names in the background.
pub(crate) struct Resolver {
    lookup: Lookup,
    waker: Option<Waker>,
    answers: Sender<Answer>,
    incoming: Receiver<Answer>,
    running: usize,
    waiting: VecDeque<Question>,
}

impl Resolver {
    pub(crate) fn new(lookup: Lookup, waker: Option<Waker>) -> Self {
        let (answers, incoming) = channel();
        Self { lookup, waker, answers, incoming, running: 0, waiting: VecDeque::new() }
    }

    /// Begins a lookup for a connection.
    pub(crate) fn resolve(&mut self, connection: ConnectionId, name: String, port: u16) {
        self.waiting.push_back(Question { connection, name, port });
        self.start();
    }

    /// The next lookup that has ended.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        let answer = self.incoming.try_recv().ok()?;
        self.running = self.running.saturating_sub(1);
        self.start();
        Some(answer)
    }

    fn start(&mut self) {
        while self.running < MAX_RUNNING
            && let Some(Question { connection, name, port }) = self.waiting.pop_front()
        {
            let (answers, waker) = (self.answers.clone(), self.waker.clone());
            let lookup = Arc::clone(&self.lookup);
            self.running += 1;
            let started = thread::Builder::new().name("torque-resolver".into()).spawn(move || {
                let addresses = lookup(&name, port).map(in_turns);
                let _ = answers.send(Answer { connection, addresses });
                if let Some(waker) = waker {
                    waker.wake();
                }
            });
            if let Err(error) = started {
                let _ = self.answers.send(Answer { connection, addresses: Err(error) });
            }
        }
    }
}

/// Families in turns, beginning with the one that the system puts first, so that a family that leads nowhere
/// costs one step.
pub(crate) fn in_turns(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let v6_first = found.first().is_some_and(SocketAddr::is_ipv6);
    let mut unique: Vec<SocketAddr> = Vec::new();
    for address in found {
        // Some name servers answer so instead of not at all.
        if !address.ip().is_unspecified() && !unique.contains(&address) {
            unique.push(address);
        }
    }
    let (mut first, mut second): (VecDeque<_>, VecDeque<_>) =
        unique.into_iter().partition(|address| address.is_ipv6() == v6_first);
    let mut ordered = Vec::new();
    while ordered.len() < MAX_ADDRESSES && !(first.is_empty() && second.is_empty()) {
        ordered.extend(first.pop_front());
        ordered.extend(second.pop_front());
    }
    ordered.truncate(MAX_ADDRESSES);
    ordered
}
