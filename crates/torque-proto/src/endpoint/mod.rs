//! One socket's worth of protocol: routing, timers, events and the calls of an application.
//!
//! A datagram's way in: [`Endpoint::handle_datagram`] (`routing`) tells its kind and finds its owner;
//! `hosting`, `connecting` or `packets` hand it to the handshake's or the connection's state and turn the outcome into
//! events. Its way out: [`Endpoint::send`] seals into [`Transmits`], which the driver empties.

mod candidates;
mod connecting;
mod control;
mod hosting;
#[cfg(feature = "introductions")]
mod introduced;
#[cfg(feature = "introductions")]
mod introducing;
pub(crate) mod maps;
#[cfg(feature = "introductions")]
mod nats;
mod origins;
mod packets;
mod paths;
mod peer;
mod places;
mod queue;
mod requests;
mod routing;
mod setup;
mod slab;
mod slot;
#[cfg(test)]
mod tests;
mod timers;
mod wheel;
#[cfg(not(feature = "introductions"))]
mod without_introductions;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

pub use peer::Peer;
pub use setup::{ConnectOptions, Datagram, IntroducedOptions, KeyLog, KeyLogEntry, Relaying, Setup};

use crate::address::Address;
use crate::codes::CloseCode;
use crate::config::{Config, ConfigError};
use crate::crypto::rng::Rng;
use crate::error::{CallError, SendError};
use crate::event::{ClosedBy, Event};
use crate::handshake::{Context, EpochSecrets, Host, ShortData};
use crate::id::{ConnectionId, Sequence};
use crate::identity::{KeyPair, PublicKey};
use crate::instant::Instant;
use crate::path::Path;
use crate::payload::Pool;
use crate::stats::{ConnectionStats, Stats};
use crate::transmits::{Cause, Transmits};
use crate::wire::DatagramKind;

use control::ControlQueue;
#[cfg(feature = "introductions")]
use introduced::Introductions;
use maps::{AddressMap, Attempts, Owners, Seeded};
use paths::Paths;
use queue::{EventQueue, Frees};
use requests::Requests;
use slab::Slab;
use slot::{Entry, Slot};
use wheel::Wheel;
#[cfg(not(feature = "introductions"))]
use without_introductions::Introductions;

/// Buffers that the pool keeps for payloads of received packets.
const POOLED_BUFFERS: usize = 4_096;

/// The protocol of one socket, driven from outside.
///
/// **After any call, drain [`transmits`](Self::transmits), then [`poll_event`](Self::poll_event), then
/// [`poll_timeout`](Self::poll_timeout).**
pub struct Endpoint {
    config: Config,
    key_pair: KeyPair,
    rng: Rng,
    host: Host,
    slots: Slab<Entry>,
    wheel: Wheel,
    events: EventQueue,
    control: ControlQueue,
    transmits: Transmits,
    pool: Pool,
    /// The connection that owns an address.
    connections: Owners,
    /// Connections that receive from an address beside its owner: they were accepted there and wait for their first packet or for the
    /// owner's answer, or they have another path there.
    claims: AddressMap<Vec<ConnectionId>>,
    /// Our own attempts.
    attempts: Attempts,
    requests: Requests,
    paths: Paths,
    introductions: Introductions,
    /// Attempts with a puzzle that no worker has taken.
    puzzles: Vec<ConnectionId>,
    /// The widest packet window that was agreed with anybody.
    widest_window: u16,
    stats: Stats,
    key_log: Option<KeyLog>,
}

impl Endpoint {
    /// An endpoint that begins at `now`.
    ///
    /// # Errors
    /// Names the first figure of the configuration that is out of range.
    pub fn new(now: Instant, setup: Setup) -> Result<Self, ConfigError> {
        let Setup { config, key_pair, seed, unix_millis } = setup;
        config.validate()?;
        let mut rng = Rng::new(seed);
        let key_pair = key_pair.unwrap_or_else(|| KeyPair::generate(&mut rng));
        let seeded = Seeded::new(&mut rng);
        Ok(Self {
            host: Host::new(now, &config, unix_millis),
            slots: Slab::new(config.shard, config.limits.connections),
            wheel: Wheel::new(now),
            control: ControlQueue::default(),
            events: EventQueue::new(),
            transmits: Transmits::new(config.limits.queued_transmits, config.limits.queued_transmit_bytes),
            pool: Pool::new(POOLED_BUFFERS),
            connections: Owners::new(seeded.clone()),
            claims: AddressMap::with_hasher(seeded.clone()),
            attempts: Attempts::new(seeded.clone()),
            requests: Requests::new(seeded.clone()),
            introductions: Introductions::new(seeded.clone()),
            paths: Paths::new(seeded),
            puzzles: Vec::new(),
            widest_window: 0,
            stats: Stats::default(),
            key_log: None,
            config,
            key_pair,
            rng,
        })
    }

    /// This socket's identity.
    pub fn public_key(&self) -> PublicKey {
        self.key_pair.public()
    }

    /// The configuration that the endpoint was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Changes the identity.
    ///
    /// # Errors
    /// `ConnectionsExist` while there are connections, pending ones included.
    pub fn set_key_pair(&mut self, key_pair: KeyPair) -> Result<(), CallError> {
        if self.slots.len() > 0 {
            return Err(CallError::ConnectionsExist);
        }
        self.key_pair = key_pair;
        self.host.forget_epochs();
        Ok(())
    }

    /// Tells the wall clock: at `now` it is `unix_millis` milliseconds after 1970-01-01.
    ///
    /// A host needs it to judge how old a gateway's origin token is (GATEWAY.md 5), and for the start of its epochs. In
    /// between, the clock goes on with `now`. But the wall clock can be set, and `now` may stand still while a machine
    /// sleeps: so a driver tells it again before it hands in datagrams. Nothing else depends on it, and no timer does.
    ///
    /// ```
    /// # use torque_proto::{Config, Endpoint, Instant, Setup};
    /// # let setup = Setup { config: Config::default(), key_pair: None, seed: [7; 32], unix_millis: 1_000 };
    /// # let mut endpoint = Endpoint::new(Instant::ZERO, setup).unwrap();
    /// // The machine slept for an hour, and its monotonic clock did too.
    /// let now = Instant::from_millis(5);
    /// endpoint.set_unix_millis(now, 1_005 + 3_600_000);
    /// assert_eq!(endpoint.unix_millis(now), 3_601_005);
    /// ```
    pub fn set_unix_millis(&mut self, now: Instant, unix_millis: u64) {
        self.host.set_unix_millis(now, unix_millis);
    }

    /// Milliseconds since 1970-01-01, by the wall clock that was told last.
    pub fn unix_millis(&self, now: Instant) -> u64 {
        self.host.unix_millis(now)
    }

    /// Sets what this host shows everybody who asks, at most 511 bytes. It is signed, and public. A change is
    /// shown after a third of `epoch_lifetime` at the latest (PROTOCOL.md 5.2).
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn set_challenge_response_data(&mut self, data: &[u8]) -> Result<(), CallError> {
        self.host.set_challenge_response_data(ShortData::new(data)?);
        Ok(())
    }

    /// The secrets of the current epoch, to be shared among the shards of one host; `None` before the first
    /// challenge was answered.
    pub fn share_epoch(&self) -> Option<EpochSecrets> {
        self.host.share_epoch()
    }

    /// Returns whether the next challenge request begins a new epoch. For shards of one host, so that only one of them
    /// does: see [`start_epoch`](Self::start_epoch).
    pub fn epoch_is_due(&self, now: Instant) -> bool {
        self.host.epoch_is_due(now)
    }

    /// Begins a new epoch if one is due, and gives its secrets to be shared. Only a host needs one.
    pub fn start_epoch(&mut self, now: Instant) -> Option<EpochSecrets> {
        let mut cx = Self::context(now, &self.config, &self.key_pair, &mut self.rng);
        self.host.start_epoch(&mut cx);
        self.host.share_epoch()
    }

    /// Takes over the epoch of another shard of the same host, and with it the data that everybody is shown,
    /// unless newer data waits here for its own epoch.
    pub fn install_epoch(&mut self, now: Instant, secrets: EpochSecrets) {
        self.host.install_epoch(now, secrets);
    }

    /// Ends a connection in any phase, with the code `closed`. A close event follows: for established connections
    /// when both sides have their last verdicts. A request is answered with [`refuse`](Self::refuse) instead.
    ///
    /// # Errors
    /// `Closed` if it has ended, `TooLarge` if the reason is above 511 bytes.
    pub fn close(&mut self, now: Instant, connection: ConnectionId, reason: &[u8]) -> Result<(), CallError> {
        self.close_with(now, connection, CloseCode::Closed, ClosedBy::Application, ShortData::new(reason)?)
    }

    /// Closes every connection, telling the other sides that the socket goes away.
    pub fn close_all(&mut self, now: Instant) {
        let ids: Vec<_> = self.slots.iter().map(|(id, _)| id).collect();
        for id in ids {
            // A connection that has ended already returns an error, which does not matter here.
            let _ =
                self.close_with(now, id, CloseCode::ShuttingDown, ClosedBy::Application, ShortData::EMPTY);
        }
    }

    /// Sends a packet. It is sealed at once into [`transmits`](Self::transmits); its verdict follows as an event.
    /// Returns the packet's sequence.
    ///
    /// # Errors
    /// See [`SendError`]. No sequence is taken then.
    pub fn send(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        payload: &[u8],
    ) -> Result<Sequence, SendError> {
        let entry = self.slots.get_mut(connection).ok_or(SendError::Closed)?;
        let connected = match &mut entry.slot {
            Slot::Connected(connected) => connected,
            Slot::Introducing | Slot::Attempt(_) | Slot::Asking(_) | Slot::Confirming(_) => {
                return Err(SendError::NotEstablished);
            }
            Slot::Refused(_) | Slot::Ended(_) => return Err(SendError::Closed),
        };
        if self.transmits.is_full() {
            return Err(SendError::Blocked);
        }
        let mut outbox = self.transmits.outbox(Cause::Own, &mut connected.path);
        // Of packets that leave at the same time only the first one moves a deadline.
        let is_first = !connected.connection.is_sending_at(now);
        let sequence = connected.connection.send(now, payload, &mut outbox)?;
        let deadline = || connected.connection.deadline().map(|(at, _)| at);
        if is_first {
            let deadline = deadline();
            self.rearm_for(connection, deadline);
        } else {
            debug_assert_eq!(self.wheel.due(connection.slot() as u32), deadline());
        }
        Ok(Sequence(sequence))
    }

    /// Sends a datagram outside any connection; its first byte is 0x20 to 0x7f.
    ///
    /// # Errors
    /// `NotAnInfoPacket`, `TooLarge` above 1,200 bytes, `Blocked`.
    pub fn send_info(&mut self, remote: Address, payload: &[u8]) -> Result<(), CallError> {
        self.send_info_from(None, remote, payload)
    }

    /// As [`send_info`](Self::send_info), from a local address: an answer leaves from the one that was asked, which
    /// [`Event::InfoPacket`] names.
    ///
    /// # Errors
    /// Those of `send_info`.
    pub fn send_info_from(
        &mut self,
        local: Option<IpAddr>,
        remote: Address,
        payload: &[u8],
    ) -> Result<(), CallError> {
        if DatagramKind::of(payload) != DatagramKind::Info {
            return Err(CallError::NotAnInfoPacket);
        }
        if payload.len() > MAX_INFO {
            return Err(CallError::TooLarge { max: MAX_INFO });
        }
        if self.transmits.is_full() {
            return Err(CallError::Blocked);
        }
        let path = Path { local, ..Path::to(remote) };
        self.transmits.push(Cause::Own, path, |out| out.extend_from_slice(payload));
        self.stats.info_sent += 1;
        Ok(())
    }

    /// The largest payload that an established connection takes, in bytes.
    pub fn max_packet_size(&self, connection: ConnectionId) -> Option<usize> {
        match &self.slots.get(connection)?.slot {
            Slot::Connected(connected) => Some(connected.connection.max_packet_size()),
            _ => None,
        }
    }

    /// The next event, oldest first. Taking a verdict frees its place in the packet window.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.take_event(false)
    }

    /// As [`poll_event`](Self::poll_event), but a packet goes on counting against `limits.queued_packets` of its connection,
    /// and `limits.queued_packets_total`, until [`release_packets`](Self::release_packets). For drivers that pass events to their own queue: the queue stays
    /// bounded, and a sender whose packets are not taken is told so.
    pub fn poll_event_held(&mut self) -> Option<Event> {
        self.take_event(true)
    }

    fn take_event(&mut self, holds: bool) -> Option<Event> {
        // Seen to before the event is moved out, so that it is moved only once: events are large.
        let frees = self.events.next_frees()?;
        if let Frees::Packet(id) | Frees::Verdict(id) | Frees::PathChanged(id) | Frees::Slot(id) = frees
            && let Some(entry) = self.slots.get_mut(id)
        {
            match (frees, &mut entry.slot) {
                (Frees::Packet(_), Slot::Connected(connected)) if holds => {
                    connected.held += 1;
                    self.events.hold();
                }
                (Frees::Packet(_), Slot::Connected(connected)) => {
                    connected.queued = connected.queued.saturating_sub(1);
                }
                (Frees::Verdict(_), Slot::Connected(connected)) => connected.connection.verdict_taken(),
                (Frees::PathChanged(_), Slot::Connected(connected)) => connected.path_told = false,
                (Frees::Slot(_), _) => {
                    entry.close_taken = true;
                    self.free_if_done(id);
                }
                _ => {}
            }
        }
        self.events.pop()
    }

    /// The application has taken `count` of the packets that were held for it. Those of a connection that ends are
    /// released with it.
    pub fn release_packets(&mut self, connection: ConnectionId, count: usize) {
        if let Some(Slot::Connected(connected)) = self.slots.get_mut(connection).map(|entry| &mut entry.slot)
        {
            let count = u32::try_from(count).unwrap_or(u32::MAX).min(connected.held);
            connected.held -= count;
            connected.queued = connected.queued.saturating_sub(count);
            self.events.release(count as usize);
        }
    }

    /// The number of packets that a driver may still receive before the application takes events, so that no packet of a peer
    /// that keeps to its window is dropped for lack of room. `None`: no limit, because no window is wider than
    /// what one connection may queue; `limits.queued_packets_total` bounds all together. Packets taken with
    /// [`poll_event_held`](Self::poll_event_held) do not count.
    pub fn receive_room(&self) -> Option<usize> {
        let limits = &self.config.limits;
        (usize::from(self.widest_window) > limits.queued_packets).then(|| self.events.room(limits))
    }

    /// Returns whether events wait.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The datagrams to send.
    pub fn transmits(&mut self) -> &mut Transmits {
        &mut self.transmits
    }

    /// Counters of the whole endpoint.
    pub fn stats(&mut self) -> &Stats {
        self.transmits.count_into(&mut self.stats);
        &self.stats
    }

    /// Bits of puzzle that a request is asked for now.
    pub fn difficulty(&mut self, now: Instant) -> u8 {
        self.host.difficulty(now, &self.config, self.requests.waiting())
    }

    /// Figures of an established connection, until its close event is taken.
    pub fn connection_stats(&self, connection: ConnectionId) -> Option<ConnectionStats> {
        match &self.slots.get(connection)?.slot {
            Slot::Connected(connected) => Some(connected.connection.stats()),
            _ => None,
        }
    }

    /// The other side's address.
    pub fn remote_address(&self, connection: ConnectionId) -> Option<Address> {
        self.slots.get(connection)?.slot.remote()
    }

    /// The established connections.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.slots.iter().filter(|(_, entry)| entry.slot.is_open()).map(|(id, _)| id)
    }

    /// The addresses of connections from which nothing has come although they were sent data `limit` ago or longer: for
    /// drivers that have to choose what to leave out.
    pub fn silent_addresses(&self, now: Instant, limit: Duration) -> impl Iterator<Item = Address> + '_ {
        self.slots.iter().filter_map(move |(_, entry)| match &entry.slot {
            Slot::Connected(connected) if connected.connection.is_silent(now, limit) => {
                Some(connected.path.remote)
            }
            _ => None,
        })
    }

    /// The number of slots in use: connections, pending ones, and ended ones with a close event that was not taken.
    pub fn slots_used(&self) -> usize {
        self.slots.len()
    }

    /// Installs a hook that gets the secrets of each new connection, for debugging tools. Anyone who has them can read
    /// the connection.
    pub fn set_key_log(&mut self, log: KeyLog) {
        self.key_log = Some(log);
    }

    fn context<'a>(now: Instant, config: &'a Config, key_pair: &'a KeyPair, rng: &'a mut Rng) -> Context<'a> {
        Context { now, config, key_pair, rng }
    }

    fn close_with(
        &mut self,
        now: Instant,
        id: ConnectionId,
        code: CloseCode,
        by: ClosedBy,
        reason: ShortData<'_>,
    ) -> Result<(), CallError> {
        let entry = self.slots.get_mut(id).ok_or(CallError::Closed)?;
        match &mut entry.slot {
            Slot::Introducing => {
                self.tell_close(id, code, by, reason.bytes().to_vec());
                self.end_slot(id);
            }
            Slot::Attempt(_) => self.end_attempt(id, code, by, reason.bytes()),
            Slot::Asking(_) => self.refuse_with(now, id, code, by, reason),
            Slot::Confirming(_) | Slot::Connected(_) => {
                if !entry.slot.connection().is_some_and(|connection| connection.is_open()) {
                    return Err(CallError::Closed);
                }
                self.drive(id, Cause::Own, |connection, _, outbox| {
                    connection.close(now, code, by, reason.bytes(), outbox);
                });
            }
            Slot::Refused(_) | Slot::Ended(_) => return Err(CallError::Closed),
        }
        Ok(())
    }

    /// Tells the application that a connection has ended.
    fn tell_close(&mut self, id: ConnectionId, code: CloseCode, by: ClosedBy, reason: Vec<u8>) {
        self.stats.connections_closed += 1;
        self.introductions.note_end(id, code);
        trace_event!(DEBUG, connection = %id, %code, ?by, "closed");
        self.events.push(Event::Close { connection: id, code, by, reason });
    }

    /// Frees a slot that has ended and whose close event was taken.
    fn free_if_done(&mut self, id: ConnectionId) {
        if self.slots.get(id).is_some_and(|entry| entry.close_taken && matches!(entry.slot, Slot::Ended(_))) {
            self.slots.remove(id);
            self.wheel.disarm(id.slot() as u32);
        }
    }

    /// Marks a slot as ended; its id stays taken until its close event is.
    fn end_slot(&mut self, id: ConnectionId) {
        if let Some(entry) = self.slots.get_mut(id) {
            if let Slot::Connected(connected) = &entry.slot {
                self.events.release(connected.held as usize);
            }
            // The application may still have to take packets, and to know whose they are.
            let other = entry.slot.other().filter(|_| !entry.close_taken);
            entry.slot = Slot::Ended(other.map(boxed));
        }
        self.control.forget_messages(id);
        self.transmits.remove_circuits_of(id);
        self.wheel.disarm(id.slot() as u32);
        self.free_if_done(id);
    }
}

/// The longest info packet: what fits every path.
const MAX_INFO: usize = 1_200;

/// A boxed state is moved, not copied, between slots.
fn boxed<T>(value: T) -> Box<T> {
    Box::new(value)
}
