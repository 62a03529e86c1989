//! The messages of the handshake and what is sealed in them.

use std::vec::Vec;

use super::{Json, changed, longer, object, parsed, settings_fields, shorter};
use crate::codes::{CloseCode, RejectCode};
use crate::crypto::rng::Rng;
use crate::event::Extension;
use crate::settings::Settings;
use crate::vectors::json::hex;
use crate::wire::{
    AcceptPayload, ChallengeRequest, ChallengeResponse, ConnectAccept, ConnectRequest, Offers,
    PROTOCOL_VERSION, RefusePayload, Reject, RequestPayload, SealedReply, parse_probe, parse_probe_echo,
    probe, probe_echo,
};

pub(super) fn add(rng: &mut Rng, vectors: &mut Vec<Json>) {
    challenge_requests(rng, vectors);
    challenge_responses(rng, vectors);
    connect_requests(rng, vectors);
    request_payloads(rng, vectors);
    accepts(rng, vectors);
    answers(rng, vectors);
    accept_payloads(rng, vectors);
    refuse_payloads(vectors);
    rejects(rng, vectors);
    probes(vectors);
}

fn random(rng: &mut Rng, count: usize) -> Vec<u8> {
    let mut bytes = std::vec![0; count];
    rng.fill(&mut bytes);
    bytes
}

fn challenge_requests(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        let vector =
            parsed(("challenge_request", name), bytes, ChallengeRequest::parse(bytes), refused, |read| {
                let mut again = Vec::new();
                read.write(&mut again);
                assert_eq!(again, bytes, "{name}");
                let fields = object! {
                    "version": PROTOCOL_VERSION,
                    "initiator_nonce": read.initiator_nonce,
                    "application_tag": read.application_tag,
                    "ciphers_offered": read.offers.to_bytes(),
                };
                match read.introduction_id {
                    0 => fields,
                    id => fields.with("introduction_id", id),
                }
            });
        vectors.push(vector);
    };
    let mut good = |offers| {
        let mut bytes = Vec::new();
        let offers = Offers::from_bytes(offers).unwrap();
        ChallengeRequest {
            initiator_nonce: rng.array(),
            application_tag: rng.array(),
            offers,
            introduction_id: 0,
        }
        .write(&mut bytes);
        bytes
    };
    add("three_ciphers", &good([3, 1, 2, 0]), None);
    add("one_unknown_cipher", &good([200, 0, 0, 0]), None);
    let good = good([1, 2, 3, 4]);
    add("four_ciphers", &good, None);
    add("kind_wrong", &changed(&good, 0, 2), Some("kind"));
    add("too_short", shorter(&good), Some("size"));
    add("too_long", &longer(&good), Some("size"));
    add("magic_wrong", &changed(&good, 8, b'K'), Some("magic"));
    add("version_2", &changed(&good, 9, 2), Some("version"));
    let mut other_version = good.clone();
    other_version[9] = 7;
    other_version[34..].fill(0xee);
    add("version_7_other_rest", &other_version, Some("version"));
    add(
        "no_cipher",
        &changed(&changed(&changed(&changed(&good, 34, 0), 35, 0), 36, 0), 37, 0),
        Some("ciphers"),
    );
    add("cipher_twice", &changed(&good, 37, 1), Some("ciphers"));
    add("cipher_after_zero", &changed(&good, 35, 0), Some("ciphers"));
    let mut introduced = good.clone();
    introduced[38..46].copy_from_slice(&0x0807_0605_0403_0201_u64.to_be_bytes());
    add("introduced", &introduced, None);
    add("introduced_last_bit", &changed(&good, 45, 1), None);
    add("first_zero_not_zero", &changed(&good, 46, 1), Some("zeros"));
    add("last_zero_not_zero", &changed(&good, 767, 0x80), Some("zeros"));
}

fn challenge_response(name: &str, bytes: &[u8], refused: Option<&str>) -> Json {
    parsed(("challenge_response", name), bytes, ChallengeResponse::parse(bytes), refused, |read| {
        let mut again = Vec::new();
        read.write(&mut again);
        assert_eq!(again, bytes, "{name}");
        let fields = object! {
            "version": PROTOCOL_VERSION,
            "initiator_nonce": read.initiator_nonce,
            "epoch_start": read.epoch_start,
            "epoch_key": read.epoch_key,
            "signature": read.signature,
            "identity_token": read.identity_token,
            "difficulty": read.difficulty,
            "cipher": read.cipher,
            "key_type": bytes[140],
            "host_public_key": read.host_key,
            "challenge_response_data": read.data,
        };
        match read.introduced_data {
            None => fields,
            Some(sealed) => fields.with("introduced_data", sealed),
        }
    })
}

fn challenge_responses(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        vectors.push(challenge_response(name, bytes, refused));
    };
    let mut good = |data: &[u8]| {
        let mut bytes = Vec::new();
        ChallengeResponse {
            initiator_nonce: rng.array(),
            epoch_start: 1_700_000_000_123,
            epoch_key: rng.array(),
            signature: random(rng, 64).try_into().unwrap(),
            identity_token: rng.array(),
            difficulty: 12,
            cipher: 2,
            host_key: rng.array(),
            data,
            introduced_data: None,
        }
        .write(&mut bytes);
        bytes
    };
    add("without_data", &good(b""), None);
    let longest = good(&[0xd5; 511]);
    add("longest", &longest, None);
    let good = good(b"the blue server");
    add("with_data", &good, None);
    add("cipher_and_difficulty_255", &changed(&changed(&good, 138, 255), 139, 255), None);
    add("kind_wrong", &changed(&good, 0, 4), Some("kind"));
    add("version_0", &changed(&good, 1, 0), Some("version"));
    add("key_type_0", &changed(&good, 140, 0), Some("key_type"));
    add("key_type_2", &changed(&good, 140, 2), Some("key_type"));
    add("below_least", &good[..174], Some("size"));
    add("length_too_large", &changed(&good, 174, 16), Some("length"));
    add("length_too_small", &changed(&good, 174, 14), Some("length"));
    let mut too_long = longer(&longest);
    too_long[173..175].copy_from_slice(&512_u16.to_be_bytes());
    add("above_greatest", &too_long, Some("size"));
    let introduced = |bytes: &[u8], sealed: &[u8]| {
        let length = u16::try_from(sealed.len()).unwrap();
        [bytes, &length.to_be_bytes(), sealed].concat()
    };
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        vectors.push(challenge_response(name, bytes, refused).with("introduced", true));
    };
    add("introduced_without_data", &introduced(&good, &[0xda; 16]), None);
    let longest = introduced(&longest, &[0xda; 496]);
    add("introduced_longest", &longest, None);
    add("introduced_one_byte", &longer(&good), Some("length"));
    add("introduced_empty", &introduced(&good, &[]), Some("length"));
    add("introduced_no_tag", &introduced(&good, &[0xda; 15]), Some("length"));
    add("introduced_too_long", &introduced(&good, &[0xda; 497]), Some("length"));
    add("introduced_cut", shorter(&introduced(&good, &[0xda; 100])), Some("length"));
    add("introduced_and_more", &longer(&introduced(&good, &[0xda; 100])), Some("length"));
    add("introduced_above_greatest", &longer(&longest), Some("size"));
}

fn connect_requests(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        let vector =
            parsed(("connect_request", name), bytes, ConnectRequest::parse(bytes), refused, |read| {
                let mut again = Vec::new();
                read.write(&mut again);
                assert_eq!(again, bytes, "{name}");
                let (e, rest) = read.noise.split_at(32);
                let (sealed_s, sealed_p) = rest.split_at(48);
                object! {
                    "version": PROTOCOL_VERSION,
                    "initiator_nonce": read.initiator_nonce,
                    "epoch_tag": read.epoch_tag,
                    "identity_token": read.identity_token,
                    "difficulty": read.difficulty,
                    "cipher": read.cipher,
                    "ciphers_offered": read.offers.to_bytes(),
                    "introduction_id": read.introduction_id,
                    "e": e,
                    "sealed_s": sealed_s,
                    "sealed_p": sealed_p,
                    "x": read.solution,
                }
            });
        vectors.push(vector);
    };
    let mut good = |noise: usize| {
        let mut bytes = Vec::new();
        ConnectRequest {
            initiator_nonce: rng.array(),
            epoch_tag: rng.array(),
            identity_token: rng.array(),
            difficulty: 9,
            cipher: 3,
            offers: Offers::from_bytes([3, 9, 0, 0]).unwrap(),
            introduction_id: 0x0102_0304_0506_0708,
            noise: &random(rng, noise),
            solution: rng.array(),
        }
        .write(&mut bytes);
        bytes
    };
    let least = good(ConnectRequest::MIN_NOISE);
    add("least", &least, None);
    let longest = good(ConnectRequest::MAX_NOISE);
    add("longest", &longest, None);
    add("of_200", &good(ConnectRequest::MIN_NOISE + 31), None);
    add("below_least", shorter(&least), Some("size"));
    add("above_greatest", &longer(&longest), Some("size"));
    add("kind_wrong", &changed(&least, 0, 1), Some("kind"));
    add("version_2", &changed(&least, 1, 2), Some("version"));
    add("cipher_twice", &changed(&least, 41, 3), Some("ciphers"));
    add("no_cipher", &changed(&changed(&least, 40, 0), 41, 0), Some("ciphers"));
    add("cipher_after_zero", &changed(&least, 43, 1), Some("ciphers"));
}

fn request_payloads(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        let mut same = true;
        let vector =
            parsed(("request_payload", name), bytes, RequestPayload::parse(bytes), refused, |read| {
                let mut again = Vec::new();
                read.write(&mut again);
                same = again == bytes;
                let extensions: Vec<Json> = read
                    .extensions
                    .iter()
                    .map(|extension| object! { "type": extension.kind, "body": &extension.data })
                    .collect();
                object! {
                    "initial_sequence": read.initial_sequence,
                    "settings": settings_fields(&read.settings),
                    "flags": bytes[10],
                    "connect_data": read.connect_data,
                    "extensions": extensions,
                }
            });
        vectors.push(if same { vector } else { super::decode_only(vector) });
    };
    let write = |data: &[u8], extensions: &[(u8, Vec<u8>)], sign_bit| {
        let mut bytes = Vec::new();
        RequestPayload {
            initial_sequence: 4_095,
            settings: Settings { packet_window: 512, ..Settings::default() },
            sign_bit,
            connect_data: data.to_vec(),
            extensions: extensions
                .iter()
                .map(|(kind, data)| Extension { kind: *kind, data: data.clone() })
                .collect(),
        }
        .write(&mut bytes);
        bytes
    };
    let least = write(b"", &[], false);
    add("least", &least, None);
    add("with_data", &write(b"let me in", &[], true), None);
    let two = write(b"name", &[(1, random(rng, 20)), (250, Vec::new()), (1, random(rng, 3))], true);
    add("extensions", &two, None);
    add("longest_data", &write(&random(rng, 1_000), &[], false), None);
    let most = write(&random(rng, 497), &[(7, random(rng, 500))], false);
    add("longest_with_extension", &most, None);
    add("flags_ignored", &changed(&least, 10, 0xff), None);
    add("settings_byte_3_ignored", &changed(&least, 5, 0x77), None);
    add("initial_sequence_4096", &changed(&changed(&least, 0, 0x10), 1, 0), Some("range"));
    add("window_too_small", &changed(&changed(&least, 2, 0), 3, 7), Some("range"));
    add("tag_too_long", &changed(&least, 4, 17), Some("range"));
    add("data_past_end", &changed(&least, 12, 1), Some("length"));
    add("extension_without_length", &[&least[..], &[9, 0]].concat(), Some("length"));
    add("extension_past_end", &[&least[..], &[9, 0, 2, 0xaa]].concat(), Some("length"));
    let mut too_much = longer(&most);
    let at = most.len() - 502;
    too_much[at..at + 2].copy_from_slice(&501_u16.to_be_bytes());
    add("data_and_extensions_1001", &too_much, Some("length"));
}

fn accepts(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        let read = ConnectAccept::parse(bytes);
        vectors.push(parsed(("connect_accept", name), bytes, read, refused, |read| {
            let mut again = Vec::new();
            read.write(&mut again);
            assert_eq!(again, bytes, "{name}");
            object! {
                "initiator_nonce": read.initiator_nonce,
                "host_salt": read.host_salt,
                "e2": read.e2,
                "sealed": read.sealed,
            }
        }));
    };
    let e2: [u8; 32] = crate::vectors::rng("e2").array();
    let mut with_e2 = |sealed: usize| {
        let rest = random(rng, 32 + sealed);
        [&[4], &rest[..32], &e2[..], &rest[32..]].concat()
    };
    let (shortest, longest) = (with_e2(52), with_e2(563));
    add("least", &shortest, None);
    add("longest", &longest, None);
    add("below_least", shorter(&shortest), Some("size"));
    add("above_greatest", &longer(&longest), Some("size"));
}

fn answers(rng: &mut Rng, vectors: &mut Vec<Json>) {
    for (kind, first, least, most) in [("connect_refuse", 5_u8, 20, 531), ("connect_pending", 6, 16, 16)] {
        let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
            vectors.push(parsed((kind, name), bytes, SealedReply::parse(bytes), refused, |read| {
                let mut again = Vec::new();
                read.write(&mut again);
                assert_eq!(again, bytes, "{name}");
                object! {
                    "initiator_nonce": read.initiator_nonce,
                    "host_salt": read.host_salt,
                    "sealed": read.sealed,
                }
            }));
        };
        let shortest = [&[first], &random(rng, 32 + least)[..]].concat();
        let longest = [&[first], &random(rng, 32 + most)[..]].concat();
        add("least", &shortest, None);
        if most > least {
            add("longest", &longest, None);
        }
        add("below_least", shorter(&shortest), Some("size"));
        add("above_greatest", &longer(&longest), Some("size"));
    }
}

fn accept_payloads(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        vectors.push(parsed(("accept_payload", name), bytes, AcceptPayload::parse(bytes), refused, |read| {
            let mut again = Vec::new();
            read.write(&mut again);
            assert_eq!(again, bytes, "{name}");
            object! {
                "initial_sequence": read.initial_sequence,
                "settings": settings_fields(&read.settings),
                "connection_id": read.connection_id.to_be_bytes(),
                "reset_token": read.reset_token,
                "accept_data": read.accept_data,
            }
        }));
    };
    let mut write = |data: &[u8]| {
        let mut bytes = Vec::new();
        AcceptPayload {
            initial_sequence: 17,
            settings: Settings { tag_bytes: 16, ..Settings::default() },
            connection_id: rng.u64(),
            reset_token: rng.array(),
            accept_data: data.to_vec(),
        }
        .write(&mut bytes);
        bytes
    };
    add("least", &write(b""), None);
    let longest = write(&[0xac; 511]);
    add("longest", &longest, None);
    let good = write(b"welcome");
    add("with_data", &good, None);
    add("initial_sequence_65535", &changed(&changed(&good, 0, 0xff), 1, 0xff), Some("range"));
    add("ack_delay_1001", &changed(&changed(&good, 6, 3), 7, 0xe9), Some("range"));
    add("data_past_end", &changed(&good, 35, 8), Some("length"));
    add("data_before_end", &changed(&good, 35, 6), Some("trailing"));
    let mut too_long = longer(&longest);
    too_long[34..36].copy_from_slice(&512_u16.to_be_bytes());
    add("data_512", &too_long, Some("length"));
}

fn refuse_payloads(vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        vectors.push(parsed(("refuse_payload", name), bytes, RefusePayload::parse(bytes), refused, |read| {
            let mut again = Vec::new();
            read.write(&mut again);
            assert_eq!(again, bytes, "{name}");
            object! { "close_code": read.code.number(), "reason": hex(&read.reason) }
        }));
    };
    let write = |code, reason: &[u8]| {
        let mut bytes = Vec::new();
        RefusePayload { code, reason: reason.to_vec() }.write(&mut bytes);
        bytes
    };
    add("least", &write(CloseCode::NoDecision, b""), None);
    add("longest", &write(CloseCode::Refused, &[0x2e; 511]), None);
    let good = write(CloseCode::Refused, b"banned");
    add("with_reason", &good, None);
    add("reason_past_end", &changed(&good, 3, 7), Some("length"));
    add("reason_before_end", &changed(&good, 3, 5), Some("trailing"));
}

fn rejects(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        vectors.push(parsed(("reject", name), bytes, Reject::parse(bytes), refused, |read| {
            let mut again = Vec::new();
            read.write(&mut again);
            assert_eq!(again, bytes, "{name}");
            object! {
                "version": read.version,
                "initiator_nonce": read.initiator_nonce,
                "reject_code": read.code.number(),
            }
        }));
    };
    let nonce = rng.array();
    let write = |version, code| {
        let mut bytes = Vec::new();
        Reject { version, initiator_nonce: nonce, code }.write(&mut bytes);
        bytes
    };
    for (name, code) in [
        ("version_mismatch", RejectCode::VersionMismatch),
        ("application_mismatch", RejectCode::ApplicationMismatch),
        ("no_common_cipher", RejectCode::NoCommonCipher),
        ("stale_epoch", RejectCode::StaleEpoch),
        ("difficulty_too_low", RejectCode::DifficultyTooLow),
        ("busy", RejectCode::Busy),
    ] {
        add(name, &write(1, code), None);
    }
    let good = write(9, RejectCode::VersionMismatch);
    add("of_version_9", &good, None);
    add("too_short", shorter(&good), Some("size"));
    add("too_long", &longer(&good), Some("size"));
    add("code_0", &changed(&good, 18, 0), Some("range"));
    add("code_7", &changed(&good, 18, 7), Some("range"));
}

fn probes(vectors: &mut Vec<Json>) {
    let nonce: [u8; 16] = core::array::from_fn(|i| 0x11 * i as u8);
    let mut add = |kind, name: &str, bytes: &[u8], refused: Option<&str>| {
        let is_probe = kind == "probe";
        let read = if is_probe { parse_probe(bytes) } else { parse_probe_echo(bytes) };
        vectors.push(parsed((kind, name), bytes, read, refused, |nonce| {
            assert_eq!(if is_probe { probe(nonce) } else { probe_echo(nonce) }, *bytes, "{name}");
            object! { "nonce": nonce }
        }));
    };
    for (kind, good, other) in
        [("probe", probe(nonce), probe_echo(nonce)), ("probe_echo", probe_echo(nonce), probe(nonce))]
    {
        add(kind, "good", &good, None);
        add(kind, "kind_wrong", &other, Some("kind"));
        add(kind, "too_short", shorter(&good), Some("size"));
        add(kind, "too_long", &longer(&good), Some("size"));
    }
}
