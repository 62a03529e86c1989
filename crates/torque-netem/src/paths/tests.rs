use core::time::Duration;
use std::vec::Vec;

use torque_proto::{Address, Instant, Path};

use super::*;

fn arrived(paths: &mut SimulatedPaths, at: Instant) -> Vec<(Address, Vec<u8>)> {
    let mut all = Vec::new();
    paths.arrivals(at, |path, bytes| all.push((path.remote, bytes.to_vec())));
    all
}

#[test]
fn a_change_holds_for_what_comes_after_it() {
    let slow = LinkConfig { delay: Duration::from_millis(100), ..LinkConfig::perfect() };
    let remote = Address::from_virtual(7);
    let mut paths = SimulatedPaths::new(slow, 1);
    paths.take_received(Instant::ZERO, Path::to(remote), b"before");
    paths.set_config(LinkConfig { loss: 1.0, ..LinkConfig::perfect() });
    paths.take_received(Instant::ZERO, Path::to(remote), b"lost");
    assert_eq!(paths.deadline(), Some(Instant::from_millis(100)), "what is under way stays so");
    assert_eq!(arrived(&mut paths, Instant::from_millis(100)), [(remote, b"before".to_vec())]);
    paths.set_config(LinkConfig::perfect());
    let other = Address::from_virtual(8);
    paths.take_received(Instant::from_millis(200), Path::to(other), b"after");
    assert_eq!(arrived(&mut paths, Instant::from_millis(200)), [(other, b"after".to_vec())]);
    assert_eq!(paths.deadline(), None);
}
