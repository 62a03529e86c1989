//! When to ping, when to probe, and when the other side is gone (PROTOCOL.md 9).

use crate::config::Config;
use crate::instant::Instant;
use crate::micros::{Micros, Micros32};
use crate::path::Rtt;

/// The longest pause between probes.
const MAX_PROBE_PAUSE: Micros = Micros::from_secs(2);
/// The longest wait for a verdict, beside the other side's ack_delay, before the first probe: a round-trip time that was
/// measured while a program stood still must not put it off.
const MAX_FIRST_PROBE: Micros = Micros::from_secs(1);
/// Pings that are remembered until their pong.
const REMEMBERED: usize = 4;

/// The action that a ping timer asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PingAction {
    Nothing,
    Ping,
    TimedOut,
}

/// Keeps the times that pings and probes depend on.
#[derive(Debug)]
pub(crate) struct Liveness {
    interval: Micros32,
    /// The interval while a data packet has no verdict.
    busy_interval: Micros32,
    limit: u8,
    heard: Instant,
    /// The last ping because of silence, and how many in a row.
    pinged: Instant,
    unanswered: u8,
    /// The last ping for the round-trip time, and whether there was traffic since.
    sampled: Instant,
    traffic: bool,
    /// The last data packet, either way, and the last one sent.
    last_data: Instant,
    last_data_sent: Instant,
    last_probe: Instant,
    probes: u8,
    /// Since when data packets without a verdict have been there, if there are any.
    waiting_since: Instant,
    is_waiting: bool,
    next_id: u32,
    /// The newest ping that was answered.
    answered: u32,
    /// Ids (0: no ping) with the times of sending: the low bits of the microseconds, which repeat after an hour.
    pings: [(u32, u32); REMEMBERED],
}

impl Liveness {
    pub(crate) fn new(now: Instant, config: &Config) -> Self {
        let busy = config.busy_ping_interval.min(config.ping_interval);
        Self::with(now, config.ping_interval.into(), busy.into(), config.ping_limit)
    }

    /// The same intervals, with everything forgotten.
    pub(crate) fn anew(&self, now: Instant) -> Self {
        Self::with(now, self.interval, self.busy_interval, self.limit)
    }

    fn with(now: Instant, interval: Micros32, busy_interval: Micros32, limit: u8) -> Self {
        Self {
            interval,
            busy_interval,
            limit,
            heard: now,
            pinged: now,
            unanswered: 0,
            sampled: now,
            traffic: false,
            last_data: now,
            last_data_sent: now,
            last_probe: now,
            probes: 0,
            waiting_since: now,
            is_waiting: false,
            next_id: 1,
            answered: 0,
            pings: [(0, 0); REMEMBERED],
        }
    }

    pub(crate) fn interval(&self) -> Micros {
        self.interval.get()
    }

    /// An authentic packet came.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.unanswered = 0;
    }

    /// Since when nothing has come although a data packet waits for its verdict.
    pub(crate) fn silent_since(&self) -> Option<Instant> {
        self.is_waiting.then(|| self.waiting_since.max(self.heard))
    }

    /// Returns when an authentic packet last came.
    pub(crate) fn last_heard(&self) -> Instant {
        self.heard
    }

    /// A data packet came.
    pub(crate) fn data_came(&mut self, now: Instant) {
        self.last_data = now;
        self.traffic = true;
    }

    pub(crate) fn data_sent(&mut self, now: Instant) {
        self.last_data_sent = now;
        if !self.is_waiting {
            self.is_waiting = true;
            self.waiting_since = now;
        }
        self.data_came(now);
    }

    pub(crate) fn last_data_sent(&self) -> Instant {
        self.last_data_sent
    }

    /// Returns when the connection may rest, if no more data comes.
    pub(crate) fn rest_deadline(&self) -> Instant {
        self.last_data + self.interval.get()
    }

    /// A verdict came: probing starts anew.
    pub(crate) fn settled(&mut self, was_last: bool) {
        self.probes = 0;
        self.is_waiting &= !was_last;
    }

    /// The id for a ping that is sent now.
    pub(crate) fn new_ping(&mut self, now: Instant) -> u32 {
        let id = self.next_id;
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.pings[id as usize % REMEMBERED] = (id, now.low_micros());
        id
    }

    /// The round-trip time that a pong shows; `None` if its ping is not remembered.
    pub(crate) fn pong(&mut self, now: Instant, id: u32) -> Option<Micros> {
        let ping = &mut self.pings[id as usize % REMEMBERED];
        if id == 0 || ping.0 != id {
            return None;
        }
        let (_, sent) = core::mem::take(ping);
        self.answered = self.answered.max(id);
        Some(now.since_low_micros(sent))
    }

    /// How long ago the oldest ping was sent that is newer than every one that was answered.
    pub(crate) fn awaits_pong_for(&self, now: Instant) -> Option<Micros> {
        let waiting = self.pings.iter().filter(|(id, _)| *id > self.answered);
        waiting.map(|(_, sent)| now.since_low_micros(*sent)).max()
    }

    /// Packets go another way from now on: the answers to earlier ones tell nothing of it.
    pub(crate) fn path_changed(&mut self, now: Instant) {
        self.pings = [(0, 0); REMEMBERED];
        self.last_probe = now;
        self.probes = 0;
    }

    /// Returns when silence, or a stale round-trip time, asks for a ping.
    pub(crate) fn ping_deadline(&self) -> Instant {
        let silence = self.silence_deadline();
        if self.traffic { silence.min(self.sampled + self.interval.get()) } else { silence }
    }

    /// With data under way the other side has to be heard sooner than when nobody waits for anything.
    fn silence_deadline(&self) -> Instant {
        let since = self.heard.max(self.pinged);
        let idle = since + self.interval.get();
        if self.is_waiting {
            idle.min(since.max(self.waiting_since) + self.busy_interval.get())
        } else {
            idle
        }
    }

    pub(crate) fn on_ping_deadline(&mut self, now: Instant) -> PingAction {
        if now >= self.silence_deadline() {
            if self.unanswered >= self.limit {
                return PingAction::TimedOut;
            }
            self.unanswered += 1;
            self.pinged = now;
            PingAction::Ping
        } else if self.traffic && now >= self.sampled + self.interval.get() {
            self.sampled = now;
            self.traffic = false;
            PingAction::Ping
        } else {
            PingAction::Nothing
        }
    }

    /// Returns when the verdict on the last data packets is overdue.
    pub(crate) fn probe_deadline(&self, rtt: &Rtt, peer_ack_delay: Micros) -> Instant {
        self.last_data_sent.max(self.last_probe) + self.probe_pause(rtt, peer_ack_delay)
    }

    pub(crate) fn last_probe(&self) -> Instant {
        self.last_probe
    }

    pub(crate) fn on_probe(&mut self, now: Instant) {
        self.last_probe = now;
        self.probes = self.probes.saturating_add(1);
    }

    /// The wait for a verdict before the first probe.
    pub(crate) fn probe_time(rtt: &Rtt, peer_ack_delay: Micros) -> Micros {
        rtt.overdue().min(MAX_FIRST_PROBE) + peer_ack_delay
    }

    /// The same, without what surprising samples add to it.
    pub(crate) fn believed_probe_time(rtt: &Rtt, peer_ack_delay: Micros) -> Micros {
        rtt.believed_overdue().min(MAX_FIRST_PROBE) + peer_ack_delay
    }

    fn probe_pause(&self, rtt: &Rtt, peer_ack_delay: Micros) -> Micros {
        let first = Self::probe_time(rtt, peer_ack_delay);
        (first * (1 << self.probes.min(16))).min(MAX_PROBE_PAUSE.max(first))
    }
}
