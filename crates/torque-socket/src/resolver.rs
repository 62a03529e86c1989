//! Resolves names on background threads, so that a slow name server holds up no caller.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use torque_proto::ConnectionId;

use crate::waker::Waker;

/// Lookups at a time; further ones wait.
const MAX_RUNNING: usize = 8;

/// Finds the addresses of a name, best first. Called on a thread where it may take its time.
pub(crate) type Lookup = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// The operating system's resolver.
pub(crate) fn system() -> Lookup {
    Arc::new(|name, port| Ok((name, port).to_socket_addrs()?.collect()))
}

/// The outcome of a look-up.
pub(crate) struct Answer {
    pub(crate) connection: ConnectionId,
    pub(crate) addresses: io::Result<Vec<SocketAddr>>,
}

struct Question {
    connection: ConnectionId,
    /// Names the look-up itself: the id of an attempt that was closed may be that of another one by the time of the answer.
    number: u64,
    name: String,
    port: u16,
}

/// Resolves names in the background.
pub(crate) struct Resolver {
    lookup: Lookup,
    waker: Option<Waker>,
    answers: Sender<(u64, Answer)>,
    incoming: Receiver<(u64, Answer)>,
    running: usize,
    waiting: VecDeque<Question>,
    /// The look-ups whose answers are wanted.
    wanted: HashMap<ConnectionId, u64>,
    count: u64,
}

impl Resolver {
    pub(crate) fn new(lookup: Lookup) -> Self {
        let (answers, incoming) = channel();
        Self {
            lookup,
            waker: None,
            answers,
            incoming,
            running: 0,
            waiting: VecDeque::new(),
            wanted: HashMap::new(),
            count: 0,
        }
    }

    /// Begins a look-up for a connection. `waker` makes what wakes the socket when it is done.
    pub(crate) fn resolve(
        &mut self,
        connection: ConnectionId,
        name: String,
        port: u16,
        waker: impl FnOnce() -> Option<Waker>,
    ) {
        self.waker = self.waker.take().or_else(waker);
        self.count += 1;
        self.wanted.insert(connection, self.count);
        self.waiting.push_back(Question { connection, number: self.count, name, port });
        self.start();
    }

    /// The answer for this connection is not wanted any more.
    pub(crate) fn cancel(&mut self, connection: ConnectionId) {
        if self.wanted.remove(&connection).is_some() {
            self.waiting.retain(|question| question.connection != connection);
        }
    }

    /// The next look-up that has ended and is wanted.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        while self.running > 0 {
            let (number, answer) = self.incoming.try_recv().ok()?;
            self.running -= 1;
            self.start();
            if self.wanted.get(&answer.connection) == Some(&number) {
                self.wanted.remove(&answer.connection);
                return Some(answer);
            }
        }
        None
    }

    fn start(&mut self) {
        while self.running < MAX_RUNNING
            && let Some(Question { connection, number, name, port }) = self.waiting.pop_front()
        {
            let (answers, waker) = (self.answers.clone(), self.waker.clone());
            let lookup = Arc::clone(&self.lookup);
            self.running += 1;
            let started = thread::Builder::new().name("torque-resolver".into()).spawn(move || {
                // A look-up that panics has failed: otherwise its attempt would never end, and its place would stay taken.
                let addresses = catch_unwind(AssertUnwindSafe(|| lookup(&name, port)))
                    .unwrap_or_else(|_| Err(io::Error::other("the look-up panicked")));
                let _ = answers.send((number, Answer { connection, addresses }));
                if let Some(waker) = waker {
                    waker.wake();
                }
            });
            if let Err(error) = started {
                let _ = self.answers.send((number, Answer { connection, addresses: Err(error) }));
            }
        }
    }
}
