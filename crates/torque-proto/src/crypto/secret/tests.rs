use super::*;
use crate::crypto::rng::Rng;
use crate::crypto::testing::{array, for_seeds, hex};
use crate::identity::KeyPair;

/// The end of the exchange of `noise::tests`, as computed from the document by another program.
fn known_answers() -> AnswerSecret {
    let handshake = HandshakeSecret {
        ck: array("ddc852fde632538c22a4f5370f89e858904013309a386177e2a77cb8b425024e"),
        h: array("fb0fe9b860a26fe2981490345bb4df79621118a2cecbcc0e228a69e8dd644b62"),
    };
    handshake.answers(&bytes(0xa0))
}

fn bytes<const N: usize>(from: u8) -> [u8; N] {
    core::array::from_fn(|i| from + i as u8)
}

/// The initiator's keys of the exchange of `noise::tests`.
fn known_initiator() -> (DhSecret, KeyPair) {
    (DhSecret::from_bytes(bytes(96)), KeyPair::from_seed(bytes(32)))
}

/// An initiator's keys as a host has them after its request.
fn as_heard(e: &[u8; 32], s: &[u8; 32]) -> InitiatorKeys {
    let epoch = DhSecret::from_bytes([64; 32]);
    InitiatorKeys { e: epoch.agree_first(e).unwrap().0, s: epoch.agree_first(s).unwrap().0 }
}

/// A connection of two sides that hold the same answer secret.
fn accepted(rng: &mut Rng, answers: impl Fn() -> AnswerSecret) -> ([u8; 32], [ConnectionSecret; 2]) {
    let (e, s) = (DhSecret::from_bytes(rng.array()), DhSecret::from_bytes(rng.array()));
    let (e2, at_host) =
        answers().accept(&as_heard(e.public(), s.public()), DhSecret::from_bytes(rng.array()));
    let at_initiator = answers().accepted(&e, &s, &e2).unwrap();
    (e2, [at_host, at_initiator])
}

#[test]
fn keys_are_those_that_another_program_derives_from_the_document() {
    let answers = known_answers();
    let mut refuse = b"text of refuse".to_vec();
    answers.seal_refuse(&bytes(0), &mut refuse);
    assert_eq!(refuse, hex("042fcf15e80e0165c4909dc81449ca053a39049c1e3dc8645963b1223f3c"));
    let mut pending = Vec::new();
    answers.seal_pending(&bytes(0), &mut pending);
    assert_eq!(pending, hex("165e2b69f430d476be6150b332657cb6"));

    let (ephemeral, identity) = known_initiator();
    let initiator = as_heard(ephemeral.public(), &identity.public().x25519());
    let (e2, at_host) = answers.accept(&initiator, DhSecret::from_bytes(bytes(128)));
    assert_eq!(e2, array("493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d531d"));
    let at_initiator = known_answers().accepted(&ephemeral, identity.dh_secret(), &e2).unwrap();
    for secret in [at_host, at_initiator] {
        let mut accept = b"text of accept".to_vec();
        secret.seal_accept(&bytes(0), &mut accept);
        assert_eq!(accept, hex("11ea1ea3d21a85f8e7e3df4becac92adb3ec98a924ef36673c979175294e"));
        let from_initiator = "e3ca17a18e522d2dc4aa21675e264f868263336428852e2b2b33c193f61124a2";
        assert_eq!(secret.traffic(Direction::FromInitiator).expose(), &array(from_initiator));
        let from_host = "421ec52bdd470a949fb1656985f74a373354105f494a3d74a4de8e516a968b39";
        assert_eq!(secret.traffic(Direction::FromHost).expose(), &array(from_host));
    }
}

#[test]
fn a_reply_opens_as_what_it_is_and_as_nothing_else() {
    for_seeds(10, |rng| {
        let handshake = HandshakeSecret { ck: rng.array(), h: rng.array() };
        let salt = rng.array();
        let answers = handshake.answers(&salt);
        let header = rng.array();
        let mut sealed = b"reason".to_vec();
        answers.seal_refuse(&header, &mut sealed);
        assert_eq!(answers.open_refuse(&header, &sealed).unwrap(), b"reason");
        assert!(answers.open_pending(&header, &sealed).is_none());
        assert!(answers.open_refuse(&rng.array(), &sealed).is_none());

        let (_, [at_host, at_initiator]) = accepted(rng, || handshake.answers(&salt));
        let mut sealed = b"data".to_vec();
        let header: [u8; ACCEPT_HEADER_BYTES] = rng.array();
        at_host.seal_accept(&header, &mut sealed);
        assert_eq!(at_initiator.open_accept(&header, &sealed).unwrap(), b"data");
        assert!(answers.open_refuse(header.first_chunk().unwrap(), &sealed).is_none());
        assert!(at_initiator.open_accept(&rng.array(), &sealed).is_none());
    });
}

#[test]
fn another_salt_or_another_key_of_the_host_gives_another_connection() {
    // Without the salt a replayed request would get the answer keys of the first one again.
    for_seeds(10, |rng| {
        let handshake = HandshakeSecret { ck: rng.array(), h: rng.array() };
        let (one, other) = (rng.array(), rng.array());
        let mut sealed = Vec::new();
        handshake.answers(&one).seal_pending(&[0; 33], &mut sealed);
        assert!(handshake.answers(&other).open_pending(&[0; 33], &sealed).is_none());

        let (e, s) = (DhSecret::from_bytes(rng.array()), DhSecret::from_bytes(rng.array()));
        let initiator = as_heard(e.public(), s.public());
        let mut seen = std::collections::BTreeSet::new();
        let fresh: [u8; 32] = rng.array();
        for (salt, fresh) in [(one, fresh), (other, fresh), (one, rng.array())] {
            let (_, secret) = handshake.answers(&salt).accept(&initiator, DhSecret::from_bytes(fresh));
            for direction in [Direction::FromInitiator, Direction::FromHost] {
                assert!(seen.insert(*secret.traffic(direction).expose()));
            }
        }
    });
}

#[test]
fn a_connection_needs_the_secret_of_each_of_the_three_keys() {
    for_seeds(10, |rng| {
        let handshake = HandshakeSecret { ck: rng.array(), h: rng.array() };
        let salt = rng.array();
        let mut secret = || DhSecret::from_bytes(rng.array());
        let (e, s, other) = (secret(), secret(), secret());
        let (e2, at_host) = handshake.answers(&salt).accept(&as_heard(e.public(), s.public()), secret());
        let traffic = |secret: &ConnectionSecret| *secret.traffic(Direction::FromHost).expose();
        let at = |e: &DhSecret, s: &DhSecret, e2: &[u8; 32]| {
            handshake.answers(&salt).accepted(e, s, e2).map(|secret| traffic(&secret))
        };
        assert_eq!(at(&e, &s, &e2), Some(traffic(&at_host)));
        assert_ne!(at(&other, &s, &e2), Some(traffic(&at_host)));
        assert_ne!(at(&e, &other, &e2), Some(traffic(&at_host)));
        assert_ne!(at(&e, &s, other.public()), Some(traffic(&at_host)));
        // The top bit is ignored in the agreement, but the salt is E2 as it travels.
        let mut same_point = e2;
        same_point[31] ^= 0x80;
        assert_ne!(at(&e, &s, &same_point), Some(traffic(&at_host)));
        assert_eq!(at(&e, &s, &[0; 32]), None);
    });
}

#[test]
fn debug_shows_nothing_of_a_secret() {
    assert_eq!(std::format!("{:?}", known_answers()), "AnswerSecret");
    let secret = ConnectionSecret::from_prk([3; 32]);
    assert_eq!(std::format!("{secret:?}"), "ConnectionSecret");
    assert_eq!(std::format!("{:?}", secret.traffic(Direction::FromHost)), "TrafficSecret");
    assert_eq!(std::format!("{:?}", HandshakeSecret { ck: [1; 32], h: [2; 32] }), "HandshakeSecret");
}

#[test]
fn secrets_are_overwritten_when_they_are_dropped() {
    fn erases<T: ZeroizeOnDrop>() {}
    erases::<HandshakeSecret>();
    erases::<AnswerSecret>();
    erases::<ConnectionSecret>();
    erases::<TrafficSecret>();
    erases::<DhSecret>();
    erases::<Shared>();
    let mut secret = known_answers();
    secret.zeroize();
    assert_eq!(secret.prk0, [0; 32]);
}
