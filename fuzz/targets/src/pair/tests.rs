use super::*;
use crate::seeds;

/// Verdicts of one kind at both ends.
fn count(net: &Net, wanted: Delivery) -> [usize; 2] {
    [HOST, OTHER]
        .map(|end| net.sides[end].ledger.verdicts.values().filter(|delivery| **delivery == wanted).count())
}

#[test]
fn the_seeds_reach_every_verdict_at_both_ends() {
    let nets: Vec<Net> = seeds::of("pair").iter().map(|(_, bytes)| play(bytes)).collect();
    for end in [HOST, OTHER] {
        for delivery in [Delivery::Delivered, Delivery::Dropped, Delivery::Unknown] {
            let best = nets.iter().map(|net| count(net, delivery)[end]).max();
            assert!(best > Some(2), "{delivery:?} at {end}: {best:?}");
        }
    }
}

#[test]
fn what_the_network_did_is_seen_in_the_counters() {
    let mut seen = BTreeSet::new();
    for (_, bytes) in seeds::of("pair") {
        let mut net = play(&bytes);
        for side in &mut net.sides {
            let counted = side.endpoint.stats().iter().filter(|(_, count)| *count > 0);
            seen.extend(counted.map(|(name, _)| name));
        }
    }
    for name in
        ["forged", "late_or_duplicate", "malformed", "unknown_address", "queue_full", "crossed_request"]
    {
        assert!(seen.contains(name), "{name} is never reached");
    }
}
