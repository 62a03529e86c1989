//! What one can connect to, and what is none: told at once, by every kind of socket.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;
#[cfg(target_os = "linux")]
#[path = "common/own_network.rs"]
mod own_network;

use common::loopback;
use torque_socket::{ConnectError, HostName, Socket, ToTarget, TorqueUrl, Zone};

fn is_refused(refused: Result<impl std::fmt::Debug, ConnectError>, use_instead: &str) {
    let error = refused.unwrap_err();
    assert!(matches!(error, ConnectError::Unspecified { .. }), "{error:?}");
    assert!(error.to_string().contains(use_instead), "{error}");
}

#[test]
fn the_address_that_stands_for_all_is_none_to_connect_to() {
    let mut socket = loopback();
    let threaded = loopback().spawn().unwrap();
    let sharded = Socket::builder().shards(2).bind("127.0.0.1:0").unwrap();
    let mut shard = Socket::builder().shards(1).bind_each("127.0.0.1:0").unwrap().remove(0);
    let key = sharded.public_key();
    for (unspecified, instead) in
        [("0.0.0.0:99", "127.0.0.1:99"), ("[::]:99", "[::1]:99"), ("[::ffff:0.0.0.0]:99", "127.0.0.1:99")]
    {
        for target in [unspecified.to_owned(), format!("torque://{key}@{unspecified}")] {
            is_refused(target.to_target().unwrap().address(), instead);
            is_refused(socket.connect(&target, None), instead);
            is_refused(threaded.connect(&target, None), instead);
            is_refused(sharded.connect(&target, None), instead);
            is_refused(shard.connect(&target, None), instead);
        }
    }
    assert_eq!(socket.stats().connections_started, 0);
}

#[test]
fn a_link_local_address_without_its_zone_says_so() {
    for target in ["[fe80::7]:28000", "torque://[fe80::7]"] {
        let error = loopback().connect(target, None).unwrap_err();
        assert!(matches!(error, ConnectError::NoZone { .. }), "{error:?}");
        assert!(error.to_string().contains("[fe80::7%25eth0]:28000"), "{error}");
    }
}

#[test]
fn a_zone_that_this_machine_does_not_have_is_named() {
    let target = HostName::LinkLocal { ip: "fe80::1".parse().unwrap(), zone: Zone::new("nowhere0").unwrap() };
    let target = TorqueUrl { host: target, port: 1, key: None };
    let error = loopback().connect(target, None).unwrap_err();
    assert!(matches!(&error, ConnectError::NoSuchZone { zone } if zone == "nowhere0"), "{error:?}");
    assert!(error.to_string().contains("nowhere0"), "{error}");
}

#[cfg(target_os = "linux")]
mod link_local {
    use torque_socket::Event;
    use torque_socket::discovery::{Finder, HostInfo, Responder};

    use super::common::{LIMIT, pinned, skip, turns};
    use super::own_network::in_own_network;
    use super::*;

    #[test]
    fn a_url_with_key_and_zone_leads_there_and_discovery_gives_one() {
        in_own_network(|network| {
            if let Err(error) = network.add_link_local("fe80::7".parse().unwrap()) {
                return skip(&format!("no IPv6 on this machine: {error}"));
            }
            let mut host = Socket::bind("[::]:0").unwrap();
            let (key, port) = (host.public_key(), host.local_addr().port());
            for (written, printed) in [("%25lo", "%25lo"), ("%lo", "%25lo"), ("%1", "%251")] {
                let url: TorqueUrl = format!("torque://{key}@[fe80::7{written}]:{port}").parse().unwrap();
                assert_eq!(url.to_string(), format!("torque://{key}@[fe80::7{printed}]:{port}"));
                let mut client = Socket::client().unwrap();
                client.connect(url, pinned(&host)).unwrap();
                turns(&mut [&mut host, &mut client], |socket, index, event| match (index, event) {
                    (0, Event::ConnectRequest(request)) => {
                        socket.accept_connection(request.connection, b"").unwrap();
                        false
                    }
                    (1, Event::Established { .. }) => true,
                    (1, other) => panic!("{other:?}"),
                    _ => false,
                });
            }
            let mut responder = Responder::new("pond", HostInfo::default()).unwrap();
            let mut finder = Finder::new("pond").unwrap();
            finder.ask_at(format!("[fe80::7%1]:{port}").parse().unwrap()).unwrap();
            while !host.wait_event(LIMIT).is_some_and(|event| responder.handle(&mut host, &event)) {}
            host.flush();
            let found = finder.next_answer(LIMIT).unwrap();
            assert_eq!(found.url().to_string(), format!("torque://{key}@[fe80::7%25lo]:{port}"));
        });
    }
}
