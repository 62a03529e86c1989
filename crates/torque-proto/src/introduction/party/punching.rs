//! The search for the first paths of one introduction (INTRODUCTIONS.md 8).
//!
//! [`Punching`] decides and keeps the times. It knows no keys: the punches that it wants are appended to a list, which the party seals.
//! When the connection is established, its [`PathSet`](crate::path::PathSet) goes on with what was found here.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::budgets::Budgets;
use crate::address::Address;
use crate::crypto::rng::Rng;
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::micros::Micros;
use crate::path::{
    Allowance, Ask, AskedNumbers, ForeignNumbers, MAX_ANSWERS, MAX_SOURCE_ANSWERS, MAX_SOURCES, PATH_LIVES,
    Path, SOURCE_LIVES, is_same,
};

/// When a candidate is punched.
const SCHEDULE: [Micros; 10] = [
    Micros::ZERO,
    Micros::from_millis(30),
    Micros::from_millis(100),
    Micros::from_millis(200),
    Micros::from_millis(400),
    Micros::from_millis(800),
    Micros::from_millis(1_600),
    Micros::from_millis(2_400),
    Micros::from_millis(3_200),
    Micros::from_millis(4_000),
];
/// The pause between candidates.
const PACE: Micros = Micros::from_millis(10);
/// Routers that the first punch to a candidate passes: it opens this side's NATs, and dies before it reaches the other side's.
pub(super) const FEW_HOPS: u8 = 5;
/// The pause between punches on valid paths, so that no NAT forgets them while a person decides.
const HOLD_PAUSE: Micros = Micros::from_secs(5);
/// Valid paths.
const MAX_VALID: usize = 4;
/// Numbers that wait for their echo: as many as are sent while one may be echoed.
const MAX_ASKED: usize = 160;
/// The same while a run goes on, which sends 500 a second.
const MAX_ASKED_IN_RUN: usize = MAX_ASKED + 2_500;

/// What a step needs, and the punches that it wants, each with a hop limit if it is to have one.
pub(super) struct PunchingStep<'a> {
    pub(super) now: Instant,
    pub(super) rng: &'a mut Rng,
    pub(super) budgets: &'a mut Budgets,
    /// What the punches that nothing asked for are charged to.
    pub(super) introducer: ConnectionId,
    pub(super) asks: Vec<(Ask, Option<u8>)>,
    /// Answers left out because of their limits.
    pub(super) answers_not_sent: u64,
}

/// A path that is valid now and was not before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NewlyValid {
    pub(super) path: Path,
    pub(super) round_trip: Micros,
}

/// A place in the schedule.
#[derive(Clone, Copy)]
struct Turn {
    began: Instant,
    next: usize,
}

impl Turn {
    fn at(self) -> Option<Instant> {
        SCHEDULE.get(self.next).map(|after| self.began + *after)
    }

    /// Returns whether a punch is due, and goes on to the next one that is not. The first is never left out.
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = |turn: &Self| turn.at().is_some_and(|at| at <= now);
        let was_due = is_due(self);
        if was_due {
            let was_first = self.next == 0;
            self.next += 1;
            while !was_first && is_due(self) {
                self.next += 1;
            }
        }
        was_due
    }
}

/// A candidate.
struct Target {
    address: SocketAddr,
    turn: Turn,
}

impl Target {
    fn path(&self) -> Path {
        Path::to(self.address.into())
    }
}

/// A path on which a number was sent that came back.
struct Valid {
    path: Path,
    /// When one was last echoed.
    echoed: Instant,
    /// Whether the other party has shown that it is valid there, too. Until then it is punched.
    is_shown: bool,
    /// Whether something came from there. If not, the other party's NAT may give it another address towards here.
    is_heard: bool,
    turn: Turn,
}

/// An address from which an authentic punch came, and which is neither a candidate nor a path.
struct Source {
    path: Path,
    until: Instant,
}

/// The paths of one introduction.
pub(super) struct Punching {
    targets: Vec<Target>,
    valid: Vec<Valid>,
    sources: Vec<Source>,
    asked: AskedNumbers,
    foreign: ForeignNumbers,
    answers: Allowance,
    source_answers: Allowance,
    next_hold: Instant,
}

impl Punching {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            targets: Vec::new(),
            valid: Vec::new(),
            sources: Vec::new(),
            asked: AskedNumbers::new(MAX_ASKED),
            foreign: ForeignNumbers::default(),
            answers: Allowance::new(now),
            source_answers: Allowance::new(now),
            next_hold: now,
        }
    }

    /// Punches these candidates, in this order, in place of earlier ones. One that stays goes on where it is.
    pub(super) fn set_candidates(&mut self, now: Instant, addresses: &[SocketAddr]) {
        let old = core::mem::take(&mut self.targets);
        let mut began = now;
        for address in addresses {
            let known = old.iter().find(|target| target.address == *address).map(|target| target.turn);
            let turn = known.unwrap_or_else(|| {
                let turn = Turn { began, next: 0 };
                began = began + PACE;
                turn
            });
            self.targets.push(Target { address: *address, turn });
        }
        let targets = &self.targets;
        self.sources.retain(|source| !targets.iter().any(|target| is_same(target.path(), source.path)));
    }

    /// Punches all candidates anew: this machine may be elsewhere.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        let mut began = now;
        for target in &mut self.targets {
            target.turn = Turn { began, next: 0 };
            began = began + PACE;
        }
        self.next_hold = now;
    }

    pub(super) fn candidates(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.targets.iter().map(|target| target.address)
    }

    pub(super) fn valid_paths(&self) -> impl Iterator<Item = Path> + '_ {
        self.valid.iter().map(|valid| valid.path)
    }

    /// From where the other party sends, too.
    pub(super) fn sources(&self) -> impl Iterator<Item = Path> + '_ {
        self.sources.iter().map(|source| source.path)
    }

    pub(super) fn has_path(&self) -> bool {
        !self.valid.is_empty()
    }

    pub(super) fn is_valid(&self, arrived: Path) -> bool {
        self.valid.iter().any(|valid| is_same(valid.path, arrived))
    }

    /// Something that the other party sends only where it is valid came from there.
    pub(super) fn was_shown(&mut self, arrived: Path) {
        for valid in self.valid.iter_mut().filter(|valid| is_same(valid.path, arrived)) {
            valid.is_shown = true;
        }
    }

    /// An authentic punch arrived. Returns the path that it has made valid.
    pub(super) fn on_punch(
        &mut self,
        step: &mut PunchingStep<'_>,
        arrived: Path,
        number: u64,
        echo: u64,
    ) -> Option<NewlyValid> {
        if !self.is_valid(arrived) && !self.may_be_new(step.now, number, echo) {
            return None;
        }
        if let Some(valid) = self.valid.iter_mut().find(|valid| is_same(valid.path, arrived)) {
            valid.is_heard = true;
        }
        let newly = if echo == 0 { None } else { self.on_echo(step.now, echo, number == 0, arrived) };
        if !self.is_valid(arrived) && !self.is_candidate(arrived) {
            self.note_source(step.now, arrived);
        }
        if number != 0 {
            self.answer(step, arrived, number);
        }
        newly
    }

    /// Returns whether a punch from where no path is may be new. Otherwise somebody replays it, and would take the places of sources.
    fn may_be_new(&mut self, now: Instant, number: u64, echo: u64) -> bool {
        match number {
            0 => self.asked.has(echo),
            _ => self.foreign.heeds(now, number),
        }
    }

    /// An echo proves the path on which its number was sent, wherever it came from. The other party asks nothing where it is valid.
    fn on_echo(&mut self, now: Instant, echo: u64, asks_nothing: bool, arrived: Path) -> Option<NewlyValid> {
        let asked = self.asked.take(now, echo)?;
        if let Some(valid) = self.valid.iter_mut().find(|valid| is_same(valid.path, asked.path)) {
            valid.echoed = now;
            valid.is_shown |= asks_nothing;
            return None;
        }
        let is_heard = is_same(asked.path, arrived)
            || self.sources.iter().any(|source| is_same(source.path, asked.path));
        if self.valid.len() >= MAX_VALID {
            // Handshakes come from where punches came from: paths that only lead there give way.
            let silent = self.valid.iter().position(|valid| !valid.is_heard).filter(|_| is_heard)?;
            self.valid.remove(silent);
        }
        if self.valid.is_empty() {
            self.next_hold = now + HOLD_PAUSE;
        }
        let turn = Turn { began: now, next: 1 };
        self.valid.push(Valid { path: asked.path, echoed: now, is_shown: asks_nothing, is_heard, turn });
        self.sources.retain(|source| !is_same(source.path, asked.path));
        Some(NewlyValid { path: asked.path, round_trip: now.micros_since(asked.at) })
    }

    fn note_source(&mut self, now: Instant, arrived: Path) {
        let until = now + SOURCE_LIVES;
        if let Some(known) = self.sources.iter_mut().find(|source| is_same(source.path, arrived)) {
            known.until = until;
            return;
        }
        if self.sources.len() >= MAX_SOURCES
            && let Some(oldest) = (0..self.sources.len()).min_by_key(|index| self.sources[*index].until)
        {
            self.sources.swap_remove(oldest);
        }
        self.sources.push(Source { path: arrived, until });
    }

    fn answer(&mut self, step: &mut PunchingStep<'_>, arrived: Path, number: u64) {
        let now = step.now;
        let is_valid = self.is_valid(arrived);
        let takes =
            (is_valid || self.is_candidate(arrived) || self.source_answers.takes(now, MAX_SOURCE_ANSWERS))
                && self.answers.takes(now, MAX_ANSWERS);
        if !takes {
            step.answers_not_sent += 1;
            return;
        }
        let own = if is_valid { 0 } else { self.asked.draw(now, step.rng, arrived) };
        step.asks.push((Ask { path: arrived, number: own, echo: number }, None));
    }

    /// Draws the number of a punch of a run (INTRODUCTIONS.md 9.2). Until the run ends, more numbers wait for their echo.
    pub(super) fn draw_for_run(&mut self, now: Instant, rng: &mut Rng, path: Path) -> u64 {
        self.asked.set_most(MAX_ASKED_IN_RUN);
        self.asked.draw(now, rng, path)
    }

    /// The run has ended.
    pub(super) fn end_run(&mut self) {
        self.asked.set_most(MAX_ASKED);
    }

    /// Sends what is due and forgets what is over.
    pub(super) fn handle_timeout(&mut self, step: &mut PunchingStep<'_>) {
        let now = step.now;
        self.sources.retain(|source| source.until > now);
        self.valid.retain(|valid| valid.echoed + PATH_LIVES > now);
        if self.valid.is_empty() {
            for target in &mut self.targets {
                let hop_limit = (target.turn.next == 0).then_some(FEW_HOPS);
                let path = target.path();
                if target.turn.is_due(now) && step.budgets.takes(now, step.introducer, path.remote) {
                    let number = self.asked.draw(now, step.rng, path);
                    step.asks.push((Ask { path, number, echo: 0 }, hop_limit));
                }
            }
            return;
        }
        let holds = self.next_hold <= now;
        if holds {
            self.next_hold = now + HOLD_PAUSE;
        }
        for valid in &mut self.valid {
            let is_due = valid.turn.is_due(now) && !valid.is_shown;
            if (is_due || holds) && step.budgets.takes_proven(now, step.introducer) {
                let number = self.asked.draw(now, step.rng, valid.path);
                step.asks.push((Ask { path: valid.path, number, echo: 0 }, None));
            }
        }
    }

    /// The next time that [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let sources = self.sources.iter().map(|source| source.until);
        if self.valid.is_empty() {
            return self.targets.iter().filter_map(|target| target.turn.at()).chain(sources).min();
        }
        let ends = self.valid.iter().map(|valid| valid.echoed + PATH_LIVES);
        let turns = self.valid.iter().filter(|valid| !valid.is_shown).filter_map(|valid| valid.turn.at());
        ends.chain(turns).chain(sources).chain([self.next_hold]).min()
    }

    /// Returns whether the other party may be at this address.
    pub(super) fn expects(&self, remote: Address) -> bool {
        let candidates = self.candidates().map(Address::from);
        candidates
            .chain(self.valid_paths().chain(self.sources()).map(|path| path.remote))
            .any(|at| at == remote)
    }

    fn is_candidate(&self, arrived: Path) -> bool {
        self.targets.iter().any(|target| is_same(target.path(), arrived))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Path {
        Path::to(SocketAddr::from(([45, 80, 0, 1], port)).into())
    }

    /// The other party's NAT maps ports, and gives its answers others: the first only lead there, from the last one handshakes come.
    #[test]
    fn of_many_paths_those_that_only_lead_there_give_way() {
        let now = Instant::from_millis(5);
        let (mut rng, mut budgets) = (Rng::new([1; 32]), Budgets::default());
        let mut punching = Punching::new(now);
        let mut foreign = 0;
        let mut hear = |punching: &mut Punching, rng: &mut Rng, from: Path, echo: u64| {
            foreign += 1;
            let introducer = ConnectionId::new(0, 1, 1);
            let (budgets, asks) = (&mut budgets, Vec::new());
            let mut step = PunchingStep { now, rng, budgets, introducer, asks, answers_not_sent: 0 };
            punching.on_punch(&mut step, from, foreign, echo);
            step.asks.pop().map(|(ask, _)| ask)
        };
        let there = at(9);
        let mut answer = None;
        for port in 1..=MAX_VALID as u16 + 1 {
            let number = punching.draw_for_run(now, &mut rng, at(port));
            answer = hear(&mut punching, &mut rng, there, number).or(answer);
        }
        let only_lead_there: Vec<_> = punching.valid_paths().collect();
        assert_eq!(only_lead_there, [1, 2, 3, 4].map(at));
        let answer = answer.unwrap();
        assert_eq!(answer.path, there);
        hear(&mut punching, &mut rng, there, answer.number);
        assert_eq!(punching.valid_paths().collect::<Vec<_>>(), [2, 3, 4, 9].map(at));
        // It is heard from now on, and stays.
        let number = punching.draw_for_run(now, &mut rng, at(5));
        hear(&mut punching, &mut rng, there, number);
        assert!(punching.is_valid(there) && !punching.is_valid(at(5)));
    }
}
