//! A datagram's way from the operating system to the endpoint: past the other shards, and the simulated link.

use torque_proto::wire::DatagramKind;
use torque_proto::{Datagram, Endpoint, Instant, OBSERVING_PORT, Path};

use super::Socket;
use crate::clock::Clock;
use crate::io::{MAX_JOINED, Received};
use crate::sharded::Shard;

/// Datagrams after which one `poll` stops receiving, so that a flood cannot keep it from returning.
const MAX_RECEIVED: u64 = 8_192;

/// A port to receive at. Each has a budget, so that a flood at one does not silence the others.
#[derive(Clone, Copy)]
enum Port {
    Bound,
    /// The further port at this place, and the number of datagrams that it may bring.
    Further(usize, u64),
}

impl Socket {
    /// Takes all that has come. Returns its last look at the clock, if it had one.
    pub(super) fn receive(&mut self) -> Option<Instant> {
        // First, because a new epoch may be among what other shards have left.
        self.receive_from_shards();
        let looked = self.receive_from_system();
        let Self { endpoint, clock, simulated, shard, .. } = self;
        let Some(simulated) = simulated else { return looked };
        let now = clock.now();
        simulated.arrivals(now, |path, bytes| {
            hand_in(now, clock, endpoint, shard.as_deref(), path, bytes);
        });
        Some(now)
    }

    fn receive_from_system(&mut self) -> Option<Instant> {
        let mut looked = None;
        self.held_back = false;
        if self.shard.as_ref().is_none_or(|shard| shard.receives()) {
            looked = self.receive_at(Port::Bound);
        }
        if !self.further.is_empty() {
            let readable = self.further.readable();
            let share = MAX_RECEIVED / readable.len().max(1) as u64;
            for place in readable {
                looked = self.receive_at(Port::Further(place, share)).or(looked);
            }
            self.collect_stats();
        }
        looked
    }

    fn receive_at(&mut self, port: Port) -> Option<Instant> {
        let Self { endpoint, udp, further, buffer, clock, simulated, shard, held_back, .. } = self;
        let (udp, whole_budget) = match port {
            Port::Bound => (udp, MAX_RECEIVED),
            Port::Further(place, budget) => (further.at(place)?, budget),
        };
        // Nobody may connect there.
        let observes = udp.port() == OBSERVING_PORT;
        let mut strays = 0;
        let mut looked = None;
        let mut budget = whole_budget;
        while budget > 0 {
            let room = endpoint.receive_room().unwrap_or(usize::MAX);
            // Packets that cannot be queued wait in the kernel until the application has taken events. But something is received
            // each time: an application that takes none keeps its connections all the same.
            if room < MAX_JOINED && budget < whole_budget {
                *held_back = true;
                break;
            }
            let mut now = None;
            let received = udp.receive(buffer, room, |path, bytes| {
                // One look at the clock for all that one call received.
                let now = *now.get_or_insert_with(|| clock.now());
                budget = budget.saturating_sub(1);
                if observes && DatagramKind::of(bytes) != DatagramKind::Observe {
                    strays += 1;
                    return;
                }
                if shard.as_mut().is_some_and(|shard| !shard.owns(path, bytes)) {
                    return;
                }
                match simulated {
                    None => hand_in(now, clock, endpoint, shard.as_deref(), path, bytes),
                    Some(simulated) => simulated.take_received(now, path, bytes),
                }
            });
            looked = now.or(looked);
            if let Some(shard) = shard {
                shard.hand_on(udp.stats_mut());
            }
            if received == Received::Last {
                break;
            }
            // A call that brought an error instead of datagrams counts too.
            budget = budget.saturating_sub(1);
        }
        udp.stats_mut().observing_strays += strays;
        looked
    }

    fn receive_from_shards(&mut self) {
        let Self { endpoint, clock, simulated, shard: Some(shard), .. } = self else { return };
        let now = clock.now();
        shard.drain_inbox(now, endpoint, |shard, endpoint, path, bytes| match simulated {
            None => hand_in(now, clock, endpoint, Some(shard), path, bytes),
            Some(simulated) => simulated.take_received(now, path, bytes),
        });
    }
}

fn hand_in(
    now: Instant,
    clock: &Clock,
    endpoint: &mut Endpoint,
    shard: Option<&Shard>,
    path: Path,
    bytes: &mut [u8],
) {
    // Everything that depends on the date begins with one of these. The clock may have been set since the last one.
    if matches!(DatagramKind::of(bytes), DatagramKind::ChallengeRequest | DatagramKind::ConnectRequest) {
        endpoint.set_unix_millis(now, clock.unix_millis());
    }
    if let Some(shard) = shard {
        shard.ensure_epoch(now, endpoint, bytes);
    }
    endpoint.handle_datagram(now, Datagram { path, bytes });
}
