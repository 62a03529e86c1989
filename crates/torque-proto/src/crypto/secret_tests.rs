use super::*;
use crate::crypto::testing::{array, for_seeds, hex};

/// The end of the exchange of `noise_tests`, as computed from the document by another program.
pub(crate) fn known_secret() -> ConnectionSecret {
    let handshake = HandshakeSecret {
        ck: array("ddc852fde632538c22a4f5370f89e858904013309a386177e2a77cb8b425024e"),
        h: array("fb0fe9b860a26fe2981490345bb4df79621118a2cecbcc0e228a69e8dd644b62"),
    };
    handshake.connection(&core::array::from_fn(|i| 0xa0 + i as u8))
}

const HEADER: [u8; 33] = {
    let mut header = [0; 33];
    let mut i = 0;
    while i < 33 {
        header[i] = i as u8;
        i += 1;
    }
    header
};

#[test]
fn keys_are_those_that_another_program_derives_from_the_document() {
    let secret = known_secret();
    let sealed = |seal: fn(&ConnectionSecret, &[u8; 33], &mut Vec<u8>), text: &[u8]| {
        let mut out = text.to_vec();
        seal(&secret, &HEADER, &mut out);
        out
    };
    let accept = sealed(ConnectionSecret::seal_accept, b"text of accept");
    assert_eq!(accept, hex("e113c43070c39565d6ebfd269f834fe8dcdcab9b41d270d30a72d5a71e5d"));
    let refuse = sealed(ConnectionSecret::seal_refuse, b"text of refuse");
    assert_eq!(refuse, hex("042fcf15e80e0165c4909dc81449ca053a39049c1e3dc8645963b1223f3c"));
    let pending = sealed(ConnectionSecret::seal_pending, b"");
    assert_eq!(pending, hex("165e2b69f430d476be6150b332657cb6"));
    let from_initiator = "7c9b8cac09fe02730c1988b4657167042c7defa1d8756f1d5b7ff5f6321b1092";
    assert_eq!(secret.traffic(Direction::FromInitiator).expose(), &array(from_initiator));
    let from_host = "93dea21817c6ab79eb0c17aacff548dc8912cb7e0590133356ccb4fe56294dae";
    assert_eq!(secret.traffic(Direction::FromHost).expose(), &array(from_host));
}

#[test]
fn a_reply_opens_as_what_it_is_and_as_nothing_else() {
    for_seeds(10, |rng| {
        let handshake = HandshakeSecret { ck: rng.array(), h: rng.array() };
        let secret = handshake.connection(&rng.array());
        let header = rng.array();
        let mut sealed = b"data".to_vec();
        secret.seal_accept(&header, &mut sealed);
        assert_eq!(secret.open_accept(&header, &sealed).unwrap(), b"data");
        assert!(secret.open_refuse(&header, &sealed).is_none());
        assert!(secret.open_pending(&header, &sealed).is_none());
        assert!(secret.open_accept(&rng.array(), &sealed).is_none());

        let mut sealed = b"reason".to_vec();
        secret.seal_refuse(&header, &mut sealed);
        assert_eq!(secret.open_refuse(&header, &sealed).unwrap(), b"reason");
        assert!(secret.open_accept(&header, &sealed).is_none());
    });
}

#[test]
fn another_salt_gives_another_connection() {
    // Without this a replayed request would get the keys of the first one again.
    for_seeds(10, |rng| {
        let handshake = HandshakeSecret { ck: rng.array(), h: rng.array() };
        let (a, b) = (handshake.connection(&rng.array()), handshake.connection(&rng.array()));
        for direction in [Direction::FromInitiator, Direction::FromHost] {
            assert_ne!(a.traffic(direction).expose(), b.traffic(direction).expose());
        }
        assert_ne!(a.traffic(Direction::FromInitiator).expose(), a.traffic(Direction::FromHost).expose());
        let mut sealed = Vec::new();
        a.seal_pending(&[0; 33], &mut sealed);
        assert!(b.open_pending(&[0; 33], &sealed).is_none());
    });
}

#[test]
fn debug_shows_nothing_of_a_secret() {
    let secret = known_secret();
    assert_eq!(std::format!("{secret:?}"), "ConnectionSecret");
    assert_eq!(std::format!("{:?}", secret.traffic(Direction::FromHost)), "TrafficSecret");
    assert_eq!(std::format!("{:?}", HandshakeSecret { ck: [1; 32], h: [2; 32] }), "HandshakeSecret");
}
