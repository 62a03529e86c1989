use std::collections::BTreeSet;

use super::*;
use crate::seeds;

#[test]
fn the_seeds_introduce_parties_directly_and_by_circuits() {
    let mut seen = BTreeSet::new();
    for (_, bytes) in seeds::of("introduction") {
        let world = play(&bytes);
        let introducer = world.machines[INTRODUCER].side.endpoint.introducer_stats();
        for (name, count) in [
            ("completed", introducer.completed),
            ("circuits", introducer.circuits),
            ("relayed", introducer.relayed),
            ("refused", introducer.refused),
        ] {
            seen.extend((count > 0).then_some(name));
        }
        let parties = &world.machines[1..];
        let received = parties.iter().all(|party| !party.side.ledger.received.is_empty());
        seen.extend(received.then_some("packets both ways"));
        let punched = parties.iter().any(|party| party.side.endpoint.party_stats().punches_received > 0);
        seen.extend(punched.then_some("punches"));
    }
    for name in ["completed", "circuits", "relayed", "refused", "packets both ways", "punches"] {
        assert!(seen.contains(name), "{name} is never reached: {seen:?}");
    }
}
