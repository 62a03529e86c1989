use core::time::Duration;

use super::*;
use crate::codes::CloseCode;
use crate::crypto::rng::Rng;
use crate::crypto::testing::{for_seeds, hex};
use crate::event::Extension;
use crate::settings::Settings;

fn random_bytes(rng: &mut Rng, least: usize, most: usize) -> Vec<u8> {
    let mut bytes = alloc::vec![0; least + rng.below((most - least) as u64 + 1) as usize];
    rng.fill(&mut bytes);
    bytes
}

fn random_offers(rng: &mut Rng) -> Offers {
    loop {
        let mut bytes = rng.array::<4>();
        bytes[1 + rng.below(4) as usize..].fill(0);
        if let Ok(offers) = Offers::from_bytes(bytes) {
            return offers;
        }
    }
}

fn random_settings(rng: &mut Rng) -> Settings {
    Settings {
        packet_window: 8 + rng.below(32_761) as u16,
        tag_bytes: 4 + rng.below(13) as u8,
        ack_delay: Duration::from_millis(rng.below(1_001)),
        max_packet_size: 1_150 + rng.below(64_000) as u16,
    }
}

/// Checks what every message promises: it reads back as it was written, and whatever its bytes are cut or
/// changed to is either refused or reads as something that writes those very bytes. `ignored` are offsets
/// with the bits there that count.
macro_rules! check {
    ($type:ty, $rng:expr, $value:expr, $ignored:expr) => {{
        let value = $value;
        let mut bytes = b"before".to_vec();
        value.write(&mut bytes);
        let bytes = bytes.split_off(6);
        assert_eq!(<$type>::parse(&bytes), Ok(value));
        let rewrite = |bytes: &[u8]| {
            let mut again = Vec::new();
            <$type>::parse(bytes).ok()?.write(&mut again);
            Some(again)
        };
        check_changes($rng, &bytes, rewrite, $ignored);
    }};
}

fn check_changes(
    rng: &mut Rng,
    bytes: &[u8],
    rewrite: impl Fn(&[u8]) -> Option<Vec<u8>>,
    ignored: &[(usize, u8)],
) {
    for length in 0..bytes.len() {
        if let Some(again) = rewrite(&bytes[..length]) {
            assert_eq!(again, bytes[..length]);
        }
    }
    for _ in 0..50 {
        let mut changed = bytes.to_vec();
        for _ in 0..=rng.below(3) {
            let at = rng.below(changed.len() as u64) as usize;
            changed[at] = rng.below(256) as u8;
        }
        if rng.below(4) == 0 {
            changed.extend_from_slice(&rng.array::<3>());
        }
        if let Some(again) = rewrite(&changed) {
            for (at, counts) in ignored {
                changed[*at] &= counts;
            }
            assert_eq!(again, changed);
        }
    }
}

#[test]
fn challenge_requests_keep_the_promises_of_messages() {
    for_seeds(20, |rng| {
        let value = ChallengeRequest {
            initiator_nonce: rng.array(),
            application_tag: rng.array(),
            offers: random_offers(rng),
            introduction_id: rng.u64(),
        };
        check!(ChallengeRequest, rng, value, &[]);
    });
}

#[test]
fn challenge_responses_keep_the_promises_of_messages() {
    for_seeds(20, |rng| {
        let data = random_bytes(rng, 0, 511);
        let sealed = random_bytes(rng, 16, 496);
        let value = ChallengeResponse {
            initiator_nonce: rng.array(),
            epoch_start: rng.u64(),
            epoch_key: rng.array(),
            signature: rng.array(),
            identity_token: rng.array(),
            difficulty: rng.below(256) as u8,
            cipher: rng.below(256) as u8,
            host_key: rng.array(),
            data: &data,
            introduced_data: (rng.below(2) == 0).then_some(&sealed),
        };
        check!(ChallengeResponse, rng, value, &[]);
    });
}

#[test]
fn connect_requests_keep_the_promises_of_messages() {
    for_seeds(20, |rng| {
        let noise = random_bytes(rng, ConnectRequest::MIN_NOISE, ConnectRequest::MAX_NOISE);
        let value = ConnectRequest {
            initiator_nonce: rng.array(),
            epoch_tag: rng.array(),
            identity_token: rng.array(),
            difficulty: rng.below(256) as u8,
            cipher: rng.below(256) as u8,
            offers: random_offers(rng),
            introduction_id: rng.u64(),
            noise: &noise,
            solution: rng.array(),
        };
        check!(ConnectRequest, rng, value, &[]);
    });
}

#[test]
fn connect_accepts_keep_the_promises_of_messages() {
    for_seeds(20, |rng| {
        let sealed = random_bytes(rng, 52, 563);
        let value = ConnectAccept {
            initiator_nonce: rng.array(),
            host_salt: rng.array(),
            e2: rng.array(),
            sealed: &sealed,
        };
        check!(ConnectAccept, rng, value, &[]);
    });
}

#[test]
fn sealed_replies_keep_the_promises_of_messages() {
    for_seeds(20, |rng| {
        for kind in [ReplyKind::Refuse, ReplyKind::Pending] {
            let (least, most) = kind.sealed_bytes();
            let sealed = random_bytes(rng, least, most);
            let value =
                SealedReply { kind, initiator_nonce: rng.array(), host_salt: rng.array(), sealed: &sealed };
            check!(SealedReply, rng, value, &[]);
        }
    });
}

#[test]
fn rejects_keep_the_promises_of_messages() {
    for_seeds(20, |rng| {
        for code in RejectCode::ALL {
            let value = Reject { version: rng.below(256) as u8, initiator_nonce: rng.array(), code: *code };
            check!(Reject, rng, value, &[]);
        }
    });
}

#[test]
fn request_payloads_keep_the_promises_of_messages() {
    for_seeds(20, |rng| {
        let mut value = RequestPayload {
            initial_sequence: rng.below(4_096) as u16,
            settings: random_settings(rng),
            sign_bit: rng.below(2) == 0,
            connect_data: random_bytes(rng, 0, 1_000),
            extensions: Vec::new(),
        };
        while rng.below(4) != 0 {
            let room = MAX_CONNECT_DATA - RequestPayload::data_bytes(&value.connect_data, &value.extensions);
            let Some(most) = room.checked_sub(3) else { break };
            let data = random_bytes(rng, 0, most);
            value.extensions.push(Extension { kind: rng.below(256) as u8, data });
        }
        // Flags but the first, and one byte of the settings, are ignored.
        check!(RequestPayload, rng, value, &[(5, 0), (10, 1)]);
    });
}

#[test]
fn accept_payloads_keep_the_promises_of_messages() {
    for_seeds(20, |rng| {
        let value = AcceptPayload {
            initial_sequence: rng.below(4_096) as u16,
            settings: random_settings(rng),
            connection_id: rng.u64(),
            reset_token: rng.array(),
            accept_data: random_bytes(rng, 0, 511),
        };
        check!(AcceptPayload, rng, value, &[(5, 0)]);
    });
}

#[test]
fn refuse_payloads_keep_the_promises_of_messages() {
    for_seeds(20, |rng| {
        for code in CloseCode::ALL.iter().filter(|code| code.is_on_wire()) {
            let value = RefusePayload { code: *code, reason: random_bytes(rng, 0, 511) };
            let mut bytes = Vec::new();
            value.write(&mut bytes);
            assert_eq!(RefusePayload::parse(&bytes), Ok(value));
            for length in 0..bytes.len() {
                assert_eq!(RefusePayload::parse(&bytes[..length]), Err(ParseError::Length));
            }
        }
    });
}

#[test]
fn a_close_code_that_is_unknown_or_local_reads_as_closed() {
    for number in 0..=u16::MAX {
        let refuse = RefusePayload::parse(&[(number >> 8) as u8, number as u8, 0, 0]).unwrap();
        let known = CloseCode::from_number(number).filter(|code| code.is_on_wire());
        assert_eq!(refuse.code, known.unwrap_or(CloseCode::Closed));
    }
}

#[test]
fn codes_lead_back_to_their_numbers() {
    for code in CloseCode::ALL {
        assert_eq!(CloseCode::from_number(code.number()), Some(*code));
        assert!(!code.name().is_empty() && !std::format!("{code}").is_empty());
    }
    for code in RejectCode::ALL {
        assert_eq!(RejectCode::from_number(code.number()), Some(*code));
    }
    assert_eq!(RejectCode::from_number(0), None);
    assert_eq!(CloseCode::from_number(u16::MAX), None);
}

#[test]
fn random_bytes_never_panic_any_parser() {
    for_seeds(50, |rng| {
        for _ in 0..200 {
            let mut bytes = random_bytes(rng, 0, 1_300);
            if let Some(first) = bytes.first_mut() {
                *first = rng.below(10) as u8;
            }
            let _ = ChallengeRequest::parse(&bytes);
            let _ = ChallengeResponse::parse(&bytes);
            let _ = ConnectRequest::parse(&bytes);
            let _ = ConnectAccept::parse(&bytes);
            let _ = SealedReply::parse(&bytes);
            let _ = Reject::parse(&bytes);
            let _ = RequestPayload::parse(&bytes);
            let _ = AcceptPayload::parse(&bytes);
            let _ = RefusePayload::parse(&bytes);
        }
    });
}

#[test]
fn a_challenge_request_can_be_nothing_but_itself() {
    let offers = Offers::new(&Cipher::DEFAULT_OFFER).unwrap();
    let value =
        ChallengeRequest { initiator_nonce: [7; 16], application_tag: [9; 8], offers, introduction_id: 0 };
    let mut bytes = Vec::new();
    value.write(&mut bytes);
    assert_eq!(bytes.len(), 768);
    assert_eq!(bytes[..10], hex("01 546f7271756553 6b 01"));
    assert_eq!(bytes[34..38], [3, 1, 2, 0]);
    assert!(bytes[38..].iter().all(|byte| *byte == 0));

    let change = |at: usize, byte: u8| {
        let mut changed = bytes.clone();
        changed[at] = byte;
        ChallengeRequest::parse(&changed)
    };
    for at in 1..9 {
        assert_eq!(change(at, 0), Err(ParseError::Magic));
    }
    for at in 38..46 {
        let introduction_id = 1 << (8 * (45 - at));
        assert_eq!(change(at, 1), Ok(ChallengeRequest { introduction_id, ..value.clone() }));
    }
    for at in 46..768 {
        assert_eq!(change(at, 1), Err(ParseError::Padding));
    }
    assert_eq!(change(0, 2), Err(ParseError::Kind));
    bytes.push(0);
    assert_eq!(ChallengeRequest::parse(&bytes), Err(ParseError::Length));
}

#[test]
fn of_another_version_the_nonce_is_told_whatever_follows() {
    for_seeds(5, |rng| {
        let mut bytes = alloc::vec![0; 768];
        rng.fill(&mut bytes);
        bytes[..9].copy_from_slice(&hex("01 546f7271756553 6b"));
        for version in [0, 2, 255] {
            bytes[9] = version;
            let initiator_nonce = bytes[10..26].try_into().unwrap();
            let wanted = ParseError::Version { version, initiator_nonce };
            assert_eq!(ChallengeRequest::parse(&bytes), Err(wanted));
            assert_eq!(ChallengeRequest::parse(&bytes[..767]), Err(ParseError::Length), "size is promised");

            let mut response = bytes[8..].to_vec();
            (response[0], response[1]) = (0x02, version);
            let initiator_nonce = response[2..18].try_into().unwrap();
            let wanted = ParseError::Version { version, initiator_nonce };
            assert_eq!(ChallengeResponse::parse(&response), Err(wanted));
        }
    });
}

#[test]
fn an_unknown_key_type_is_told_with_the_attempt_it_belongs_to() {
    for_seeds(5, |rng| {
        let mut bytes = random_bytes(rng, 141, 600);
        (bytes[0], bytes[1], bytes[140]) = (0x02, 1, 2);
        let initiator_nonce = bytes[2..18].try_into().unwrap();
        let wanted = ParseError::KeyType { key_type: 2, initiator_nonce };
        assert_eq!(ChallengeResponse::parse(&bytes), Err(wanted));
    });
}

#[test]
fn sizes_are_those_of_the_document() {
    assert_eq!((ConnectRequest::MIN_BYTES, ConnectRequest::MAX_BYTES), (169, 1_169));
    const { assert!(ConnectRequest::MAX_BYTES <= MAX_HANDSHAKE_BYTES) };
    assert_eq!(ReplyKind::Pending.sealed_bytes(), (16, 16));
    assert_eq!((ConnectAccept::MIN_BYTES, ConnectAccept::MAX_BYTES), (117, 628));
    assert_eq!(ReplyKind::Refuse.sealed_bytes(), (20, 531));
    assert_eq!(Reject::BYTES, 19);
    assert_eq!((ChallengeResponse::HEAD_BYTES, ChallengeResponse::MAX_BYTES), (175, 1_184));
    const { assert!(ChallengeResponse::MAX_BYTES <= MAX_HANDSHAKE_BYTES) };
}

#[test]
fn figures_out_of_range_are_refused() {
    for_seeds(5, |rng| {
        let value = AcceptPayload {
            initial_sequence: 4_095,
            settings: random_settings(rng),
            connection_id: 1,
            reset_token: [0; 16],
            accept_data: Vec::new(),
        };
        let mut bytes = Vec::new();
        value.write(&mut bytes);
        let change = |at: usize, to: &[u8]| {
            let mut changed = bytes.clone();
            changed[at..at + to.len()].copy_from_slice(to);
            AcceptPayload::parse(&changed)
        };
        assert_eq!(change(0, &[0x10, 0]), Err(ParseError::InitialSequence));
        assert_eq!(change(2, &[0, 7]), Err(ParseError::Settings), "window");
        assert_eq!(change(2, &[0x80, 1]), Err(ParseError::Settings), "window");
        assert_eq!(change(4, &[3]), Err(ParseError::Settings), "tag");
        assert_eq!(change(4, &[17]), Err(ParseError::Settings), "tag");
        assert_eq!(change(6, &[0x03, 0xe9]), Err(ParseError::Settings), "ack_delay");
        assert_eq!(change(8, &[0x04, 0x7d]), Err(ParseError::Settings), "max_packet_size");
    });
}

#[test]
fn data_beyond_its_limit_is_refused() {
    let response = |length: usize| {
        let mut bytes = alloc::vec![0; 175 + length];
        (bytes[0], bytes[1], bytes[140]) = (0x02, 1, 1);
        bytes[173..175].copy_from_slice(&(length as u16).to_be_bytes());
        ChallengeResponse::parse(&bytes).is_ok()
    };
    assert!(response(511) && !response(512));
    let introduced = |length: usize| {
        let mut bytes = alloc::vec![0; 177 + length];
        (bytes[0], bytes[1], bytes[140]) = (0x02, 1, 1);
        bytes[175..177].copy_from_slice(&(length as u16).to_be_bytes());
        ChallengeResponse::parse(&bytes).map(|read| read.introduced_data.map(<[u8]>::len))
    };
    for length in [16, 496] {
        assert_eq!(introduced(length), Ok(Some(length)));
    }
    for length in [0, 15, 497] {
        assert_eq!(introduced(length), Err(ParseError::Length));
    }
    let refuse = |length: usize| {
        let mut bytes = alloc::vec![0; 4 + length];
        bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        RefusePayload::parse(&bytes).is_ok()
    };
    assert!(refuse(511) && !refuse(512));
}

#[test]
fn only_sizes_that_the_document_allows_are_read() {
    let head = |first: u8| {
        let mut bytes = alloc::vec![0; 1_300];
        (bytes[0], bytes[1], bytes[40]) = (first, 1, 3);
        bytes
    };
    let (request, accept, refuse, pending) = (head(0x03), head(0x04), head(0x05), head(0x06));
    for length in 0..1_300 {
        let request = ConnectRequest::parse(&request[..length]).is_ok();
        assert_eq!(request, (169..=1_169).contains(&length), "connect_request of {length}");
        let reply = |bytes: &[u8]| SealedReply::parse(&bytes[..length]).is_ok();
        let accept = ConnectAccept::parse(&accept[..length]).is_ok();
        assert_eq!(accept, (117..=628).contains(&length), "connect_accept of {length}");
        assert_eq!(reply(&refuse), (53..=564).contains(&length), "connect_refuse of {length}");
        assert_eq!(reply(&pending), length == 49, "connect_pending of {length}");
    }
}

#[test]
fn offers_are_taken_in_the_initiators_order_skipping_unknown_ones() {
    let offers = Offers::from_bytes([200, 2, 3, 0]).unwrap();
    assert_eq!(offers.choose(&Cipher::DEFAULT_OFFER), Some(Cipher::ChaCha20Poly1305));
    assert_eq!(offers.choose(&[Cipher::Aes128GcmSst]), Some(Cipher::Aes128GcmSst));
    assert_eq!(offers.choose(&[Cipher::Aes128Gcm]), None);
    assert_eq!(offers.choose(&[]), None);
    assert!(offers.contains(200) && !offers.contains(1) && !offers.contains(0));
    for malformed in [[0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [1, 1, 0, 0], [1, 2, 3, 1]] {
        assert_eq!(Offers::from_bytes(malformed), Err(ParseError::Offers), "{malformed:?}");
    }
    assert_eq!(Offers::new(&[]), None);
    assert_eq!(Offers::new(&[Cipher::Aes128Gcm, Cipher::Aes128Gcm]), None);
    assert_eq!(Offers::new(&[Cipher::Aes128Gcm; 5]), None);
    assert_eq!(Offers::new(&[Cipher::Aes128GcmSst]).map(Offers::to_bytes), Some([3, 0, 0, 0]));
}

#[test]
fn the_reset_token_is_not_shown() {
    let payload = AcceptPayload {
        initial_sequence: 0,
        settings: Settings::default(),
        connection_id: 1,
        reset_token: [0xab; 16],
        accept_data: Vec::new(),
    };
    let shown = std::format!("{payload:?}");
    assert!(!shown.contains("171") && !shown.contains("reset_token: ["), "{shown}");
}
