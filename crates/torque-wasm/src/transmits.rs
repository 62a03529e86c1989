//! Datagrams on their way out, one at a time.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use torque_proto::Address;

use crate::{Core, instant};

/// Where the caller is in what waits.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// So many of the endpoint's datagrams have been given.
    given: usize,
    /// What a simulated link lets through now.
    departed: VecDeque<(Address, Vec<u8>)>,
    /// The one that the caller looks at.
    held: Vec<u8>,
}

impl Core {
    /// The next datagram to send and where to; `None` ends this round, and forgets what was given in it.
    pub fn next_transmit(&mut self, now: f64) -> Option<(u64, &[u8])> {
        let outgoing = &mut self.outgoing;
        let transmits = self.endpoint.transmits();
        if let Some(paths) = &mut self.paths {
            let now = instant(now);
            paths.take(now, transmits);
            paths.departures(now, |remote, _, bytes| outgoing.departed.push_back((remote, bytes.to_vec())));
            let (remote, bytes) = outgoing.departed.pop_front()?;
            outgoing.held = bytes;
            return Some((remote.virtual_number().unwrap_or(0), &outgoing.held));
        }
        if outgoing.given == transmits.len() {
            transmits.consume(core::mem::take(&mut outgoing.given));
            return None;
        }
        let transmit = transmits.get(outgoing.given)?;
        outgoing.given += 1;
        Some((transmit.remote.virtual_number().unwrap_or(0), transmit.bytes))
    }
}
