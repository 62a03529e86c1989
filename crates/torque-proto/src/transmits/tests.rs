use super::*;
use crate::address::Address;

#[test]
fn a_buffer_that_is_never_quite_empty_does_not_grow() {
    let mut transmits = Transmits::new(8, 1 << 20);
    let path = Path::to(Address::from_virtual(1));
    for number in 0..10_000u32 {
        transmits.push(Cause::Own, path, |out| out.extend_from_slice(&[number as u8; 1_000]));
        if transmits.len() == 4 {
            let kept: Vec<u8> = transmits.iter().map(|transmit| transmit.bytes[999]).collect();
            assert_eq!(kept, [3, 2, 1, 0].map(|back| (number - back) as u8));
            transmits.consume(3);
        }
    }
    assert!(transmits.bytes.len() < 300_000, "{} bytes for 4 datagrams", transmits.bytes.len());
}

#[test]
fn what_others_elicit_leaves_the_places_of_this_side_alone() {
    let mut transmits = Transmits::new(8, 1 << 20);
    let path = Path::to(Address::from_virtual(1));
    for cause in [Cause::Stranger, Cause::Peer] {
        for _ in 0..100 {
            transmits.push(cause, path, |out| out.push(7));
        }
    }
    assert_eq!(transmits.len(), 2 + 2, "a quarter each");
    assert!(!transmits.takes_answers());
    for number in 0..100 {
        assert_eq!(transmits.is_full(), number >= 8);
        transmits.push(Cause::Own, path, |out| out.push(7));
    }
    assert_eq!(transmits.len(), 4 + 16);
    transmits.consume(2);
    assert!(transmits.takes_answers());
    transmits.clear();
    assert!(transmits.is_empty() && !transmits.is_full());
}

#[test]
fn the_bytes_that_wait_are_bounded_too() {
    let mut transmits = Transmits::new(1_000, 10_000);
    let path = Path::to(Address::from_virtual(1));
    let mut push = |cause| {
        transmits.push(cause, path, |out| out.extend_from_slice(&[0; 1_000]));
        (transmits.is_full(), transmits.takes_answers(), transmits.len())
    };
    for _ in 0..9 {
        assert!(!push(Cause::Own).0);
    }
    assert!(push(Cause::Own).0);
    for _ in 0..100 {
        push(Cause::Own);
    }
    assert_eq!(push(Cause::Own).2, 20);
    for _ in 0..10 {
        push(Cause::Stranger);
    }
    assert_eq!(push(Cause::Stranger), (true, false, 23));
}

#[test]
fn a_run_has_one_hop_limit() {
    let mut transmits = Transmits::new(100, 1 << 20);
    let path = Path::to(Address::from_virtual(1));
    for hop_limit in [None, None, Some(5), Some(5), Some(6), Some(0), None] {
        transmits.push_with_hop_limit(Cause::Own, path, hop_limit, |out| out.extend_from_slice(&[7; 40]));
    }
    let said: Vec<_> = transmits.iter().map(|transmit| transmit.hop_limit).collect();
    assert_eq!(said, [None, None, Some(5), Some(5), Some(6), None, None], "0 is none");
    let mut runs = Vec::new();
    let mut next = 0;
    while let Some(run) = transmits.run(next, 64, 65_000) {
        runs.push((run.hop_limit, run.count));
        next += run.count;
    }
    assert_eq!(runs, [(None, 2), (Some(5), 2), (Some(6), 1), (None, 2)]);
}

/// The connection with the introducer may be relayed itself: nothing is nested, and nothing leaves for an address that is none.
#[test]
fn a_circuit_does_not_go_through_a_circuit() {
    let mut transmits = Transmits::new(100, 1 << 20);
    let introducer = ConnectionId::new(0, 1, 1);
    let circuit = Address::from_circuit(5);
    let direct = Path::to(Address::from_virtual(1));
    transmits.add_circuit(circuit, ConnectionId::new(0, 1, 9), introducer, direct, 7);
    let push = |transmits: &mut Transmits| {
        transmits.push(Cause::Own, Path::to(circuit), |out| out.extend_from_slice(&[0x80; 40]));
        transmits.iter().map(|transmit| (transmit.path, transmit.bytes.len())).collect::<Vec<_>>()
    };
    assert_eq!(push(&mut transmits), [(direct, 45)]);
    transmits.move_circuits(introducer, Path::to(Address::from_circuit(6)));
    assert_eq!(push(&mut transmits).len(), 1);
    transmits.remove_circuits_of(introducer);
    assert_eq!((push(&mut transmits).len(), transmits.circuits()), (1, 0));
}
