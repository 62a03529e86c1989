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
        self.serve_port_requests();
        let (endpoint, clock) = (&self.endpoint, &self.clock);
        let silent = || endpoint.silent_addresses(clock.now(), SILENT_AFTER).collect();
        self.udp.mind_pressure(silent);
        self.further.iter_mut().for_each(|udp| udp.mind_pressure(silent));
        loop {
            self.hand_to_system();
            let mut troubles = self.udp.take_troubles();
            self.further.iter_mut().for_each(|udp| troubles.append(&mut udp.take_troubles()));
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

    /// Adds up what was counted at further ports.
    pub(super) fn collect_stats(&mut self) {
        for udp in self.further.iter_mut() {
            self.udp.stats_mut().add(&std::mem::take(udp.stats_mut()));
        }
    }

    fn hand_to_system(&mut self) {
        match &mut self.simulated {
            None => {
                let transmits = self.endpoint.transmits();
                // They leave in their order, from whichever port.
                while let Some(first) = transmits.get(0) {
                    let udp = match first.path.port {
                        0 => &mut self.udp,
                        number => match self.further.get_mut(number) {
                            Some(udp) => udp,
                            None => {
                                self.udp.stats_mut().port_not_open += 1;
                                transmits.consume(1);
                                continue;
                            }
                        },
                    };
                    let left = transmits.len();
                    udp.send(transmits);
                    if udp.is_blocked() || transmits.len() == left {
                        break;
                    }
                }
            }
            Some(simulated) => {
                let now = self.clock.now();
                simulated.take(now, self.endpoint.transmits());
                let (udp, further) = (&mut self.udp, &mut self.further);
                simulated.departures(now, |transmit| match transmit.path.port {
                    0 => udp.send_single(transmit),
                    number => match further.get_mut(number) {
                        Some(udp) => udp.send_single(transmit),
                        None => udp.stats_mut().port_not_open += 1,
                    },
                });
            }
        }
    }
}
