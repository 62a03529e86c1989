use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use std::sync::Mutex;

use super::*;
use crate::{
    Address, Config, ConnectOptions, Datagram, Endpoint, Event, Instant, KeyLogEntry, Path, Setup, Trust,
};

fn secrets(entry: &KeyLogEntry<'_>) -> LoggedSecrets {
    LoggedSecrets {
        cipher: entry.cipher,
        tag_bytes: entry.tag_bytes,
        packet_window: entry.packet_window,
        initiator_sequence: entry.initiator_sequence,
        host_sequence: entry.host_sequence,
        from_initiator: *entry.from_initiator,
        from_host: *entry.from_host,
    }
}

/// What an observer saw: who sent it (true: the initiator) and the datagram.
type Capture = Vec<(bool, Vec<u8>)>;

/// A connection that sends `rounds` packets each way, of which the network loses every seventh datagram.
fn play(config: Config, rounds: u32) -> (LoggedSecrets, Capture) {
    let mut now = Instant::from_millis(1);
    let mut ends = [1_u8, 2].map(|seed| {
        let setup = Setup { config: config.clone(), key_pair: None, seed: [seed; 32], unix_millis: 0 };
        Endpoint::new(now, setup).unwrap()
    });
    let log = Arc::new(Mutex::new(None));
    let logged = Arc::clone(&log);
    ends[0].set_key_log(alloc::boxed::Box::new(move |entry| *logged.lock().unwrap() = Some(secrets(&entry))));
    let address = |number: usize| Address::from(SocketAddr::from(([10, 0, 0, number as u8], 28_000)));
    let options = ConnectOptions::new(Trust::Anyone);
    ends[0].connect(now, address(1), options).unwrap();

    let mut capture = Capture::new();
    let mut open = [None; 2];
    let mut packets = 0;
    for round in 0..rounds * 3 {
        now += core::time::Duration::from_millis(5);
        for from in [0, 1] {
            ends[from].handle_timeout(now);
            if let Some(connection) = open[from]
                && round % 3 == 0
            {
                let _ = ends[from].send(now, connection, format!("{from}:{round}").as_bytes());
            }
            let datagrams: Vec<Vec<u8>> = ends[from].transmits().iter().map(|t| t.bytes.to_vec()).collect();
            ends[from].transmits().clear();
            for mut bytes in datagrams {
                if bytes[0] >= 0x80 {
                    packets += 1;
                    capture.push((from == 0, bytes.clone()));
                    if packets % 7 == 0 {
                        continue;
                    }
                }
                ends[1 - from]
                    .handle_datagram(now, Datagram { path: Path::to(address(from)), bytes: &mut bytes });
            }
            while let Some(event) = ends[from].poll_event() {
                match event {
                    Event::ConnectRequest(request) => {
                        ends[from].accept_connection(now, request.connection, b"").unwrap();
                    }
                    Event::Established { connection, .. } => open[from] = Some(connection),
                    _ => {}
                }
            }
        }
    }
    let secrets = log.lock().unwrap().clone().unwrap();
    (secrets, capture)
}

fn configs() -> impl Iterator<Item = Config> {
    [(128, Cipher::Aes128GcmSst), (2_048, Cipher::Aes128Gcm), (32_768, Cipher::ChaCha20Poly1305)]
        .into_iter()
        .map(|(window, cipher)| {
            let mut config = Config::default();
            config.settings.packet_window = window;
            config.ciphers = alloc::vec![cipher];
            config
        })
}

#[test]
fn every_packet_that_passed_is_opened_lost_ones_too() {
    for config in configs() {
        let (secrets, capture) = play(config, 600);
        let mut inspector = Inspector::new(&secrets).unwrap();
        let mut data = [0, 0];
        for (index, (from_initiator, datagram)) in capture.iter().enumerate() {
            let packet =
                inspector.open(*from_initiator, datagram).unwrap_or_else(|| panic!("packet {index}"));
            if packet.kind == PacketKind::Data {
                let sender = format!("{}:", u8::from(!from_initiator));
                assert!(packet.body.starts_with(sender.as_bytes()), "{packet:?}");
                data[usize::from(*from_initiator)] += 1;
            }
        }
        assert!(data[0] > 500 && data[1] > 500, "{data:?}");
    }
}

#[test]
fn an_observer_with_keys_opens_a_lone_packet_from_the_middle() {
    for config in configs() {
        let (secrets, capture) = play(config, 600);
        for (from_initiator, datagram) in capture.iter().step_by(97) {
            let mut inspector = Inspector::new(&secrets).unwrap();
            assert!(inspector.open(*from_initiator, datagram).is_some());
        }
    }
}

#[test]
fn what_was_not_sealed_with_these_secrets_is_not_opened() {
    let (secrets, capture) = play(Config::default(), 20);
    let mut inspector = Inspector::new(&secrets).unwrap();
    for (from_initiator, datagram) in &capture {
        assert_eq!(inspector.open(!from_initiator, datagram), None, "the other direction");
        for index in 0..datagram.len() {
            let mut changed = datagram.clone();
            changed[index] ^= 1;
            assert_eq!(inspector.open(*from_initiator, &changed), None, "byte {index}");
        }
        for end in 0..datagram.len() {
            assert_eq!(inspector.open(*from_initiator, &datagram[..end]), None, "cut at {end}");
        }
        assert!(inspector.open(*from_initiator, datagram).is_some());
    }
}
