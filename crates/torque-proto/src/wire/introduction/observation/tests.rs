use alloc::vec;
use core::net::SocketAddr;

use super::*;
use crate::crypto::rng::Rng;

fn bytes_of(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// A body is read, and is refused for its length if it is cut anywhere or one byte longer.
fn is_exact<T>(body: &[u8], parse: impl Fn(&[u8]) -> Result<T, ParseError>) -> T {
    for length in 0..body.len() {
        assert_eq!(parse(&body[..length]).err(), Some(ParseError::Length), "{length} of {}", body.len());
    }
    assert_eq!(parse(&[body, &[0]].concat()).err(), Some(ParseError::Length), "one more than {}", body.len());
    parse(body).unwrap_or_else(|error| panic!("{error}: {body:02x?}"))
}

fn addresses() -> [SocketAddr; 2] {
    ["203.0.113.9:28001", "[2001:db8::9]:65535"].map(|address| address.parse().unwrap())
}

/// Family, address and port of those.
const WRITTEN: [&[u8]; 2] = [
    &[4, 203, 0, 113, 9, 0x6d, 0x61],
    &[6, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 255, 255],
];

#[test]
fn an_observe_is_its_kind_and_a_token() {
    let datagram = observe(&[0xab; 16]);
    assert_eq!(datagram[..], [&[0x0d][..], &[0xab; 16]].concat());
    assert_eq!(is_exact(&datagram, parse_observe), [0xab; 16]);
    assert_eq!(parse_observe(&[0x0c; OBSERVE_BYTES]), Err(ParseError::Kind));
}

#[test]
fn a_party_wants_up_to_eight_tokens_or_a_look() {
    for wanted in 0..=8 {
        assert_eq!(is_exact(&[wanted], parse_tokens_wanted), wanted);
    }
    for wanted in 9..=255 {
        assert_eq!(parse_tokens_wanted(&[wanted]), Err(ParseError::TooMany));
    }
}

#[test]
fn tokens_are_laid_out_as_the_document_says() {
    for (address, written) in addresses().into_iter().zip(WRITTEN) {
        let tokens = Tokens { second: Some(address), tokens: vec![[1; 16], [2; 16]] };
        let body = [written, &[2], &[1; 16], &[2; 16]].concat();
        assert_eq!(bytes_of(|out| tokens.write(out)), body);
        assert_eq!(is_exact(&body, Tokens::parse), tokens);
    }
    let asked_for = Tokens { second: None, tokens: vec![[7; 16]; 8] };
    let body = [&[0, 8][..], &[7; 128]].concat();
    assert_eq!(bytes_of(|out| asked_for.write(out)), body);
    assert_eq!(is_exact(&body, Tokens::parse), asked_for);
    // The most that are written.
    let many = Tokens { second: None, tokens: vec![[7; 16]; 9] };
    assert_eq!(bytes_of(|out| many.write(out)), body);
    assert_eq!(Tokens::parse(&[0, 0]), Err(ParseError::Zero));
    assert_eq!(Tokens::parse(&[&[0, 9][..], &[7; 144]].concat()), Err(ParseError::TooMany));
    assert_eq!(Tokens::parse(&[5, 1]), Err(ParseError::Unknown));
}

#[test]
fn observed_is_laid_out_as_the_document_says() {
    for (address, written) in addresses().into_iter().zip(WRITTEN) {
        for (is_other, round) in [(false, 0), (true, 7)] {
            let observed = Observed { is_other, round, address };
            let body = [&[u8::from(is_other), round], written].concat();
            assert_eq!(bytes_of(|out| observed.write(out)), body);
            assert_eq!(is_exact(&body, Observed::parse), observed);
        }
    }
    for (place, wrong) in [(0, 2), (0, 255), (1, 8), (1, 255), (2, 0), (2, 5)] {
        let mut body = [&[1, 7], WRITTEN[0]].concat();
        body[place] = wrong;
        assert_eq!(Observed::parse(&body), Err(ParseError::Unknown), "{wrong} at {place}");
    }
}

#[test]
fn nats_are_laid_out_as_the_document_says() {
    let [address, _] = addresses();
    let cases = [
        (Nat::Unknown, Nat::Unpredictable, [0, 0, 3]),
        (Nat::Independent, Nat::Unknown, [1, 0, 0]),
        (Nat::Sequential(200), Nat::Independent, [2, 200, 1]),
        (Nat::Unpredictable, Nat::Sequential(0), [3, 0, 2]),
    ];
    for (other, own, head) in cases {
        for (observed, written) in [(None, &[0][..]), (Some(address), WRITTEN[0])] {
            let nats = Nats { other, own, observed };
            let body = [&head, written].concat();
            assert_eq!(bytes_of(|out| nats.write(out)), body);
            assert_eq!(is_exact(&body, Nats::parse), nats);
        }
    }
    // A stride means nothing for another NAT, and that of the party's own does not travel.
    assert_eq!(Nats::parse(&[3, 9, 1, 0]).map(|nats| nats.other), Ok(Nat::Unpredictable));
    let own = Nats { other: Nat::Unknown, own: Nat::Sequential(9), observed: None };
    assert_eq!(bytes_of(|out| own.write(out)), [0, 0, 2, 0]);
    for body in [[4, 0, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1], [255, 0, 0, 0]] {
        assert_eq!(Nats::parse(&body), Err(ParseError::Unknown), "{body:?}");
    }
}

#[test]
fn a_mapped_address_is_read_as_the_ipv4_address() {
    let mapped = [&[6][..], &[0; 10], &[0xff, 0xff, 192, 0, 2, 1, 0, 7]].concat();
    let address = "192.0.2.1:7".parse().unwrap();
    let observed = Observed::parse(&[&[0, 0], &mapped[..]].concat());
    assert_eq!(observed.map(|observed| observed.address), Ok(address));
    let nats = Nats::parse(&[&[0, 0, 0], &mapped[..]].concat());
    assert_eq!(nats.map(|nats| nats.observed), Ok(Some(address)));
}

#[test]
fn whatever_comes_is_read_or_refused() {
    let mut rng = Rng::new([13; 32]);
    for _ in 0..20_000 {
        let mut body = vec![0; rng.below(160) as usize];
        rng.fill(&mut body);
        // Small numbers are the interesting ones.
        body.iter_mut().step_by(3).for_each(|byte| *byte &= 7);
        let _ = Tokens::parse(&body);
        let _ = Observed::parse(&body);
        let _ = Nats::parse(&body);
        let _ = parse_tokens_wanted(&body);
        let _ = parse_observe(&body);
    }
}
