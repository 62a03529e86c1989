use super::*;
use crate::crypto::testing::for_seeds;

const NOW: u64 = 1_800_000_000;

/// A gateway, an initiator and a host.
struct Cast {
    gateway: KeyPair,
    initiator: PublicKey,
    host: PublicKey,
    address: SocketAddr,
}

impl Cast {
    fn new() -> Self {
        let [gateway, initiator, host] = [1, 2, 3].map(|seed| KeyPair::from_seed([seed; 32]));
        let address = "192.0.2.7:4433".parse().unwrap();
        Self { gateway, initiator: initiator.public(), host: host.public(), address }
    }

    fn claims<'a>(&'a self, origin: &'a str) -> OriginClaims<'a> {
        let Self { initiator, host, address, .. } = self;
        OriginClaims { origin, initiator, host, address: *address, expires: NOW + 60 }
    }

    fn sign(&self, claims: &OriginClaims<'_>) -> OriginToken {
        let bytes = sign_origin(&self.gateway, claims).unwrap();
        assert!(bytes.len() <= MAX_ORIGIN_TOKEN);
        OriginToken::parse(&bytes).unwrap()
    }

    fn verify(&self, token: &OriginToken, now: u64) -> Result<(), OriginError> {
        token.verify(&self.initiator, &self.host, self.address, now)
    }
}

#[test]
fn a_token_holds_for_its_initiator_host_address_and_time_only() {
    let cast = Cast::new();
    let token = cast.sign(&cast.claims("https://game.example"));
    assert_eq!((token.gateway(), token.origin()), (cast.gateway.public(), "https://game.example"));
    assert_eq!(cast.verify(&token, NOW), Ok(()));
    assert_eq!(cast.verify(&token, NOW + 59), Ok(()));
    let expired = Err(OriginError::Expired { since_unix_seconds: NOW + 60 });
    assert_eq!(cast.verify(&token, NOW + 60), expired);
    assert_eq!(cast.verify(&token, u64::MAX), expired);
    // Clocks differ, but a token is not for the day after tomorrow.
    assert_eq!(cast.verify(&token, NOW - 60), Ok(()));
    let ahead = Err(OriginError::TooFarAhead { until_unix_seconds: NOW + 60 });
    assert_eq!(cast.verify(&token, NOW - 61), ahead);
    assert_eq!(cast.verify(&token, 0), ahead);

    let other = KeyPair::from_seed([9; 32]).public();
    let bad = Err(OriginError::BadSignature);
    assert_eq!(token.verify(&other, &cast.host, cast.address, NOW), bad);
    assert_eq!(token.verify(&cast.initiator, &other, cast.address, NOW), bad);
    assert_eq!(token.verify(&cast.host, &cast.initiator, cast.address, NOW), bad);
    for address in ["192.0.2.7:4434", "192.0.2.8:4433", "[2001:db8::7]:4433"] {
        let remote = address.parse().unwrap();
        let outcome = token.verify(&cast.initiator, &cast.host, remote, NOW);
        assert_eq!(outcome, Err(OriginError::OtherAddress(cast.address)), "{address}");
    }
}

#[test]
fn addresses_compare_as_ip_and_port() {
    let mut cast = Cast::new();
    for (written, read) in [
        ("192.0.2.7:1", "[::ffff:192.0.2.7]:1"),
        ("[::ffff:192.0.2.7]:1", "192.0.2.7:1"),
        ("[2001:db8::7]:65535", "[2001:db8::7]:65535"),
        ("[fe80::7%3]:1", "[fe80::7]:1"),
        ("[fe80::7]:1", "[fe80::7%9]:1"),
    ] {
        cast.address = written.parse().unwrap();
        let token = cast.sign(&cast.claims("https://game.example"));
        assert_eq!(
            token.verify(&cast.initiator, &cast.host, read.parse().unwrap(), NOW),
            Ok(()),
            "{written}"
        );
    }
}

#[test]
fn nothing_in_a_token_can_be_changed_or_left_out() {
    let cast = Cast::new();
    for address in ["192.0.2.7:4433", "[2001:db8::7]:4433"] {
        let address = address.parse().unwrap();
        let claims = OriginClaims { address, ..cast.claims("https://game.example") };
        let bytes = sign_origin(&cast.gateway, &claims).unwrap();
        let outcome = |bytes: &[u8]| {
            OriginToken::parse(bytes).and_then(|token| {
                token.verify(&cast.initiator, &cast.host, address, NOW).map(|()| token.gateway())
            })
        };
        assert_eq!(outcome(&bytes), Ok(cast.gateway.public()));
        for byte in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[byte] ^= 1 << bit;
                assert!(outcome(&changed).is_err(), "byte {byte}, bit {bit}");
            }
        }
        for length in 0..bytes.len() {
            assert!(OriginToken::parse(&bytes[..length]).is_err(), "{length}");
        }
        assert!(OriginToken::parse(&[&bytes[..], &[0]].concat()).is_err());
    }
}

#[test]
fn a_token_forged_with_another_key_names_a_gateway_that_did_not_sign_it() {
    let cast = Cast::new();
    let mut bytes = sign_origin(&KeyPair::from_seed([9; 32]), &cast.claims("https://game.example")).unwrap();
    bytes[1..33].copy_from_slice(cast.gateway.public().as_bytes());
    let token = OriginToken::parse(&bytes).unwrap();
    assert_eq!(token.gateway(), cast.gateway.public());
    assert_eq!(cast.verify(&token, NOW), Err(OriginError::BadSignature));
}

#[test]
fn only_what_a_browser_calls_an_origin_is_attested() {
    let cast = Cast::new();
    let longest = alloc::format!("https://{}", "x".repeat(MAX_ORIGIN - 8));
    for origin in ["https://game.example:8443", "http://[::1]:8080", "chrome-extension://abc", &longest] {
        let token = cast.sign(&cast.claims(origin));
        assert_eq!((token.origin(), cast.verify(&token, NOW)), (origin, Ok(())));
    }
    for origin in
        ["", "null", &alloc::format!("{longest}x"), "https://a b", "https://ü.example", "https://a\n"]
    {
        assert_eq!(sign_origin(&cast.gateway, &cast.claims(origin)), Err(OriginError::Origin), "{origin}");
    }
    // A gateway that signs what it should not.
    let bytes = sign_origin(&cast.gateway, &cast.claims("four")).unwrap();
    let at = bytes.len() - 64 - 4;
    for origin in [b"null", b"a\x1b[2", b"a\xff\xffb"] {
        let mut bytes = bytes.clone();
        bytes[at..at + 4].copy_from_slice(origin);
        assert_eq!(OriginToken::parse(&bytes), Err(OriginError::Origin));
    }
}

#[test]
fn an_address_has_one_form_and_a_version_is_named() {
    let mut cast = Cast::new();
    cast.address = "[::1:c000:207]:1".parse().unwrap();
    let mut bytes = sign_origin(&cast.gateway, &cast.claims("https://game.example")).unwrap();
    // From `::1:c000:207` to `::ffff:192.0.2.7`.
    bytes[42 + 10..42 + 12].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(OriginToken::parse(&bytes), Err(OriginError::Malformed));
    bytes[0] = 2;
    assert_eq!(OriginToken::parse(&bytes), Err(OriginError::UnknownVersion(2)));
}

#[test]
fn random_bytes_are_refused_and_never_panic() {
    let cast = Cast::new();
    for_seeds(20, |rng| {
        let good = sign_origin(&cast.gateway, &cast.claims("https://game.example")).unwrap();
        for _ in 0..100 {
            let mut bytes = alloc::vec![0; rng.below(400) as usize];
            rng.fill(&mut bytes);
            // With a good beginning, the later fields are reached.
            let kept = (rng.below(good.len() as u64) as usize).min(bytes.len());
            bytes[..kept].copy_from_slice(&good[..kept]);
            let believed = OriginToken::parse(&bytes).and_then(|token| cast.verify(&token, NOW));
            assert!(believed.is_err());
        }
    });
}
