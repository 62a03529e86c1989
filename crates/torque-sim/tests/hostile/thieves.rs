//! What somebody can do who has stolen a host's keys, and what not (SECURITY.md, stolen keys).

use std::sync::{Arc, Mutex};

use super::*;
use foreign::{Host, Requested, dh, dh_public};
use sha2::{Digest, Sha512};
use torque_proto::measure::stolen_epoch_key;
use torque_proto::{Cipher, KeyPair};

fn steal_epoch_key(play: &mut Play, host: NodeId) -> [u8; 32] {
    play.world.with(host, |host, _| stolen_epoch_key(&host.share_epoch().expect("it has an epoch")))
}

/// An identity key as X25519 takes it (3.1).
fn x25519_secret(seed: [u8; 32]) -> [u8; 32] {
    Sha512::digest(seed)[..32].try_into().unwrap()
}

/// Every secret of the connection that a thief comes to: from each two agreements among the keys that it has and those
/// that it sees, and the secret of the answers itself.
fn guesses(prk0: [u8; 32], e2: [u8; 32], secrets: &[[u8; 32]], publics: &[[u8; 32]]) -> Vec<[u8; 32]> {
    let mut agreements = vec![[0; 32]];
    for public in publics.iter().chain([&e2]) {
        agreements.extend(secrets.iter().map(|secret| dh(*secret, *public)));
    }
    let mut guesses = vec![prk0];
    for e in &agreements {
        guesses.extend(agreements.iter().map(|s| foreign::second_secret(&prk0, &e2, e, s)));
    }
    guesses
}

fn e2(accept: &[u8]) -> [u8; 32] {
    accept[33..65].try_into().unwrap()
}

/// Somebody with a host's epoch key asks in another's name. Returns the accept as well.
fn ask_as(stranger: &mut Stranger, victim: PublicKey, epoch: [u8; 32]) -> (Requested, Vec<u8>) {
    let somebody = Identity::of(&victim);
    let request = foreign::forged_request(&stranger.response, [3; 32], somebody, epoch);
    let answers = stranger.ask(request.bytes.clone());
    let asked =
        stranger.play.history(stranger.host).iter().any(
            |(_, event)| matches!(event, Event::ConnectRequest(ConnectRequest { public_key, .. }) if *public_key == victim),
        );
    assert!(asked, "its application is asked in the victim's name");
    let accept = answers.into_iter().find(|answer| is_kind(answer, 4)).expect("it accepts everybody");
    (request, accept)
}

#[test]
fn a_stolen_epoch_key_asks_in_any_name_but_establishes_in_none() {
    for_seeds(3, |seed| {
        let mut stranger = Stranger::new(seed);
        let epoch = steal_epoch_key(&mut stranger.play, stranger.host);
        let victim = KeyPair::from_seed([(seed % 200) as u8; 32]).public();
        let (request, accept) = ask_as(&mut stranger, victim, epoch);
        let prk0 = request.first_secret(&accept).unwrap();
        let publics = [
            Identity::of(&victim).public,
            foreign::to_x25519(stranger.play.key(stranger.host).as_bytes()),
            dh_public(epoch),
        ];
        for prk in guesses(prk0, e2(&accept), &[[3; 32], epoch], &publics) {
            if let Some(mut guest) = Guest::new(&prk, &accept) {
                stranger.ask(guest.ping());
            }
        }
        stranger.play.run_for(11 * SECOND);
        assert_eq!(stranger.play.stats(stranger.host).connections_established, 0);
        assert!(stranger.play.open_connections(stranger.host).is_empty());
        let code = code(&stranger.play, stranger.host, stranger.connection());
        assert_eq!(code, Some(CloseCode::NotConfirmed));
    });
}

#[test]
fn with_the_initiators_key_as_well_it_does() {
    let mut stranger = Stranger::new(5);
    let epoch = steal_epoch_key(&mut stranger.play, stranger.host);
    let (request, accept) = ask_as(&mut stranger, KeyPair::from_seed([9; 32]).public(), epoch);
    let prk0 = request.first_secret(&accept).unwrap();
    let secrets = [[3; 32], x25519_secret([9; 32])];
    let guesses = guesses(prk0, e2(&accept), &secrets, &[]);
    let mut guest = guesses.iter().find_map(|prk| Guest::new(prk, &accept)).expect("it has all keys");
    let ping = guest.ping();
    stranger.ask(ping);
    assert_eq!(stranger.play.open_connections(stranger.host).len(), 1);
}

/// A recorded handshake with packets, and what was stolen afterwards.
struct Loot {
    recorded: Vec<Captured>,
    /// The host's keys.
    thief: Host,
    /// The initiator's identity key, as X25519 takes it.
    initiator: [u8; 32],
    /// The true traffic secrets, which it has not.
    traffic: [[u8; 32]; 2],
}

impl Loot {
    fn new(seed: u64) -> Self {
        let mut play = Play::new(seed);
        play.world.set_default_link(link("delay=10"));
        play.world.set_capture(true);
        let mut config = Config::default();
        config.ciphers = vec![Cipher::ChaCha20Poly1305];
        let host = play.add(config.clone(), Behaviour { accept_data: b"a word".to_vec(), ..busy() });
        let client = play.add(config, busy());
        let told = Arc::new(Mutex::new([[0; 32]; 2]));
        let log = told.clone();
        play.world.with(client, |client, _| {
            client.set_key_log(Box::new(move |entry| {
                *log.lock().unwrap() = [*entry.from_initiator, *entry.from_host];
            }));
        });
        play.establish(client, host);
        play.run_for(SECOND);
        let recorded = play.world.captured().to_vec();
        let epoch = steal_epoch_key(&mut play, host);
        let traffic = *told.lock().unwrap();
        let thief = Host::with_epoch(play.key_seed(host), epoch);
        Self { recorded, thief, initiator: x25519_secret(play.key_seed(client)), traffic }
    }

    fn of_kind(&self, kind: u8) -> &[u8] {
        &self.recorded.iter().find(|datagram| datagram.bytes[0] == kind).unwrap().bytes
    }

    /// The data packets of one side.
    fn packets(&self, from: Address) -> impl Iterator<Item = &[u8]> {
        let sent = self.recorded.iter().filter(move |datagram| datagram.from == from);
        sent.map(|datagram| &datagram.bytes[..]).filter(|bytes| bytes[0] & 0xe0 == 0x80)
    }

    fn ends(&self) -> [Address; 2] {
        let accept = self.recorded.iter().find(|datagram| datagram.bytes[0] == 4).unwrap();
        [accept.to, accept.from]
    }
}

#[test]
fn stolen_long_lived_keys_read_the_request_and_nothing_later() {
    for_seeds(3, |seed| {
        let loot = Loot::new(seed);
        let opened = loot.thief.open(loot.of_kind(2), loot.of_kind(3)).expect("it has both keys of the host");
        assert!(opened.payload[13..].starts_with(b"try "), "connect_data");
        let accept = loot.of_kind(4);
        let (e2, prk0) = (e2(accept), opened.first_secret(accept));
        // The epoch's, the host's, and at last the initiator's.
        let secrets = [loot.thief.epoch_secret, loot.thief.dh_secret, loot.initiator];
        for secrets in [&secrets[..2], &secrets] {
            let publics: Vec<_> = secrets.iter().copied().map(dh_public).chain([opened.e]).collect();
            let mut read = Vec::new();
            for prk in guesses(prk0, e2, secrets, &publics) {
                read.extend(foreign::open_accept(&prk, accept).map(|_| "accept_data"));
                for ((d, from), what) in [0, 1].into_iter().zip(loot.ends()).zip(["initiator's", "host's"]) {
                    let packet = loot.packets(from).next().unwrap();
                    read.extend(foreign::open_data(&foreign::traffic(&prk, d), packet).map(|_| what));
                }
            }
            assert_eq!(read, Vec::<&str>::new(), "with {} keys", secrets.len());
        }
        // With the true secrets they do open.
        for (traffic, from) in loot.traffic.iter().zip(loot.ends()) {
            assert!(foreign::open_data(traffic, loot.packets(from).next().unwrap()).is_some());
        }
    });
}

#[test]
fn forged_host_keys_in_an_accept_do_not_stop_the_true_accept() {
    for_seeds(3, |seed| {
        let (mut play, client, host, connection) = attempt(seed, ConnectOptions::default(), move |passing| {
            if is_kind(passing.bytes, 4) {
                let false_keys = EIGHT_TORSION.iter().map(|point| point.to_montgomery().0);
                for key in false_keys.chain([[0xff; 32], dh_public([seed as u8; 32])]) {
                    let mut copy = passing.bytes.clone();
                    copy[33..65].copy_from_slice(&key);
                    passing.inject(Duration::ZERO, passing.from, passing.to, copy);
                }
                return Fate::Hold(30 * MS);
            }
            Fate::Pass
        });
        play.run_for(2 * SECOND);
        assert_eq!(play.stats(client).bad_reply, 10);
        assert!(play.end(client, connection).established);
        assert_eq!(play.open_connections(host).len(), 1);
        play.close_all_and_finish(60 * SECOND);
    });
}
