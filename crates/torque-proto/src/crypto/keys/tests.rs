use std::vec::Vec;

use super::*;
use crate::crypto::rng::Rng;
use crate::crypto::testing::{array, for_seeds, hex};

const GENERATION: u64 = 1 << 16;

/// Keys of both ends of one direction.
fn pair(rng: &mut Rng, cipher: Cipher, tag_bytes: u8) -> (SendKeys, ReceiveKeys) {
    let secret: [u8; 32] = rng.array();
    (
        SendKeys::new(TrafficSecret(secret), cipher, tag_bytes),
        ReceiveKeys::new(TrafficSecret(secret), cipher, tag_bytes),
    )
}

/// A sealed packet with all that belongs to it.
#[derive(Clone)]
struct Packet {
    sequence: u64,
    /// For ack and control packets.
    counter: Option<u64>,
    ad: Vec<u8>,
    text: Vec<u8>,
    tag: Vec<u8>,
}

fn random_bytes(rng: &mut Rng, most: u64) -> Vec<u8> {
    let mut bytes = alloc::vec![0; rng.below(most + 1) as usize];
    rng.fill(&mut bytes);
    bytes
}

fn seal(
    rng: &mut Rng,
    keys: &mut SendKeys,
    sequence: u64,
    counter: Option<u64>,
) -> Option<(Vec<u8>, Packet)> {
    let plain = random_bytes(rng, 300);
    let (ad, mut text) = (random_bytes(rng, 23), plain.clone());
    let tag = match counter {
        None => keys.seal_data(sequence, &ad, &mut text)?.to_vec(),
        Some(counter) => keys.seal_control(sequence, counter, &ad, &mut text)?.to_vec(),
    };
    Some((plain, Packet { sequence, counter, ad, text, tag }))
}

fn open(keys: &mut ReceiveKeys, packet: &Packet) -> Result<Vec<u8>, OpenError> {
    let mut text = packet.text.clone();
    match packet.counter {
        None => keys.open_data(packet.sequence, &packet.ad, &mut text, &packet.tag)?,
        Some(counter) => keys.open_control(packet.sequence, counter, &packet.ad, &mut text, &packet.tag)?,
    }
    Ok(text)
}

/// Every cipher with every width that it may have.
fn for_ciphers(mut check: impl FnMut(&mut Rng, Cipher, u8)) {
    for_seeds(3, |rng| {
        for cipher in Cipher::DEFAULT_OFFER {
            for tag_bytes in 4..=16 {
                if cipher.tag_bytes(tag_bytes) == tag_bytes {
                    check(rng, cipher, tag_bytes);
                }
            }
        }
    });
}

#[test]
fn packets_are_those_that_another_program_seals_from_the_document() {
    let cases = [
        (
            Cipher::Aes128Gcm,
            [
                "a6ba7768fea8f5ffba2d25038d702a20aadc8b32c454cce17e63f10f190f447de1281084dcf85175075715a47e564bfade7062a859d28f39",
                "b4a9dd554775cfe13c6cdd7510eb8d727483fd64f988c96f90a6b3a9ac637bb446d30628303d8dd07f2f0e3144aaa9a8a856e234a08fcf9a",
            ],
            [
                "232287870b246020e836f2f7b0e1b97e1a2566273738e3409f258f0b7a0b17fdb4088190377e8728fb506614d0a6624427fa9ab6daa1d01b",
                "088c43fdb365e27e3ea09ddd7b5fd7a8f0da3c33fe2c6e55d1b0ca678844cbbe4db1630d2fe4b31214884491e048f879af419cb26a4bf783",
            ],
        ),
        (
            Cipher::ChaCha20Poly1305,
            [
                "b2c6af4cb2efd8af9f95ed60a5062081ca32c92d2a9a2af427effe11539b77eea8dc53be0d13fdd33c651a5075c50ed1122cfea920d3f759",
                "81a54d266103b55f240a42809126860e08a8dde61c370d5af802b34fc6eb28e927adff9f0f89cdb28be69f1b4f81cf428f6a95bc90d5bad6",
            ],
            [
                "2fa527ba0f879d96c7d88843ff3ab0203ee6db87b8ac6c7ce35e5a4641daba962f186f7108e080aacd1cf6c9911b13bee000bdf9aebe9fee",
                "787b8f16abb54e4d630c706529265a2f388ce1766fb691c05cdeb1d8a27715ad859a7bf801d8c75b1168a74c1b80be065da8cf7f03c94a22",
            ],
        ),
        (
            Cipher::Aes128GcmSst,
            [
                "b2dc992ad35adab97e61f85d1a40597bb864178edbb30c774df87be18e3b53b411a3d638e6fec6ddc92ee13817d1bc63",
                "6c83ef7cee86df3790a4bafbaf2c66b21f9f01223776d0d28cba90d1347e944e78125aa52be9f3b5b4c6eaf991a2c406",
            ],
            [
                "0225743f2036f5189f27865979440afbed44869a3035da2aad3218dc0ecc08434a63a69e36697c3b67e06086877c3bf3a84bd0d54b91b02b",
                "e8da2e2be922780dd1b2c3358b0bd6b814fd640728afee10f33f52b0abf5f8e300a43b95c16ba97cf5ad920f797eedd9e3e33d442bc231ae",
            ],
        ),
    ];
    let (ad, plain) = (b"associated data", b"a packet of forty bytes, more or less...");
    for (cipher, data, control) in cases {
        let traffic = || {
            TrafficSecret::from_log(array("7c9b8cac09fe02730c1988b4657167042c7defa1d8756f1d5b7ff5f6321b1092"))
        };
        let (mut send, mut receive) =
            (SendKeys::new(traffic(), cipher, 8), ReceiveKeys::new(traffic(), cipher, 8));
        for generation in 0..2 {
            let (sequence, counter) = (generation * GENERATION + 5, 77 + generation);
            let mut text = *plain;
            let tag = send.seal_data(sequence, ad, &mut text).unwrap();
            assert_eq!([&text[..], &tag].concat(), hex(data[generation as usize]), "{cipher} {generation}");
            receive.open_data(sequence, ad, &mut text, &tag).unwrap();
            assert_eq!(&text, plain);

            let tag = send.seal_control(sequence, counter, ad, &mut text).unwrap();
            assert_eq!(
                [&text[..], &tag].concat(),
                hex(control[generation as usize]),
                "{cipher} {generation}"
            );
            receive.open_control(sequence, counter, ad, &mut text, &tag).unwrap();
            assert_eq!(&text, plain);
        }
    }
}

#[test]
fn what_is_sealed_opens_at_the_other_side() {
    for_ciphers(|rng, cipher, tag_bytes| {
        let (mut send, mut receive) = pair(rng, cipher, tag_bytes);
        assert_eq!(receive.tag_bytes(), tag_bytes);
        for number in 1..20 {
            let (plain, packet) = seal(rng, &mut send, number, None).unwrap();
            assert_eq!(open(&mut receive, &packet), Ok(plain));
            let (plain, packet) = seal(rng, &mut send, number, Some(number)).unwrap();
            assert_eq!(packet.tag.len(), 16);
            assert_eq!(open(&mut receive, &packet), Ok(plain));
        }
    });
}

#[test]
fn whatever_is_changed_about_a_packet_makes_it_a_forgery() {
    for_ciphers(|rng, cipher, tag_bytes| {
        let (mut send, mut receive) = pair(rng, cipher, tag_bytes);
        for counter in [None, Some(9)] {
            let (_, packet) = seal(rng, &mut send, 7, counter).unwrap();
            let bytes = packet.ad.len() + packet.text.len() + packet.tag.len();
            for _ in 0..20 {
                let mut changed = packet.clone();
                let at = rng.below(bytes as u64) as usize;
                let byte = changed.ad.iter_mut().chain(&mut changed.text).chain(&mut changed.tag).nth(at);
                *byte.unwrap() ^= 1 << rng.below(8);
                assert_eq!(open(&mut receive, &changed), Err(OpenError::Forged));
            }
            let mut changes: Vec<Packet> = Vec::new();
            let mut change = |edit: fn(&mut Packet)| {
                let mut changed = packet.clone();
                edit(&mut changed);
                changes.push(changed);
            };
            change(|packet| packet.ad.push(0));
            change(|packet| packet.text.push(0));
            change(|packet| packet.tag.push(0));
            change(|packet| packet.tag.truncate(packet.tag.len() - 1));
            change(|packet| packet.tag.clear());
            change(|packet| packet.tag = alloc::vec![0; 300]);
            match counter {
                None => change(|packet| packet.sequence += 1),
                Some(_) => change(|packet| packet.counter = packet.counter.map(|counter| counter + 1)),
            }
            for changed in changes {
                assert_eq!(open(&mut receive, &changed), Err(OpenError::Forged));
            }
            assert!(open(&mut receive, &packet).is_ok(), "the unchanged packet still opens");
        }
    });
}

#[test]
fn a_true_tag_of_another_length_than_the_settled_one_is_a_forgery() {
    // Or else a forger would choose the length that is easiest to guess.
    for_seeds(3, |rng| {
        let secret: [u8; 32] = rng.array();
        for settled in 4..=16 {
            let cipher = Cipher::Aes128GcmSst;
            let mut receive = ReceiveKeys::new(TrafficSecret(secret), cipher, settled);
            for other in (4..=16).filter(|other| *other != settled) {
                let mut send = SendKeys::new(TrafficSecret(secret), cipher, other);
                let (_, packet) = seal(rng, &mut send, 1, None).unwrap();
                assert_eq!(packet.tag.len(), usize::from(other));
                assert_eq!(open(&mut receive, &packet), Err(OpenError::Forged));
            }
        }
    });
}

#[test]
fn a_data_packet_does_not_open_as_a_control_packet_nor_the_reverse() {
    for_seeds(5, |rng| {
        for cipher in Cipher::DEFAULT_OFFER {
            let (mut send, mut receive) = pair(rng, cipher, 16);
            let (_, mut packet) = seal(rng, &mut send, 5, None).unwrap();
            packet.counter = Some(5);
            assert_eq!(open(&mut receive, &packet), Err(OpenError::Forged));
            let (_, mut packet) = seal(rng, &mut send, 5, Some(6)).unwrap();
            (packet.sequence, packet.counter) = (6, None);
            assert_eq!(open(&mut receive, &packet), Err(OpenError::Forged));
        }
    });
}

#[test]
fn no_number_is_sealed_twice() {
    for_seeds(5, |rng| {
        for cipher in Cipher::DEFAULT_OFFER {
            let (mut send, _) = pair(rng, cipher, 8);
            for sequence in [1, 2, 5, GENERATION - 1, GENERATION, GENERATION + 9] {
                assert!(seal(rng, &mut send, sequence, None).is_some());
                for spent in [0, 1, sequence - 1, sequence] {
                    assert!(seal(rng, &mut send, spent, None).is_none(), "{spent} after {sequence}");
                }
                let counter = sequence;
                assert!(seal(rng, &mut send, sequence, Some(counter)).is_some());
                for spent in [0, counter - 1, counter] {
                    assert!(seal(rng, &mut send, sequence, Some(spent)).is_none(), "counter {spent}");
                }
            }
        }
    });
}

#[test]
fn a_refused_number_seals_nothing() {
    for_seeds(1, |rng| {
        let (mut send, _) = pair(rng, Cipher::Aes128GcmSst, 8);
        let mut text = *b"untouched";
        assert!(send.seal_data(1, b"", &mut [1, 2, 3]).is_some());
        assert!(send.seal_data(1, b"", &mut text).is_none());
        assert!(send.seal_data(2 * GENERATION, b"", &mut text).is_none());
        assert!(send.seal_control(2 * GENERATION, 1, b"", &mut text).is_none());
        assert!(send.seal_data(u64::MAX, b"", &mut text).is_none());
        assert_eq!(&text, b"untouched");
        assert!(send.seal_data(2, b"", &mut text).is_some(), "a refusal uses nothing up");
    });
}

#[test]
fn keys_step_with_the_sequence_on_both_sides() {
    for_seeds(3, |rng| {
        for cipher in Cipher::DEFAULT_OFFER {
            for by_control in [false, true] {
                let (mut send, mut receive) = pair(rng, cipher, 8);
                let mut counter = 0;
                for generation in 0..5 {
                    // A late packet of the old generation, made before the step and kept.
                    let (_, late) = seal(rng, &mut send, generation * GENERATION + 3, None).unwrap();
                    let sequence = (generation + 1) * GENERATION;
                    counter += 1;
                    let (plain, packet) =
                        seal(rng, &mut send, sequence, by_control.then_some(counter)).unwrap();
                    assert_eq!(send.generation(), generation + 1);
                    assert_eq!(open(&mut receive, &packet), Ok(plain));
                    assert_eq!(receive.generation(), generation + 1);
                    assert_eq!(open(&mut receive, &late), Err(OpenError::NoKeys), "old keys are erased");
                }
            }
        }
    });
}

#[test]
fn keys_that_begin_later_are_for_the_sequences_from_their_start_on() {
    for_seeds(3, |rng| {
        let (secret, start) = (rng.array(), 5 * GENERATION + 77);
        let (cipher, traffic) = (Cipher::Aes128GcmSst, || TrafficSecret(secret));
        let mut send = SendKeys::starting_at(start, traffic(), cipher, 8);
        let mut receive = ReceiveKeys::starting_at(start, traffic(), cipher, 8);
        assert_eq!(
            (send.generation(), receive.generation()),
            (5, 5),
            "the secret is that of its first generation"
        );
        for before in [0, 4 * GENERATION, start - 1] {
            assert!(seal(rng, &mut send, before, None).is_none(), "{before}");
        }
        for sequence in [start, start + 1, 6 * GENERATION] {
            let (plain, packet) = seal(rng, &mut send, sequence, None).unwrap();
            assert_eq!(open(&mut receive, &packet), Ok(plain));
        }
        let (_, of_other_keys) = {
            let mut other = pair(rng, cipher, 8).0;
            seal(rng, &mut other, 1, None)
        }
        .unwrap();
        assert_eq!(open(&mut receive, &of_other_keys), Err(OpenError::NoKeys));
    });
}

#[test]
fn forgeries_of_the_next_generation_do_not_step_the_keys() {
    for_seeds(3, |rng| {
        for cipher in Cipher::DEFAULT_OFFER {
            let (mut send, mut receive) = pair(rng, cipher, 8);
            let (plain, packet) = seal(rng, &mut send, 1, None).unwrap();
            for counter in [None, Some(1)] {
                for sequence in [GENERATION, 2 * GENERATION - 1] {
                    let mut forged = packet.clone();
                    (forged.sequence, forged.counter) = (sequence, counter);
                    if counter.is_some() {
                        forged.tag = alloc::vec![0; 16];
                    }
                    assert_eq!(open(&mut receive, &forged), Err(OpenError::Forged));
                    forged.sequence += GENERATION;
                    assert_eq!(open(&mut receive, &forged), Err(OpenError::NoKeys));
                }
            }
            assert_eq!(receive.generation(), 0);
            assert_eq!(open(&mut receive, &packet), Ok(plain));
            let (plain, packet) = seal(rng, &mut send, GENERATION, None).unwrap();
            assert_eq!(open(&mut receive, &packet), Ok(plain));
        }
    });
}

#[test]
fn an_idle_connection_keeps_its_keys_in_few_bytes() {
    // Of the 1 KiB that an idle connection may take in all. What is expanded is given back when it rests.
    let bytes = size_of::<SendKeys>() + size_of::<ReceiveKeys>();
    std::println!(
        "send {}, receive {}, expanded {}",
        size_of::<SendKeys>(),
        size_of::<ReceiveKeys>(),
        size_of::<PacketCipher>()
    );
    assert!(bytes <= 200, "{bytes}");
}

#[test]
fn keys_that_rest_keep_the_secret_alone_and_go_on() {
    for_seeds(2, |rng| {
        let (mut send, mut receive) = pair(rng, Cipher::Aes128GcmSst, 8);
        for sequence in [1, 2, GENERATION - 1, GENERATION] {
            assert!(send.is_resting() && receive.is_resting());
            let (plain, packet) = seal(rng, &mut send, sequence, None).unwrap();
            // What is forged wakes nothing: it would cost an idle connection memory.
            let mut forged = packet.clone();
            forged.text[0] ^= 1;
            assert_eq!(open(&mut receive, &forged), Err(OpenError::Forged));
            assert!(receive.keys.expanded.is_none());
            assert_eq!(open(&mut receive, &packet), Ok(plain));
            assert!(!send.is_resting() && !receive.is_resting());
            // A forgery of the next generation leaves keys behind on a side that is awake, and none on one that rests.
            let mut forged = packet.clone();
            forged.sequence += GENERATION;
            assert_eq!(open(&mut receive, &forged), Err(OpenError::Forged));
            assert!(receive.next.is_some());
            send.rest();
            receive.rest();
            assert_eq!(open(&mut receive, &forged), Err(OpenError::Forged));
            assert!(receive.is_resting());
            // Control packets use the keys without waking them.
            let (plain, packet) = seal(rng, &mut send, sequence, Some(sequence)).unwrap();
            assert_eq!(open(&mut receive, &packet), Ok(plain));
        }
    });
}

#[test]
fn debug_shows_nothing_of_a_secret() {
    for_seeds(1, |rng| {
        let (send, receive) = pair(rng, Cipher::Aes128GcmSst, 8);
        assert_eq!(std::format!("{send:?}"), "SendKeys { cipher: Aes128GcmSst, generation: 0 }");
        assert_eq!(std::format!("{receive:?}"), "ReceiveKeys { cipher: Aes128GcmSst, generation: 0 }");
    });
}
