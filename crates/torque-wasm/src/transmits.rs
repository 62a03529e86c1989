//! Datagrams on their way out, one at a time.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use torque_proto::{Path, Transmit};

use crate::{Core, instant};

/// Where the caller is in what waits.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// So many of the endpoint's datagrams have been given.
    given: usize,
    /// What a simulated link lets through now.
    departed: VecDeque<(Path, Option<u8>, Vec<u8>)>,
    /// The one that the caller looks at.
    held: Vec<u8>,
    /// Its path, and the one that the caller was told last.
    path: Option<Path>,
    told: Option<Path>,
    /// How many routers it passes at most, if that is limited: first punches of introductions are.
    #[cfg(feature = "introductions")]
    hop_limit: Option<u8>,
}

impl Outgoing {
    #[cfg(feature = "introductions")]
    fn note_hop_limit(&mut self, hop_limit: Option<u8>) {
        self.hop_limit = hop_limit;
    }

    /// Without introductions no datagram has one.
    #[cfg(not(feature = "introductions"))]
    fn note_hop_limit(&mut self, _: Option<u8>) {}
}

impl Core {
    /// The next datagram to send; `None` ends this round, and forgets what was given in it.
    pub fn next_transmit(&mut self, now: f64) -> Option<&[u8]> {
        let outgoing = &mut self.outgoing;
        let transmits = self.endpoint.transmits();
        if let Some(paths) = &mut self.paths {
            let now = instant(now);
            paths.take(now, transmits);
            paths.departures(now, |Transmit { path, bytes, hop_limit, .. }| {
                outgoing.departed.push_back((path, hop_limit, bytes.to_vec()));
            });
            let (path, hop_limit, bytes) = outgoing.departed.pop_front()?;
            (outgoing.path, outgoing.held) = (Some(path), bytes);
            outgoing.note_hop_limit(hop_limit);
            return Some(&outgoing.held);
        }
        if outgoing.given == transmits.len() {
            transmits.consume(core::mem::take(&mut outgoing.given));
            return None;
        }
        let transmit = transmits.get(outgoing.given)?;
        outgoing.given += 1;
        outgoing.path = Some(transmit.path);
        outgoing.note_hop_limit(transmit.hop_limit);
        Some(transmit.bytes)
    }

    /// How many routers that datagram passes at most; 0 if that is not limited.
    #[cfg(feature = "introductions")]
    pub fn transmit_hop_limit(&self) -> u8 {
        self.outgoing.hop_limit.unwrap_or(0)
    }

    /// The path of that datagram, two lines: the remote, and the local IP address to send from (may be empty). Empty if it is
    /// the one that was told last, which is the rule.
    pub fn transmit_path(&mut self) -> String {
        let outgoing = &mut self.outgoing;
        if outgoing.told == outgoing.path {
            return String::new();
        }
        outgoing.told = outgoing.path;
        outgoing.path.map_or_else(String::new, |Path { remote, local, .. }| {
            format!("{remote}\n{}", local.map_or_else(String::new, |ip| ip.to_string()))
        })
    }
}
