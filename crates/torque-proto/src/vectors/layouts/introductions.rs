//! Messages of introductions, and datagrams on a circuit (INTRODUCTIONS.md 2 and 3).

mod observation;

use std::boxed::Box;
use std::net::{IpAddr, SocketAddr};
use std::vec::Vec;

use zeroize::Zeroizing;

use super::{Json, changed, decode_only, longer, object, parsed, shorter};
use crate::codes::CloseCode;
use crate::crypto::rng::Rng;
use crate::wire::introduction::{
    Candidate, CandidateKind, CircuitNotice, CircuitState, Introduced, Introduction, MAX_CANDIDATES, Nat,
    Outcome, OutcomeResult, PartyFlags, Request, parse_candidates, parse_withdraw, withdraw,
    write_candidates,
};
use crate::wire::{MAX_RELAYED, ParseError, parse_relayed, relayed_head};

pub(super) fn add(rng: &mut Rng, vectors: &mut Vec<Json>) {
    requests(rng, vectors);
    introductions(rng, vectors);
    outcomes(vectors);
    candidate_lists(vectors);
    withdraws(vectors);
    circuits(vectors);
    relayed(vectors);
    observation::add(rng, vectors);
}

/// A vector, marked if what was read is not written as the same bytes. `ignored` says whether that is wanted.
fn body<T>(
    name: (&'static str, &str),
    (bytes, ignored): (&[u8], bool),
    result: Result<T, ParseError>,
    refused: Option<&str>,
    write: impl Fn(&T, &mut Vec<u8>),
    fields: impl Fn(&T) -> Json,
) -> Json {
    let mut again = Vec::new();
    let vector = parsed(name, bytes, result, refused, |read| {
        write(&read, &mut again);
        fields(&read)
    });
    if refused.is_some() {
        return vector;
    }
    assert_eq!(again == bytes, !ignored, "{name:?}");
    if ignored { decode_only(vector) } else { vector }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes);
    bytes
}

fn address_json(address: SocketAddr) -> Json {
    match address.ip() {
        IpAddr::V4(ip) => object! { "ip": ip.octets(), "port": address.port() },
        IpAddr::V6(ip) => object! { "ip": ip.octets(), "port": address.port() },
    }
}

/// The number of a kind, as INTRODUCTIONS.md 3 lists them.
const fn kind_number(kind: CandidateKind) -> u8 {
    match kind {
        CandidateKind::Observed => 0,
        CandidateKind::Interface => 1,
        CandidateKind::Mapped => 2,
    }
}

/// The number of a NAT, as INTRODUCTIONS.md 9.1 lists them.
const fn nat_number(nat: Nat) -> u8 {
    match nat {
        Nat::Unknown => 0,
        Nat::Independent => 1,
        Nat::Sequential(_) => 2,
        Nat::Unpredictable => 3,
    }
}

const fn nat_stride(nat: Nat) -> u8 {
    if let Nat::Sequential(stride) = nat { stride } else { 0 }
}

fn candidates_json(candidates: &[Candidate]) -> Json {
    let one = |candidate: &Candidate| {
        let Json::Object(address) = address_json(candidate.address) else {
            unreachable!("made as an object")
        };
        let kind = ("kind", Json::from(kind_number(candidate.kind)));
        Json::Object([kind].into_iter().chain(address).collect())
    };
    Json::List(candidates.iter().map(one).collect())
}

fn flags_json(flags: PartyFlags) -> Json {
    let bits = [
        flags.is_host,
        flags.takes_circuit,
        flags.wants_circuit_at_once,
        flags.takes_direct,
        flags.opens_ports,
        flags.speaks_webrtc,
    ];
    Json::from(bits.iter().enumerate().map(|(bit, is_set)| u8::from(*is_set) << bit).sum::<u8>())
}

fn candidate(kind: CandidateKind, address: &str) -> Candidate {
    Candidate { kind, address: address.parse().expect("a good address") }
}

/// One of each kind, and of each family.
fn some() -> Vec<Candidate> {
    std::vec![
        candidate(CandidateKind::Interface, "192.168.1.20:28000"),
        candidate(CandidateKind::Mapped, "[2001:db8:1:2:3:4:5:6]:65535"),
    ]
}

const ALL_FLAGS: PartyFlags = PartyFlags {
    is_host: true,
    takes_circuit: true,
    wants_circuit_at_once: true,
    takes_direct: true,
    opens_ports: true,
    speaks_webrtc: true,
};

fn requests(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], ignored: bool, refused: Option<&str>| {
        let result = Request::parse(bytes);
        vectors.push(body(("request", name), (bytes, ignored), result, refused, Request::write, |read| {
            object! {
                "remote": read.remote,
                "flags": flags_json(read.flags),
                "nonce": read.nonce,
                "candidates": candidates_json(&read.candidates),
            }
        }));
    };
    let request = |flags, nonce, candidates| Request { remote: 0x0102_0304, flags, nonce, candidates };
    let initiator = PartyFlags { takes_circuit: true, takes_direct: true, ..PartyFlags::default() };
    let least = written(|out| request(PartyFlags::default(), rng.array(), Vec::new()).write(out));
    let good = written(|out| request(initiator, rng.array(), some()).write(out));
    let most = std::vec![some()[1]; MAX_CANDIDATES];
    add("least", &least, false, None);
    add("good", &good, false, None);
    add("most", &written(|out| request(ALL_FLAGS, rng.array(), most).write(out)), false, None);
    add("unknown_flags_ignored", &changed(&good, 4, 0b1100_1010), true, None);
    add("empty", &[], false, Some("length"));
    add("without_count", shorter(&least), false, Some("length"));
    add("candidate_past_end", shorter(&good), false, Some("length"));
    add("count_too_large", &changed(&least, 21, 1), false, Some("length"));
    add("count_too_small", &changed(&good, 21, 1), false, Some("trailing"));
    add("too_long", &longer(&good), false, Some("trailing"));
}

fn introduced(rng: &mut Rng) -> Introduced {
    Introduced {
        id: 0x1112_1314_1516_1718,
        flags: PartyFlags { is_host: true, takes_direct: true, ..PartyFlags::default() },
        public_key: rng.array(),
        nonce: rng.array(),
        secret: Zeroizing::new(rng.array()),
        circuit: 0,
        circuit_rate: 0,
        nat: Nat::Unknown,
        own_nat: Nat::Unknown,
        observed: Some("203.0.113.9:40000".parse().expect("a good address")),
        candidates: std::vec![
            candidate(CandidateKind::Observed, "198.51.100.7:28000"),
            candidate(CandidateKind::Mapped, "198.51.100.7:40001"),
        ],
    }
}

fn introduction_json(introduction: &Introduction) -> Json {
    let told = match introduction {
        Introduction::Complete(told) => told,
        Introduction::WaitingForParty => return object! { "status": 1_u8 },
        Introduction::WaitingForApplication => return object! { "status": 2_u8 },
    };
    let fields = object! {
        "status": 0_u8,
        "introduction_id": told.id,
        "flags": flags_json(told.flags),
        "key_type": 1_u8,
        "public_key": told.public_key,
        "nonce": told.nonce,
        "secret": *told.secret,
        "circuit": told.circuit,
        "circuit_rate": told.circuit_rate,
        "nat": nat_number(told.nat),
        "stride": nat_stride(told.nat),
        "own_nat": nat_number(told.own_nat),
    };
    let fields = match told.observed {
        Some(address) => fields.with("observed", address_json(address)),
        None => fields,
    };
    fields.with("candidates", candidates_json(&told.candidates))
}

fn introductions(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], ignored: bool, refused: Option<&str>| {
        let (name, result) = (("introduction", name), Introduction::parse(bytes));
        let write = |read: &Introduction, out: &mut Vec<u8>| read.write(out);
        vectors.push(body(name, (bytes, ignored), result, refused, write, introduction_json));
    };
    let complete = |told| written(|out| Introduction::Complete(Box::new(told)).write(out));
    let good = complete(introduced(rng));
    add("complete", &good, false, None);
    let with_circuit = Introduced {
        id: u64::MAX,
        flags: ALL_FLAGS,
        circuit: 0x2122_2324,
        circuit_rate: 128_000,
        nat: Nat::Sequential(4),
        own_nat: Nat::Unpredictable,
        observed: Some("[2001:db8::9]:40000".parse().expect("a good address")),
        candidates: std::vec![candidate(CandidateKind::Observed, "[2001:db8::7]:28000"); MAX_CANDIDATES],
        ..introduced(rng)
    };
    add("with_circuit_and_most", &complete(with_circuit), false, None);
    let hidden = Introduced {
        id: 1,
        circuit: u32::MAX,
        circuit_rate: u32::MAX,
        nat: Nat::Independent,
        own_nat: Nat::Independent,
        observed: None,
        candidates: Vec::new(),
        ..introduced(rng)
    };
    let hidden = complete(hidden);
    add("without_direct_paths", &hidden, false, None);
    add("waits_for_party", &[1], false, None);
    add("waits_for_application", &[2], false, None);
    add("unknown_flags_ignored", &changed(&good, 9, 0b1100_1001), true, None);
    add("stride_without_sequence_ignored", &changed(&good, 100, 7), true, None);
    for (name, at, to, reason) in [
        ("status_3", 0, 3, "range"),
        ("key_type_2", 10, 2, "key_type"),
        ("nat_4", 99, 4, "range"),
        ("own_nat_4", 101, 4, "range"),
        ("family_5", 102, 5, "range"),
        ("candidate_of_kind_3", 110, 3, "range"),
        ("candidate_of_kind_4", 110, 4, "range"),
        ("candidate_of_family_0", 111, 0, "range"),
        ("count_too_large", 109, 3, "length"),
        ("count_too_small", 109, 1, "trailing"),
    ] {
        add(name, &changed(&good, at, to), false, Some(reason));
    }
    let mut id_0 = hidden.clone();
    id_0[1..9].fill(0);
    add("id_0", &id_0, false, Some("range"));
    add("empty", &[], false, Some("length"));
    add("status_0_alone", &[0], false, Some("length"));
    add("without_count", shorter(&hidden), false, Some("length"));
    add("too_long", &longer(&hidden), false, Some("trailing"));
    add("status_1_too_long", &[1, 0], false, Some("trailing"));
    add("status_2_too_long", &[2, 0], false, Some("trailing"));
}

fn outcomes(vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], ignored: bool, refused: Option<&str>| {
        let result = Outcome::parse(bytes);
        vectors.push(body(("outcome", name), (bytes, ignored), result, refused, Outcome::write, |read| {
            let (result, code) = match read.result {
                OutcomeResult::Direct => (0_u8, 0),
                OutcomeResult::Relayed => (1, 0),
                OutcomeResult::BecameDirect => (2, 0),
                OutcomeResult::Failed(code) => (255, code.number()),
            };
            object! {
                "introduction_id": read.introduction,
                "result": result,
                "close_code": code,
                "milliseconds": read.millis,
            }
        }));
    };
    let outcome = |result| {
        written(|out| Outcome { introduction: 0x1112_1314_1516_1718, result, millis: 1_234 }.write(out))
    };
    let direct = outcome(OutcomeResult::Direct);
    add("direct", &direct, false, None);
    add("relayed", &outcome(OutcomeResult::Relayed), false, None);
    add("became_direct", &outcome(OutcomeResult::BecameDirect), false, None);
    let failed = outcome(OutcomeResult::Failed(CloseCode::NoPath));
    add("failed", &failed, false, None);
    add("failed_as_closed", &outcome(OutcomeResult::Failed(CloseCode::Closed)), false, None);
    add("unknown_code", &changed(&failed, 9, 0xff), true, None);
    let greatest = Outcome { introduction: u64::MAX, result: OutcomeResult::Direct, millis: u32::MAX };
    add("greatest", &written(|out| greatest.write(out)), false, None);
    add("result_3", &changed(&direct, 8, 3), false, Some("range"));
    add("code_without_failure", &changed(&direct, 10, 47), false, Some("zeros"));
    let mut id_0 = direct.clone();
    id_0[..8].fill(0);
    add("id_0", &id_0, false, Some("range"));
    add("too_short", shorter(&direct), false, Some("size"));
    add("too_long", &longer(&direct), false, Some("size"));
}

/// The list that is written otherwise than it was read.
const MAPPED: &str = "ipv4_mapped_counts_as_ipv4";

fn candidate_lists(vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        let result = parse_candidates(bytes);
        let write = |read: &Vec<Candidate>, out: &mut Vec<u8>| write_candidates(read, out);
        let is_other = name == MAPPED;
        vectors.push(body(("candidates", name), (bytes, is_other), result, refused, write, |read| {
            object! { "candidates": candidates_json(read) }
        }));
    };
    add("none", &[0], None);
    let good = written(|out| write_candidates(&some(), out));
    add("good", &good, None);
    let all_kinds = [
        candidate(CandidateKind::Observed, "0.0.0.0:0"),
        candidate(CandidateKind::Interface, "[fe80::1]:1"),
        candidate(CandidateKind::Mapped, "255.255.255.255:65535"),
        candidate(CandidateKind::Mapped, "[::]:0"),
    ];
    add("all_kinds", &written(|out| write_candidates(&all_kinds, out)), None);
    let one = [1, 4, 192, 0, 2, 1, 0x6d, 0x60];
    let of = |count: usize| [&[count as u8][..], &one.repeat(count)].concat();
    add("most", &of(MAX_CANDIDATES), None);
    add(MAPPED, &[&[1, 2, 6][..], &[0; 10], &[0xff, 0xff, 192, 0, 2, 1, 0x6d, 0x60]].concat(), None);
    add("more_than_8", &of(MAX_CANDIDATES + 1), Some("range"));
    add("kind_3", &changed(&of(1), 1, 3), Some("range"));
    add("kind_4", &changed(&of(1), 1, 4), Some("range"));
    add("family_0", &[1, 1, 0], Some("range"));
    add("family_5", &changed(&of(1), 2, 5), Some("range"));
    add("empty", &[], Some("length"));
    add("past_end", shorter(&good), Some("length"));
    add("too_long", &longer(&good), Some("trailing"));
}

fn withdraws(vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], ignored: bool, refused: Option<&str>| {
        let result = parse_withdraw(bytes);
        let write = |code: &CloseCode, out: &mut Vec<u8>| out.extend_from_slice(&withdraw(*code));
        vectors.push(body(("withdraw", name), (bytes, ignored), result, refused, write, |code| {
            object! { "close_code": code.number() }
        }));
    };
    add("closed", &withdraw(CloseCode::Closed), false, None);
    add("role_conflict", &withdraw(CloseCode::RoleConflict), false, None);
    add("code_that_is_not_sent", &withdraw(CloseCode::NoPath), true, None);
    add("unknown_code", &[0xff, 0xff], true, None);
    add("too_short", &[0], false, Some("size"));
    add("too_long", &[0, 9, 0], false, Some("size"));
}

fn circuits(vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        let result = CircuitNotice::parse(bytes);
        vectors.push(body(
            ("circuit", name),
            (bytes, false),
            result,
            refused,
            CircuitNotice::write,
            |read| {
                let state = match read.state {
                    CircuitState::Throttled => 1_u8,
                    CircuitState::UsedUp => 2,
                    CircuitState::Ended => 3,
                };
                object! { "circuit": read.circuit, "state": state }
            },
        ));
    };
    let notice = |circuit, state| written(|out| CircuitNotice { circuit, state }.write(out));
    add("throttled", &notice(1, CircuitState::Throttled), None);
    add("used_up", &notice(0x2122_2324, CircuitState::UsedUp), None);
    let good = notice(u32::MAX, CircuitState::Ended);
    add("ended", &good, None);
    add("number_0", &[0, 0, 0, 0, 1], Some("range"));
    add("state_0", &changed(&good, 4, 0), Some("range"));
    add("state_4", &changed(&good, 4, 4), Some("range"));
    add("too_short", shorter(&good), Some("size"));
    add("too_long", &longer(&good), Some("size"));
}

fn relayed(vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        let write = |read: &(u32, &[u8]), out: &mut Vec<u8>| {
            out.extend_from_slice(&relayed_head(read.0));
            out.extend_from_slice(read.1);
        };
        let fields = |read: &(u32, &[u8])| object! { "circuit": read.0, "inner": read.1 };
        vectors.push(body(("relayed", name), (bytes, false), parse_relayed(bytes), refused, write, fields));
    };
    let of = |circuit: u32, inner: &[u8]| [&relayed_head(circuit)[..], inner].concat();
    let good = of(0x2122_2324, &[0x86, 0x50, 0x38, 1, 2, 3, 4]);
    add("least", &of(1, &[0x80]), None);
    add("good", &good, None);
    add("most", &of(u32::MAX, &[0x80; MAX_RELAYED]), None);
    add("circuit_0", &of(0, &[0x80]), Some("range"));
    add("without_inner", &of(1, &[]), Some("size"));
    add("kind_wrong", &changed(&good, 0, 0x0d), Some("kind"));
    // Bytes of zero, as it is long and its content does not count.
    add("too_long", &of(1, &[0; MAX_RELAYED + 1]), Some("size"));
    add("empty", &[], Some("empty"));
}
