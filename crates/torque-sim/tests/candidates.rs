//! Attempts that ask several addresses, over any link: at most one host is connected, and the connection is as good as any.

mod common;

use common::{MS, SECOND, random_config, random_link};
use torque_proto::{Address, CloseCode, ConnectOptions, Event, Trust};
use torque_sim::play::{Behaviour, Sending};
use torque_sim::{Play, SimRng, for_seeds};

#[test]
fn one_of_several_addresses_is_connected_over_any_link() {
    let (mut connected, mut runs) = (0, 0);
    for_seeds(150, |seed| {
        let mut rng = SimRng::new(seed);
        let mut play = Play::new(seed);
        play.world.set_default_link(random_link(&mut rng, 0.25));
        let behaviour = Behaviour { sending: Some(Sending::steady(50 * MS, 100)), ..Behaviour::default() };
        let client = play.add(random_config(&mut rng), behaviour.clone());
        let hosts: Vec<_> = (0..3).map(|_| play.add(random_config(&mut rng), behaviour.clone())).collect();
        // Nobody is at the others.
        let mut addresses: Vec<_> = hosts.iter().map(|host| play.world.address(*host)).collect();
        addresses.extend((0..rng.between(0, 3)).map(|number| Address::from_virtual(0xdead_0000 + number)));
        for place in (1..addresses.len()).rev() {
            addresses.swap(place, rng.index(place + 1));
        }
        let pin = rng.chance(0.5).then(|| hosts[rng.index(hosts.len())]);
        let trust = pin.map_or(Trust::Ask, |host| Trust::Pinned(play.key(host)));
        let id = play.connect_to(client, &addresses, ConnectOptions::new(trust)).unwrap();
        play.run_for(20 * SECOND);

        let established: Vec<_> =
            hosts.iter().filter(|host| !play.open_connections(**host).is_empty()).collect();
        let own = play.open_connections(client);
        assert!(established.len() <= 1 && own.len() <= 1, "{established:?}");
        runs += 1;
        connected += own.len();
        if let Some(pin) = pin {
            assert!(established.iter().all(|host| **host == pin), "a key was pinned");
        }
        let questions =
            play.history(client).iter().filter(|(_, event)| matches!(event, Event::ChallengeResponse(_)));
        assert!(questions.count() <= 1, "the application is asked once");
        if own.is_empty() {
            let end = play.end(client, id).closed.clone().expect("it has ended");
            assert!(matches!(end.code, CloseCode::NoAnswer | CloseCode::KeyMismatch), "{end:?}");
        }
        play.close_all_and_finish(30 * SECOND);
    });
    // One run may be over a bad link.
    let few = runs < 100;
    assert!(few || connected * 10 >= runs * 9, "{connected} of {runs}");
}
