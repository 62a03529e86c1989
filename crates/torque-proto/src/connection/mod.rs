//! An established connection: packets, verdicts, liveness and its end (PROTOCOL.md 6 to 10).
//!
//! A connection seals into an [`Outbox`] and tells its application through an [`Output`]; the endpoint
//! provides both.

mod acks;
mod close;
pub(crate) mod control;
#[cfg(test)]
mod hostile_tests;
mod incoming;
#[cfg(test)]
pub(crate) mod inspect;
mod liveness;
mod numbers;
mod outgoing;
pub(crate) mod packets;
mod rate;
mod rest;
mod verdicts;
#[cfg(test)]
mod worked_examples;

use core::time::Duration;

use alloc::boxed::Box;

use close::Phase;
pub(crate) use close::{Ended, Unheard};
use control::reliable::{ControlEvent, ControlLayer};
pub(crate) use incoming::Report;
use incoming::{Incoming, MAX_SHORT_REPORT};
use liveness::{Liveness, PingAction};
use outgoing::Outgoing;
use packets::{KeysExhausted, OpenedPacket};
use rate::Rate;

use crate::config::Config;
use crate::crypto::Cipher;
use crate::crypto::keys::{ReceiveKeys, SendKeys};
use crate::error::SendError;
use crate::event::Delivery;
use crate::instant::Instant;
use crate::micros::{Micros, Micros32};
use crate::path::{Facts, PathData, Rtt};
use crate::settings::Settings;
use crate::stats::{ConnectionCounters, ConnectionStats, HandshakeFigures, HandshakeStats, RefusalCounters};
use crate::timer::TimerKind;
use crate::transmits::Outbox;
use crate::wire::control::ControlMessage;
use crate::wire::header::{HeaderSize, PacketKind};

/// Sequences end here (PROTOCOL.md 6.3).
const MAX_SEQUENCE: u64 = 1 << 53;

/// The receiver of a connection's events.
pub(crate) trait Output {
    /// Offers a packet for the application's event queue. Returns whether it was placed there.
    fn packet(&mut self, sequence: u64, payload: &[u8]) -> bool;
    /// Tells the verdict on a packet.
    fn verdict(&mut self, sequence: u64, delivery: Delivery);
    /// Offers an event of reliable control messages. Returns whether it was taken.
    fn control(&mut self, event: ControlEvent) -> bool;
}

/// The results of a handshake that its connection needs.
pub(crate) struct Parts {
    pub send_keys: SendKeys,
    pub receive_keys: ReceiveKeys,
    pub cipher: Cipher,
    /// As negotiated; `ack_delay` is our own, `max_packet_size` the smaller of both.
    pub settings: Settings,
    pub peer_ack_delay: Duration,
    pub send_initial: u64,
    pub receive_initial: u64,
    pub rtt: Option<Duration>,
    pub handshake: HandshakeStats,
    /// At the initiator, which has not heard the host's packets yet.
    pub unheard: Option<Unheard>,
}

/// The reason why a datagram was not a packet of this connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    Malformed,
    LateOrDuplicate,
    NoKeys,
    /// Its tag is wrong.
    Forged,
    /// Its ack is out of reach: no packet of the other side has that, unless it was held back for long.
    AckRange,
}

impl Refusal {
    /// Counts it, for a connection or for the endpoint.
    pub(crate) fn count<'a>(self, counters: impl Into<RefusalCounters<'a>>) {
        let counters = counters.into();
        *match self {
            Self::Malformed => counters.malformed,
            Self::LateOrDuplicate => counters.late_or_duplicate,
            Self::NoKeys => counters.no_keys,
            Self::Forged | Self::AckRange => counters.forged,
        } += 1;
    }
}

/// One established connection.
pub(crate) struct Connection {
    settings: Settings,
    cipher: Cipher,
    size: HeaderSize,
    ack_delay: Micros32,
    peer_ack_delay: Micros32,
    close_wait: Micros32,
    send_keys: SendKeys,
    receive_keys: ReceiveKeys,
    incoming: Incoming,
    outgoing: Outgoing,
    counter_sent: u64,
    counter_received: u64,
    ack_at: Option<Instant>,
    /// When to see whether memory that only data needs can be given back; `None` while the connection rests.
    rest_at: Option<Instant>,
    path: PathData,
    rate: Rate,
    liveness: Liveness,
    phase: Phase,
    ended: Option<Box<Ended>>,
    /// Reliable control messages, once something uses them here.
    reliable: Option<Box<dyn ControlLayer>>,
    counters: ConnectionCounters,
    handshake: HandshakeFigures,
}

impl Connection {
    pub(crate) fn new(now: Instant, config: &Config, parts: Parts) -> Self {
        let window = parts.settings.packet_window;
        Self {
            settings: parts.settings,
            cipher: parts.cipher,
            size: HeaderSize::for_window(window),
            ack_delay: parts.settings.ack_delay.into(),
            peer_ack_delay: parts.peer_ack_delay.into(),
            close_wait: config.close_wait.into(),
            send_keys: parts.send_keys,
            receive_keys: parts.receive_keys,
            incoming: Incoming::new(window, parts.receive_initial),
            outgoing: Outgoing::new(window, parts.send_initial),
            counter_sent: 0,
            counter_received: 0,
            ack_at: None,
            rest_at: None,
            path: PathData {
                rtt: Rtt::new(now, parts.rtt.map(Micros::from)),
                max_packet_size: parts.settings.max_packet_size,
            },
            rate: Rate::new(now),
            liveness: Liveness::new(now, config),
            phase: Phase::new(now, parts.unheard),
            ended: None,
            reliable: None,
            counters: ConnectionCounters::default(),
            handshake: parts.handshake.into(),
        }
    }

    /// Sends a packet and returns its sequence (7.1).
    pub(crate) fn send(
        &mut self,
        now: Instant,
        payload: &[u8],
        outbox: &mut Outbox<'_>,
    ) -> Result<u64, SendError> {
        if !self.phase.sends_data() {
            return Err(if self.phase.takes_data() { SendError::Blocked } else { SendError::Closed });
        }
        let max = self.max_packet_size();
        if payload.len() > max {
            return Err(SendError::TooLarge { max });
        }
        if !self.outgoing.has_room() || self.outgoing.last() >= MAX_SEQUENCE - 1 {
            return Err(SendError::WindowFull);
        }
        let sequence = self.outgoing.last() + 1;
        self.outgoing.set_time(now.low_micros());
        self.seal_packet(PacketKind::Data, MAX_SHORT_REPORT, outbox, |out| out.extend_from_slice(payload))
            .map_err(|KeysExhausted| SendError::Closed)?;
        self.liveness.data_sent(now);
        self.rest_later();
        self.counters.sent += 1;
        self.counters.payload_sent += payload.len() as u64;
        Ok(sequence)
    }

    /// Returns whether another packet that is sent now leaves the [`deadline`](Self::deadline) where it is.
    pub(crate) fn is_sending_at(&self, now: Instant) -> bool {
        self.liveness.last_data_sent() == now && self.ack_at.is_none() && self.outgoing.unsettled_data() > 0
    }

    /// The largest payload that can be sent on the present path, in bytes.
    pub(crate) fn max_packet_size(&self) -> usize {
        usize::from(self.path.max_packet_size)
    }

    /// Does what a packet says that was opened.
    fn process(
        &mut self,
        now: Instant,
        packet: &OpenedPacket,
        bytes: &[u8],
        output: &mut impl Output,
        outbox: &mut Outbox<'_>,
    ) {
        self.liveness.heard(now);
        self.phase.heard();
        self.counters.datagrams_received += 1;
        self.counters.bytes_received += bytes.len() as u64;

        let OpenedPacket { kind, sequence, ack, .. } = *packet;
        // What authenticates but has too few ack bytes comes from a peer that breaks the protocol. Its number
        // is used up all the same: nothing may be opened twice.
        let Some((ack_bytes, body)) = packet.split(bytes) else {
            self.counters.malformed += 1;
            if kind.is_sequenced() {
                self.take(sequence, false);
            }
            if kind == PacketKind::Data {
                self.data_came(now, outbox);
            }
            return;
        };
        let may_count = kind.is_sequenced() || sequence >= self.incoming.known();
        let counts = may_count && self.read_report(now, kind, ack, ack_bytes, output);
        let wants_answer = match kind {
            PacketKind::Data => {
                // Applications and queues rely on the size that was announced.
                let fits = body.len() <= usize::from(self.settings.max_packet_size);
                let taken = self.phase.takes_data() && fits && output.packet(sequence, body);
                self.take(sequence, taken);
                if taken {
                    self.counters.received += 1;
                    self.counters.payload_received += body.len() as u64;
                } else if !fits {
                    self.counters.malformed += 1;
                } else if self.phase.takes_data() {
                    self.counters.queue_full += 1;
                }
                self.data_came(now, outbox);
                true
            }
            PacketKind::Report => {
                // Its bit says whether it was read.
                self.take(sequence, counts);
                true
            }
            PacketKind::Ack => {
                self.close_book(sequence);
                false
            }
            PacketKind::Control => {
                self.close_book(sequence);
                self.read_messages(now, counts, body, output, outbox)
            }
        };
        if wants_answer {
            self.answer_while_lingering(now, outbox);
        }
    }

    /// The application has taken one verdict: its place in the window is free.
    pub(crate) fn verdict_taken(&mut self) {
        self.outgoing.verdict_taken();
    }

    /// Runs what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant, output: &mut impl Output, outbox: &mut Outbox<'_>) {
        self.handle_phase_timeout(now, output, outbox);
        if !self.phase.takes_data() {
            return;
        }
        if self.ack_at.is_some_and(|at| at <= now) {
            self.send_ack(now, outbox);
        }
        if self.outgoing.unsettled_data() > 0
            && self.liveness.probe_deadline(&self.path.rtt, self.peer_ack_delay.get()) <= now
        {
            self.liveness.on_probe(now);
            self.send_ping(now, outbox);
        }
        if self.rest_at.is_some_and(|at| at <= now) {
            self.rest(now);
        }
        self.run_reliable(now, output, outbox);
        // Until the host is heard, the phase has pings and a limit of its own.
        if self.phase.is_unheard() {
            return;
        }
        match self.liveness.on_ping_deadline(now) {
            PingAction::Nothing => {}
            PingAction::Ping => self.send_ping(now, outbox),
            PingAction::TimedOut => self.time_out(output),
        }
    }

    /// The next time that `handle_timeout` has something to do.
    pub(crate) fn deadline(&self) -> Option<(Instant, TimerKind)> {
        let phase = self.phase.deadline();
        if !self.phase.takes_data() {
            return phase;
        }
        let mut next = match phase {
            Some(phase) if self.phase.is_unheard() => phase,
            _ => (self.liveness.ping_deadline(), TimerKind::Ping),
        };
        let mut consider = |at: Instant, kind| {
            if at < next.0 {
                next = (at, kind);
            }
        };
        if let Some(at) = self.ack_at {
            consider(at, TimerKind::Ack);
        }
        if self.outgoing.unsettled_data() > 0 {
            consider(
                self.liveness.probe_deadline(&self.path.rtt, self.peer_ack_delay.get()),
                TimerKind::Probe,
            );
        }
        if let Some(at) = self.rest_at {
            consider(at, TimerKind::Rest);
        }
        if let Some(at) = self.reliable_deadline() {
            consider(at, TimerKind::Control);
        }
        Some(next)
    }

    /// At the host: the first packet has come, so long after the connect_accept and the request.
    pub(crate) fn established(&mut self, now: Instant, round_trip: Option<Duration>, total: Duration) {
        self.path.rtt = Rtt::new(now, round_trip.map(Micros::from));
        self.handshake.total_time = total.into();
        self.liveness = self.liveness.anew(now);
    }

    /// Returns when something authentic last came.
    pub(crate) fn last_heard(&self) -> Instant {
        self.liveness.last_heard()
    }

    /// Returns whether nothing has come for `limit` or longer although a data packet waits for its verdict.
    pub(crate) fn is_silent(&self, now: Instant, limit: Duration) -> bool {
        self.liveness.silent_since().is_some_and(|since| now.saturating_since(since) >= limit)
    }

    /// Returns whether more than pings may be sent: not to an address that was not asked, until it is heard.
    pub(crate) fn may_punch(&self) -> bool {
        self.phase.may_punch()
    }

    /// What is known of the path in use.
    pub(crate) fn facts(&self, now: Instant) -> Facts {
        let probe_time = Liveness::believed_probe_time(&self.path.rtt, self.peer_ack_delay.get());
        let patience = probe_time * 2;
        let waited = self.awaits_answer_for(now);
        let overdue_at = waited.map(|waited| now + (patience - waited.min(patience)));
        Facts { probe_time, round_trip: self.path.rtt.smoothed(), overdue_at }
    }

    /// The round-trip time of the path in use.
    pub(crate) fn round_trip(&self) -> Micros {
        self.path.rtt.smoothed()
    }

    /// How long the oldest data packet or ping waits for its verdict or pong.
    fn awaits_answer_for(&self, now: Instant) -> Option<Micros> {
        let data = self.outgoing.oldest_data_sent_at().map(|sent| now.since_low_micros(sent));
        data.max(self.liveness.awaits_pong_for(now))
    }

    /// Packets go another way from now on, which takes so long.
    pub(crate) fn path_changed(&mut self, now: Instant, round_trip: Micros) {
        self.path.rtt = self.path.rtt.on_another_path(now, round_trip);
        self.liveness.path_changed(now);
    }

    /// Returns how long to wait for an answer before another connection may take this one's address (5.6).
    pub(crate) fn displacement_wait(&self) -> Duration {
        (self.path.rtt.smoothed() * 4).clamp(Micros::from_millis(250), Micros::from_secs(3)).into()
    }

    /// Asks the other side for a sign of life.
    pub(crate) fn send_ping(&mut self, now: Instant, outbox: &mut Outbox<'_>) {
        let id = self.liveness.new_ping(now);
        self.counters.pings_sent += 1;
        let settled = self.outgoing.settled();
        self.send_control(&[ControlMessage::Ping { id, settled }], outbox);
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings
    }

    pub(crate) fn stats(&self) -> ConnectionStats {
        ConnectionStats {
            rtt: self.path.rtt.smoothed().into(),
            rtt_latest: self.path.rtt.latest().into(),
            rtt_min: self.path.rtt.minimum().into(),
            jitter: self.path.rtt.variation().into(),
            delivery_rate: self.rate.last(),
            counters: self.counters.clone(),
            in_flight: self.outgoing.open(),
            settings: self.settings,
            cipher: self.cipher,
            handshake: self.handshake.into(),
        }
    }

    /// Makes a sequenced packet known (6.3).
    fn take(&mut self, sequence: u64, delivered: bool) {
        self.counters.missed += sequence - self.incoming.known() - 1;
        self.incoming.advance(sequence, delivered);
    }

    fn close_book(&mut self, sequence: u64) {
        self.counters.missed += sequence.saturating_sub(self.incoming.known());
        self.incoming.close_book(sequence);
    }
}
