//! The addresses at which one attempt looks for its host: when each is asked, which one is gone on with, and what the
//! attempt ends with if none is (PROTOCOL.md 5.5; RFC 8305 calls it Happy Eyeballs).

mod order;

use alloc::boxed::Box;
use alloc::vec::Vec;

use order::interleaved;

use super::maps::Attempts;
use crate::address::Address;
use crate::codes::CloseCode;
use crate::error::CallError;
use crate::event::{ClosedBy, Extension};
use crate::handshake::{
    Attempt, AttemptEnded, AttemptOptions, AttemptOutcome, Context, DropReason, Established, PuzzleJob,
};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::path::Path;
use crate::schedule::{MAX_CANDIDATES, NEXT_CANDIDATE};
use crate::timer::TimerKind;
use crate::transmits::{Cause, Transmits};
use crate::wire::Reply;
use crate::wire::control::MAX_REASON;

/// One attempt to connect, with the handshake at each address.
pub(super) struct Candidates {
    list: Vec<Candidate>,
    /// The local port from which addresses are asked, and where their answers arrive ([`Path::port`]).
    port: u16,
    /// Until a host has answered as the attempt's trust wants: then it is the only candidate.
    race: Option<Box<Race>>,
    held: Option<Box<Held>>,
    /// Whether its addresses are paths that an introduction has proven. Then answers may come from others: a NAT gave them another port.
    is_introduced: bool,
    /// Other paths of the introduction, for when the one that was gone on with leads nowhere.
    spare: Vec<Path>,
    /// Where the connection is, once the attempt has one.
    arrived: Option<Path>,
}

/// The outcome of an accept that came from an address which was not asked. The accept is authentic, but anybody may have
/// copied it and sent it from anywhere. So it waits a moment for the same accept from the address that was asked (5.5).
struct Held {
    established: Box<Established>,
    accept: Vec<u8>,
    path: Path,
    until: Instant,
}

/// The state of an attempt while no host has answered.
struct Race {
    /// For the handshakes that begin later.
    options: AttemptOptions,
    /// The time to ask the next address.
    next: Instant,
    /// The number of addresses so far.
    count: usize,
    /// True if more may come.
    is_open: bool,
    /// The end of the attempt if nothing better comes.
    last: AttemptEnded,
}

struct Candidate {
    address: Address,
    /// The local port from which it is asked.
    port: u16,
    phase: Phase,
    /// Its initiator_nonce, as the endpoint's table has it.
    noted: Option<[u8; 16]>,
    obstacle: Option<Obstacle>,
    /// True once a bad answer has let the next address begin early.
    has_hurried: bool,
    /// The address that it had before, as the endpoint's table has it.
    left: Option<Address>,
}

enum Phase {
    /// Its turn has not come.
    Waiting,
    Asked(Box<Attempt>),
    /// It failed, or another one has answered.
    Over,
}

/// The driver's last report that a datagram could not be sent. The datagram counts as lost and the attempt goes on; if
/// the attempt fails, this is the likely reason.
struct Obstacle {
    at: Instant,
    ended: AttemptEnded,
}

/// Keeps a path for later, once, of at most as many as are tried.
fn note_spare(spare: &mut Vec<Path>, path: Path) {
    if !spare.contains(&path) && spare.len() < MAX_CANDIDATES {
        spare.push(path);
    }
}

/// The end of an attempt, with a text that is cut to the length of a reason.
pub(super) fn ended(code: CloseCode, why: &str) -> AttemptEnded {
    let mut length = why.len().min(MAX_REASON);
    while !why.is_char_boundary(length) {
        length -= 1;
    }
    AttemptEnded { code, by: ClosedBy::Socket, reason: why.as_bytes()[..length].to_vec() }
}

impl Candidates {
    /// An attempt from the local port `port` that has no address yet.
    ///
    /// # Errors
    /// `TooLarge` if connect_data and extensions do not fit into a request.
    pub(super) fn new(now: Instant, port: u16, options: AttemptOptions) -> Result<Self, CallError> {
        options.check()?;
        let is_introduced = options.introduced.is_some();
        let race = Race { options, next: now, count: 0, is_open: true, last: ended(CloseCode::NoAnswer, "") };
        Ok(Self {
            list: Vec::new(),
            port,
            race: Some(Box::new(race)),
            held: None,
            is_introduced,
            spare: Vec::new(),
            arrived: None,
        })
    }

    /// Notes another path of the introduction that may be used, if those that are asked do not answer.
    pub(super) fn add_spare(&mut self, path: Path) {
        note_spare(&mut self.spare, path);
    }

    /// Adds a path of the introduction, unless its address is `taken`. `insert` is called if it is asked in its turn; one to an address
    /// that is asked from another port is for beginning anew there.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(super) fn add_path(
        &mut self,
        path: Path,
        is_taken: bool,
        insert: impl FnOnce(Address),
    ) -> Result<(), CallError> {
        let path = Path { local: None, ..path };
        let is_asked = self.list.iter().any(|other| other.address == path.remote);
        let Some(race) = self.race.as_mut().filter(|race| race.is_open && !is_asked) else {
            note_spare(&mut self.spare, path);
            return if is_asked { Ok(()) } else { Err(CallError::NotWaiting) };
        };
        if race.count == MAX_CANDIDATES {
            return Ok(());
        }
        race.count += 1;
        if is_taken {
            race.last = ended(CloseCode::AddressInUse, "");
        } else {
            insert(path.remote);
            self.list.push(Candidate::new(path.remote, path.port));
        }
        Ok(())
    }

    /// Returns whether this path is asked.
    pub(super) fn asks(&self, path: Path) -> bool {
        self.list.iter().any(|other| (other.address, other.port) == (path.remote, path.port))
    }

    /// Adds addresses, as many as there is room for, but those that are `taken`. `insert` is called for each that is
    /// added. They are asked when [`run`](Self::run) is called, each in its turn.
    ///
    /// # Errors
    /// `NotWaiting` if a host has answered, or no more addresses were to come.
    pub(super) fn add(
        &mut self,
        addresses: &[Address],
        taken: &[Address],
        mut insert: impl FnMut(Address),
    ) -> Result<(), CallError> {
        let Some(race) = self.race.as_mut().filter(|race| race.is_open) else {
            return Err(CallError::NotWaiting);
        };
        for address in interleaved(addresses) {
            if race.count == MAX_CANDIDATES {
                break;
            }
            race.count += 1;
            if !taken.contains(&address) {
                insert(address);
                self.list.push(Candidate::new(address, self.port));
            } else {
                race.last = ended(CloseCode::AddressInUse, "");
            }
        }
        Ok(())
    }

    /// No more addresses will come. If there were none, the attempt ends as `reason` says.
    ///
    /// # Errors
    /// `NotWaiting` if a host has answered, or that was said before.
    pub(super) fn close_list(&mut self, reason: AttemptEnded) -> Result<(), CallError> {
        let Some(race) = self.race.as_mut().filter(|race| race.is_open) else {
            return Err(CallError::NotWaiting);
        };
        race.is_open = false;
        if race.count == 0 {
            race.last = reason;
        }
        Ok(())
    }

    /// Asks the next address if its turn has come; says whether the attempt goes on.
    pub(super) fn run(&mut self, cx: &mut Context<'_>, transmits: &mut Transmits) -> AttemptOutcome {
        let Some(race) = &mut self.race else { return AttemptOutcome::Waiting };
        if race.next <= cx.now
            && let Some(next) = self.list.iter_mut().find(|other| matches!(other.phase, Phase::Waiting))
        {
            let options = race.options.clone();
            let path = next.path();
            let begun = transmits.push(Cause::Own, path, |out| Attempt::start(cx, options, out));
            next.phase = Phase::Asked(Box::new(begun));
            race.next = cx.now + NEXT_CANDIDATE;
        }
        // The paths of an introduction are tried as they are found.
        let is_open = race.is_open && (!self.is_introduced || race.count == 0);
        let is_over = !is_open && self.list.iter().all(|other| matches!(other.phase, Phase::Over));
        if is_over { AttemptOutcome::Ended(race.last.clone()) } else { AttemptOutcome::Waiting }
    }

    /// Takes a host's answer and the bytes that it was read from. It belongs to the address whose nonce it carries,
    /// whichever address it came from.
    pub(super) fn handle_reply(
        &mut self,
        cx: &mut Context<'_>,
        transmits: &mut Transmits,
        (path, bytes): (Path, &[u8]),
        reply: Reply<'_>,
    ) -> AttemptOutcome {
        if let Some(held) = &self.held {
            let is_shown = self.asks(path) && held.accept == bytes;
            return if is_shown { self.release(path) } else { AttemptOutcome::Dropped(DropReason::Stray) };
        }
        let nonce = *reply.initiator_nonce();
        let of_reply = |other: &Candidate| other.initiator_nonce() == Some(&nonce);
        let Some(index) = self.list.iter().position(of_reply) else {
            return AttemptOutcome::Dropped(DropReason::Stray);
        };
        let asked = self.list[index].path();
        if path.port != asked.port {
            // The host was not asked from there. A connection on that path would leave from a port that the host does not know.
            return AttemptOutcome::Dropped(DropReason::Stray);
        }
        match self.call(index, cx, transmits, |attempt, cx, out| attempt.handle_reply(cx, reply, out)) {
            AttemptOutcome::Established(established) if self.is_introduced => {
                self.arrived = Some(asked);
                AttemptOutcome::Established(established)
            }
            AttemptOutcome::Established(established) => {
                let until = cx.now + cx.config.handshake.retry_first;
                self.held = Some(Box::new(Held { established, accept: bytes.to_vec(), path, until }));
                if path.remote == asked.remote { self.release(path) } else { AttemptOutcome::Waiting }
            }
            outcome => outcome,
        }
    }

    /// Lets the held outcome count, with the connection on this path.
    fn release(&mut self, path: Path) -> AttemptOutcome {
        self.arrived = Some(path);
        let held = self.held.take();
        held.map_or(AttemptOutcome::Waiting, |held| AttemptOutcome::Established(held.established))
    }

    /// Where the connection is, once the attempt has one.
    pub(super) fn arrived(&self) -> Option<Path> {
        self.arrived
    }

    /// Runs what is due at every address.
    pub(super) fn handle_timeout(
        &mut self,
        cx: &mut Context<'_>,
        transmits: &mut Transmits,
    ) -> AttemptOutcome {
        if let Some(held) = &self.held {
            return if held.until <= cx.now { self.release(held.path) } else { AttemptOutcome::Waiting };
        }
        self.begin_elsewhere(cx, transmits);
        for index in 0..self.list.len() {
            if self.list[index].deadline().is_some_and(|(at, _)| at <= cx.now) {
                let outcome =
                    self.call(index, cx, transmits, |attempt, cx, out| attempt.handle_timeout(cx, out));
                if !matches!(outcome, AttemptOutcome::Waiting) {
                    return outcome;
                }
            }
        }
        self.run(cx, transmits)
    }

    /// What was sent on the paths of an introduction stays without an answer, and there is another one: it is tried, too, or the attempt
    /// begins anew there, if its host has answered (INTRODUCTIONS.md 7).
    fn begin_elsewhere(&mut self, cx: &mut Context<'_>, transmits: &mut Transmits) {
        let are_stuck = self.list.iter().all(|other| other.attempt().is_some_and(|it| it.is_stuck(cx)));
        if self.spare.is_empty() || self.list.is_empty() || !are_stuck {
            return;
        }
        let next = self.spare.remove(0);
        let same_address = self.list.iter().position(|other| other.address == next.remote);
        if let (Some(race), None) = (&mut self.race, same_address) {
            race.next = cx.now;
            return self.list.push(Candidate::new(next.remote, next.port));
        }
        // Of several that are asked, only the one at the same address gives way: an address is asked once at a time.
        let Some(candidate) = self.list.get_mut(same_address.unwrap_or(0)) else { return };
        let old = candidate.path();
        let Candidate { address, port, phase: Phase::Asked(attempt), obstacle, left, .. } = candidate else {
            return;
        };
        (*address, *port) = (next.remote, next.port);
        left.get_or_insert(old.remote);
        *obstacle = None;
        note_spare(&mut self.spare, old);
        transmits.push(Cause::Own, next, |out| attempt.begin_elsewhere(cx, out));
    }

    /// As [`Attempt::accept`].
    pub(super) fn accept(
        &mut self,
        cx: &mut Context<'_>,
        transmits: &mut Transmits,
        extensions: Option<Vec<Extension>>,
    ) -> Result<AttemptOutcome, CallError> {
        match (&self.race, self.list.first_mut()) {
            (None, Some(Candidate { address, port, phase: Phase::Asked(attempt), .. })) => {
                let path = Path { port: *port, ..Path::to(*address) };
                transmits.push(Cause::Own, path, |out| attempt.accept(cx, extensions, out))
            }
            _ => Err(CallError::NotWaiting),
        }
    }

    /// As [`Attempt::has_puzzle`].
    pub(super) fn has_puzzle(&self) -> bool {
        self.list.iter().filter_map(Candidate::attempt).any(Attempt::has_puzzle)
    }

    /// As [`Attempt::take_puzzle`].
    pub(super) fn take_puzzle(&mut self) -> Option<PuzzleJob> {
        self.list.iter_mut().filter_map(Candidate::attempt_mut).find_map(Attempt::take_puzzle)
    }

    /// As [`Attempt::return_puzzle`].
    pub(super) fn return_puzzle(
        &mut self,
        cx: &mut Context<'_>,
        transmits: &mut Transmits,
        job: PuzzleJob,
    ) -> AttemptOutcome {
        match (&self.race, self.list.is_empty()) {
            (None, false) => {
                self.call(0, cx, transmits, |attempt, cx, out| attempt.return_puzzle(cx, job, out))
            }
            _ => AttemptOutcome::Waiting,
        }
    }

    /// A datagram to this address could not be sent: the next one is asked beside it. If no other datagram to there will
    /// fare better, the address has failed.
    pub(super) fn hinder(
        &mut self,
        cx: &mut Context<'_>,
        transmits: &mut Transmits,
        address: Address,
        (cause, is_final): (&str, bool),
    ) -> AttemptOutcome {
        let Some(index) = self.list.iter().position(|other| other.address == address) else {
            return AttemptOutcome::Waiting;
        };
        if self.held.is_some() {
            return AttemptOutcome::Waiting;
        }
        let ended = ended(CloseCode::Unreachable, cause);
        if is_final {
            return self.fail(index, cx, transmits, ended);
        }
        self.list[index].obstacle = Some(Obstacle { at: cx.now, ended });
        if let Some(race) = &mut self.race {
            race.next = cx.now;
        }
        self.run(cx, transmits)
    }

    /// This address is lost to another connection.
    pub(super) fn supersede(
        &mut self,
        cx: &mut Context<'_>,
        transmits: &mut Transmits,
        address: Address,
    ) -> AttemptOutcome {
        match self.list.iter().position(|other| other.address == address) {
            Some(index) => self.fail(index, cx, transmits, ended(CloseCode::Superseded, "")),
            None => AttemptOutcome::Waiting,
        }
    }

    /// Lets the handshake at one address act, and decides what follows for the attempt.
    fn call(
        &mut self,
        index: usize,
        cx: &mut Context<'_>,
        transmits: &mut Transmits,
        act: impl FnOnce(&mut Attempt, &mut Context<'_>, &mut Vec<u8>) -> AttemptOutcome,
    ) -> AttemptOutcome {
        let path = self.list[index].path();
        let Candidate { phase: Phase::Asked(attempt), obstacle, has_hurried, .. } = &mut self.list[index]
        else {
            return AttemptOutcome::Waiting;
        };
        let outcome = transmits.push(Cause::Own, path, |out| act(attempt, cx, out));
        if let AttemptOutcome::Ended(ended) = outcome {
            // An obstacle is the likely reason of silence if it met the last repeat, too.
            let pause = cx.config.handshake.retry_max * 5 / 4;
            let ended = match obstacle.take() {
                Some(obstacle)
                    if ended.code == CloseCode::NoAnswer && cx.now.saturating_since(obstacle.at) <= pause =>
                {
                    obstacle.ended
                }
                _ => ended,
            };
            return self.fail(index, cx, transmits, ended);
        }
        let Some(race) = &mut self.race else { return outcome };
        if attempt.is_challenging() {
            if attempt.problem().is_some() && !core::mem::replace(has_hurried, true) {
                // It is unlikely to answer better, so the next address need not wait. Only the next one: a bad answer that is repeated
                // must not make this socket ask all of them at once.
                race.next = cx.now;
                let run = self.run(cx, transmits);
                debug_assert!(matches!(run, AttemptOutcome::Waiting), "this address still goes on");
            }
            return outcome;
        }
        // This is the host. The others end without a word.
        self.race = None;
        for (other, candidate) in self.list.iter_mut().enumerate() {
            if other != index {
                candidate.phase = Phase::Over;
                if self.is_introduced {
                    note_spare(&mut self.spare, candidate.path());
                }
            }
        }
        outcome
    }

    /// One address has failed; the next one is asked at once.
    fn fail(
        &mut self,
        index: usize,
        cx: &mut Context<'_>,
        transmits: &mut Transmits,
        ended: AttemptEnded,
    ) -> AttemptOutcome {
        self.list[index].phase = Phase::Over;
        let Some(race) = &mut self.race else { return AttemptOutcome::Ended(ended) };
        // "No answer" says less than whatever else was learned.
        if ended.code != CloseCode::NoAnswer {
            race.last = ended;
        }
        race.next = cx.now;
        self.run(cx, transmits)
    }

    /// Brings the endpoint's tables up to date, and forgets addresses that are over.
    pub(super) fn note(&mut self, id: ConnectionId, table: &mut Attempts) {
        let (is_held, is_introduced) = (self.held.is_some(), self.is_introduced);
        self.list.retain_mut(|candidate| {
            let is_over = matches!(candidate.phase, Phase::Over);
            // While an accept is held, its repetition has to be found.
            let keeps = is_held && !is_over;
            let present = if keeps { candidate.noted } else { candidate.initiator_nonce().copied() };
            table.note(id, &mut candidate.noted, present);
            if let Some(left) = candidate.left.take() {
                table.remove(&left);
            }
            if is_introduced && !is_over && table.asking(&candidate.address).is_none() {
                table.insert(candidate.address, id);
            }
            if is_over && table.asking(&candidate.address) == Some(id) {
                table.remove(&candidate.address);
            }
            !is_over
        });
    }

    /// Ends all of it.
    pub(super) fn forget(&mut self, id: ConnectionId, table: &mut Attempts) {
        self.held = None;
        for candidate in &mut self.list {
            candidate.phase = Phase::Over;
        }
        self.note(id, table);
    }

    /// The nonce with which an address is asked.
    pub(super) fn nonce_at(&self, address: &Address) -> Option<&[u8; 16]> {
        self.list.iter().find(|other| other.address == *address)?.noted.as_ref()
    }

    /// The address, if there is only one.
    pub(super) fn remote(&self) -> Option<Address> {
        match self.list.as_slice() {
            [only] => Some(only.address),
            _ => None,
        }
    }

    /// As [`Attempt::problem`], of the first address that has one.
    pub(super) fn problem(&self) -> Option<CloseCode> {
        self.list.iter().filter_map(Candidate::attempt).find_map(Attempt::problem)
    }

    /// The time at which [`handle_timeout`](Self::handle_timeout) is due, and what for.
    pub(super) fn deadline(&self) -> Option<(Instant, TimerKind)> {
        let mut first = self.held.as_ref().map(|held| (held.until, TimerKind::Handshake));
        for candidate in &self.list {
            let next = match (&candidate.phase, &self.race) {
                (Phase::Waiting, Some(race)) => Some((race.next, TimerKind::Handshake)),
                _ => candidate.deadline(),
            };
            if next.is_some_and(|(at, _)| first.is_none_or(|(earlier, _)| at < earlier)) {
                first = next;
            }
        }
        first
    }
}

impl Candidate {
    fn new(address: Address, port: u16) -> Self {
        let phase = Phase::Waiting;
        Self { address, port, phase, noted: None, obstacle: None, has_hurried: false, left: None }
    }

    fn path(&self) -> Path {
        Path { port: self.port, ..Path::to(self.address) }
    }

    fn attempt(&self) -> Option<&Attempt> {
        match &self.phase {
            Phase::Asked(attempt) => Some(attempt),
            Phase::Waiting | Phase::Over => None,
        }
    }

    fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        match &mut self.phase {
            Phase::Asked(attempt) => Some(attempt),
            Phase::Waiting | Phase::Over => None,
        }
    }

    fn initiator_nonce(&self) -> Option<&[u8; 16]> {
        self.attempt()?.initiator_nonce()
    }

    fn deadline(&self) -> Option<(Instant, TimerKind)> {
        self.attempt()?.deadline()
    }
}
