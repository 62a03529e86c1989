//! Datagrams on their way out, one at a time.

use std::collections::VecDeque;

use torque_proto::Address;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{Core, instant};

/// Where the caller is in what waits.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// So many of the endpoint's datagrams have been given.
    given: usize,
    /// What a simulated link lets through now.
    departed: VecDeque<(Address, Vec<u8>)>,
    /// The one that the caller looks at.
    pointer: usize,
    remote: u64,
    held: Vec<u8>,
}

#[wasm_bindgen]
impl Core {
    /// Goes to the next datagram to send and tells its length; 0 if there is none. Copy it before any other call than
    /// [`Core::transmit_pointer`] and [`Core::transmit_remote`].
    pub fn next_transmit(&mut self, now: f64) -> usize {
        let outgoing = &mut self.outgoing;
        let transmits = self.endpoint.transmits();
        if let Some(paths) = &mut self.paths {
            let now = instant(now);
            paths.take(now, transmits);
            paths.departures(now, |remote, bytes| outgoing.departed.push_back((remote, bytes.to_vec())));
            let Some((remote, bytes)) = outgoing.departed.pop_front() else { return 0 };
            outgoing.held = bytes;
            outgoing.pointer = outgoing.held.as_ptr() as usize;
            outgoing.remote = remote.virtual_number().unwrap_or(0);
            return outgoing.held.len();
        }
        match transmits.get(outgoing.given) {
            Some(transmit) => {
                outgoing.given += 1;
                outgoing.pointer = transmit.bytes.as_ptr() as usize;
                outgoing.remote = transmit.remote.virtual_number().unwrap_or(0);
                transmit.bytes.len()
            }
            None => {
                transmits.consume(std::mem::take(&mut outgoing.given));
                0
            }
        }
    }

    /// Where in memory that datagram lies.
    pub fn transmit_pointer(&self) -> usize {
        self.outgoing.pointer
    }

    /// Where it goes, as the carrier's number.
    pub fn transmit_remote(&self) -> f64 {
        self.outgoing.remote as f64
    }
}
