//! token.json: identity tokens, reset tokens and application tags (PROTOCOL.md 5.1, 5.8, 3.2).

use core::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::vec::Vec;

use super::json::{Json, object};
use super::rng;
use crate::address::Address;
use crate::crypto::rng::Rng;
use crate::handshake::internals::{TokenClaims, application_tag};
use crate::identity::KeyPair;
use crate::wire::{Offers, PROTOCOL_VERSION};

pub(super) fn vectors() -> Vec<Json> {
    let mut rng = rng("token");
    let mut vectors = Vec::new();
    for (name, ip, scope, port) in [
        ("ipv4", "192.0.2.7", 0, 27_015),
        ("ipv4_port_0", "255.255.255.255", 0, 0),
        ("ipv6", "2001:db8::1234:7", 0, 65_535),
        ("ipv6_scope", "fe80::aa:bb", 3, 4_000),
        ("ipv4_mapped", "::ffff:198.51.100.200", 0, 1),
    ] {
        let address = match ip.parse().unwrap() {
            IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope)),
            ip => SocketAddr::new(ip, port),
        };
        let written = if scope == 0 { ip.into() } else { std::format!("{ip}%{scope}") };
        let json = object! { "ip": written, "port": port };
        vectors.push(identity_token(name, Address::from(address), json, &mut rng));
    }
    let number = 0x0102_0304_0506_0708_u64;
    let json = object! { "carrier": number };
    vectors.push(identity_token("carrier_number", Address::from_virtual(number), json, &mut rng));
    for name in ["reset_token_a", "reset_token_b"] {
        vectors.push(reset_token(name, &mut rng));
    }
    for (name, id) in [
        ("application_empty", &b""[..]),
        ("application_short", b"game 7"),
        ("application_longest", b"\x00\xff an id may hold any 32 bytes "),
    ] {
        assert!(id.len() <= 32);
        vectors.push(object! {
            "name": name,
            "kind": "application_tag",
            "application_id": id,
            "application_tag": application_tag(id),
        });
    }
    vectors
}

fn identity_token(name: &str, remote: Address, address: Json, rng: &mut Rng) -> Json {
    let (secret, nonce): ([u8; 32], [u8; 16]) = (rng.array(), rng.array());
    let (difficulty, cipher) = (rng.below(23) as u8, 1 + rng.below(3) as u8);
    let offers = Offers::from_bytes([cipher, 9, 0, 0]).unwrap();
    let claims = TokenClaims { remote, initiator_nonce: &nonce, difficulty, cipher, offers };
    let token = claims.token(&secret);
    assert!(claims.verify(&secret, &token));
    object! {
        "name": name,
        "kind": "identity_token",
        "token_secret": secret,
        "version": PROTOCOL_VERSION,
        "address": address,
        "initiator_nonce": nonce,
        "difficulty": difficulty,
        "cipher": cipher,
        "ciphers_offered": offers.to_bytes(),
        "address_bytes": remote.token_bytes(),
        "identity_token": token,
    }
}

fn reset_token(name: &str, rng: &mut Rng) -> Json {
    let seed: [u8; 32] = rng.array();
    let connection_id = rng.u64();
    let pair = KeyPair::from_seed(seed);
    object! {
        "name": name,
        "kind": "reset_token",
        "seed": seed,
        "connection_id": connection_id.to_be_bytes(),
        "reset_key": pair.reset_key_bytes(),
        "reset_token": pair.reset_token(connection_id),
    }
}
