//! Deadlines: when the endpoint wants to be woken, and what it does then.

use super::Endpoint;
use super::slot::Slot;
use crate::codes::CloseCode;
use crate::event::ClosedBy;
use crate::handshake::ShortData;
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::timer::TimerKind;
use crate::transmits::Cause;

impl Endpoint {
    /// The time to call [`handle_timeout`](Self::handle_timeout), and what for. The time may lie in the past, and may be
    /// earlier than anything that is due: timers are put off without being moved each time.
    pub fn poll_timeout(&self) -> Option<(Instant, TimerKind)> {
        let slots = self.wheel.next().map(|(at, slot)| {
            let entry = self.slots.id(slot).and_then(|id| self.slots.get(id));
            let kind =
                entry.and_then(|entry| entry.slot.deadline()).map_or(TimerKind::Ping, |(_, kind)| kind);
            (at, kind)
        });
        let epoch = self.host.deadline().map(|at| (at, TimerKind::Epoch));
        // What was told about ids waits for the next call.
        let paths = if self.control.has_own() { Some(Instant::ZERO) } else { self.paths.deadline() };
        let paths = paths.map(|at| (at, TimerKind::Path));
        let introductions = self.introductions.deadline().map(|at| (at, TimerKind::Introduction));
        earlier(earlier(slots, epoch), earlier(paths, introductions))
    }

    /// Runs what is due. Calling it early or often does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.host.deadline().is_some_and(|at| at <= now) {
            self.host.handle_timeout(now);
        }
        // Each slot at most once, so that a timer that is due again at once cannot hold the caller up.
        let mut due = alloc::vec::Vec::new();
        while let Some(slot) = self.wheel.expire(now) {
            due.extend(self.slots.id(slot));
        }
        for id in due {
            self.run_slot(now, id);
        }
        self.run_paths(now);
        self.run_introductions(now);
    }

    /// Runs one slot's timers, if they are due, and arms the next.
    pub(super) fn run_slot(&mut self, now: Instant, id: ConnectionId) {
        let Some(entry) = self.slots.get_mut(id) else { return };
        if entry.slot.deadline().is_none_or(|(at, _)| at > now) {
            return self.rearm(id);
        }
        match &mut entry.slot {
            Slot::Attempt(_) => {
                self.attempt(now, id, |candidates, cx, transmits| candidates.handle_timeout(cx, transmits));
            }
            Slot::Asking(_) => {
                self.refuse_with(now, id, CloseCode::NoDecision, ClosedBy::Socket, ShortData::EMPTY);
            }
            Slot::Refused(slot) => {
                let source = slot.source;
                self.forget_request(id, source);
                self.end_slot(id);
            }
            Slot::Confirming(slot) if slot.connected.connection.is_open() => match slot.displacing {
                Some(_) => self.decide_displacement(now, id),
                None => self.end_confirming(id, CloseCode::NotConfirmed, ClosedBy::Socket),
            },
            Slot::Confirming(_) | Slot::Connected(_) => {
                self.drive(id, Cause::Own, |connection, sink, outbox| {
                    connection.handle_timeout(now, sink, outbox)
                });
                self.look_for_answer(now, id);
            }
            Slot::Introducing | Slot::Ended(_) => {}
        }
    }

    /// Arms a slot's timer for its deadline.
    pub(super) fn rearm(&mut self, id: ConnectionId) {
        let Some(entry) = self.slots.get(id) else { return };
        let deadline = entry.slot.deadline().map(|(at, _)| at);
        self.rearm_for(id, deadline);
    }

    /// As [`rearm`](Self::rearm), for a slot whose deadline is known.
    pub(super) fn rearm_for(&mut self, id: ConnectionId, deadline: Option<Instant>) {
        let slot = id.slot() as u32;
        match deadline {
            None => self.wheel.disarm(slot),
            Some(at) => self.wheel.arm(slot, at),
        }
    }
}

type Due = Option<(Instant, TimerKind)>;

fn earlier(one: Due, other: Due) -> Due {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.0 < one.0 { other } else { one }),
        (one, other) => one.or(other),
    }
}
