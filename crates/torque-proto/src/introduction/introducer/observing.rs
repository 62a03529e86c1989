//! Looks at the parties' NATs: when one begins, what comes of it, and who is told (INTRODUCTIONS.md 9.1).

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::looks::{Conclusion, Readiness, Role};
use super::record::{Record, Stage};
use super::vetting::{Seen, is_same_holder, passes_observed, plain};
use super::{Introducer, IntroducerStep, REQUESTS, TOKENS};
use crate::address::Address;
use crate::id::ConnectionId;
use crate::introduction::IntroductionId;
use crate::wire::control::reliable::ReliableKind;
use crate::wire::introduction::{Nat, Nats, ObserveToken, Observed, Tokens};

impl Introducer {
    /// A party wants tokens, or a look at its NAT if `wanted` is 0.
    pub(super) fn on_tokens_wanted(
        &mut self,
        step: &mut IntroducerStep<'_>,
        connection: ConnectionId,
        attempt: u32,
        wanted: u8,
    ) {
        if !self.account(step.now, connection).requests.takes(step.now, REQUESTS) {
            self.stats.too_many_requests += 1;
        } else if wanted == 0 {
            self.on_look_wanted(step, connection, attempt);
        } else if !self.give_tokens(step, connection, attempt, wanted.into()) {
            self.stats.tokens_refused += 1;
        }
    }

    fn on_look_wanted(&mut self, step: &mut IntroducerStep<'_>, connection: ConnectionId, attempt: u32) {
        match (self.second_address(step, connection), self.looks.readiness(connection)) {
            (Some(second), Readiness::Ready) => {
                let opens_ports = self.asked_last(connection).is_none_or(|(_, opens_ports)| opens_ports);
                self.look(step, connection, second, (attempt, opens_ports), Some(attempt));
            }
            (Some(_), Readiness::Looking) => self.looks.want(connection, attempt),
            _ => {
                let own = self.looks.nat(connection);
                tell_nats(step, connection, attempt, [own, Nat::Unknown]);
            }
        }
    }

    /// Looks at a connection's NAT if it is not known, and an attempt depends on it: now, or as soon as it may.
    pub(super) fn look_if_unknown(&mut self, step: &mut IntroducerStep<'_>, connection: ConnectionId) {
        if self.looks.nat(connection) != Nat::Unknown {
            return;
        }
        match self.looks.readiness(connection) {
            Readiness::Ready => {
                if let Some(second) = self.second_address(step, connection)
                    && let Some(asked) = self.asked_last(connection)
                {
                    self.look(step, connection, second, asked, None);
                }
            }
            Readiness::Looking => {}
            Readiness::Pausing => self.looks.wait(connection),
        }
    }

    fn look(
        &mut self,
        step: &mut IntroducerStep<'_>,
        connection: ConnectionId,
        (second, observed): (SocketAddr, Address),
        (attempt, opens_ports): (u32, bool),
        wanted_in: Option<u32>,
    ) {
        let tokens = self.looks.begin(step.now, step.rng, connection, observed, opens_ports, wanted_in);
        self.stats.looks += 1;
        self.send_tokens(step, connection, attempt, Tokens { second: Some(second), tokens });
    }

    fn send_tokens(
        &mut self,
        step: &mut IntroducerStep<'_>,
        connection: ConnectionId,
        attempt: u32,
        tokens: Tokens,
    ) {
        self.stats.tokens += tokens.tokens.len() as u64;
        let mut body = Vec::new();
        tokens.write(&mut body);
        step.send(connection, attempt, ReliableKind::TOKENS, body);
    }

    /// Gives tokens to a party of a complete record. Returns whether it did.
    fn give_tokens(
        &mut self,
        step: &mut IntroducerStep<'_>,
        connection: ConnectionId,
        attempt: u32,
        count: usize,
    ) -> bool {
        let record = self.attempts.get(&(connection, attempt)).and_then(|id| self.records.get(id));
        let Some(record) = record.filter(|record| are_told(record)) else { return false };
        let Some((_, observed)) = self.second_address(step, connection) else { return false };
        let introduction = record.id;
        let budget = &mut self.account(step.now, connection).tokens;
        if !budget.is_open(step.now, TOKENS) {
            return false;
        }
        budget.spend(count as u64);
        let tokens = self.looks.give(step.now, step.rng, connection, observed, introduction, count);
        self.send_tokens(step, connection, attempt, Tokens { second: None, tokens });
        true
    }

    /// A datagram with a token came from this address, to the second address of this socket or to the first.
    pub(crate) fn on_observe(
        &mut self,
        step: &mut IntroducerStep<'_>,
        from: Address,
        is_at_second: bool,
        token: &ObserveToken,
    ) {
        let Some(place) = self.looks.find(token) else { return self.stats.observes_refused += 1 };
        if self.looks.is_spent(place) {
            return self.stats.observes_repeated += 1;
        }
        let from = from.socket_addr().filter(|from| is_at(step, place.connection, *from)).map(plain);
        let Some(from) = from.filter(|_| is_at_second == place.is_second()) else {
            return self.stats.observes_refused += 1;
        };
        self.stats.observes += 1;
        match place.role {
            Role::Look(index) => {
                self.looks.see(place.connection, index, from);
                self.conclude(step, place.connection);
            }
            Role::Round(round) => {
                if let Some(introduction) = self.looks.spend(place.connection, round) {
                    self.tell_observed(step, introduction, place.connection, round, from);
                }
            }
        }
    }

    fn tell_observed(
        &self,
        step: &mut IntroducerStep<'_>,
        introduction: IntroductionId,
        connection: ConnectionId,
        round: u8,
        address: SocketAddr,
    ) {
        let Some(record) = self.records.get(&introduction).filter(|record| are_told(record)) else { return };
        let Some(seen) = Seen::new(&address.into(), &[]) else { return };
        for party in &record.parties {
            let is_other = party.connection != connection;
            let to = (step.connections)(party.connection);
            let to = to.and_then(|facts| Seen::new(&facts.address, &facts.other_addresses));
            let (Some(asked), Some(to)) = (&party.asked, to) else { continue };
            if !is_other || passes_observed(&seen, &to) {
                let mut body = Vec::new();
                Observed { is_other, round, address }.write(&mut body);
                step.send(party.connection, asked.attempt, ReliableKind::OBSERVED, body);
            }
        }
    }

    /// The tokens of the present look at a connection.
    #[cfg(test)]
    pub(crate) fn tokens_of(&self, connection: ConnectionId) -> Vec<ObserveToken> {
        self.looks.tokens_of(connection)
    }

    /// Does what is due of looks.
    pub(super) fn attend_looks(&mut self, step: &mut IntroducerStep<'_>) {
        while let Some(connection) = self.looks.next_due(step.now) {
            self.conclude(step, connection);
            if self.looks.expire(step.now, connection) {
                self.look_if_unknown(step, connection);
            }
        }
    }

    /// The address of a connection may have changed.
    pub(super) fn look_again(&mut self, step: &mut IntroducerStep<'_>, connection: ConnectionId) {
        let Some(facts) = (step.connections)(connection) else { return };
        if let Some(forgotten) = self.looks.move_to(connection, facts.address) {
            self.tell_conclusion(step, connection, forgotten);
        }
        self.look_if_unknown(step, connection);
    }

    fn conclude(&mut self, step: &mut IntroducerStep<'_>, connection: ConnectionId) {
        let Some(conclusion) = self.looks.conclude(step.now, connection) else { return };
        let stats = &mut self.stats;
        let counter = match conclusion.nat {
            Nat::Unknown => &mut stats.nats_unknown,
            Nat::Independent => &mut stats.nats_independent,
            Nat::Sequential(_) => &mut stats.nats_sequential,
            Nat::Unpredictable => &mut stats.nats_unpredictable,
        };
        *counter += 1;
        self.tell_conclusion(step, connection, conclusion);
    }

    /// Tells what is now known of a connection's NAT: the party in each of its attempts, and the other party of each complete record.
    fn tell_conclusion(
        &self,
        step: &mut IntroducerStep<'_>,
        connection: ConnectionId,
        Conclusion { mut wanted_in, .. }: Conclusion,
    ) {
        for id in self.records_of(connection) {
            let Some(record) = self.records.get(&id) else { continue };
            for (side, party) in record.parties.iter().enumerate() {
                let Some(asked) = &party.asked else { continue };
                let hears = match &record.stage {
                    Stage::Waiting { .. } => {
                        party.connection == connection && asked.request.flags.takes_direct
                    }
                    // One that is not told yet will hear it with the introduction.
                    Stage::Complete(complete) => take_direct(record) && complete.sides[side].told.is_some(),
                };
                if hears {
                    tell_nats(step, party.connection, asked.attempt, self.nats(record, side));
                    if party.connection == connection && wanted_in == Some(asked.attempt) {
                        wanted_in = None;
                    }
                }
            }
        }
        if let Some(attempt) = wanted_in {
            tell_nats(step, connection, attempt, [self.looks.nat(connection), Nat::Unknown]);
        }
    }

    /// What a party may know of its own NAT and of the other one's: of that only when the record is complete, and if both take direct paths.
    pub(super) fn nats(&self, record: &Record, side: usize) -> [Nat; 2] {
        let is_shown = !record.is_waiting() && take_direct(record);
        let nat = |side: usize| self.looks.nat(record.parties[side].connection);
        [nat(side), if is_shown { nat(1 - side) } else { Nat::Unknown }]
    }

    /// Where this connection is to send the second token, and where it is observed now; `None` if its NAT cannot be looked at.
    fn second_address(
        &self,
        step: &IntroducerStep<'_>,
        connection: ConnectionId,
    ) -> Option<(SocketAddr, Address)> {
        let second = plain(self.observing_address?);
        let observed = (step.connections)(connection)?.address;
        let family_fits = second.is_ipv4() == plain(observed.socket_addr()?).is_ipv4();
        (family_fits || second.ip().is_unspecified()).then_some((second, observed))
    }

    /// The attempt of a connection that asked last for a direct path, and whether the party can open ports.
    fn asked_last(&self, connection: ConnectionId) -> Option<(u32, bool)> {
        let records = self.records_of(connection).into_iter().filter_map(|id| self.records.get(&id));
        let asked = records.filter_map(|record| record.parties[record.side(connection)?].asked.as_ref());
        let last = asked.filter(|asked| asked.request.flags.takes_direct).max_by_key(|asked| asked.at)?;
        Some((last.attempt, last.request.flags.opens_ports))
    }
}

/// Tells a party what is known of the NATs: its own, and the other party's.
fn tell_nats(step: &mut IntroducerStep<'_>, connection: ConnectionId, attempt: u32, [own, other]: [Nat; 2]) {
    let facts = (step.connections)(connection);
    let observed = facts.and_then(|facts| facts.address.socket_addr()).map(plain);
    let mut body = Vec::new();
    Nats { other, own, observed }.write(&mut body);
    step.send(connection, attempt, ReliableKind::NATS, body);
}

fn take_direct(record: &Record) -> bool {
    record
        .parties
        .iter()
        .all(|party| party.asked.as_ref().is_some_and(|asked| asked.request.flags.takes_direct))
}

/// Returns whether both parties are there, take direct paths, and have been told about each other.
fn are_told(record: &Record) -> bool {
    let Stage::Complete(complete) = &record.stage else { return false };
    take_direct(record) && complete.sides.iter().all(|side| side.told.is_some() && !side.is_gone)
}

/// Returns whether a connection has a valid path at the IP address of `from`.
fn is_at(step: &IntroducerStep<'_>, connection: ConnectionId, from: SocketAddr) -> bool {
    let Some(facts) = (step.connections)(connection) else { return false };
    let mut known = core::iter::once(&facts.address).chain(&facts.other_addresses);
    known.any(|address| {
        address.socket_addr().is_some_and(|address| is_same_holder(plain(address).ip(), plain(from).ip()))
    })
}
