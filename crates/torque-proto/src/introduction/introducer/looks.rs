//! What the tokens of connections have shown of their NATs (INTRODUCTIONS.md 9.1).
//!
//! A connection has one look at a time, and one set of tokens that it asked for: at most 14 tokens. So the number of connections bounds
//! the tables.

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::address::Address;
use crate::crypto::rng::Rng;
use crate::endpoint::maps::{Map, Seeded};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::introduction::IntroductionId;
use crate::micros::Micros;
use crate::sorted::{SortedMap, SortedSet};
use crate::wire::introduction::{Nat, ObserveToken};

/// Tokens of a look: two from the bound port, the others from fresh ones.
const TOKENS: usize = 6;
/// Those of a party that cannot open ports.
const TOKENS_OF_ONE_PORT: usize = 2;
/// The token of a look that goes to the second address.
const SECOND: usize = 1;
/// The time for a conclusion.
const TIME: Micros = Micros::from_secs(2);
/// The time from one look at a connection to the next one, and the life of its tokens.
const PAUSE: Micros = Micros::from_secs(10);
/// The life of tokens that a party asked for.
const ROUNDS: Micros = Micros::from_secs(30);
/// The largest step from one port to the next that can be followed.
const MAX_STEP: u16 = 200;

/// The use of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) connection: ConnectionId,
    pub(super) role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// The token of a look with this index.
    Look(usize),
    /// The one with this index among those that the party asked for.
    Round(u8),
}

impl Place {
    /// Returns whether the token is to come to the second address.
    pub(super) fn is_second(&self) -> bool {
        self.role == Role::Look(SECOND)
    }
}

/// One look. It is kept until another one may begin.
struct Look {
    began: Instant,
    /// None of them if the address has changed meanwhile.
    tokens: Vec<ObserveToken>,
    /// Where each of them came from.
    seen: Vec<Option<SocketAddr>>,
    /// The attempt in which the party wanted to know, until it is told.
    wanted_in: Option<u32>,
    is_concluded: bool,
}

/// Tokens that a party asked for.
struct Rounds {
    until: Instant,
    introduction: IntroductionId,
    tokens: Vec<ObserveToken>,
    /// Which of them have come, a bit each.
    spent: u8,
}

struct Subject {
    nat: Nat,
    /// The address for which this holds.
    observed: Address,
    look: Option<Look>,
    /// Another look is due as soon as one may begin.
    is_due: bool,
    rounds: Option<Rounds>,
    timer: Option<Instant>,
}

/// What a conclusion is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Conclusion {
    pub(super) nat: Nat,
    /// The attempt in which the party wanted to know.
    pub(super) wanted_in: Option<u32>,
}

/// Whether a look may begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Readiness {
    Ready,
    /// One is under way.
    Looking,
    /// The last one began too short a time ago.
    Pausing,
}

pub(super) struct Looks {
    subjects: SortedMap<ConnectionId, Subject>,
    tokens: Map<ObserveToken, Place>,
    timers: SortedSet<(Instant, ConnectionId)>,
}

impl Looks {
    pub(super) fn new(seeded: Seeded) -> Self {
        Self { subjects: SortedMap::new(), tokens: Map::with_hasher(seeded), timers: SortedSet::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.subjects.len() + self.tokens.len() + self.timers.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// How many tokens live.
    #[cfg(test)]
    pub(super) fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// The tokens of the present look at a connection.
    #[cfg(test)]
    pub(super) fn tokens_of(&self, connection: ConnectionId) -> Vec<ObserveToken> {
        let look = self.subjects.get(&connection).and_then(|subject| subject.look.as_ref());
        look.map_or_else(Vec::new, |look| look.tokens.clone())
    }

    /// What is known of a connection's NAT.
    pub(super) fn nat(&self, connection: ConnectionId) -> Nat {
        self.subjects.get(&connection).map_or(Nat::Unknown, |subject| subject.nat)
    }

    pub(super) fn readiness(&self, connection: ConnectionId) -> Readiness {
        match self.subjects.get(&connection).and_then(|subject| subject.look.as_ref()) {
            None => Readiness::Ready,
            Some(look) if look.is_concluded => Readiness::Pausing,
            Some(_) => Readiness::Looking,
        }
    }

    /// Begins a look at a connection that is [`Ready`](Readiness::Ready), and returns its tokens.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        connection: ConnectionId,
        observed: Address,
        opens_ports: bool,
        wanted_in: Option<u32>,
    ) -> Vec<ObserveToken> {
        let count = if opens_ports { TOKENS } else { TOKENS_OF_ONE_PORT };
        let tokens = self.draw(rng, connection, count, Role::Look);
        let look = Look {
            began: now,
            tokens: tokens.clone(),
            seen: [None].repeat(count),
            wanted_in,
            is_concluded: false,
        };
        let subject = self.subject(connection, observed);
        subject.observed = observed;
        subject.is_due = false;
        subject.look = Some(look);
        self.arm(connection);
        tokens
    }

    /// Another attempt wants to know what the present look will show.
    pub(super) fn want(&mut self, connection: ConnectionId, attempt: u32) {
        if let Some(look) = self.subjects.get_mut(&connection).and_then(|subject| subject.look.as_mut()) {
            look.wanted_in = Some(attempt);
        }
    }

    /// A look is to begin as soon as one may.
    pub(super) fn wait(&mut self, connection: ConnectionId) {
        if let Some(subject) = self.subjects.get_mut(&connection) {
            subject.is_due = true;
        }
    }

    /// Gives tokens that a party asked for, in place of those that it had.
    pub(super) fn give(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        connection: ConnectionId,
        observed: Address,
        introduction: IntroductionId,
        count: usize,
    ) -> Vec<ObserveToken> {
        self.take_rounds(connection);
        let tokens = self.draw(rng, connection, count, |index| Role::Round(index as u8));
        let rounds = Rounds { until: now + ROUNDS, introduction, tokens: tokens.clone(), spent: 0 };
        self.subject(connection, observed).rounds = Some(rounds);
        self.arm(connection);
        tokens
    }

    pub(super) fn find(&self, token: &ObserveToken) -> Option<Place> {
        self.tokens.get(token).copied()
    }

    pub(super) fn is_spent(&self, place: Place) -> bool {
        let Some(subject) = self.subjects.get(&place.connection) else { return true };
        match place.role {
            Role::Look(index) => {
                subject.look.as_ref().is_none_or(|look| look.seen.get(index).is_none_or(Option::is_some))
            }
            Role::Round(index) => subject.rounds.as_ref().is_none_or(|rounds| rounds.spent & 1 << index != 0),
        }
    }

    /// A token of a look came from this address.
    pub(super) fn see(&mut self, connection: ConnectionId, index: usize, from: SocketAddr) {
        if let Some(look) = self.subjects.get_mut(&connection).and_then(|subject| subject.look.as_mut())
            && let Some(place) = look.seen.get_mut(index)
        {
            *place = Some(from);
        }
    }

    /// A token came that a party had asked for: returns the introduction for which it did.
    pub(super) fn spend(&mut self, connection: ConnectionId, round: u8) -> Option<IntroductionId> {
        let rounds = self.subjects.get_mut(&connection)?.rounds.as_mut()?;
        rounds.spent |= 1 << round;
        Some(rounds.introduction)
    }

    /// Returns what the look shows, if that can be said now and is news.
    pub(super) fn conclude(&mut self, now: Instant, connection: ConnectionId) -> Option<Conclusion> {
        let subject = self.subjects.get_mut(&connection)?;
        let look = subject.look.as_mut().filter(|look| !look.tokens.is_empty())?;
        let found = judge(&look.seen, look.is_concluded || look.began + TIME <= now)?;
        // What was found at this address stays true if the tokens of a later look are lost.
        let nat = if found == Nat::Unknown { subject.nat } else { found };
        if core::mem::replace(&mut look.is_concluded, true) && nat == subject.nat {
            return None;
        }
        subject.nat = nat;
        let wanted_in = look.wanted_in.take();
        self.arm(connection);
        Some(Conclusion { nat, wanted_in })
    }

    /// A connection may be observed at another address: forgets what was found at the one before. Returns what is to be told then, if
    /// something was known or wanted.
    pub(super) fn move_to(&mut self, connection: ConnectionId, observed: Address) -> Option<Conclusion> {
        let subject = self.subjects.get_mut(&connection).filter(|subject| subject.observed != observed)?;
        subject.observed = observed;
        let was = core::mem::take(&mut subject.nat);
        let mut wanted_in = None;
        if let Some(look) = &mut subject.look {
            look.is_concluded = true;
            look.seen.clear();
            wanted_in = look.wanted_in.take();
            core::mem::take(&mut look.tokens).iter().for_each(|token| _ = self.tokens.remove(token));
        }
        self.arm(connection);
        (was != Nat::Unknown || wanted_in.is_some()).then_some(Conclusion { nat: Nat::Unknown, wanted_in })
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The next connection for which something is due: a conclusion, or the end of tokens.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<ConnectionId> {
        let &(at, connection) = self.timers.first().filter(|(at, _)| *at <= now)?;
        self.timers.remove(&(at, connection));
        if let Some(subject) = self.subjects.get_mut(&connection) {
            subject.timer = None;
        }
        Some(connection)
    }

    /// Forgets tokens that are too old. Returns whether another look is due.
    pub(super) fn expire(&mut self, now: Instant, connection: ConnectionId) -> bool {
        let Some(subject) = self.subjects.get_mut(&connection) else { return false };
        let mut is_due = false;
        if let Some(look) = subject.look.take_if(|look| look.is_concluded && look.began + PAUSE <= now) {
            is_due = core::mem::take(&mut subject.is_due);
            look.tokens.iter().for_each(|token| _ = self.tokens.remove(token));
        }
        if subject.rounds.as_ref().is_some_and(|rounds| rounds.until <= now) {
            self.take_rounds(connection);
        }
        self.arm(connection);
        is_due
    }

    /// A connection has ended.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        let Some(subject) = self.subjects.remove(&connection) else { return };
        let of_look = subject.look.into_iter().flat_map(|look| look.tokens);
        let of_rounds = subject.rounds.into_iter().flat_map(|rounds| rounds.tokens);
        of_look.chain(of_rounds).for_each(|token| _ = self.tokens.remove(&token));
        if let Some(at) = subject.timer {
            self.timers.remove(&(at, connection));
        }
    }

    fn subject(&mut self, connection: ConnectionId, observed: Address) -> &mut Subject {
        self.subjects.get_or_insert_with(connection, || Subject {
            nat: Nat::Unknown,
            observed,
            look: None,
            is_due: false,
            rounds: None,
            timer: None,
        })
    }

    fn draw(
        &mut self,
        rng: &mut Rng,
        connection: ConnectionId,
        count: usize,
        role: impl Fn(usize) -> Role,
    ) -> Vec<ObserveToken> {
        let mut drawn = Vec::with_capacity(count);
        for index in 0..count {
            let token = rng.array();
            self.tokens.insert(token, Place { connection, role: role(index) });
            drawn.push(token);
        }
        drawn
    }

    fn take_rounds(&mut self, connection: ConnectionId) {
        let rounds = self.subjects.get_mut(&connection).and_then(|subject| subject.rounds.take());
        rounds.iter().flat_map(|rounds| &rounds.tokens).for_each(|token| _ = self.tokens.remove(token));
    }

    fn arm(&mut self, connection: ConnectionId) {
        let Some(subject) = self.subjects.get_mut(&connection) else { return };
        let look = subject.look.as_ref();
        let look = look.map(|look| look.began + if look.is_concluded { PAUSE } else { TIME });
        let next = look.into_iter().chain(subject.rounds.as_ref().map(|rounds| rounds.until)).min();
        if next == subject.timer {
            return;
        }
        if let Some(at) = core::mem::replace(&mut subject.timer, next) {
            self.timers.remove(&(at, connection));
        }
        if let Some(at) = next {
            self.timers.insert((at, connection));
        }
    }
}

/// Judges a NAT by where the tokens of a look came from; `None` while more may come that counts.
fn judge(seen: &[Option<SocketAddr>], is_time_up: bool) -> Option<Nat> {
    let is_over = is_time_up || seen.iter().all(Option::is_some);
    match seen {
        [Some(first), Some(second), ..] if first == second => Some(Nat::Independent),
        [Some(_), Some(_), fresh @ ..] if is_over => {
            Some(stride(fresh).map_or(Nat::Unpredictable, Nat::Sequential))
        }
        _ => is_over.then_some(Nat::Unknown),
    }
}

/// The least step between the ports of fresh mappings, if these can be followed.
fn stride(fresh: &[Option<SocketAddr>]) -> Option<u8> {
    let fresh = fresh.iter().copied().collect::<Option<Vec<SocketAddr>>>()?;
    let first = fresh.first()?;
    if fresh.iter().any(|other| other.ip() != first.ip()) {
        return None;
    }
    let mut ports: Vec<u16> = fresh.iter().map(SocketAddr::port).collect();
    ports.sort_unstable();
    let steps = || ports.windows(2).map(|pair| pair[1] - pair[0]);
    let least = steps().min()?;
    if least == 0 || steps().any(|step| step > MAX_STEP) { None } else { u8::try_from(least).ok() }
}
