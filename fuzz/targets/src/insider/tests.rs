use super::*;
use crate::seeds;

#[test]
fn packets_and_reports_built_by_the_test_are_accepted() {
    let worlds: Vec<World> = seeds::of("insider").iter().map(|(_, bytes)| play(bytes)).collect();
    let received = worlds.iter().map(|world| world.us.ledger.received.len()).max();
    let verdicts = worlds.iter().map(|world| world.us.ledger.verdicts.len()).max();
    // One connection may have as many of the twelve places as are left: six.
    assert!(received >= Some(6) && verdicts >= Some(8), "{received:?} {verdicts:?}");
}

#[test]
fn a_seed_goes_past_a_generation_of_keys() {
    let mut far = Vec::new();
    for (_, bytes) in seeds::of("insider") {
        let world = play(&bytes);
        far.push((world.sequence >> 16, world.us.ledger.received.len()));
    }
    assert!(far.iter().any(|(generation, received)| *generation >= 3 && *received >= 6), "{far:?}");
}

#[test]
fn a_seed_has_reliable_control_messages_handled_and_ours_received() {
    let most = seeds::of("insider").iter().map(|(_, bytes)| play(bytes).control_events).max();
    assert!(most >= Some(3), "{most:?}");
}
