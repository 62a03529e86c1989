//! Runs of established connections against NATs that depend on the destination (INTRODUCTIONS.md 9.2): their punches, and the further local
//! ports that they leave.

use alloc::vec::Vec;

use super::{Endpoint, LINGERS, Slot};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::introduction::party::RunPunch;
use crate::transmits::Cause;
use crate::wire::Punch;

impl Endpoint {
    /// Sends punches of a run (INTRODUCTIONS.md 9.2), which has bounds of its own.
    pub(in crate::endpoint) fn send_run_punches(
        &mut self,
        now: Instant,
        id: ConnectionId,
        punches: &[RunPunch],
    ) {
        // The set of paths stays while the run goes on, as it looks for a direct path.
        self.with_paths(now, id, &mut |_, _| false);
        let Some(Slot::Connected(connected)) = self.slots.get_mut(id).map(|entry| &mut entry.slot) else {
            return;
        };
        let Some(tracked) = &mut connected.tracked else { return };
        tracked.kept_until = now + LINGERS;
        connected.connection.enable_reliable();
        for RunPunch { path, hop_limit } in punches.iter().copied() {
            let punch = Punch {
                is_from_host: connected.is_host,
                is_of_connection: true,
                id: connected.punching.ids.sends(),
                number: tracked.set.draw_for_run(now, &mut self.rng, path),
                echo: 0,
            };
            let bytes = connected.punching.key.seal(&punch);
            self.transmits.push_with_hop_limit(Cause::Own, path, hop_limit, |out| {
                out.extend_from_slice(&bytes);
            });
            self.stats.punches_sent += 1;
        }
    }

    /// The local ports on which a connection has a path, or from which one may come of.
    pub(in crate::endpoint) fn ports_of(&self, id: ConnectionId) -> Vec<u16> {
        let Some(Slot::Connected(connected)) = self.slots.get(id).map(|entry| &entry.slot) else {
            return Vec::new();
        };
        let others = connected.tracked.iter().flat_map(|tracked| tracked.set.others());
        others.chain([connected.path]).map(|path| path.port).collect()
    }

    /// A run has ended: as many numbers as usual wait for their echo.
    pub(in crate::endpoint) fn end_run_of(&mut self, id: ConnectionId) {
        if let Some(tracked) = self.tracked_mut(id) {
            tracked.set.end_run();
        }
    }
}
