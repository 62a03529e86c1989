//! Messages and the datagram by which an introducer looks at NATs (INTRODUCTIONS.md 9.1).

use std::vec::Vec;

use super::super::{Json, changed, longer, object, shorter};
use super::{address_json, body, nat_number, nat_stride, written};
use crate::crypto::rng::Rng;
use crate::wire::ParseError;
use crate::wire::introduction::{
    MAX_TOKENS, Nat, Nats, ObserveToken, Observed, Tokens, observe, parse_observe, parse_tokens_wanted,
};

pub(super) fn add(rng: &mut Rng, vectors: &mut Vec<Json>) {
    tokens_wanted(vectors);
    tokens(rng, vectors);
    observed(vectors);
    nats(vectors);
    observes(rng, vectors);
}

fn tokens_wanted(vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        let write = |wanted: &u8, out: &mut Vec<u8>| out.push(*wanted);
        let fields = |wanted: &u8| object! { "wanted": *wanted };
        let name = ("tokens_wanted", name);
        vectors.push(body(name, (bytes, false), parse_tokens_wanted(bytes), refused, write, fields));
    };
    add("look", &[0], None);
    add("one", &[1], None);
    add("most", &[8], None);
    add("more_than_8", &[9], Some("range"));
    add("too_short", &[], Some("size"));
    add("too_long", &[4, 0], Some("size"));
}

/// The list whose address is written otherwise than it was read.
const MAPPED: &str = "ipv4_mapped_counts_as_ipv4";

fn tokens(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        let result = Tokens::parse(bytes);
        let (name, is_other) = (("tokens", name), name == MAPPED);
        vectors.push(body(name, (bytes, is_other), result, refused, Tokens::write, |read| {
            let tokens = read.tokens.iter().map(|token| Json::from(*token)).collect();
            let fields = match read.second {
                Some(address) => object! { "second_address": address_json(address) },
                None => object! {},
            };
            fields.with("tokens", Json::List(tokens))
        }));
    };
    let mut of = |second: Option<&str>, count: usize| {
        let second = second.map(|text| text.parse().expect("a good address"));
        let tokens = (0..count).map(|_| rng.array()).collect();
        written(|out| Tokens { second, tokens }.write(out))
    };
    let asked_for = of(None, 4);
    let look = of(Some("198.51.100.2:28001"), 6);
    add("asked_for", &asked_for, None);
    add("least", &of(None, 1), None);
    add("most", &of(Some("[2001:db8::2]:65535"), MAX_TOKENS), None);
    add("look", &look, None);
    add("look_at_party_with_one_port", &of(Some("0.0.0.0:28001"), 2), None);
    let mapped = [&[6_u8][..], &[0; 10], &[0xff, 0xff], &look[1..]].concat();
    add(MAPPED, &mapped, None);
    add("family_5", &changed(&look, 0, 5), Some("range"));
    add("none", &[0, 0], Some("range"));
    add("more_than_8", &[&[0, 9][..], &[7; 9 * 16]].concat(), Some("range"));
    add("count_too_large", &changed(&asked_for, 1, 5), Some("length"));
    add("count_too_small", &changed(&asked_for, 1, 3), Some("trailing"));
    add("empty", &[], Some("length"));
    add("without_count", &look[..7], Some("length"));
    add("too_short", shorter(&look), Some("length"));
    add("too_long", &longer(&look), Some("trailing"));
}

fn observed(vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        let (name, is_other) = (("observed", name), name == MAPPED);
        vectors.push(body(
            name,
            (bytes, is_other),
            Observed::parse(bytes),
            refused,
            Observed::write,
            |read| {
                object! {
                    "whose": u8::from(read.is_other),
                    "round": read.round,
                    "address": address_json(read.address),
                }
            },
        ));
    };
    let of = |is_other, round, address: &str| {
        let address = address.parse().expect("a good address");
        written(|out| Observed { is_other, round, address }.write(out))
    };
    let good = of(false, 0, "203.0.113.9:40000");
    add("own", &good, None);
    add("other", &of(true, 3, "203.0.113.9:65535"), None);
    add("ipv6_of_last_round", &of(true, 7, "[2001:db8::9]:1"), None);
    let mapped = [&[1, 2, 6][..], &[0; 10], &[0xff, 0xff, 203, 0, 113, 9, 0x9c, 0x40]].concat();
    add(MAPPED, &mapped, None);
    add("whose_2", &changed(&good, 0, 2), Some("range"));
    add("round_8", &changed(&good, 1, 8), Some("range"));
    add("family_0", &[0, 0, 0], Some("range"));
    add("family_5", &changed(&good, 2, 5), Some("range"));
    add("empty", &[], Some("length"));
    add("without_address", &good[..2], Some("length"));
    add("too_short", shorter(&good), Some("length"));
    add("too_long", &longer(&good), Some("trailing"));
}

fn nats(vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], ignored: bool, refused: Option<&str>| {
        let result = Nats::parse(bytes);
        vectors.push(body(("nats", name), (bytes, ignored), result, refused, Nats::write, |read| {
            let fields = object! {
                "nat": nat_number(read.other),
                "stride": nat_stride(read.other),
                "own_nat": nat_number(read.own),
            };
            match read.observed {
                Some(address) => fields.with("observed", address_json(address)),
                None => fields,
            }
        }));
    };
    let of = |other, own, observed: Option<&str>| {
        let observed = observed.map(|text| text.parse().expect("a good address"));
        written(|out| Nats { other, own, observed }.write(out))
    };
    let good = of(Nat::Sequential(2), Nat::Independent, Some("203.0.113.9:40000"));
    add("good", &good, false, None);
    add("nothing_known", &of(Nat::Unknown, Nat::Unknown, None), false, None);
    let ipv6 = of(Nat::Unpredictable, Nat::Sequential(0), Some("[2001:db8::9]:40000"));
    add("own_is_sequential", &ipv6, false, None);
    add("stride_200", &of(Nat::Sequential(200), Nat::Unpredictable, None), false, None);
    add("stride_255", &of(Nat::Sequential(255), Nat::Unpredictable, None), false, None);
    add("stride_without_sequence_ignored", &changed(&good, 0, 3), true, None);
    let mapped = [&[1, 0, 1, 6][..], &[0; 10], &[0xff, 0xff, 203, 0, 113, 9, 0x9c, 0x40]].concat();
    add(MAPPED, &mapped, true, None);
    add("nat_4", &changed(&good, 0, 4), false, Some("range"));
    add("own_nat_4", &changed(&good, 2, 4), false, Some("range"));
    add("family_5", &changed(&good, 3, 5), false, Some("range"));
    add("empty", &[], false, Some("length"));
    add("without_address", &good[..3], false, Some("length"));
    add("too_short", shorter(&good), false, Some("length"));
    add("too_long", &longer(&good), false, Some("trailing"));
}

fn observes(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        let write = |token: &ObserveToken, out: &mut Vec<u8>| out.extend_from_slice(&observe(token));
        let fields = |token: &ObserveToken| object! { "token": *token };
        let result: Result<ObserveToken, ParseError> = parse_observe(bytes);
        vectors.push(body(("observe", name), (bytes, false), result, refused, write, fields));
    };
    let good = observe(&rng.array());
    add("good", &good, None);
    // Whether a token is known is found out by looking it up: no value is refused by its bytes.
    add("token_of_zeros", &observe(&[0; 16]), None);
    add("kind_wrong", &changed(&good, 0, 0x0c), Some("kind"));
    add("too_short", shorter(&good), Some("size"));
    add("too_long", &longer(&good), Some("size"));
    add("empty", &[], Some("empty"));
}
