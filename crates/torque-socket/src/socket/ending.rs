//! How a socket ends: its connections are closed, every event is given out, and the other sides are answered while
//! they may still ask.

use std::time::{Duration, Instant as StdInstant};

use torque_proto::{ConnectRequest, ConnectionId, Endpoint, Event, Stats};

use super::Socket;
use crate::io::IoStats;

/// The last figures of a socket that has shut down.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Shutdown {
    /// Connections that had not ended when the limit passed: no close event was given out for them.
    pub unfinished: u64,
    /// The last counters of the protocol.
    pub stats: Stats,
    /// The last counters of the driver.
    pub io_stats: IoStats,
}

/// Connections that keep a socket from ending.
#[derive(Debug, Default)]
pub(super) struct Endings {
    /// Connections that the other side closed. It may not have heard the answer, and asks again until it has
    /// (PROTOCOL.md 10); one that this side closed has ended when the other side's answer came.
    farewells: Vec<ConnectionId>,
    /// How many of them there may be before those that have nothing more to say are looked for.
    prune_at: usize,
    /// While the socket shuts down: requests that came since, and whose close event is to be passed over.
    turned_away: Option<Vec<ConnectionId>>,
}

impl Endings {
    pub(super) fn is_shutting_down(&self) -> bool {
        self.turned_away.is_some()
    }

    pub(super) fn closed_by_remote(&mut self, connection: ConnectionId, endpoint: &Endpoint) {
        if self.farewells.len() >= self.prune_at {
            self.prune(endpoint);
            self.prune_at = (2 * self.farewells.len()).max(64);
        }
        self.farewells.push(connection);
    }

    fn prune(&mut self, endpoint: &Endpoint) {
        // The endpoint forgets a connection when it has lingered long enough.
        self.farewells.retain(|connection| endpoint.remote_address(*connection).is_some());
    }
}

impl Socket {
    /// Ends in order: closes all connections, and returns when
    ///
    /// - every connection has ended, so that every verdict is settled,
    /// - every event has been given to `event`, packets that came before the end included,
    /// - and the other sides that closed a connection themselves, shortly before or meanwhile, need no more answers
    ///   (PROTOCOL.md 10, *linger*): about three seconds after such a close, else none;
    ///
    /// or when `limit` has passed. Ten seconds are enough for all of that; with less, other sides may have to
    /// time out. Requests that come meanwhile are refused, and not shown.
    ///
    /// ```
    /// use std::time::Duration;
    /// use torque_socket::{Event, Socket};
    ///
    /// # let socket = Socket::bind("127.0.0.1:0")?;
    /// let shutdown = socket.shutdown(Duration::from_secs(10), |event| {
    ///     if let Event::Packet { payload, .. } = event {
    ///         println!("the last words: {payload:?}");
    ///     }
    /// });
    /// assert_eq!(shutdown.unfinished, 0);
    /// # Ok::<(), torque_socket::BindError>(())
    /// ```
    pub fn shutdown(mut self, limit: Duration, mut event: impl FnMut(Event)) -> Shutdown {
        self.begin_shutdown();
        let begun = StdInstant::now();
        loop {
            while let Some(next) = self.next_event() {
                event(next);
            }
            let left = limit.saturating_sub(begun.elapsed());
            if self.has_shut_down() || left.is_zero() {
                return self.shutdown_result();
            }
            self.wait(left);
            self.poll();
        }
    }

    /// From now on `next_event` turns newcomers away.
    pub(crate) fn begin_shutdown(&mut self) {
        self.close_all();
        self.endings.turned_away.get_or_insert_default();
        self.flush();
    }

    /// Returns whether nothing is left to do, once all events are taken.
    pub(crate) fn has_shut_down(&mut self) -> bool {
        self.endings.prune(&self.endpoint);
        self.open() == 0 && self.endings.farewells.is_empty() && self.queued() == 0
    }

    pub(crate) fn shutdown_result(&mut self) -> Shutdown {
        Shutdown { unfinished: self.open(), stats: self.stats().clone(), io_stats: *self.io_stats() }
    }

    /// Connections, pending ones included, whose close has not been told.
    fn open(&mut self) -> u64 {
        let stats = self.endpoint.stats();
        (stats.connections_started + stats.connections_requested).saturating_sub(stats.connections_closed)
    }

    /// As `next_event`, while the socket shuts down.
    pub(super) fn last_event(&mut self) -> Option<Event> {
        loop {
            let event = self.take_event()?;
            let Some(turned_away) = &mut self.endings.turned_away else { return Some(event) };
            match &event {
                Event::ConnectRequest(ConnectRequest { connection, .. }) => {
                    turned_away.push(*connection);
                    self.close_all();
                }
                Event::Close { connection, .. } => {
                    match turned_away.iter().position(|known| known == connection) {
                        Some(index) => turned_away.swap_remove(index),
                        None => return Some(event),
                    };
                }
                _ => return Some(event),
            }
        }
    }
}
