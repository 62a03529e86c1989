use alloc::format;
use alloc::vec;
use core::net::{IpAddr, SocketAddrV6};

use super::*;
use crate::crypto::rng::Rng;
use crate::wire::ParseError;

fn bytes_of(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn flags(byte: u8) -> PartyFlags {
    let has = |bit: u8| byte >> bit & 1 == 1;
    PartyFlags {
        is_host: has(0),
        takes_circuit: has(1),
        wants_circuit_at_once: has(2),
        takes_direct: has(3),
        opens_ports: has(4),
        speaks_webrtc: has(5),
    }
}

fn address(rng: &mut Rng) -> SocketAddr {
    let ip: IpAddr = if rng.below(2) == 0 { rng.array::<4>().into() } else { rng.array::<16>().into() };
    SocketAddr::new(ip, rng.below(1 << 16) as u16)
}

fn candidates(rng: &mut Rng) -> Vec<Candidate> {
    use CandidateKind::{Interface, Mapped, Observed};
    let count = rng.below(MAX_CANDIDATES as u64 + 1);
    let kinds = [Observed, Interface, Mapped];
    (0..count).map(|_| Candidate { kind: kinds[rng.below(3) as usize], address: address(rng) }).collect()
}

fn nat(rng: &mut Rng) -> Nat {
    let stride = rng.array::<1>()[0];
    [Nat::Unknown, Nat::Independent, Nat::Sequential(stride), Nat::Unpredictable][rng.below(4) as usize]
}

fn request(rng: &mut Rng) -> Request {
    Request {
        remote: rng.u64() as u32,
        flags: flags(rng.below(64) as u8),
        nonce: rng.array(),
        candidates: candidates(rng),
    }
}

fn introduced(rng: &mut Rng) -> Introduced {
    Introduced {
        id: rng.u64().max(1),
        flags: flags(rng.below(64) as u8),
        public_key: rng.array(),
        nonce: rng.array(),
        secret: Zeroizing::new(rng.array()),
        circuit: rng.u64() as u32,
        circuit_rate: rng.u64() as u32,
        nat: nat(rng),
        own_nat: match nat(rng) {
            Nat::Sequential(_) => Nat::Sequential(0),
            other => other,
        },
        observed: (rng.below(4) > 0).then(|| address(rng)),
        candidates: candidates(rng),
    }
}

fn outcome(rng: &mut Rng) -> Outcome {
    let code = CloseCode::ALL[rng.below(CloseCode::ALL.len() as u64) as usize];
    let result = match rng.below(4) {
        0 => OutcomeResult::Direct,
        1 => OutcomeResult::Relayed,
        2 => OutcomeResult::BecameDirect,
        _ => OutcomeResult::Failed(code),
    };
    Outcome { introduction: rng.u64().max(1), result, millis: rng.u64() as u32 }
}

/// A body is read, and is refused for its length if it is cut anywhere or one byte longer.
fn is_exact<T>(body: &[u8], parse: impl Fn(&[u8]) -> Result<T, ParseError>) -> T {
    for length in 0..body.len() {
        assert_eq!(parse(&body[..length]).err(), Some(ParseError::Length), "{length} of {}", body.len());
    }
    assert_eq!(parse(&[body, &[0]].concat()).err(), Some(ParseError::Length), "one more than {}", body.len());
    parse(body).unwrap_or_else(|error| panic!("{error}: {body:02x?}"))
}

fn is_same(a: &Introduced, b: &Introduced) {
    assert_eq!(format!("{a:?}"), format!("{b:?}"));
    assert_eq!(a.secret, b.secret);
}

#[test]
fn every_message_is_read_as_it_was_written_and_at_its_length_alone() {
    for seed in 0..100 {
        let mut rng = Rng::new([seed; 32]);
        let request = request(&mut rng);
        assert_eq!(is_exact(&bytes_of(|out| request.write(out)), Request::parse), request);

        let introduced = introduced(&mut rng);
        let introduction = Introduction::Complete(Box::new(introduced));
        let read = is_exact(&bytes_of(|out| introduction.write(out)), Introduction::parse);
        let (Introduction::Complete(read), Introduction::Complete(written)) = (read, introduction) else {
            panic!("seed {seed} is not complete");
        };
        is_same(&read, &written);

        let outcome = outcome(&mut rng);
        assert_eq!(is_exact(&bytes_of(|out| outcome.write(out)), Outcome::parse), outcome);

        let candidates = candidates(&mut rng);
        let body = bytes_of(|out| write_candidates(&candidates, out));
        assert_eq!(is_exact(&body, parse_candidates), candidates);
    }
    for (status, body) in [(Introduction::WaitingForParty, [1]), (Introduction::WaitingForApplication, [2])] {
        assert_eq!(bytes_of(|out| status.write(out)), body);
        let read = is_exact(&body, Introduction::parse);
        assert_eq!(core::mem::discriminant(&read), core::mem::discriminant(&status));
    }
    for (number, state) in [(1, CircuitState::Throttled), (2, CircuitState::UsedUp), (3, CircuitState::Ended)]
    {
        let notice = CircuitNotice { circuit: 0x0102_0304, state };
        let body = bytes_of(|out| notice.write(out));
        assert_eq!(body, [1, 2, 3, 4, number]);
        assert_eq!(is_exact(&body, CircuitNotice::parse), notice);
    }
}

#[test]
fn a_request_is_laid_out_as_the_document_says() {
    let request = Request {
        remote: 0x0102_0304,
        flags: PartyFlags { takes_circuit: true, takes_direct: true, ..PartyFlags::default() },
        nonce: [0xaa; 16],
        candidates: vec![
            Candidate { kind: CandidateKind::Interface, address: "192.168.1.2:515".parse().unwrap() },
            Candidate { kind: CandidateKind::Mapped, address: "[2001:db8::9]:65535".parse().unwrap() },
        ],
    };
    let ipv6 = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let list = [&[2, 1, 4, 192, 168, 1, 2, 2, 3, 2, 6][..], &ipv6, &[255, 255]].concat();
    let body = [&[1, 2, 3, 4, 0b1010][..], &[0xaa; 16], &list].concat();
    assert_eq!(bytes_of(|out| request.write(out)), body);
    assert_eq!(Request::parse(&body), Ok(request));
}

/// Offsets of the table in INTRODUCTIONS.md 3.
#[test]
fn a_complete_introduction_is_laid_out_as_the_document_says() {
    let introduced = Introduced {
        id: 0x0102_0304_0506_0708,
        flags: PartyFlags { is_host: true, speaks_webrtc: true, ..PartyFlags::default() },
        public_key: [0xbb; 32],
        nonce: [0xcc; 16],
        secret: Zeroizing::new([0xdd; 32]),
        circuit: 0x1112_1314,
        circuit_rate: 128_000,
        nat: Nat::Sequential(200),
        own_nat: Nat::Unpredictable,
        observed: Some("203.0.113.9:28000".parse().unwrap()),
        candidates: Vec::new(),
    };
    let body = bytes_of(|out| Introduction::Complete(Box::new(introduced)).write(out));
    assert_eq!(body.len(), 110);
    assert_eq!((body[0], &body[1..9]), (0, &[1, 2, 3, 4, 5, 6, 7, 8][..]));
    assert_eq!((body[9], body[10]), (0b10_0001, 1));
    assert_eq!(
        (&body[11..43], &body[43..59], &body[59..91]),
        (&[0xbb; 32][..], &[0xcc; 16][..], &[0xdd; 32][..])
    );
    assert_eq!((&body[91..95], &body[95..99]), (&[0x11, 0x12, 0x13, 0x14][..], &[0, 1, 0xf4, 0][..]));
    assert_eq!((body[99], body[100], body[101]), (2, 200, 3));
    assert_eq!(&body[102..109], [4, 203, 0, 113, 9, 0x6d, 0x60]);
    assert_eq!(body[109], 0);
}

#[test]
fn an_outcome_is_laid_out_as_the_document_says() {
    let outcome = |result| Outcome { introduction: 1, result, millis: 0x0102_0304 };
    for (result, number, code) in [
        (OutcomeResult::Direct, 0, 0),
        (OutcomeResult::Relayed, 1, 0),
        (OutcomeResult::BecameDirect, 2, 0),
        (OutcomeResult::Failed(CloseCode::Closed), 255, 0),
        (OutcomeResult::Failed(CloseCode::NoPath), 255, 47),
    ] {
        let body = bytes_of(|out| outcome(result).write(out));
        assert_eq!(body, [0, 0, 0, 0, 0, 0, 0, 1, number, 0, code, 1, 2, 3, 4]);
        assert_eq!(Outcome::parse(&body), Ok(outcome(result)));
    }
}

#[test]
fn a_number_that_nobody_knows_is_refused_wherever_it_stands() {
    let mut rng = Rng::new([7; 32]);
    let mut complete = introduced(&mut rng);
    complete.observed = Some("192.0.2.1:1".parse().unwrap());
    complete.candidates =
        vec![Candidate { kind: CandidateKind::Observed, address: "192.0.2.2:2".parse().unwrap() }];
    let body = bytes_of(|out| Introduction::Complete(Box::new(complete)).write(out));
    let refused = |at: usize, to: u8| {
        let mut body = body.clone();
        body[at] = to;
        Introduction::parse(&body).err()
    };
    for (at, numbers) in [
        (0, &[3, 255][..]),           // status
        (10, &[0, 2, 255]),           // key type
        (99, &[4, 255]),              // NAT
        (101, &[4, 255]),             // own NAT
        (102, &[1, 3, 5, 7, 255]),    // family of the observed address
        (110, &[4, 255]),             // kind of a candidate
        (111, &[0, 1, 3, 5, 7, 255]), // its family
    ] {
        for number in numbers {
            assert_eq!(refused(at, *number), Some(ParseError::Unknown), "{number} at {at}");
        }
    }
    for state in [0, 4, 255] {
        assert_eq!(CircuitNotice::parse(&[0, 0, 0, 1, state]), Err(ParseError::Unknown));
    }
    for result in [3, 128, 254] {
        let body = [0, 0, 0, 0, 0, 0, 0, 1, result, 0, 0, 0, 0, 0, 0];
        assert_eq!(Outcome::parse(&body), Err(ParseError::Unknown));
    }
}

#[test]
fn ids_and_circuits_of_0_are_refused() {
    let mut rng = Rng::new([8; 32]);
    let complete = Introduced { id: 0, ..introduced(&mut rng) };
    let body = bytes_of(|out| Introduction::Complete(Box::new(complete)).write(out));
    assert_eq!(Introduction::parse(&body).err(), Some(ParseError::Zero));
    assert_eq!(Outcome::parse(&[0; 15]), Err(ParseError::Zero));
    assert_eq!(CircuitNotice::parse(&[0, 0, 0, 0, 1]), Err(ParseError::Zero));
    let not_granted = Introduced { circuit: 0, ..introduced(&mut rng) };
    let body = bytes_of(|out| Introduction::Complete(Box::new(not_granted)).write(out));
    assert!(matches!(Introduction::parse(&body), Ok(Introduction::Complete(told)) if told.circuit == 0));
}

#[test]
fn more_candidates_than_eight_are_refused_and_never_written() {
    let candidate = Candidate { kind: CandidateKind::Interface, address: "10.0.0.1:1".parse().unwrap() };
    let one = [1, 4, 10, 0, 0, 1, 0, 1];
    for count in 0..=u8::MAX {
        let body = [&[count][..], &one.repeat(usize::from(count))].concat();
        let wanted =
            if count <= 8 { Ok(vec![candidate; usize::from(count)]) } else { Err(ParseError::TooMany) };
        assert_eq!(parse_candidates(&body), wanted);
        // No count makes the reader believe in bytes that are not there.
        let short = parse_candidates(&[count]);
        assert_eq!(short.is_ok(), count == 0, "{count}");
    }
    let body = bytes_of(|out| write_candidates(&[candidate; 300], out));
    assert_eq!(parse_candidates(&body), Ok(vec![candidate; 8]));
}

#[test]
fn unknown_flags_and_a_stride_without_meaning_are_ignored() {
    let mut rng = Rng::new([9; 32]);
    let request = request(&mut rng);
    let mut body = bytes_of(|out| request.write(out));
    body[4] |= 0b1100_0000;
    assert_eq!(Request::parse(&body), Ok(request));

    let told = Introduced { nat: Nat::Independent, ..introduced(&mut rng) };
    let introduction = Introduction::Complete(Box::new(told));
    let mut body = bytes_of(|out| introduction.write(out));
    assert_eq!(body[100], 0);
    body[9] |= 0b1100_0000;
    body[100] = 5;
    let (Ok(Introduction::Complete(read)), Introduction::Complete(told)) =
        (Introduction::parse(&body), introduction)
    else {
        panic!("not complete");
    };
    is_same(&read, &told);
}

#[test]
fn a_party_that_takes_no_direct_paths_is_told_no_address() {
    let mut rng = Rng::new([10; 32]);
    let hidden = Introduced { observed: None, candidates: Vec::new(), ..introduced(&mut rng) };
    let body = bytes_of(|out| Introduction::Complete(Box::new(hidden)).write(out));
    assert_eq!((body.len(), body[102], body[103]), (104, 0, 0));
    let Introduction::Complete(read) = is_exact(&body, Introduction::parse) else { panic!("not complete") };
    assert_eq!((read.observed, read.candidates.len()), (None, 0));
}

#[test]
fn close_codes_are_judged_by_who_tells_them() {
    assert_eq!(withdraw(CloseCode::RoleConflict), [0, 9]);
    for code in CloseCode::ALL {
        let read = is_exact(&withdraw(*code), parse_withdraw);
        assert_eq!(read, if code.is_on_wire() { *code } else { CloseCode::Closed });
    }
    assert_eq!(parse_withdraw(&[0xff, 0xff]), Ok(CloseCode::Closed));

    let outcome = |result: u8, code: u16| {
        let [high, low] = code.to_be_bytes();
        let body = [0, 0, 0, 0, 0, 0, 0, 1, result, high, low, 0, 0, 0, 0];
        Outcome::parse(&body).map(|outcome| outcome.result)
    };
    for code in CloseCode::ALL {
        assert_eq!(outcome(255, code.number()), Ok(OutcomeResult::Failed(*code)));
    }
    assert_eq!(outcome(255, 65_535), Ok(OutcomeResult::Failed(CloseCode::Closed)));
    for result in 0..=2 {
        assert_eq!(outcome(result, 47), Err(ParseError::Padding));
    }
}

#[test]
fn scope_and_flow_of_an_address_do_not_travel() {
    let ip = "fe80::1".parse().unwrap();
    let scoped = SocketAddr::V6(SocketAddrV6::new(ip, 7, 3, 4));
    let body = bytes_of(|out| {
        write_candidates(&[Candidate { kind: CandidateKind::Interface, address: scoped }], out);
    });
    let plain = SocketAddr::V6(SocketAddrV6::new(ip, 7, 0, 0));
    assert_eq!(parse_candidates(&body).unwrap()[0].address, plain);
}

#[test]
fn a_mapped_address_is_written_and_read_as_the_ipv4_address() {
    let of = |address: &str| Candidate { kind: CandidateKind::Mapped, address: address.parse().unwrap() };
    let (mapped, plain) = (of("[::ffff:192.0.2.1]:7"), of("192.0.2.1:7"));
    let body = bytes_of(|out| write_candidates(&[mapped], out));
    assert_eq!(body, [1, 2, 4, 192, 0, 2, 1, 0, 7]);
    let foreign = [&[1, 2, 6][..], &[0; 10], &[0xff, 0xff, 192, 0, 2, 1, 0, 7]].concat();
    assert_eq!(is_exact(&foreign, parse_candidates), [plain]);
    // One that is only compatible stays what it is.
    let compatible = of("[::192.0.2.1]:7");
    let body = bytes_of(|out| write_candidates(&[compatible], out));
    assert_eq!(is_exact(&body, parse_candidates), [compatible]);
}

#[test]
fn whatever_comes_is_read_or_refused() {
    let mut rng = Rng::new([11; 32]);
    for _ in 0..20_000 {
        let mut body = vec![0; rng.below(160) as usize];
        rng.fill(&mut body);
        // Small numbers are the interesting ones.
        body.iter_mut().step_by(3).for_each(|byte| *byte &= 7);
        let _ = Request::parse(&body);
        let _ = Introduction::parse(&body);
        let _ = Outcome::parse(&body);
        let _ = parse_candidates(&body);
        let _ = parse_withdraw(&body);
        let _ = CircuitNotice::parse(&body);
    }
}

#[test]
fn the_secret_is_not_shown() {
    let mut rng = Rng::new([12; 32]);
    let told = Introduced { secret: Zeroizing::new([0xd7; 32]), ..introduced(&mut rng) };
    let shown = format!("{:?}", Introduction::Complete(Box::new(told)));
    assert!(!shown.contains("215, 215") && !shown.contains("d7d7"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
}
