//! One try to get through NATs that depend on the destination (INTRODUCTIONS.md 9.2).
//!
//! A [`Run`] decides which ports are opened and punched, and what is observed, and when. It knows no keys and sends nothing: what it wants
//! is appended to the lists of a [`RunStep`].

use alloc::collections::{BinaryHeap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::{SocketAddr, SocketAddrV4};

use super::Ports;
use super::punching::FEW_HOPS;
use crate::crypto::rng::Rng;
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::micros::Micros;
use crate::path::Path;
use crate::wire::introduction::{Nat, ObserveToken};

/// How long a run lasts, and how many punches it takes.
const LASTS: Micros = Micros::from_secs(30);
const MAX_PUNCHES: usize = 4_096;
/// Punches in a second: what the tactics take, and a little for timers that are late. Word of all rounds at once brings no more.
const MOST_IN_SECOND: usize = 512;
const SECOND: Micros = Micros::from_secs(1);
/// Ports that NATs give out.
const LOWEST: u16 = 1_024;
/// Punched ports of a spray; how many of them are in turn near the observed one, and how near.
const SPRAYED: usize = 3_072;
const SPRAYED_NEAR: usize = 1_024;
const NEAR: u16 = 256;
const SPRAY_PACE: Micros = Micros::from_millis(4);
/// Opened ports, the pause between them, and between the punches from each.
const OPENED: u16 = 256;
const OPEN_PACE: Micros = Micros::from_millis(4);
const HOLD_PAUSE: Micros = Micros::from_secs(3);
/// How often each port is punched from with few hops: as long as the other party sprays, and less often by a party that sprays, too.
const SHY_PUNCHES: u8 = 5;
const SHY_PUNCHES_SPRAYING: u8 = 2;
/// Tokens that are asked for, and rounds that they make.
pub(super) const ROUNDS: usize = 4;
const PREDICT_PAUSE: Micros = Micros::from_secs(3);
const BURST_PAUSE: Micros = Micros::from_secs(2);
/// The pause between *observes* of a round, and how many there are.
const OBSERVE_PAUSE: Micros = Micros::from_millis(200);
const PREDICT_OBSERVES: u64 = 3;
const BURST_OBSERVES: u64 = 2;
/// Ports that are opened in a round of prediction, and when each is punched from.
const PREDICTED: u64 = 16;
const PREDICT_SCHEDULE: [u64; 7] = [0, 150, 300, 500, 800, 1_200, 2_000];
/// Ports that are punched in the first round of following; each later round has as many more.
const FOLLOWED: u16 = 128;
const FOLLOW_PACE: Micros = Micros::from_millis(2);
/// Ports that are punched in a burst, and when.
const BURST: u16 = 64;
const BURST_PACE: Micros = Micros::from_micros(500);
const BURST_SCHEDULE: [u64; 3] = [0, 150, 400];
/// What is late by more than this is not caught up with: a program that stood still sends no flood.
const MOST_LATE: Micros = Micros::from_millis(20);

/// What a party tries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tactic {
    /// Tries many ports of the other party, and opens many here: one of the two NATs was misjudged.
    OpenAndSpray,
    /// Opens many ports.
    Open,
    /// Tries many ports.
    Spray,
    /// Opens ports whose mappings the other party foresees.
    Predict,
    /// Tries the ports that come next at the other party.
    Follow,
    /// Both parties foresee the other's next mappings.
    Burst,
}

impl Tactic {
    /// The tactic against these NATs; `None` if there is none that is worth it, or if it needs ports that this party cannot open.
    pub(super) fn of(own: Nat, other: Nat, opens_ports: bool) -> Option<Self> {
        use Nat::{Independent, Sequential, Unknown, Unpredictable};
        match (own, other) {
            (Independent | Unknown, Independent | Unknown) if opens_ports => Some(Self::OpenAndSpray),
            (Independent | Unknown, Independent | Unknown | Unpredictable) => Some(Self::Spray),
            (Independent | Unknown, Sequential(_)) => Some(Self::Follow),
            (Sequential(_), Independent | Unknown) if opens_ports => Some(Self::Predict),
            (Sequential(_), Sequential(_)) if opens_ports => Some(Self::Burst),
            (Unpredictable, Independent | Unknown) if opens_ports => Some(Self::Open),
            _ => None,
        }
    }

    /// Returns whether it needs the introducer's tokens.
    fn observes(self) -> bool {
        matches!(self, Self::Predict | Self::Burst)
    }
}

/// A punch that a run wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RunPunch {
    pub(crate) path: Path,
    pub(crate) hop_limit: Option<u8>,
}

/// What a step of a run needs, and what it wants.
pub(super) struct RunStep<'a> {
    pub(super) now: Instant,
    pub(super) ports: &'a mut Ports,
    /// The connection for which ports are opened, and how many may be open.
    pub(super) owner: ConnectionId,
    pub(super) most_ports: usize,
    pub(super) punches: Vec<RunPunch>,
    /// Tokens to be sent to where packets to the introducer go, each from this port.
    pub(super) observes: Vec<(u16, ObserveToken)>,
    /// Ports that were opened.
    pub(super) opened: u64,
}

impl RunStep<'_> {
    fn open(&mut self) -> Option<u16> {
        let port = self.ports.open(self.owner, self.most_ports);
        self.opened += u64::from(port.is_some());
        port
    }
}

/// Something to be done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Act {
    /// Opens a port, and `left` more after it.
    Open { left: u16 },
    /// Punches the observed address from a port, as often as it was done before and once more.
    Hold { port: u16, punched: u8 },
    /// Punches the port at this place of the spray.
    Spray { place: u16 },
    /// Begins a round.
    Begin { round: u8 },
    /// Sends the token of a round.
    Observe { round: u8 },
    /// Punches the port so many steps behind the one that was observed in a round.
    Follow { round: u8, steps: u16 },
    /// Punches one port from another.
    Punch { from: u16, to: u16 },
}

/// What is known of a round.
#[derive(Clone, Copy, Default)]
struct Round {
    /// The port here from which its token is sent.
    port: Option<u16>,
    /// Whether that arrived.
    was_observed: bool,
    /// The port from which the other party's token came.
    theirs: Option<u16>,
    is_done: bool,
}

/// One try.
pub(super) struct Run {
    tactic: Tactic,
    is_host: bool,
    /// The other party's observed address.
    other: SocketAddrV4,
    /// How far apart the other party's mappings are.
    stride: u16,
    until: Instant,
    punched: usize,
    /// When each punch of the last second left, oldest first.
    last_second: VecDeque<Instant>,
    spray: Vec<u16>,
    tokens: Vec<ObserveToken>,
    rounds: [Round; ROUNDS],
    /// In the order of time, and of entry.
    plan: BinaryHeap<Reverse<(Instant, u32, Act)>>,
    planned: u32,
}

impl Run {
    pub(super) fn new(
        now: Instant,
        rng: &mut Rng,
        tactic: Tactic,
        is_host: bool,
        other: SocketAddrV4,
        other_nat: Nat,
    ) -> Self {
        let stride = if let Nat::Sequential(stride) = other_nat { u16::from(stride.max(1)) } else { 1 };
        let mut run = Self {
            tactic,
            is_host,
            other,
            stride,
            until: now + LASTS,
            punched: 0,
            last_second: VecDeque::new(),
            spray: Vec::new(),
            tokens: Vec::new(),
            rounds: [Round::default(); ROUNDS],
            plan: BinaryHeap::new(),
            planned: 0,
        };
        if matches!(tactic, Tactic::Spray | Tactic::OpenAndSpray) {
            run.spray = sprayed(rng, other.port());
            run.plan(now, Act::Spray { place: 0 });
        }
        if matches!(tactic, Tactic::Open | Tactic::OpenAndSpray) {
            run.plan(now, Act::Open { left: OPENED - 1 });
        }
        run
    }

    /// Returns whether the introducer is to be asked for tokens: once, at the beginning.
    pub(super) fn wants_tokens(&self) -> bool {
        self.tactic.observes()
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until <= now
    }

    /// When there is something to do.
    pub(super) fn deadline(&self) -> Instant {
        self.plan.peek().map_or(self.until, |Reverse((at, ..))| self.until.min(*at))
    }

    /// The introducer gave tokens.
    pub(super) fn on_tokens(&mut self, step: &mut RunStep<'_>, tokens: &[ObserveToken]) {
        if !self.tactic.observes() || !self.tokens.is_empty() {
            return;
        }
        self.tokens = tokens.iter().take(ROUNDS).copied().collect();
        let pause = if self.tactic == Tactic::Burst { BURST_PAUSE } else { PREDICT_PAUSE };
        for round in 0..self.tokens.len() {
            self.plan(step.now + pause * round as u64, Act::Begin { round: round as u8 });
        }
        self.handle_timeout(step);
    }

    /// The introducer saw where a token came from: this party's, or the other one's.
    pub(super) fn on_observed(
        &mut self,
        step: &mut RunStep<'_>,
        is_other: bool,
        round: u8,
        address: SocketAddr,
    ) {
        let Some(known) = self.rounds.get_mut(usize::from(round)) else { return };
        if is_other {
            // Nobody else is punched, whatever the introducer says.
            if address.ip() != *self.other.ip() || known.theirs.is_some() {
                return;
            }
            known.theirs = Some(address.port());
        } else if known.port.is_none() || core::mem::replace(&mut known.was_observed, true) {
            return;
        }
        match self.tactic {
            Tactic::Predict if !is_other => self.predict(step),
            Tactic::Follow if is_other => self.plan(step.now, Act::Follow { round, steps: 1 }),
            Tactic::Burst => self.burst(step.now, usize::from(round)),
            _ => {}
        }
        self.handle_timeout(step);
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, step: &mut RunStep<'_>) {
        while let Some(Reverse((at, _, act))) =
            self.plan.peek().copied().filter(|Reverse((at, ..))| *at <= step.now)
        {
            self.plan.pop();
            self.act(step, at, act);
        }
    }

    fn act(&mut self, step: &mut RunStep<'_>, at: Instant, act: Act) {
        // What is late by more than `MOST_LATE` counts as late by that.
        let late = step.now.micros_since(at);
        let at = if late > MOST_LATE { at + (late - MOST_LATE) } else { at };
        match act {
            Act::Open { left } => {
                // A look may have the last ones, for a second.
                let Some(port) = step.open() else { return self.plan(at + HOLD_PAUSE, act) };
                self.act(step, at, Act::Hold { port, punched: 0 });
                if left > 0 {
                    self.plan(at + OPEN_PACE, Act::Open { left: left - 1 });
                }
            }
            Act::Hold { port, punched } => {
                let shy = if self.spray.is_empty() { SHY_PUNCHES } else { SHY_PUNCHES_SPRAYING };
                let hop_limit = (punched < shy).then_some(FEW_HOPS);
                self.punch(step, port, self.other.port(), hop_limit);
                self.plan(at + HOLD_PAUSE, Act::Hold { port, punched: punched.saturating_add(1) });
            }
            Act::Spray { place } => {
                let Some(to) = self.spray.get(usize::from(place)) else { return };
                self.punch(step, 0, *to, None);
                self.plan(at + SPRAY_PACE, Act::Spray { place: place + 1 });
            }
            Act::Begin { round } => self.begin(step, round),
            Act::Observe { round } => {
                let port = self.rounds.get(usize::from(round)).and_then(|round| round.port);
                if let (Some(port), Some(token)) = (port, self.tokens.get(usize::from(round))) {
                    step.observes.push((port, *token));
                }
            }
            Act::Follow { round, steps } => {
                let theirs = self.rounds.get(usize::from(round)).and_then(|round| round.theirs);
                let Some(base) = theirs.filter(|_| steps <= FOLLOWED * (u16::from(round) + 1)) else {
                    return;
                };
                self.punch(step, 0, port_after(base, u32::from(steps) * u32::from(self.stride)), None);
                self.plan(at + FOLLOW_PACE, Act::Follow { round, steps: steps + 1 });
            }
            Act::Punch { from, to } => self.punch(step, from, to, None),
        }
    }

    /// Shows the introducer where a fresh port's datagrams come from.
    fn begin(&mut self, step: &mut RunStep<'_>, round: u8) {
        let Some(port) = step.open() else { return };
        if let Some(known) = self.rounds.get_mut(usize::from(round)) {
            known.port = Some(port);
        }
        let observes = if self.tactic == Tactic::Burst { BURST_OBSERVES } else { PREDICT_OBSERVES };
        for count in 0..observes {
            self.plan(step.now + OBSERVE_PAUSE * count, Act::Observe { round });
        }
    }

    /// The next mappings here are those of these ports. The other party knows where they begin.
    fn predict(&mut self, step: &mut RunStep<'_>) {
        for number in 0..PREDICTED {
            let Some(from) = step.open() else { return };
            for millis in PREDICT_SCHEDULE {
                let at = step.now + Micros::from_millis(number + millis);
                self.plan(at, Act::Punch { from, to: self.other.port() });
            }
        }
    }

    /// Both parties' tokens of a round were observed: each punches where the other's next mappings are.
    fn burst(&mut self, now: Instant, round: usize) {
        let Some(Round { port: Some(from), was_observed: true, theirs: Some(base), is_done }) =
            self.rounds.get_mut(round)
        else {
            return;
        };
        if core::mem::replace(is_done, true) {
            return;
        }
        let (from, base) = (*from, *base);
        for number in 1..=u64::from(BURST) {
            let steps = if self.is_host { 2 * number - 1 } else { number };
            let to = port_after(base, steps as u32 * u32::from(self.stride));
            for millis in BURST_SCHEDULE {
                self.plan(now + Micros::from_millis(millis) + BURST_PACE * number, Act::Punch { from, to });
            }
        }
    }

    fn punch(&mut self, step: &mut RunStep<'_>, port: u16, to: u16, hop_limit: Option<u8>) {
        while self.last_second.front().is_some_and(|at| *at + SECOND <= step.now) {
            self.last_second.pop_front();
        }
        if self.punched < MAX_PUNCHES && self.last_second.len() < MOST_IN_SECOND {
            self.last_second.push_back(step.now);
            self.punched += 1;
            let remote = SocketAddr::from((*self.other.ip(), to)).into();
            step.punches.push(RunPunch { path: Path { port, ..Path::to(remote) }, hop_limit });
        }
    }

    fn plan(&mut self, at: Instant, act: Act) {
        self.planned = self.planned.wrapping_add(1);
        self.plan.push(Reverse((at, self.planned, act)));
    }
}

/// The port that comes so many after another one: they go on at the lowest above the highest.
fn port_after(base: u16, steps: u32) -> u16 {
    let port = u32::from(base) + steps;
    let beyond = port.checked_sub(u32::from(u16::MAX) + 1);
    let ports = u32::from(u16::MAX - LOWEST) + 1;
    beyond.map_or(port, |beyond| u32::from(LOWEST) + beyond % ports) as u16
}

/// The ports of a spray, each once. At first every second one is near the observed one, because carriers give out blocks.
fn sprayed(rng: &mut Rng, observed: u16) -> Vec<u16> {
    let lowest = observed.saturating_sub(NEAR).max(LOWEST);
    let mut near: Vec<u16> = (lowest..=observed.saturating_add(NEAR)).collect();
    let mut is_taken = vec![false; usize::from(u16::MAX) + 1];
    is_taken[usize::from(observed)] = true;
    let mut ports = Vec::with_capacity(SPRAYED);
    while ports.len() < SPRAYED {
        let is_near = ports.len() < SPRAYED_NEAR && ports.len() % 2 == 0 && !near.is_empty();
        let port = if is_near {
            near.swap_remove(rng.below(near.len() as u64) as usize)
        } else {
            LOWEST + rng.below(u64::from(u16::MAX - LOWEST) + 1) as u16
        };
        if !core::mem::replace(&mut is_taken[usize::from(port)], true) {
            ports.push(port);
        }
    }
    ports
}

#[cfg(test)]
mod tests;
