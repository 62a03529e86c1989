//! What a socket sends: from the endpoint's queue to the operating system, through the simulated link if there is one.

use std::time::Duration;

use super::Socket;
use crate::io::Trouble;

/// How long a peer that was sent something may be silent before it gets nothing more while the send buffer is half full.
const SILENT_AFTER: Duration = Duration::from_secs(1);

impl Socket {
    /// Hands all queued datagrams to the operating system, in as few calls as it allows. What it has no room
    /// for stays queued.
    pub fn flush(&mut self) {
        self.batch_began = None;
        let (endpoint, clock) = (&self.endpoint, &self.clock);
        let silent = || endpoint.silent_addresses(clock.now(), SILENT_AFTER).collect();
        self.udp.mind_pressure(silent);
        if let Some(private) = &mut self.private {
            private.udp.mind_pressure(silent);
        }
        loop {
            self.hand_to_system();
            let mut troubles = self.udp.take_troubles();
            if let Some(private) = &mut self.private {
                troubles.append(&mut private.udp.take_troubles());
            }
            if troubles.is_empty() {
                break;
            }
            // An attempt may now have another address to ask, which is to leave as well.
            let now = self.clock.now();
            for Trouble { remote, is_final, cause } in troubles {
                self.endpoint.obstacle(now, remote, &cause, is_final);
            }
        }
        self.collect_stats();
    }

    /// Adds up what was counted at the private port.
    pub(super) fn collect_stats(&mut self) {
        if let Some(private) = &mut self.private {
            self.udp.stats_mut().add(&std::mem::take(private.udp.stats_mut()));
        }
    }

    fn hand_to_system(&mut self) {
        match &mut self.simulated {
            None => {
                let transmits = self.endpoint.transmits();
                if !transmits.is_empty() {
                    self.udp.send(transmits);
                }
                let Some(private) = &mut self.private else { return };
                // They leave in their order, from the one port and the other.
                while !transmits.is_empty() {
                    let left = transmits.len();
                    private.udp.send(transmits);
                    if transmits.len() == left {
                        break;
                    }
                    self.udp.send(transmits);
                }
            }
            Some(simulated) => {
                let now = self.clock.now();
                simulated.take(now, self.endpoint.transmits());
                let (udp, private) = (&mut self.udp, &mut self.private);
                simulated.departures(now, |transmit| match private {
                    Some(private) if transmit.path.port != 0 => private.udp.send_single(transmit),
                    _ => udp.send_single(transmit),
                });
            }
        }
    }
}
