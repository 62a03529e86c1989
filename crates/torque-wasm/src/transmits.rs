//! Datagrams on their way out, one at a time. Their hop limits are left out: no carrier of a page or of Node can set one.

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
    departed: VecDeque<(Path, Vec<u8>)>,
    /// The one that the caller looks at.
    held: Vec<u8>,
    /// Its path, and the one that the caller was told last.
    path: Option<Path>,
    told: Option<Path>,
}

impl Core {
    /// The next datagram to send; `None` ends this round, and forgets what was given in it.
    pub fn next_transmit(&mut self, now: f64) -> Option<&[u8]> {
        let outgoing = &mut self.outgoing;
        let transmits = self.endpoint.transmits();
        if let Some(paths) = &mut self.paths {
            let now = instant(now);
            paths.take(now, transmits);
            paths.departures(now, |Transmit { path, bytes, .. }| {
                outgoing.departed.push_back((path, bytes.to_vec()));
            });
            let (path, bytes) = outgoing.departed.pop_front()?;
            (outgoing.path, outgoing.held) = (Some(path), bytes);
            return Some(&outgoing.held);
        }
        if outgoing.given == transmits.len() {
            transmits.consume(core::mem::take(&mut outgoing.given));
            return None;
        }
        let transmit = transmits.get(outgoing.given)?;
        outgoing.given += 1;
        outgoing.path = Some(transmit.path);
        Some(transmit.bytes)
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
