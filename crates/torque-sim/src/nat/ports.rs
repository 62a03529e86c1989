//! The ports that a NAT gives.

use torque_netem::SimRng;
use torque_proto::Instant;

/// The lowest port that a NAT gives. The highest one is 65,535.
const LOWEST: u16 = 1_024;

/// The choice of the outside port of a mapping (RFC 4787 section 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortAssignment {
    /// The inside port, unless another mapping has it: then the next free one.
    Preserved,
    /// The port that lies this many after the last one.
    Sequential(u16),
    /// Any port.
    Random,
}

/// The choice of ports of one NAT.
#[derive(Debug)]
pub(super) struct Ports {
    assignment: PortAssignment,
    /// Ports a second that others take.
    other_traffic: f64,
    last: u16,
    chosen_at: Instant,
    rng: SimRng,
}

impl Ports {
    pub(super) fn new(assignment: PortAssignment, other_traffic: f64, mut rng: SimRng) -> Self {
        let last = any(&mut rng);
        Self { assignment, other_traffic, last, chosen_at: Instant::ZERO, rng }
    }

    /// A free port for an inside address whose port is `inside`.
    ///
    /// # Panics
    /// If the NAT has no port left.
    pub(super) fn choose(&mut self, now: Instant, inside: u16, is_taken: impl Fn(u16) -> bool) -> u16 {
        if self.assignment == PortAssignment::Preserved && !is_taken(inside) {
            return inside;
        }
        let stride = match self.assignment {
            PortAssignment::Preserved => 1,
            PortAssignment::Sequential(stride) => stride,
            PortAssignment::Random => {
                let mut draws = std::iter::repeat_with(|| any(&mut self.rng)).take(1_000_000);
                return draws.find(|port| !is_taken(*port)).expect("a port is free");
            }
        };
        let passed = now.saturating_since(self.chosen_at).as_secs_f64();
        self.chosen_at = now;
        let others = arrivals(&mut self.rng, self.other_traffic * passed);
        self.last = after(self.last, u64::from(stride) * others);
        let ports = std::iter::successors(Some(self.last), |port| Some(after(*port, u64::from(stride))));
        self.last = ports.skip(1).take(65_536).find(|port| !is_taken(*port)).expect("a port is free");
        self.last
    }

    /// Goes on at another place, and preserves no port any more, so that mappings get others.
    pub(super) fn restart(&mut self) {
        self.last = any(&mut self.rng);
        if self.assignment == PortAssignment::Preserved {
            self.assignment = PortAssignment::Random;
        }
    }
}

/// Any port that a NAT gives.
pub(super) fn any(rng: &mut SimRng) -> u16 {
    rng.between(u64::from(LOWEST), u64::from(u16::MAX)) as u16
}

/// The port that lies `steps` after another one; the lowest follows the highest.
fn after(port: u16, steps: u64) -> u16 {
    let count = u64::from(u16::MAX - LOWEST) + 1;
    LOWEST + ((u64::from(port.saturating_sub(LOWEST)) + steps) % count) as u16
}

/// The number of arrivals in a time in which `mean` are expected (a Poisson distribution).
fn arrivals(rng: &mut SimRng, mean: f64) -> u64 {
    // Times between arrivals are exponentially distributed. A long silence takes no long time to compute: beyond a thousand, the
    // deviation no longer matters.
    if mean > 1_000.0 {
        return mean as u64;
    }
    let mut time = 0.0;
    let mut count = 0;
    loop {
        time -= (1.0 - rng.unit()).ln();
        if time > mean {
            return count;
        }
        count += 1;
    }
}
