//! The paths of a connection that has several, or looks for one (PATHS.md 4 to 6).
//!
//! A [`PathSet`] decides, and keeps the times. It knows no keys and sends nothing: the punches that it wants are appended to
//! a list, which the endpoint seals.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::limits::{
    Allowance, AskedNumbers, ForeignNumbers, MAX_ANSWERS, MAX_SOURCE_ANSWERS, MAX_SOURCES, PATH_LIVES,
    SOURCE_LIVES,
};
use super::upgrade::Upgrade;
use super::{Ask, Facts, Path, Step, is_same};
use crate::address::Address;
#[cfg(feature = "introductions")]
use crate::crypto::rng::Rng;
use crate::instant::Instant;
use crate::micros::Micros;

/// Valid paths beside the active one.
const MAX_STANDBYS: usize = 3;
/// Numbers that wait for their echo.
const MAX_ASKED: usize = 64;
/// The same while a run goes on (INTRODUCTIONS.md 9.2), which sends 500 a second.
#[cfg(feature = "introductions")]
const MAX_ASKED_IN_RUN: usize = MAX_ASKED + 2_500;

/// The pause between punches that keep paths.
const KEEP_PAUSE: Micros = Micros::from_secs(15);
/// Standbys that are kept.
const KEPT: usize = 2;
/// The least wait for an echo on the active path when another one has become valid.
const MIN_SUSPICION: Micros = Micros::from_millis(250);
/// The longest pause between rounds of punches in doubt.
const MAX_ROUND_PAUSE: Micros = Micros::from_secs(1);
/// The pause between looks for answers that are overdue.
const MIN_LOOK_PAUSE: Micros = Micros::from_millis(100);
/// How often the active path is asked in that time: one lost datagram must not cost it its place.
const SUSPICION_ASKS: u32 = 3;
/// Suspicions a second that punches from elsewhere cause.
const MAX_SUSPICIONS: u32 = 2;
/// The pause between punches because the other side asks who this is.
const POKE_PAUSE: Micros = Micros::from_secs(1);
/// The pause between doubts because a datagram could not be sent.
const OBSTACLE_PAUSE: Micros = Micros::from_secs(1);

/// A path that is valid here.
#[derive(Clone, Copy, Debug)]
struct Valid {
    path: Path,
    /// When a number that was sent on it was last echoed.
    echoed: Instant,
    round_trip: Micros,
}

/// A path that is not.
#[derive(Clone, Copy, Debug)]
struct Unproven {
    path: Path,
    kind: Kind,
    until: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// An authentic punch came from there.
    Source,
    /// It is worth a try.
    Candidate,
}

/// The active path may not work any more.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    since: Instant,
    /// Whether an answer was overdue. If it comes after all, there is no doubt.
    was_overdue: bool,
    next_round: Instant,
    pause: Micros,
}

/// The other side asks from elsewhere: does the active path still work? Its echo ends the suspicion.
#[derive(Clone, Copy, Debug)]
struct Suspicion {
    /// A path that works: it takes the active one's place when an answer is overdue.
    newcomer: Option<Path>,
    /// True if it has become valid during this suspicion. Then it takes that place at the end, too.
    is_new: bool,
    until: Instant,
    next_ask: Instant,
    pause: Micros,
}

/// The paths of one connection.
pub(crate) struct PathSet {
    active: Valid,
    standbys: Vec<Valid>,
    unproven: Vec<Unproven>,
    asked: AskedNumbers,
    foreign: ForeignNumbers,
    doubt: Option<Doubt>,
    suspicion: Option<Suspicion>,
    /// Where the other side may be reachable, of a connection that was introduced.
    upgrade: Option<Upgrade>,
    /// When the active path last echoed, if it has.
    proven: Option<Instant>,
    /// Whether a ping is to be sent on the active path.
    wants_ping: bool,
    next_look: Instant,
    next_keep: Instant,
    next_poke: Instant,
    next_obstacle: Instant,
    answers: Allowance,
    source_answers: Allowance,
    suspicions: Allowance,
}

impl PathSet {
    /// The set of a connection with one path, which works as far as is known.
    pub(crate) fn new(now: Instant, active: Path, facts: Facts) -> Self {
        Self {
            active: Valid { path: active, echoed: now, round_trip: facts.round_trip },
            standbys: Vec::new(),
            unproven: Vec::new(),
            asked: AskedNumbers::new(MAX_ASKED),
            foreign: ForeignNumbers::default(),
            doubt: None,
            suspicion: None,
            upgrade: None,
            proven: None,
            wants_ping: false,
            next_look: now + look_pause(facts),
            next_keep: now + KEEP_PAUSE,
            next_poke: now,
            next_obstacle: now,
            answers: Allowance::new(now),
            source_answers: Allowance::new(now),
            suspicions: Allowance::new(now),
        }
    }

    /// Where packets are sent.
    pub(crate) fn active(&self) -> Path {
        self.active.path
    }

    /// The round-trip time of the active path.
    pub(crate) fn round_trip(&self) -> Micros {
        self.active.round_trip
    }

    /// Returns whether the connection has one path, and looks for no other.
    pub(crate) fn is_needless(&self) -> bool {
        self.upgrade.as_ref().is_none_or(|upgrade| upgrade.deadline(self.is_relayed()).is_none())
            && self.standbys.is_empty()
            && self.unproven.is_empty()
            && self.doubt.is_none()
            && self.suspicion.is_none()
    }

    /// The paths other than the active one from which packets may come.
    pub(crate) fn others(&self) -> impl Iterator<Item = Path> + '_ {
        self.standbys().chain(self.sources())
    }

    /// The valid paths beside the active one.
    pub(crate) fn standbys(&self) -> impl Iterator<Item = Path> + '_ {
        self.standbys.iter().map(|valid| valid.path)
    }

    /// From where the other side sends, too.
    pub(crate) fn sources(&self) -> impl Iterator<Item = Path> + '_ {
        self.unproven.iter().filter(|other| other.kind == Kind::Source).map(|source| source.path)
    }

    /// Where the other side of a connection that was introduced may be reachable, while a direct path is looked for.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.upgrade.iter().flat_map(Upgrade::candidates).filter_map(|path| path.remote.socket_addr())
    }

    /// The active path, as the connection's packets take it: their answers may come to another local address.
    pub(crate) fn follow(&mut self, path: Path) {
        if self.active.path.remote == path.remote && self.active.path.port == path.port {
            self.active.path = path;
            self.standbys.retain(|valid| valid.path != path);
            self.unproven.retain(|other| other.path != path);
        }
    }

    /// Returns whether the active path has echoed after that time.
    pub(crate) fn has_echoed_since(&self, at: Instant) -> bool {
        self.proven.is_some_and(|proven| proven > at)
    }

    /// An authentic punch arrived. Returns whether another path is active now.
    pub(crate) fn on_punch(&mut self, step: &mut Step<'_>, arrived: Path, number: u64, echo: u64) -> bool {
        if !self.is_valid(arrived) && !self.may_be_new(step.now, number, echo) {
            return false;
        }
        let has_changed = echo != 0 && self.on_echo(step, echo);
        self.note_source(step.now, arrived);
        if number != 0 {
            self.answer(step, arrived, number);
            self.suspect_because_of(step, arrived);
        }
        has_changed
    }

    /// Returns whether a punch from where no path is may be new. Otherwise somebody replays it, and would take the places of sources.
    fn may_be_new(&mut self, now: Instant, number: u64, echo: u64) -> bool {
        match number {
            0 => self.asked.has(echo),
            _ => self.foreign.heeds(now, number),
        }
    }

    /// The connection was introduced: the other side may be reachable there, too. A round begins at once.
    pub(crate) fn introduce(&mut self, step: &mut Step<'_>, candidates: Vec<Path>, sources: &[Path]) {
        sources.iter().for_each(|source| self.note_source(step.now, *source));
        let upgrade = self.upgrade.get_or_insert_with(|| Upgrade::new(step.now));
        upgrade.set_candidates(step.now, candidates);
        self.look_for_direct_path(step);
    }

    /// Asks everywhere where a direct path may be found, if it is time.
    fn look_for_direct_path(&mut self, step: &mut Step<'_>) {
        let is_relayed = self.is_relayed();
        if let Some(upgrade) = &mut self.upgrade
            && upgrade.is_due(step.now, is_relayed)
        {
            self.ask_candidates(step);
        }
    }

    fn ask_candidates(&mut self, step: &mut Step<'_>) {
        let known = |path: &Path| self.is_valid(*path);
        let candidates: Vec<_> =
            self.upgrade.iter().flat_map(Upgrade::candidates).filter(|path| !known(path)).collect();
        for path in candidates {
            self.ask(step, path);
        }
    }

    /// A circuit has ended, or an address belongs to another connection.
    pub(crate) fn lose(&mut self, step: &mut Step<'_>, remote: Address) {
        self.forget(remote);
        if self.active.path.remote == remote {
            self.begin_doubt(step);
        }
    }

    /// The other side asks who sends from here: one punch tells it.
    pub(crate) fn poke(&mut self, step: &mut Step<'_>) {
        if step.now >= self.next_poke {
            self.next_poke = step.now + POKE_PAUSE;
            self.ask(step, self.active.path);
        }
    }

    /// The active path may not work any more, for a reason that the connection cannot know.
    pub(crate) fn begin_doubt(&mut self, step: &mut Step<'_>) {
        if self.doubt.is_none() {
            let was_overdue = self.is_overdue(step);
            let pause = step.facts.probe_time;
            self.doubt = Some(Doubt { since: step.now, was_overdue, next_round: step.now, pause });
            self.round(step);
        }
    }

    /// The network has changed, perhaps once more: everything is tried at once.
    pub(crate) fn network_changed(&mut self, step: &mut Step<'_>) {
        self.doubt = None;
        self.begin_doubt(step);
    }

    /// A datagram could not be sent on the active path, which may concern that datagram only.
    pub(crate) fn obstacle(&mut self, step: &mut Step<'_>) {
        if step.now >= self.next_obstacle {
            self.next_obstacle = step.now + OBSTACLE_PAUSE;
            self.begin_doubt(step);
        }
    }

    /// Draws the number of a punch of a run (INTRODUCTIONS.md 9.2). Until the run ends, more numbers wait for their echo.
    #[cfg(feature = "introductions")]
    pub(crate) fn draw_for_run(&mut self, now: Instant, rng: &mut Rng, path: Path) -> u64 {
        self.asked.set_most(MAX_ASKED_IN_RUN);
        self.asked.draw(now, rng, path)
    }

    /// The run has ended.
    #[cfg(feature = "introductions")]
    pub(crate) fn end_run(&mut self) {
        self.asked.set_most(MAX_ASKED);
    }

    /// Sends what is due and forgets what is over. Returns whether another path is active now.
    pub(crate) fn handle_timeout(&mut self, step: &mut Step<'_>) -> bool {
        let now = step.now;
        self.unproven.retain(|other| other.until > now);
        self.standbys.retain(|valid| valid.echoed + PATH_LIVES > now);
        let mut has_changed = false;
        let is_overdue = step.facts.is_overdue(now);
        if let Some(suspicion) = self.suspicion {
            let is_over = suspicion.until <= now;
            if let Some(index) = suspicion.newcomer.and_then(|path| self.standby(path))
                && (is_overdue || is_over && suspicion.is_new)
            {
                self.activate(now, index);
                // What is overdue went the old way.
                return true;
            }
            if is_over {
                self.suspicion = None;
            } else if suspicion.next_ask <= now {
                self.ask_suspected(step);
            }
        }
        match self.doubt {
            Some(doubt) if doubt.was_overdue && !self.is_overdue(step) => self.doubt = None,
            Some(doubt) if doubt.next_round <= now => self.round(step),
            _ => {}
        }
        if self.next_look <= now {
            self.next_look = now + look_pause(step.facts);
            self.look_in_time(step);
            if self.is_overdue(step) {
                self.begin_doubt(step);
            }
        }
        if self.next_keep <= now {
            self.next_keep = now + KEEP_PAUSE;
            self.keep(step);
        }
        self.look_for_direct_path(step);
        if self.active.echoed + PATH_LIVES <= now
            && let Some(index) = self.best_standby()
        {
            self.activate(now, index);
            has_changed = true;
        }
        has_changed
    }

    /// The next time that [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(crate) fn deadline(&self) -> Instant {
        let mut next = self.next_look;
        let mut consider = |at: Instant| next = next.min(at);
        self.unproven.iter().for_each(|other| consider(other.until));
        self.standbys.iter().for_each(|valid| consider(valid.echoed + PATH_LIVES));
        self.suspicion.iter().for_each(|suspicion| consider(suspicion.until.min(suspicion.next_ask)));
        self.doubt.iter().for_each(|doubt| consider(doubt.next_round));
        let look = |upgrade: &Upgrade| upgrade.deadline(self.is_relayed());
        self.upgrade.iter().filter_map(look).for_each(&mut consider);
        if !self.standbys.is_empty() {
            consider(self.next_keep);
            consider(self.active.echoed + PATH_LIVES);
        }
        next
    }

    /// Sends on another valid path, if it is there still; returns whether it is.
    pub(crate) fn go_back(&mut self, now: Instant, path: Path) -> bool {
        let index = self.standby(path);
        if let Some(index) = index {
            self.activate(now, index);
        }
        index.is_some()
    }

    /// Takes the paths to an address out that belongs to another connection.
    pub(crate) fn forget(&mut self, remote: Address) {
        self.standbys.retain(|valid| valid.path.remote != remote);
        self.unproven.retain(|other| other.path.remote != remote);
    }

    /// An echo shows that the other side receives on the path where its number was sent, wherever the echo came from.
    fn on_echo(&mut self, step: &mut Step<'_>, echo: u64) -> bool {
        let now = step.now;
        let Some(asked) = self.asked.take(now, echo) else { return false };
        let valid = Valid { path: asked.path, echoed: now, round_trip: now.micros_since(asked.at) };
        // What was sent before the active path last echoed is a question that was answered.
        let is_open = self.proven.is_none_or(|proven| proven <= asked.at);
        let decides =
            is_open && step.facts.is_overdue(now) || self.doubt.is_some_and(|doubt| doubt.since <= asked.at);
        if asked.path == self.active.path {
            self.active = valid;
            self.proven = Some(now);
            self.suspicion = None;
            if decides {
                self.end_doubt();
            }
            return false;
        }
        if is_same(asked.path, self.active.path) && (!decides || self.doubt.is_none()) {
            // The round that asked on it, too, is over: the active path was faster. That answers are overdue says nothing here.
            return false;
        }
        let (index, is_new) = match self.standby(asked.path) {
            Some(index) => {
                self.standbys[index] = valid;
                (index, false)
            }
            None => (self.add_standby(valid), true),
        };
        // A direct path is always better than a circuit.
        if decides || self.is_relayed() && !asked.path.remote.is_circuit() {
            self.activate(now, index);
            return true;
        }
        if is_new && self.suspicion.is_none() && self.doubt.is_none() {
            self.suspect(step);
        }
        if let Some(suspicion) = &mut self.suspicion
            && (is_new || suspicion.newcomer.is_none())
        {
            suspicion.newcomer = Some(asked.path);
            suspicion.is_new = is_new;
        }
        false
    }

    /// The other side asks from elsewhere than the active path: it may have left that.
    fn suspect_because_of(&mut self, step: &mut Step<'_>, arrived: Path) {
        let may = self.suspicion.is_none() && self.doubt.is_none() && !is_same(self.active.path, arrived);
        if !may || !self.suspicions.takes(step.now, MAX_SUSPICIONS) {
            return;
        }
        self.suspect(step);
        // A source is asked by what answers it.
        if let Some(valid) = self.standbys.iter().find(|valid| is_same(valid.path, arrived)) {
            self.ask(step, valid.path);
        }
    }

    fn suspect(&mut self, step: &mut Step<'_>) {
        let wait = (step.facts.round_trip * 3).max(MIN_SUSPICION);
        let (until, pause) = (step.now + wait, wait / u64::from(SUSPICION_ASKS));
        self.suspicion = Some(Suspicion { newcomer: None, is_new: false, until, next_ask: step.now, pause });
        self.ask_suspected(step);
        self.look_in_time(step);
    }

    fn ask_suspected(&mut self, step: &mut Step<'_>) {
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.next_ask = step.now + suspicion.pause;
            self.ask(step, self.active.path);
        }
    }

    /// While the active path is under suspicion, an answer that is overdue decides.
    fn look_in_time(&mut self, step: &Step<'_>) {
        if self.suspicion.is_some()
            && let Some(at) = step.facts.overdue_at.filter(|at| *at > step.now)
        {
            self.next_look = self.next_look.min(at);
        }
    }

    fn add_standby(&mut self, valid: Valid) -> usize {
        self.unproven.retain(|other| other.path != valid.path);
        if self.standbys.len() >= MAX_STANDBYS
            && let Some(index) = (0..self.standbys.len()).min_by_key(|index| self.standbys[*index].echoed)
        {
            self.standbys.swap_remove(index);
        }
        self.standbys.push(valid);
        self.standbys.len() - 1
    }

    /// An authentic punch from somewhere that is no path makes it a source.
    fn note_source(&mut self, now: Instant, arrived: Path) {
        if self.is_valid(arrived) {
            return;
        }
        let until = now + SOURCE_LIVES;
        if let Some(known) = self.unproven.iter_mut().find(|other| is_same(other.path, arrived)) {
            known.kind = Kind::Source;
            known.until = known.until.max(until);
            return;
        }
        let sources = self.unproven.iter().filter(|other| other.kind == Kind::Source);
        if sources.clone().count() >= MAX_SOURCES
            && let Some(oldest) = sources.map(|source| source.until).min()
        {
            let index =
                self.unproven.iter().position(|other| other.kind == Kind::Source && other.until == oldest);
            index.map(|index| self.unproven.swap_remove(index));
        }
        self.unproven.push(Unproven { path: arrived, kind: Kind::Source, until });
    }

    fn answer(&mut self, step: &mut Step<'_>, arrived: Path, number: u64) {
        let now = step.now;
        let is_valid = self.is_valid(arrived);
        let takes = (is_valid || self.source_answers.takes(now, MAX_SOURCE_ANSWERS))
            && self.answers.takes(now, MAX_ANSWERS);
        if takes {
            let own = if is_valid { 0 } else { self.asked.draw(now, step.rng, arrived) };
            step.asks.push(Ask { path: arrived, number: own, echo: number });
        }
    }

    fn ask(&mut self, step: &mut Step<'_>, path: Path) {
        let number = self.asked.draw(step.now, step.rng, path);
        step.asks.push(Ask { path, number, echo: 0 });
    }

    /// Punches everything that may work.
    fn round(&mut self, step: &mut Step<'_>) {
        // This machine may have another address now.
        let anywhere = Path { local: None, ..self.active.path };
        if anywhere != self.active.path && self.standby(anywhere).is_none() {
            let until = step.now + SOURCE_LIVES;
            match self.unproven.iter_mut().find(|other| other.path == anywhere) {
                Some(known) => known.until = until,
                None => self.unproven.push(Unproven { path: anywhere, kind: Kind::Candidate, until }),
            }
        }
        self.ask(step, self.active.path);
        for index in 0..self.standbys.len() {
            self.ask(step, self.standbys[index].path);
        }
        for index in 0..self.unproven.len() {
            self.ask(step, self.unproven[index].path);
        }
        self.ask_candidates(step);
        if let Some(doubt) = &mut self.doubt {
            doubt.next_round = step.now + doubt.pause;
            doubt.pause = (doubt.pause * 2).min(MAX_ROUND_PAUSE.max(step.facts.probe_time));
        }
    }

    fn keep(&mut self, step: &mut Step<'_>) {
        if self.standbys.is_empty() {
            return;
        }
        self.ask(step, self.active.path);
        self.standbys.sort_by_key(|valid| valid.round_trip);
        for index in 0..self.standbys.len().min(KEPT) {
            self.ask(step, self.standbys[index].path);
        }
    }

    fn activate(&mut self, now: Instant, index: usize) {
        let old = core::mem::replace(&mut self.active, self.standbys.swap_remove(index));
        self.add_standby(old);
        self.next_keep = now + KEEP_PAUSE;
        self.suspicion = None;
        self.proven = Some(self.active.echoed);
        self.end_doubt();
    }

    /// Returns whether an answer is overdue on a path that has not echoed since it was: after an echo, the answer has its time again.
    fn is_overdue(&self, step: &Step<'_>) -> bool {
        let again = self.proven.map_or(Instant::ZERO, |at| at + step.facts.probe_time * 2);
        step.facts.overdue_at.is_some_and(|at| at.max(again) <= step.now)
    }

    /// Takes the wish for a ping: when a doubt has ended, it brings the answers that were lost.
    pub(crate) fn take_ping(&mut self) -> bool {
        core::mem::take(&mut self.wants_ping)
    }

    fn end_doubt(&mut self) {
        self.wants_ping |= self.doubt.is_some();
        self.doubt = None;
        self.unproven.retain(|other| other.kind == Kind::Source);
    }

    fn best_standby(&self) -> Option<usize> {
        (0..self.standbys.len()).min_by_key(|index| self.standbys[*index].round_trip)
    }

    /// Returns whether packets take a circuit.
    fn is_relayed(&self) -> bool {
        self.active.path.remote.is_circuit()
    }

    fn standby(&self, path: Path) -> Option<usize> {
        self.standbys.iter().position(|valid| valid.path == path)
    }

    fn is_valid(&self, arrived: Path) -> bool {
        is_same(self.active.path, arrived) || self.standbys.iter().any(|valid| is_same(valid.path, arrived))
    }
}

fn look_pause(facts: Facts) -> Micros {
    facts.probe_time.max(MIN_LOOK_PAUSE)
}

#[cfg(test)]
mod tests;
