//! Keys that no honest side has.

use super::*;

/// Points that no honest key is: of small order, or not canonical.
fn low_order_keys() -> Vec<[u8; 32]> {
    let mut keys: Vec<[u8; 32]> = EIGHT_TORSION.iter().map(|point| point.compress().0).collect();
    // y = p, p + 1 and 2^255 - 1, not canonical; and the point at infinity with a sign.
    let mut p = [0xff; 32];
    (p[0], p[31]) = (0xed, 0x7f);
    keys.push(p);
    p[0] = 0xee;
    keys.push(p);
    keys.push([0xff; 32]);
    let mut one = [0; 32];
    (one[0], one[31]) = (1, 0x80);
    keys.push(one);
    keys
}

fn torsioned(key: &[u8; 32]) -> Vec<[u8; 32]> {
    let point = CompressedEdwardsY(*key).decompress().unwrap();
    EIGHT_TORSION[1..].iter().map(|torsion| (point + torsion).compress().0).collect()
}

#[test]
fn a_low_order_key_is_refused() {
    for (seed, key) in low_order_keys().into_iter().enumerate() {
        assert!(PublicKey::from_bytes(&key).is_err(), "{key:?}");
        survives_false_challenges(50 + seed as u64, move |response| response[141..173].copy_from_slice(&key));
    }
    // As the initiator's key and as its ephemeral one.
    for seed in 0..8 {
        let mut stranger = Stranger::new(seed);
        let zero = EIGHT_TORSION[seed as usize].to_montgomery().0;
        let identity = Identity { public: zero, ..Identity::honest([7; 32]) };
        let request = foreign::connect_request(&stranger.response, [3; 32], identity, 128);
        stranger.expect_bad_request(request.bytes);

        let mut stranger = Stranger::new(seed);
        let mut request =
            foreign::connect_request(&stranger.response, [3; 32], Identity::honest([7; 32]), 128);
        request.bytes[52..84].copy_from_slice(&zero);
        foreign::solve(&mut request.bytes);
        stranger.expect_bad_request(request.bytes);
    }
}

#[test]
fn a_torsioned_key_is_refused() {
    let honest = torque_proto::KeyPair::from_seed([5; 32]).public();
    for key in torsioned(honest.as_bytes()) {
        assert!(PublicKey::from_bytes(&key).is_err());
    }
    for place in 0..7 {
        survives_false_challenges(70 + place as u64, move |response| {
            let key: [u8; 32] = response[141..173].try_into().unwrap();
            response[141..173].copy_from_slice(&torsioned(&key)[place]);
        });
    }
    // All Diffie-Hellman results are as with the honest key; only a check of the subgroup finds it.
    for (place, torsion) in EIGHT_TORSION[1..].iter().enumerate() {
        let mut stranger = Stranger::new(place as u64);
        let honest = Identity::honest([7; 32]);
        let point = curve25519_dalek::montgomery::MontgomeryPoint(honest.public).to_edwards(0).unwrap();
        let identity = Identity { public: (point + torsion).to_montgomery().0, ..honest };
        let request = foreign::connect_request(&stranger.response, [3; 32], identity, 128);
        stranger.expect_bad_request(request.bytes);
    }
}

#[test]
fn a_sign_flipped_key_is_refused() {
    // At the host: the signature is another key's.
    survives_false_challenges(80, |response| response[172] ^= 0x80);
    let (mut play, client, _, connection) = attempt(81, ConnectOptions::default(), |passing| {
        if is_kind(passing.bytes, 2) {
            passing.bytes[172] ^= 0x80;
        }
        Fate::Pass
    });
    play.run_for(11 * SECOND);
    assert_eq!(code(&play, client, connection), Some(CloseCode::BadSignature));
    // At the initiator the flipped key is a key that it has as well: it is reported as another one, and a list of
    // banned keys knows it all the same.
    let keys = [0, 1].map(|sign| {
        let mut stranger = Stranger::new(82);
        let identity = Identity { sign, ..Identity::honest([7; 32]) };
        let request = foreign::connect_request(&stranger.response, [3; 32], identity, 128);
        stranger.ask(request.bytes);
        let asked = stranger.play.history(stranger.host).iter().find_map(|(_, event)| match event {
            Event::ConnectRequest(ConnectRequest { public_key, .. }) => Some(*public_key),
            _ => None,
        });
        asked.unwrap()
    });
    assert_ne!(keys[0], keys[1]);
    assert!(keys[0].same_identity(&keys[1]));
}
