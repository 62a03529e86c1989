//! A context that a page asked for, until its address is decided (GATEWAY.md 3, open).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use torque_proto::schedule::{PROBE_WAIT, PROBES_AT};
use torque_proto::wire::probe;

use crate::session::action::Action;

/// The most addresses of a name that are tried.
pub const MAX_ADDRESSES: usize = 8;

/// An address of a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// The address.
    pub address: SocketAddr,
    /// The address from which this machine would send there; `None` if it has no route.
    pub local: Option<IpAddr>,
}

/// A context that is being opened.
#[derive(Debug)]
pub struct Opening {
    /// The page's number for it.
    pub context: u32,
    /// Set if the host's name is on the operator's list.
    pub is_named: bool,
    /// Its progress.
    pub stage: Stage,
}

/// The progress of an [`Opening`].
#[derive(Debug)]
pub enum Stage {
    /// Its addresses are being looked up.
    Resolving,
    /// The same, but the page gave it up. It still counts until the look-up is done.
    Forgotten,
    /// Several addresses are allowed; the first that answers is taken.
    Probing {
        /// The addresses, best first, each with its own nonce, so that one cannot answer for another.
        candidates: Vec<(SocketAddr, [u8; 16])>,
        /// The time of the first probes.
        begun: Instant,
        /// Rounds of probes so far.
        rounds: usize,
        /// The time at which the best one is taken.
        decide_at: Instant,
    },
}

impl Opening {
    /// Gives it up. Returns whether it must stay until a look-up is done.
    pub fn forget(&mut self) -> bool {
        let is_resolving = matches!(self.stage, Stage::Resolving | Stage::Forgotten);
        if is_resolving {
            self.stage = Stage::Forgotten;
        }
        is_resolving
    }

    /// Probes all of these addresses from now on.
    pub fn probe_all(&mut self, addresses: &[SocketAddr], random: fn() -> Option<[u8; 16]>, now: Instant) {
        // Without randomness there are no probes, and the best address is taken.
        let with_nonce = |address: &SocketAddr| Some((*address, random()?));
        let asked: Option<Vec<_>> = addresses.iter().take(MAX_ADDRESSES).map(with_nonce).collect();
        let patience = if asked.is_some() { PROBE_WAIT } else { Duration::ZERO };
        let candidates =
            asked.unwrap_or_else(|| addresses.iter().map(|address| (*address, [0; 16])).collect());
        self.stage = Stage::Probing { candidates, begun: now, rounds: 0, decide_at: now + patience };
    }

    /// Returns whether an echo answers one of its probes.
    pub fn is_answered(&self, address: SocketAddr, nonce: &[u8; 16]) -> bool {
        matches!(&self.stage, Stage::Probing { candidates, .. } if candidates.contains(&(address, *nonce)))
    }

    /// The time at which [`due`](Self::due) must be called.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Resolving | Stage::Forgotten => None,
            Stage::Probing { begun, rounds, decide_at, .. } => {
                Some(next_round(*begun, *rounds).map_or(*decide_at, |at| at.min(*decide_at)))
            }
        }
    }

    /// Sends probes if they are due. Returns the best address if none has answered in time.
    pub fn due(&mut self, now: Instant, actions: &mut VecDeque<Action>) -> Option<SocketAddr> {
        let Stage::Probing { candidates, begun, rounds, decide_at } = &mut self.stage else { return None };
        if *decide_at <= now {
            return candidates.first().map(|(address, _)| *address);
        }
        if next_round(*begun, *rounds).is_some_and(|at| at <= now) {
            // A round that was missed is not made up for.
            *rounds = PROBES_AT.iter().filter(|after| *begun + **after <= now).count();
            let probes = candidates
                .iter()
                .map(|(remote, nonce)| Action::Probe { remote: *remote, datagram: probe(*nonce) });
            actions.extend(probes);
        }
        None
    }
}

/// The time of the next round of probes, after `rounds` of them.
fn next_round(begun: Instant, rounds: usize) -> Option<Instant> {
    PROBES_AT.get(rounds).map(|after| begun + *after)
}
