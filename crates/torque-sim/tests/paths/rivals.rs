//! Restarted hosts, and somebody who forwards copies.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use torque_proto::{CloseCode, Event};
use torque_sim::world::Fate;

#[test]
fn a_restarted_host_is_known_as_one_if_it_is_the_only_one() {
    for_seeds(40, |seed| {
        let mut rng = SimRng::new(seed);
        let sole = rng.chance(0.7);
        let mut config = Config::default();
        config.sole_identity = sole;
        let link = way(20 * MS + rng.duration(280 * MS));
        let pause = rng.chance(0.7).then_some(17 * MS);
        let mut journey = Journey::new(seed, config, [pause, pause], link);
        journey.play.run_for(3 * SECOND + rng.duration(4 * SECOND));
        let host = journey.nodes[HOST];
        journey.play.crash(host);
        journey.play.restart(host);
        let from = journey.play.world.now();
        journey.play.run_for(40 * SECOND);
        let history = journey.play.history(journey.nodes[CLIENT]);
        let close = history.iter().find_map(|(at, event)| match event {
            Event::Close { code, .. } => Some((*code, at.saturating_since(from))),
            _ => None,
        });
        let (code, after) = close.expect("it has ended");
        assert_eq!(code == CloseCode::HostRestarted, sole, "{code:?}");
        if sole {
            assert!(after <= if pause.is_some() { 2 * SECOND } else { 7 * SECOND }, "{after:?}");
        }
    });
}

/// A copy of everything comes from another address, sooner than the original. That address gets punches, but no packets.
#[test]
fn somebody_who_forwards_copies_faster_is_not_chosen() {
    for_seeds(40, |seed| {
        let mut rng = SimRng::new(seed);
        let link = way(100 * MS + rng.duration(200 * MS));
        let mut journey = Journey::new(seed, Config::default(), [Some(17 * MS); 2], link);
        journey.play.run_for(3 * SECOND);
        let [client, host] = [CLIENT, HOST].map(|side| journey.address(side));
        let [for_client, for_host] = [901, 902].map(Address::from_virtual);
        let misled = Rc::new(RefCell::new(0));
        let count = Rc::clone(&misled);
        journey.play.world.set_tap(move |passing| {
            let (from, to, bytes) = (passing.from, passing.to, passing.bytes.clone());
            *count.borrow_mut() += u32::from((to == for_client || to == for_host) && bytes[0] >= 0x80);
            if from == client || to == for_client {
                passing.inject(MS, for_client, host, bytes);
            } else if from == host || to == for_host {
                passing.inject(MS, for_host, client, bytes);
            }
            Fate::Pass
        });
        journey.notice(CLIENT);
        journey.play.run_for(10 * SECOND);
        journey.notice(HOST);
        journey.play.run_for(10 * SECOND);
        journey.play.world.clear_tap();
        assert_eq!(*misled.borrow(), 0, "packets to the forwarder");
        journey.ends_well();
    });
}
