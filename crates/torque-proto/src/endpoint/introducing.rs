//! This socket as introducer: what its application and its connections tell the [`Introducer`], what shows their NATs, and circuits
//! (INTRODUCTIONS.md 4, 9.1 and 10).

use alloc::vec::Vec;

use super::Endpoint;
use super::slab::Slab;
use super::slot::{Entry, Slot};
use crate::error::CallError;
use crate::event::Event;
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::introduction::introducer::{
    Introducer, IntroducerEvent, IntroducerStep, PartyFacts, RelayDrop, RelayVerdict,
};
use crate::introduction::{IntroducerStats, IntroductionId, Message, OBSERVING_PORT, Relay};
use crate::path::Path;
use crate::transmits::Cause;
use crate::wire::introduction::parse_observe;
use crate::wire::{is_relayable, parse_relayed, relayed_head};

impl Endpoint {
    /// Introduces two sockets that are connected to this one: each is told the other's key, addresses and a fresh secret, when both have
    /// asked for one another. [`Event::Introduced`] tells what became of it.
    ///
    /// `relay` lends them a circuit through this socket, for as long as no direct path works. Calling it again for the same two, before
    /// they are introduced, returns the same id.
    ///
    /// # Errors
    /// `NotAnIntroducer`, `Closed` if one of the two is no open connection, `OtherShard`, `TooManyIntroductions`.
    pub fn introduce(
        &mut self,
        now: Instant,
        initiator: ConnectionId,
        host: ConnectionId,
        relay: Option<Relay>,
    ) -> Result<IntroductionId, CallError> {
        if !self.config.introduction.introduces {
            return Err(CallError::NotAnIntroducer);
        }
        self.with_introducer(now, |introducer, step| introducer.introduce(step, initiator, host, relay))
    }

    /// Refuses what an [`Event::IntroductionRequested`] asks: the attempts of both parties, as far as they have asked, end with
    /// `introduction_refused`. If one of them asks again, or the other one later, the application is asked again.
    ///
    /// # Errors
    /// `NotWaiting` if nothing was asked.
    pub fn refuse_introduction(
        &mut self,
        now: Instant,
        from: ConnectionId,
        to: ConnectionId,
    ) -> Result<(), CallError> {
        self.with_introducer(now, |introducer, step| introducer.refuse(step, from, to))
    }

    /// Counters of this socket as introducer.
    pub fn introducer_stats(&self) -> &IntroducerStats {
        self.introductions.introducer.stats()
    }

    /// Lets the introducer act, and does what follows.
    pub(super) fn with_introducer<T>(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut Introducer, &mut IntroducerStep<'_>) -> T,
    ) -> T {
        let slots = &self.slots;
        let connections = |id| facts_of(slots, id);
        let mut step = IntroducerStep::new(now, &mut self.rng, &self.config.introduction, &connections);
        let result = act(&mut self.introductions.introducer, &mut step);
        let (messages, events) = (step.messages, step.events);
        self.after_introducer(now, messages, events);
        result
    }

    fn after_introducer(&mut self, now: Instant, messages: Vec<Message>, events: Vec<IntroducerEvent>) {
        for event in events {
            if let IntroducerEvent::Requested { from, .. } = event
                && !self.events.has_room_for_asker(from, &self.config.introduction)
            {
                // Its record ends with `remote_never_asked` or `no_decision`.
                self.stats.introductions_not_told += 1;
                continue;
            }
            self.events.push(match event {
                IntroducerEvent::Requested { from, to, from_is_host } => {
                    Event::IntroductionRequested { from, to, from_is_host }
                }
                IntroducerEvent::Ended { introduction, initiator, host, result, took } => {
                    Event::Introduced { introduction, initiator, host, result, took }
                }
            });
        }
        self.send_messages(now, messages);
    }

    /// A datagram that shows where a party is.
    pub(super) fn on_observe(&mut self, now: Instant, path: Path, bytes: &[u8]) {
        let Ok(token) = parse_observe(bytes) else { return self.stats.malformed += 1 };
        let is_at_second = path.port == OBSERVING_PORT;
        self.with_introducer(now, |introducer, step| {
            introducer.on_observe(step, path.remote, is_at_second, &token);
        });
    }

    /// A datagram that is relayed: by this socket, or to it.
    pub(super) fn on_relayed(&mut self, now: Instant, path: Path, bytes: &mut [u8]) {
        let Ok((number, inner)) = parse_relayed(bytes) else { return self.stats.malformed += 1 };
        let owner = self.connections.get(&path.remote).copied();
        let others = self.claims.get(&path.remote).map_or(&[][..], |others| others);
        let mut all = owner.into_iter().chain(others.iter().copied());
        if let Some(address) = all.find_map(|from| self.transmits.circuit_from(from, number)) {
            // Circuits do not go through circuits.
            if !inner.first().is_some_and(|first| is_relayable(*first)) {
                return self.stats.relayed_refused += 1;
            }
            let from = bytes.len() - inner.len();
            return self.take_datagram(now, Path::to(address), &mut bytes[from..]);
        }
        // Its sender may use another of its paths. Numbers are random, so one of these connections has it at most.
        let is_valid = |id: &ConnectionId| match self.slots.get(*id).map(|entry| &entry.slot) {
            Some(Slot::Connected(connected)) => {
                connected.path.remote == path.remote
                    || connected.other_addresses().any(|address| address == path.remote)
            }
            _ => false,
        };
        for from in owner.into_iter().chain(others.iter().copied()).filter(is_valid) {
            match self.introductions.introducer.relay(now, from, number, inner) {
                RelayVerdict::Forward { to, circuit } => {
                    if let Some(Slot::Connected(connected)) = self.slots.get(to).map(|entry| &entry.slot)
                        && !connected.path.remote.is_circuit()
                    {
                        self.transmits.push(Cause::Peer, connected.path, |out| {
                            out.extend_from_slice(&relayed_head(circuit));
                            out.extend_from_slice(inner);
                        });
                    }
                    return;
                }
                RelayVerdict::Drop(RelayDrop::UnknownCircuit) => {}
                RelayVerdict::Drop(_) => return,
            }
        }
        self.stats.relayed_refused += 1;
    }
}

/// What the introducer may know of a connection; `None` if it is not open.
fn facts_of(slots: &Slab<Entry>, id: ConnectionId) -> Option<PartyFacts> {
    match &slots.get(id)?.slot {
        Slot::Connected(connected) if connected.connection.is_open() => Some(PartyFacts {
            public_key: connected.public_key,
            address: connected.path.remote,
            other_addresses: connected.other_addresses().collect(),
            round_trip: connected.connection.round_trip(),
        }),
        _ => None,
    }
}
