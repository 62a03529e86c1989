//! A context that a page has asked for, until it is known which address it stands for (GATEWAY.md 3, open).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use torque_proto::wire::probe;

use crate::session::action::Action;

/// How long addresses have to answer a probe.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often they are asked in that time.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// The most addresses of a name that are considered.
pub const MAX_ADDRESSES: usize = 8;

/// An address of a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// The address.
    pub address: SocketAddr,
    /// From where this machine would send there; `None` if it cannot.
    pub local: Option<IpAddr>,
}

/// A context on its way.
#[derive(Debug)]
pub struct Opening {
    /// The page's number for it.
    pub context: u32,
    /// Whether the host's name is on the operator's list.
    pub is_named: bool,
    /// How far it is.
    pub stage: Stage,
}

/// How far an [`Opening`] is.
#[derive(Debug)]
pub enum Stage {
    /// Its addresses are being looked up.
    Resolving,
    /// The same, but the page does not want it any more. It keeps its place until the look-up is done.
    Forgotten,
    /// More than one is allowed: the first that answers is taken.
    Probing {
        /// The addresses, best first, each with a nonce of its own: who receives at one must not be able to answer for another.
        candidates: Vec<(SocketAddr, [u8; 16])>,
        /// When they are asked again.
        probe_at: Instant,
        /// When the best one is taken.
        decide_at: Instant,
    },
}

impl Opening {
    /// The page does not want it any more. Whether it is to stay.
    pub fn forget(&mut self) -> bool {
        let is_resolving = matches!(self.stage, Stage::Resolving | Stage::Forgotten);
        if is_resolving {
            self.stage = Stage::Forgotten;
        }
        is_resolving
    }

    /// Asks all of these addresses from now on.
    pub fn probe_all(&mut self, addresses: &[SocketAddr], random: fn() -> Option<[u8; 16]>, now: Instant) {
        // Without randomness nobody is asked, and the best address is taken.
        let with_nonce = |address: &SocketAddr| Some((*address, random()?));
        let asked: Option<Vec<_>> = addresses.iter().take(MAX_ADDRESSES).map(with_nonce).collect();
        let patience = if asked.is_some() { PATIENCE } else { Duration::ZERO };
        let candidates =
            asked.unwrap_or_else(|| addresses.iter().map(|address| (*address, [0; 16])).collect());
        self.stage = Stage::Probing { candidates, probe_at: now, decide_at: now + patience };
    }

    /// Whether this is the echo of an address that is asked.
    pub fn is_answered(&self, address: SocketAddr, nonce: &[u8; 16]) -> bool {
        matches!(&self.stage, Stage::Probing { candidates, .. } if candidates.contains(&(address, *nonce)))
    }

    /// When [`due`](Self::due) has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Resolving | Stage::Forgotten => None,
            Stage::Probing { probe_at, decide_at, .. } => Some(*probe_at.min(decide_at)),
        }
    }

    /// Sends probes if it is time to; the best address, if nobody has answered in time.
    pub fn due(&mut self, now: Instant, actions: &mut VecDeque<Action>) -> Option<SocketAddr> {
        let Stage::Probing { candidates, probe_at, decide_at } = &mut self.stage else { return None };
        if *decide_at <= now {
            return candidates.first().map(|(address, _)| *address);
        }
        if *probe_at <= now {
            *probe_at = now + PROBE_EVERY;
            let probes = candidates
                .iter()
                .map(|(remote, nonce)| Action::Probe { remote: *remote, datagram: probe(*nonce) });
            actions.extend(probes);
        }
        None
    }
}
