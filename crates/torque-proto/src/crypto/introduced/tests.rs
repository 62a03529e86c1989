use super::*;
use crate::crypto::testing::{array, for_seeds, hex};
use crate::wire::Punch;

/// Everything from which the keys come.
#[derive(Clone)]
struct Told {
    initiator_nonce: [u8; 16],
    host_nonce: [u8; 16],
    secret: [u8; 32],
    id: u64,
    initiator: [u8; 32],
    host: [u8; 32],
}

impl Told {
    fn keys(&self) -> IntroducedKeys {
        IntroducedKeys::derive(
            &self.initiator_nonce,
            &self.host_nonce,
            &self.secret,
            self.id,
            &self.initiator,
            &self.host,
        )
    }
}

#[test]
fn keys_are_those_that_another_program_derives_from_the_document() {
    fn bytes<const N: usize>(from: u8) -> [u8; N] {
        core::array::from_fn(|i| from + i as u8)
    }
    let told = Told {
        initiator_nonce: bytes(0),
        host_nonce: bytes(16),
        secret: bytes(32),
        id: 0x0102_0304_0506_0708,
        initiator: bytes(64),
        host: bytes(96),
    };
    let keys = told.keys();
    let psk = "27e2ae4de4756073f4b0ca02ae633404fa20cfde093b8b6608fe9d139631fb8f";
    assert_eq!(keys.psk.expose(), array(psk));
    let punch = "b7c2c00f87c76a078be7bb1777e0423ed1bdaa67010e69537695ce1425f56e82";
    assert_eq!(keys.punch.expose(), array(punch));
    let data = "03527a07934d8359c8144cfa11a84feebd6e8c45f02c38230cbaa5e219d586da";
    assert_eq!(keys.data.expose(), array(data));
    let sealed = "8959625e459d00edfffe6132082e5c1dae2b81847944e94af8a0d3b658f2e3695ad37a60";
    assert_eq!(keys.data.seal(told.id, b"the data of the host"), hex(sealed));
    assert_eq!(told.keys().data.seal(told.id, b""), hex("3d19f486bc15797a6b05b9a203070617"));
}

#[test]
fn parties_that_were_told_different_things_share_no_key() {
    for_seeds(10, |rng| {
        let told = Told {
            initiator_nonce: rng.array(),
            host_nonce: rng.array(),
            secret: rng.array(),
            id: rng.u64(),
            initiator: rng.array(),
            host: rng.array(),
        };
        let swapped = Told { initiator: told.host, host: told.initiator, ..told.clone() };
        let nonces_swapped =
            Told { initiator_nonce: told.host_nonce, host_nonce: told.initiator_nonce, ..told.clone() };
        let others = [
            Told { initiator_nonce: rng.array(), ..told.clone() },
            Told { host_nonce: rng.array(), ..told.clone() },
            Told { secret: rng.array(), ..told.clone() },
            Told { id: rng.u64(), ..told.clone() },
            Told { initiator: rng.array(), ..told.clone() },
            Told { host: rng.array(), ..told.clone() },
            swapped,
            nonces_swapped,
        ];
        let mut seen = std::collections::BTreeSet::new();
        for told in [&told].into_iter().chain(&others) {
            let keys = told.keys();
            for key in [keys.psk.expose(), keys.punch.expose(), keys.data.expose()] {
                assert!(seen.insert(key), "each key of each introduction is another one");
            }
        }
    });
}

#[test]
fn sealed_data_open_unchanged_and_for_their_introduction_only() {
    for_seeds(10, |rng| {
        let (secret, id): ([u8; 32], u64) = (rng.array(), rng.u64());
        let keys = |secret| IntroducedKeys::derive(&[1; 16], &[2; 16], &secret, id, &[3; 32], &[4; 32]);
        let mut data = alloc::vec![0; rng.below(481) as usize];
        rng.fill(&mut data);
        let sealed = keys(secret).data.seal(id, &data);
        let key = keys(secret).data;
        assert_eq!(key.open(id, &sealed), Some(data));
        assert_eq!(key.open(id ^ 1 << rng.below(64), &sealed), None);
        assert_eq!(keys(rng.array()).data.open(id, &sealed), None);
        assert_eq!(key.open(id, &sealed[..sealed.len() - 1]), None);
        assert_eq!(key.open(id, &[]), None);
        let mut changed = sealed;
        let place = rng.below(changed.len() as u64) as usize;
        changed[place] ^= 1 << rng.below(8);
        assert_eq!(key.open(id, &changed), None);
    });
}

#[test]
fn a_punch_of_an_introduction_has_the_tag_of_its_key() {
    let keys = IntroducedKeys::derive(&[1; 16], &[2; 16], &[3; 32], 7, &[4; 32], &[5; 32]);
    let other = IntroducedKeys::derive(&[1; 16], &[2; 16], &[9; 32], 7, &[4; 32], &[5; 32]);
    let punch = Punch { is_from_host: true, is_of_connection: false, id: 7, number: 1, echo: 2 };
    let (read, tag) = Punch::parse(&keys.punch.seal(&punch)).unwrap();
    assert!(keys.punch.verifies(&read, &tag) && !other.punch.verifies(&read, &tag));
}

#[test]
fn debug_shows_nothing_of_a_key() {
    let keys = IntroducedKeys::derive(&[1; 16], &[2; 16], &[3; 32], 7, &[4; 32], &[5; 32]);
    assert_eq!(std::format!("{keys:?} {:?} {:?}", keys.psk, keys.data), "IntroducedKeys Psk DataKey");
}

#[test]
fn keys_are_overwritten_when_they_are_dropped() {
    fn erases<T: ZeroizeOnDrop>() {}
    erases::<Psk>();
    erases::<DataKey>();
    erases::<PunchKey>();
}
