//! origin.json: origin tokens, made and judged (GATEWAY.md 5).

use core::net::SocketAddr;
use std::format;
use std::vec::Vec;

use super::json::{Json, object};
use super::rng;
use crate::crypto::rng::Rng;
use crate::identity::origin::{OriginClaims, OriginError, OriginToken, sign_origin};
use crate::identity::{KeyPair, PublicKey};

const NOW: u64 = 1_800_000_000;
const ORIGIN: &str = "https://game.example";

pub(super) fn vectors() -> Vec<Json> {
    let mut rng = rng("origin");
    let mut vectors = Vec::new();
    tokens(&mut rng, &mut vectors);
    judged(&mut rng, &mut vectors);
    vectors
}

fn address_json(address: SocketAddr) -> Json {
    object! { "ip": format!("{}", address.ip()), "port": address.port() }
}

fn public_key(rng: &mut Rng) -> PublicKey {
    KeyPair::from_seed(rng.array()).public()
}

fn tokens(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let longest = format!("https://{}.example", "a".repeat(239));
    for (name, origin, address) in [
        ("ipv4", ORIGIN, "192.0.2.7:40000"),
        ("ipv4_mapped", "http://localhost:8080", "[::ffff:192.0.2.7]:1"),
        ("ipv6", "https://game.example:8443", "[2001:db8::7]:65535"),
        ("longest_origin", &longest, "[2001:db8::7]:4433"),
        ("shortest_origin", "x", "192.0.2.7:40000"),
    ] {
        let seed = rng.array();
        let (initiator, host) = (public_key(rng), public_key(rng));
        let (gateway, address) = (KeyPair::from_seed(seed), address.parse().unwrap());
        let expires = NOW + rng.below(60);
        let claims = OriginClaims { origin, initiator: &initiator, host: &host, address, expires };
        vectors.push(object! {
            "name": format!("token_{name}"),
            "kind": "origin_token",
            "seed": seed,
            "gateway_public_key": gateway.public().as_bytes(),
            "initiator_public_key": initiator.as_bytes(),
            "host_public_key": host.as_bytes(),
            "expires": expires,
            "address": address_json(address),
            "origin": origin,
            "token": sign_origin(&gateway, &claims).unwrap(),
        });
    }
}

/// The name of a reason in the files.
fn reason(error: OriginError) -> &'static str {
    match error {
        OriginError::Malformed => "length",
        OriginError::UnknownVersion(_) => "version",
        OriginError::Origin => "origin",
        OriginError::OtherAddress(_) => "other_address",
        OriginError::Expired { .. } => "expired",
        OriginError::TooFarAhead { .. } => "too_far_ahead",
        OriginError::BadSignature => "signature",
    }
}

fn judged(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let gateway = KeyPair::from_seed(rng.array());
    let (initiator, host, other) = (public_key(rng), public_key(rng), public_key(rng));
    let address: SocketAddr = "192.0.2.7:40000".parse().unwrap();
    let claims =
        |origin| OriginClaims { origin, initiator: &initiator, host: &host, address, expires: NOW + 60 };
    let good = sign_origin(&gateway, &claims(ORIGIN)).unwrap();
    let changed = |offset: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[offset] = value;
        bytes
    };
    let mut add =
        |name: &str, bytes: &[u8], keys: [PublicKey; 2], remote: &str, now, refused: Option<&str>| {
            let [initiator, host] = keys;
            let remote: SocketAddr = remote.parse().unwrap();
            let result = OriginToken::parse(bytes)
                .and_then(|token| token.verify(&initiator, &host, remote, now).map(|()| token));
            assert_eq!(result.as_ref().err().map(|error| reason(*error)), refused, "{name}");
            let vector = object! {
                "name": format!("judged_{name}"),
                "kind": "origin_judged",
                "token": bytes,
                "initiator_public_key": initiator.as_bytes(),
                "host_public_key": host.as_bytes(),
                "address": address_json(remote),
                "now": now,
            };
            vectors.push(match result {
                Ok(token) => vector
                    .with("gateway_public_key", token.gateway().as_bytes())
                    .with("origin", token.origin()),
                Err(error) => vector.with("refused", reason(error)),
            });
        };
    let (keys, from) = ([initiator, host], "192.0.2.7:40000");
    add("good", &good, keys, from, NOW, None);
    add("ipv4_mapped", &good, keys, "[::ffff:192.0.2.7]:40000", NOW, None);
    add("last_second", &good, keys, from, NOW + 59, None);
    add("expired", &good, keys, from, NOW + 60, Some("expired"));
    add("as_far_ahead_as_may_be", &good, keys, from, NOW - 60, None);
    add("too_far_ahead", &good, keys, from, NOW - 61, Some("too_far_ahead"));
    add("other_initiator", &good, [other, host], from, NOW, Some("signature"));
    add("other_host", &good, [initiator, other], from, NOW, Some("signature"));
    add("keys_changed_places", &good, [host, initiator], from, NOW, Some("signature"));
    add("other_ip", &good, keys, "192.0.2.8:40000", NOW, Some("other_address"));
    add("other_port", &good, keys, "192.0.2.7:40001", NOW, Some("other_address"));
    let last = good.len() - 1;
    add("signature_changed", &changed(last, good[last] ^ 1), keys, from, NOW, Some("signature"));
    add("origin_changed", &changed(last - 64, b'f'), keys, from, NOW, Some("signature"));
    add("origin_with_space", &changed(last - 64, b' '), keys, from, NOW, Some("origin"));
    add("version_2", &changed(0, 2), keys, from, NOW, Some("version"));
    add("family_0", &changed(41, 0), keys, from, NOW, Some("length"));
    add("too_short", &good[..last], keys, from, NOW, Some("length"));
    add("too_long", &[&good[..], &[0]].concat(), keys, from, NOW, Some("length"));
    // `null` is refused although its gateway signed it.
    let four = sign_origin(&gateway, &claims("four")).unwrap();
    let mut null = four[..four.len() - 64].to_vec();
    let at = null.len() - 4;
    null[at..].copy_from_slice(b"null");
    let message = [&b"TorqueSocket origin v1"[..], &null, initiator.as_bytes(), host.as_bytes()].concat();
    null.extend_from_slice(&gateway.sign(&message));
    add("null", &null, keys, from, NOW, Some("origin"));
}
