//! The introducer: brings the requests of two parties together (INTRODUCTIONS.md 4, 9.1 and 10).
//!
//! A [`Record`] waits for three things in any order: two requests and the application's word. Then it is complete: both parties are
//! told about each other at the same time, and for a while it passes on what else they have to tell.

mod bucket;
mod calls;
mod circuits;
mod complete;
mod looks;
mod messages;
mod observing;
mod record;
mod shares;
mod vetting;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use self::bucket::{Bucket, Limit};
use self::circuits::Circuits;
pub(crate) use self::circuits::{RelayDrop, RelayVerdict};
use self::looks::Looks;
use self::record::{Record, Waiting, pair};
use self::shares::Shares;
use super::{IntroducerStats, IntroductionConfig, IntroductionId, IntroductionResult, Message};
use crate::address::Address;
use crate::codes::CloseCode;
use crate::crypto::rng::Rng;
use crate::endpoint::maps::Seeded;
use crate::id::ConnectionId;
use crate::identity::PublicKey;
use crate::instant::Instant;
use crate::micros::Micros;
use crate::sorted::{SortedMap, SortedSet};
use crate::wire::control::reliable::ReliableKind;
use crate::wire::introduction::{Introduction, withdraw};

/// Requests of one connection.
const REQUESTS: Limit = Limit { per_second: 8, burst: 64 };
/// Tokens that one connection asks for by their number: each that comes is told to two parties.
const TOKENS: Limit = Limit { per_second: 1, burst: 32 };
/// Changes of the candidates of one connection that are passed on.
const CANDIDATES: Limit = Limit::per_second(4);
/// The pause after which a change above that rate is passed on.
const CANDIDATES_PAUSE: Micros = Micros::from_millis(250);

/// What an introducer knows of a connected socket.
pub(crate) struct PartyFacts {
    pub(crate) public_key: PublicKey,
    /// Where its packets come from.
    pub(crate) address: Address,
    /// The other paths that are valid.
    pub(crate) other_addresses: Vec<Address>,
    pub(crate) round_trip: Micros,
}

/// Looks a connection up; `None` if there is no open one.
pub(crate) type Connections<'a> = &'a dyn Fn(ConnectionId) -> Option<PartyFacts>;

/// What a step of an [`Introducer`] needs, and what it wants to be sent and told.
pub(crate) struct IntroducerStep<'a> {
    pub(crate) now: Instant,
    pub(crate) rng: &'a mut Rng,
    pub(crate) config: &'a IntroductionConfig,
    pub(crate) connections: Connections<'a>,
    pub(crate) messages: Vec<Message>,
    pub(crate) events: Vec<IntroducerEvent>,
}

impl<'a> IntroducerStep<'a> {
    pub(crate) fn new(
        now: Instant,
        rng: &'a mut Rng,
        config: &'a IntroductionConfig,
        connections: Connections<'a>,
    ) -> Self {
        Self { now, rng, config, connections, messages: Vec::new(), events: Vec::new() }
    }

    fn send(&mut self, connection: ConnectionId, attempt: u32, kind: ReliableKind, body: Vec<u8>) {
        self.messages.push(Message { connection, attempt, kind, body: body.into() });
    }

    fn withdraw(&mut self, connection: ConnectionId, attempt: u32, code: CloseCode) {
        self.send(connection, attempt, ReliableKind::WITHDRAW, withdraw(code).into());
    }
}

/// Something for the application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IntroducerEvent {
    /// A connection wants to be introduced to another one: `introduce` or `refuse` answers.
    Requested { from: ConnectionId, to: ConnectionId, from_is_host: bool },
    /// An introduction that the application wanted has ended, or a relayed one became direct.
    Ended {
        introduction: IntroductionId,
        initiator: ConnectionId,
        host: ConnectionId,
        result: IntroductionResult,
        took: Duration,
    },
}

/// What is kept of a connection that asks.
struct Account {
    /// Records that count for it.
    records: usize,
    requests: Bucket,
    tokens: Bucket,
    candidates: Bucket,
    /// When a change of its candidates is passed on that came above the rate.
    refresh_at: Option<Instant>,
}

/// Introduces connections of one endpoint to each other.
pub(crate) struct Introducer {
    records: SortedMap<IntroductionId, Box<Record>>,
    /// Those that are not complete, by their pair.
    waiting: SortedMap<(ConnectionId, ConnectionId), IntroductionId>,
    attempts: SortedMap<(ConnectionId, u32), IntroductionId>,
    members: SortedSet<(ConnectionId, IntroductionId)>,
    timers: SortedSet<(Instant, IntroductionId)>,
    refreshes: SortedSet<(Instant, ConnectionId)>,
    shares: Shares,
    accounts: SortedMap<ConnectionId, Account>,
    circuits: Circuits,
    looks: Looks,
    /// Where parties are observed beside the address that they connect to.
    observing_address: Option<SocketAddr>,
    stats: IntroducerStats,
}

impl Introducer {
    pub(crate) fn new(seeded: Seeded) -> Self {
        Self {
            records: SortedMap::new(),
            waiting: SortedMap::new(),
            attempts: SortedMap::new(),
            members: SortedSet::new(),
            timers: SortedSet::new(),
            refreshes: SortedSet::new(),
            shares: Shares::default(),
            accounts: SortedMap::new(),
            circuits: Circuits::new(seeded.clone()),
            looks: Looks::new(seeded),
            observing_address: None,
            stats: IntroducerStats::default(),
        }
    }

    pub(crate) fn set_observing_address(&mut self, address: SocketAddr) {
        self.observing_address = Some(address);
    }

    /// Returns whether nothing is kept of any connection.
    pub(crate) fn is_idle(&self) -> bool {
        self.records.is_empty() && self.accounts.is_empty() && self.looks.is_empty()
    }

    /// How many entries all tables have.
    pub(crate) fn kept(&self) -> usize {
        let records = self.records.len() + self.waiting.len() + self.timers.len();
        let parties = self.attempts.len() + self.members.len() + self.refreshes.len() + self.accounts.len();
        records + parties + self.circuits.len() + self.looks.len()
    }

    pub(crate) fn stats(&self) -> &IntroducerStats {
        &self.stats
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let refresh = self.refreshes.first().map(|(at, _)| *at);
        timer.into_iter().chain(refresh).chain(self.circuits.deadline()).chain(self.looks.deadline()).min()
    }

    pub(crate) fn handle_timeout(&mut self, step: &mut IntroducerStep<'_>) {
        for id in self.circuits.take_noticed() {
            self.tell_notices(step, id);
        }
        while let Some(&(at, id)) = self.timers.first()
            && at <= step.now
            && let Some(record) = self.take(id)
        {
            if record.is_waiting() {
                self.give_up_waiting(step, record);
            } else {
                self.attend(step, record);
            }
        }
        while let Some(&(at, connection)) = self.refreshes.first()
            && at <= step.now
        {
            self.refreshes.pop_first();
            if let Some(account) = self.accounts.get_mut(&connection) {
                account.refresh_at = None;
            }
            self.refresh(step, connection);
        }
        self.attend_looks(step);
    }

    /// A record whose time to wait is over.
    fn give_up_waiting(&mut self, step: &mut IntroducerStep<'_>, record: Record) {
        let has_asked = [record.has_asked(0), record.has_asked(1)];
        let both = has_asked == [true; 2];
        self.stats.never_asked += u64::from(!both);
        self.stats.undecided += u64::from(both);
        let code = if both { CloseCode::NoDecision } else { CloseCode::RemoteNeverAsked };
        let initiator = record.approval.map_or(0, |approval| approval.initiator);
        let result = IntroductionResult::NeverAsked {
            initiator: !has_asked[initiator],
            host: !has_asked[1 - initiator],
        };
        self.end(step, record, [Some(code); 2], result);
    }

    /// Ends a record: tells the parties that have asked, and the application if it wanted the introduction.
    fn end(
        &mut self,
        step: &mut IntroducerStep<'_>,
        record: Record,
        codes: [Option<CloseCode>; 2],
        result: IntroductionResult,
    ) {
        for (party, code) in record.parties.iter().zip(codes) {
            if let (Some(asked), Some(code)) = (&party.asked, code) {
                step.withdraw(party.connection, asked.attempt, code);
            }
        }
        tell_result(step, &record, result, step.now.saturating_since(record.begun));
        self.forget(record);
    }

    fn fail(&mut self, step: &mut IntroducerStep<'_>, record: Record, code: CloseCode) {
        self.end(step, record, [Some(code); 2], IntroductionResult::Failed(code));
    }

    /// Goes on with a record of which more is known than before.
    fn settle(&mut self, step: &mut IntroducerStep<'_>, mut record: Record) {
        if record.is_in_conflict() {
            self.stats.role_conflicts += 1;
            return self.fail(step, record, CloseCode::RoleConflict);
        }
        let has_asked = [record.has_asked(0), record.has_asked(1)];
        if record.approval.is_some() && has_asked == [true; 2] {
            return self.complete(step, record);
        }
        for (side, party) in record.parties.iter_mut().enumerate() {
            // Whether the application was asked is not shown before the other party has asked: it is asked about existing ones only.
            let waiting = if has_asked[1 - side] { Waiting::ForApplication } else { Waiting::ForParty };
            let connection = party.connection;
            if let Some(asked) = &mut party.asked
                && asked.told != Some(waiting)
            {
                asked.told = Some(waiting);
                let mut body = Vec::new();
                match waiting {
                    Waiting::ForParty => Introduction::WaitingForParty.write(&mut body),
                    Waiting::ForApplication => Introduction::WaitingForApplication.write(&mut body),
                }
                step.send(connection, asked.attempt, ReliableKind::INTRODUCTION, body);
            }
        }
        self.keep(record);
    }

    /// Takes a record out of its table, to [`keep`](Self::keep) or [`forget`](Self::forget) it.
    fn take(&mut self, id: IntroductionId) -> Option<Record> {
        let record = self.records.remove(&id)?;
        self.timers.remove(&(record.noted, id));
        Some(*record)
    }

    fn keep(&mut self, mut record: Record) {
        record.noted = record.due(|ends| self.circuits.idle_at(ends));
        self.timers.insert((record.noted, record.id));
        self.records.insert(record.id, Box::new(record));
    }

    fn forget(&mut self, record: Record) {
        if record.is_waiting() {
            self.waiting.remove(&record.pair());
        }
        self.leave_shares(&record);
        if let Some(side) = record.counts_for
            && let Some(account) = self.accounts.get_mut(&record.parties[side].connection)
        {
            account.records -= 1;
        }
        for party in &record.parties {
            self.members.remove(&(party.connection, record.id));
            if let Some(asked) = &party.asked {
                self.forget_attempt(party.connection, asked.attempt, record.id);
            }
        }
    }

    fn forget_attempt(&mut self, connection: ConnectionId, attempt: u32, id: IntroductionId) {
        if self.attempts.get(&(connection, attempt)) == Some(&id) {
            self.attempts.remove(&(connection, attempt));
        }
    }

    /// The record does not give way to others any more.
    fn leave_shares(&mut self, record: &Record) {
        if let (None, Some(side)) = (record.approval, record.counts_for) {
            self.shares.remove(record.parties[side].connection, record.begun, record.id);
        }
    }

    /// The record of a pair that is not complete.
    fn take_waiting(&mut self, one: ConnectionId, other: ConnectionId) -> Option<Record> {
        let id = *self.waiting.get(&pair(one, other))?;
        self.take(id)
    }

    fn account(&mut self, now: Instant, connection: ConnectionId) -> &mut Account {
        self.accounts.get_or_insert_with(connection, || Account {
            records: 0,
            requests: Bucket::full(now, REQUESTS),
            tokens: Bucket::full(now, TOKENS),
            candidates: Bucket::full(now, CANDIDATES),
            refresh_at: None,
        })
    }
}

/// Tells the application what became of an introduction, if it wanted it.
fn tell_result(step: &mut IntroducerStep<'_>, record: &Record, result: IntroductionResult, took: Duration) {
    if let Some(approval) = record.approval {
        step.events.push(IntroducerEvent::Ended {
            introduction: record.id,
            initiator: record.parties[approval.initiator].connection,
            host: record.parties[1 - approval.initiator].connection,
            result,
            took,
        });
    }
}

#[cfg(test)]
mod tests;
