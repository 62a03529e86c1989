use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};

use super::*;

const NOW: Instant = Instant::from_millis(10_000);
const WAIT: Duration = Duration::from_secs(5);

fn watch() -> NetworkWatch {
    NetworkWatch::new(Ipv4Addr::UNSPECIFIED.into(), WAIT, NOW).unwrap()
}

/// Another side on this machine, to which the way does not change.
fn near() -> Address {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 9)).into()
}

#[test]
fn a_network_that_stays_is_looked_at_and_never_has_changed() {
    let mut watch = watch();
    let mut now = NOW;
    for _ in 0..5 {
        assert!(watch.is_due(now));
        assert!(!watch.look(now, now, [near()].into_iter()));
        assert!(!watch.is_due(now));
        now += LOOK_EVERY;
    }
}

#[test]
fn a_client_looks_sooner_than_a_host() {
    let others =
        |count: u16| (1..=count).map(|port| Address::from(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
    let (mut client, mut host) = (watch(), watch());
    client.look(NOW, NOW, others(2));
    host.look(NOW, NOW, others(8));
    // An interruption may last 300 ms, of which the other side takes 250 to see that the old way is silent (PATHS.md 5).
    let soon = NOW + Duration::from_millis(50);
    assert!(client.is_due(soon) && !host.is_due(soon));
    assert!(host.is_due(NOW + LOOK_EVERY));
}

#[test]
fn another_source_address_is_a_change_once() {
    let mut watch = watch();
    watch.look(NOW, NOW, [near()].into_iter());
    watch.seen[0].1 = Some(Ipv4Addr::new(192, 0, 2, 1).into());
    assert!(watch.look(NOW, NOW, [near()].into_iter()));
    assert!(!watch.look(NOW, NOW, [near()].into_iter()));
    // A way that is there again is one, too.
    watch.seen[0].1 = None;
    assert!(watch.look(NOW, NOW, [near()].into_iter()));
    // Another side that is new says nothing.
    let other = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 9)).into();
    assert!(!watch.look(NOW, NOW, [other].into_iter()));
}

#[test]
fn a_long_sleep_is_a_change_if_there_are_connections() {
    let late = NOW + WAIT + SLEPT;
    let mut watch = watch();
    assert!(!watch.look(late, NOW + Duration::from_millis(1), [near()].into_iter()));
    assert!(watch.look(late, NOW, [near()].into_iter()));
    assert!(!watch.look(late, NOW, std::iter::empty()));
}

#[test]
fn the_source_is_the_address_that_a_datagram_would_leave_from() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = receiver.local_addr().unwrap();
    let any = IpAddr::from(Ipv4Addr::UNSPECIFIED);
    assert_eq!(source_to(to, any), Some(Some(Ipv4Addr::LOCALHOST.into())));
    assert_eq!(source_to(to, Ipv6Addr::UNSPECIFIED.into()), Some(Some(Ipv4Addr::LOCALHOST.into())));
    // An address that this machine does not have (any more).
    assert_eq!(source_to(to, Ipv4Addr::new(192, 0, 2, 1).into()), Some(None));
    receiver.set_nonblocking(true).unwrap();
    assert!(receiver.recv_from(&mut [0; 1]).is_err(), "something was sent");
}

#[test]
fn a_socket_on_loopback_is_not_watched() {
    assert!(NetworkWatch::new(Ipv4Addr::LOCALHOST.into(), WAIT, NOW).is_none());
    assert!(NetworkWatch::new(Ipv6Addr::LOCALHOST.into(), WAIT, NOW).is_none());
}
