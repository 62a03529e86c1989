use std::collections::BTreeSet;

use super::*;
use crate::seeds;

#[test]
fn the_seeds_connect_both_ways_and_strangers_are_heard() {
    let mut seen = BTreeSet::new();
    for (_, bytes) in seeds::of("endpoint") {
        let mut world = play(&bytes);
        let counted = world.us.endpoint.stats().iter().filter(|(_, count)| *count > 0);
        seen.extend(counted.map(|(name, _)| name));
        if !world.us.ledger.received.is_empty() && !world.peer.ledger.received.is_empty() {
            seen.insert("packets both ways");
        }
    }
    for name in [
        "packets both ways",
        "connections_started",
        "connections_requested",
        "connections_established",
        "challenges_answered",
        "rejects_heard",
        "bad_challenge",
        "stray_handshake",
        "info_received",
        "unknown_address",
        "paths_changed",
        "punches_received",
        "punches_refused",
        "resets_sent",
        "resets_refused",
        "who_are_you_sent",
    ] {
        assert!(seen.contains(name), "{name} is never reached: {seen:?}");
    }
}
