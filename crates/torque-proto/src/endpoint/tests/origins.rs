//! Pages with a gateway's token, and a host that admits some of them.

use std::string::String;

use super::*;
use crate::config::OriginPolicy;
use crate::event::Extension;
use crate::identity::origin::{EXTENSION_ORIGIN, OriginClaims, sign_origin};
use crate::identity::{KeyPair, PublicKey};

const GAME: &str = "https://game.example";
/// What `Pair` begins with.
const BEGIN: u64 = 1_700_000_000;

fn gateway() -> KeyPair {
    KeyPair::from_seed([77; 32])
}

fn policy(allowed: &[&str], allow_native: bool) -> OriginPolicy {
    OriginPolicy {
        trusted_gateways: vec![KeyPair::from_seed([78; 32]).public(), gateway().public()],
        allowed_origins: allowed.iter().map(|origin| String::from(*origin)).collect(),
        allow_native,
    }
}

fn extension(token: Vec<u8>) -> Vec<Extension> {
    vec![Extension { kind: EXTENSION_ORIGIN, data: token }]
}

/// What came of a request.
#[derive(PartialEq, Eq, Debug)]
enum Outcome {
    /// The host's application was asked, with this origin.
    Asked(Option<String>),
    /// The initiator was refused by name, and the application not asked.
    Refused,
}

impl Outcome {
    fn with(origin: &str) -> Self {
        Self::Asked(Some(origin.into()))
    }
}

impl Pair {
    fn with_origins(origins: OriginPolicy) -> Self {
        Self::new(Config { origins, ..Config::default() })
    }

    /// The client's page asks to connect. `extensions` makes what comes with its acceptance of the host's key, from
    /// the claims that an honest gateway would sign.
    fn request(&mut self, extensions: impl FnOnce(OriginClaims<'_>) -> Vec<Extension>) -> Outcome {
        let client = self.ends[CLIENT]
            .connect(self.now, address(HOST as u8), ConnectOptions::new(Trust::Ask))
            .unwrap();
        self.exchange();
        let events = self.events(CLIENT);
        let [Event::ChallengeResponse(ChallengeResponse { public_key: host, .. })] = &events[..] else {
            panic!("{events:?}")
        };
        let initiator = self.ends[CLIENT].public_key();
        let claims = OriginClaims {
            origin: GAME,
            initiator: &initiator,
            host,
            address: address(CLIENT as u8).socket_addr().unwrap(),
            expires: BEGIN + self.now.as_micros() / 1_000_000 + 60,
        };
        self.ends[CLIENT].accept_challenge_with(self.now, client, extensions(claims)).unwrap();
        self.advance(Duration::from_millis(5));
        match (&self.events(HOST)[..], &self.events(CLIENT)[..]) {
            ([Event::ConnectRequest(ConnectRequest { origin, .. })], []) => Outcome::Asked(origin.clone()),
            ([], [Event::Close { code: CloseCode::OriginNotAllowed, by: ClosedBy::Remote, reason, .. }]) => {
                assert!(reason.is_empty());
                Outcome::Refused
            }
            events => panic!("{events:?}"),
        }
    }

    /// As an honest gateway and page do it.
    fn request_from(&mut self, origin: &str) -> Outcome {
        self.request(|claims| extension(sign_origin(&gateway(), &OriginClaims { origin, ..claims }).unwrap()))
    }

    fn counted(&mut self) -> [u64; 3] {
        let stats = self.ends[HOST].stats();
        [stats.connections_requested, stats.origin_refused, stats.origin_token_bad]
    }
}

#[test]
fn a_page_of_an_allowed_origin_connects_and_the_host_is_told_which_it_is() {
    let mut pair = Pair::with_origins(policy(&["https://other.example", GAME], false));
    // Minutes after the start, so that the clock has to have advanced.
    pair.advance(Duration::from_secs(300));
    let options = ConnectOptions::new(Trust::Ask).with_data(b"hello".to_vec());
    let client = pair.ends[CLIENT].connect(pair.now, address(HOST as u8), options).unwrap();
    pair.exchange();
    let (initiator, host) = (pair.ends[CLIENT].public_key(), pair.ends[HOST].public_key());
    let claims = OriginClaims {
        origin: GAME,
        initiator: &initiator,
        host: &host,
        address: address(CLIENT as u8).socket_addr().unwrap(),
        expires: BEGIN + 300 + 60,
    };
    let token = sign_origin(&gateway(), &claims).unwrap();
    pair.ends[CLIENT].accept_challenge_with(pair.now, client, extension(token.clone())).unwrap();
    pair.advance(Duration::from_millis(5));
    let events = pair.events(HOST);
    let [Event::ConnectRequest(ConnectRequest { connection, connect_data, extensions, origin, .. })] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((origin.as_deref(), &connect_data[..]), (Some(GAME), &b"hello"[..]));
    assert_eq!(*extensions, extension(token));
    pair.ends[HOST].accept_connection(pair.now, *connection, b"welcome").unwrap();
    pair.exchange();
    assert!(pair.events(CLIENT).iter().any(|event| matches!(event, Event::Established { .. })));
    pair.ends[CLIENT].send(pair.now, client, b"quack").unwrap();
    pair.exchange();
    assert!(pair.events(HOST).iter().any(|event| matches!(event, Event::Packet { .. })));
    let page = pair.ends[HOST].peer(*connection).unwrap();
    assert_eq!(page.origin.as_deref(), Some(GAME), "the origin of a connection can be asked for later");
    assert_eq!(pair.counted(), [1, 0, 0]);
}

#[test]
fn a_host_with_listed_origins_admits_programs_only_if_it_says_so() {
    for allow_native in [false, true] {
        let mut pair = Pair::with_origins(policy(&[GAME], allow_native));
        assert_eq!(pair.request_from(GAME), Outcome::with(GAME));
        let mut pair = Pair::with_origins(policy(&[GAME], allow_native));
        assert_eq!(pair.request_from("https://game.example:8443"), Outcome::Refused);
        let mut pair = Pair::with_origins(policy(&[GAME], allow_native));
        let native = if allow_native { Outcome::Asked(None) } else { Outcome::Refused };
        assert_eq!(pair.request(|_| Vec::new()), native);
        assert_eq!(pair.counted(), [u64::from(allow_native), u64::from(!allow_native), 0]);
    }
}

#[test]
fn the_age_of_tokens_goes_by_the_wall_clock_that_was_told_last() {
    const HOUR: i64 = 3_600;
    // Forward, as after a sleep, and back.
    for step in [HOUR, -HOUR] {
        let mut pair = Pair::with_origins(policy(&[GAME], false));
        let expires = BEGIN.strict_add_signed(step) + 60;
        let stamped = |claims: OriginClaims<'_>| extension(good(OriginClaims { expires, ..claims }));
        assert_eq!(pair.request(stamped), Outcome::Refused);
        let (now, host) = (pair.now, &mut pair.ends[HOST]);
        let told = host.unix_millis(now).strict_add_signed(step * 1_000);
        host.set_unix_millis(now, told);
        assert_eq!(host.unix_millis(now + Duration::from_secs(2)), told + 2_000);
        // A token of the old time is none any more, and one of the new time is: under the epoch of before.
        assert_eq!(pair.request_from(GAME), Outcome::Refused);
        assert_eq!(pair.request(stamped), Outcome::with(GAME));
    }
}

#[test]
fn a_host_without_a_list_admits_all_and_learns_attested_origins() {
    let mut pair = Pair::with_origins(policy(&[], false));
    assert_eq!(pair.request_from("https://anything.example"), Outcome::with("https://anything.example"));
    assert_eq!(Pair::with_origins(policy(&[], false)).request(|_| Vec::new()), Outcome::Asked(None));
    // Who trusts no gateway does not look.
    let mut pair = Pair::new(Config::default());
    assert_eq!(pair.request_from(GAME), Outcome::Asked(None));
    assert_eq!(pair.counted(), [1, 0, 0]);
}

/// A false token, made of the claims of an honest one.
type Forge = fn(OriginClaims<'_>) -> Vec<u8>;

fn good(claims: OriginClaims<'_>) -> Vec<u8> {
    sign_origin(&gateway(), &claims).unwrap()
}

fn somebody() -> PublicKey {
    KeyPair::from_seed([79; 32]).public()
}

const FORGERIES: [(&str, Forge); 11] = [
    ("forged signature", |claims| {
        let mut token = good(claims);
        *token.last_mut().unwrap() ^= 1;
        token
    }),
    ("another origin under the signature", |claims| {
        let mut token = good(OriginClaims { origin: "https://evil.example", ..claims });
        let at = token.len() - 64 - GAME.len();
        token[at..at + GAME.len()].copy_from_slice(GAME.as_bytes());
        token
    }),
    ("other initiator key", |claims| good(OriginClaims { initiator: &somebody(), ..claims })),
    ("other host key", |claims| good(OriginClaims { host: &somebody(), ..claims })),
    ("other address", |claims| good(OriginClaims { address: address(9).socket_addr().unwrap(), ..claims })),
    ("other port", |mut claims| {
        claims.address.set_port(1);
        good(claims)
    }),
    ("expired", |claims| good(OriginClaims { expires: claims.expires - 60, ..claims })),
    ("too far ahead", |claims| good(OriginClaims { expires: claims.expires + 61, ..claims })),
    ("untrusted gateway", |claims| sign_origin(&KeyPair::from_seed([80; 32]), &claims).unwrap()),
    ("null", |claims| {
        let mut token = good(OriginClaims { origin: "four", ..claims });
        let at = token.len() - 64 - 4;
        token[at..at + 4].copy_from_slice(b"null");
        token
    }),
    ("empty", |_| Vec::new()),
];

#[test]
fn a_token_that_is_not_to_be_believed_counts_as_none() {
    for (name, forge) in FORGERIES {
        for (allow_native, outcome) in [(false, Outcome::Refused), (true, Outcome::Asked(None))] {
            let mut pair = Pair::with_origins(policy(&[GAME], allow_native));
            let got = pair.request(|claims| extension(forge(claims)));
            assert_eq!(got, outcome, "{name}");
            assert_eq!(pair.counted(), [u64::from(allow_native), u64::from(!allow_native), 1], "{name}");
        }
    }
    // Of several the first counts, good or bad.
    let mut pair = Pair::with_origins(policy(&[GAME], false));
    let both = |claims: OriginClaims<'_>| [extension(good(claims)), extension(Vec::new())].concat();
    assert_eq!(pair.request(both), Outcome::with(GAME));
    let mut pair = Pair::with_origins(policy(&[GAME], false));
    let both = |claims: OriginClaims<'_>| [extension(Vec::new()), extension(good(claims))].concat();
    assert_eq!(pair.request(both), Outcome::Refused);
}

#[test]
fn a_refused_page_hears_it_again_and_is_forgotten_without_an_event() {
    let mut pair = Pair::with_origins(policy(&[GAME], false));
    let client =
        pair.ends[CLIENT].connect(pair.now, address(HOST as u8), ConnectOptions::new(Trust::Ask)).unwrap();
    pair.exchange();
    pair.events(CLIENT);
    pair.ends[CLIENT].accept_challenge(pair.now, client).unwrap();
    // The first two refusals are lost.
    let mut refusals = 0;
    for _ in 0..1_000 {
        pair.now += Duration::from_millis(1);
        pair.ends[CLIENT].handle_timeout(pair.now);
        pair.exchange_if(|from, bytes| {
            let is_refusal = from == HOST && bytes[0] == 0x05;
            refusals += u32::from(is_refusal);
            !is_refusal || refusals > 2
        });
    }
    let events = pair.events(CLIENT);
    assert!(
        matches!(events[..], [Event::Close { code: CloseCode::OriginNotAllowed, .. }]),
        "{refusals} {events:?}"
    );
    assert_eq!((refusals, pair.ends[HOST].slots_used()), (3, 1));
    pair.advance(Duration::from_secs(11));
    assert!(pair.events(HOST).is_empty());
    assert_eq!(pair.ends[HOST].slots_used(), 0);
    assert_eq!(pair.ends[HOST].stats().connections_closed, 0);
}

#[test]
fn a_page_that_is_refused_ends_no_attempt_of_our_own_to_it() {
    // Whose nonce is smaller is chance.
    let (mut refused, mut crossed) = (0, 0);
    for draws in 0..16 {
        let mut pair = Pair::with_origins(policy(&[GAME], false));
        for number in 0..draws {
            pair.ends[HOST]
                .connect(pair.now, address(100 + number), ConnectOptions::new(Trust::Ask))
                .unwrap();
        }
        pair.ends[HOST].transmits().clear();
        let connect = |pair: &mut Pair, end: usize| {
            let remote = address(1 - end as u8);
            pair.ends[end].connect(pair.now, remote, ConnectOptions::new(Trust::Ask)).unwrap()
        };
        let ids = [connect(&mut pair, HOST), connect(&mut pair, CLIENT)];
        pair.exchange();
        pair.ends[CLIENT].accept_challenge(pair.now, ids[CLIENT]).unwrap();
        pair.advance(Duration::from_millis(5));
        let events = pair.events(HOST);
        assert!(matches!(events[..], [Event::ChallengeResponse(_)]), "{events:?}");
        let stats = pair.ends[HOST].stats();
        (refused, crossed) = (refused + stats.origin_refused, crossed + stats.crossed_request);
        pair.ends[HOST].accept_challenge(pair.now, ids[HOST]).unwrap();
    }
    assert!(refused > 0 && crossed > 0, "{refused} {crossed}");
}

#[test]
fn a_carriers_number_is_no_address_that_a_gateway_attests() {
    let mut pair = Pair::with_origins(policy(&[], false));
    let host = pair.ends[HOST].public_key();
    let claims = OriginClaims {
        origin: GAME,
        initiator: &somebody(),
        host: &host,
        address: address(1).socket_addr().unwrap(),
        expires: BEGIN + 60,
    };
    let given = extension(good(claims));
    let (now, end) = (pair.now, &mut pair.ends[HOST]);
    assert_eq!(end.attested_origin(now, Address::from_virtual(1), &somebody(), &given), None);
    assert_eq!(end.attested_origin(now, address(1), &somebody(), &given).as_deref(), Some(GAME));
}

#[test]
fn malformed_origins_and_lists_without_a_gateway_are_refused() {
    let fits = |origins| Config { origins, ..Config::default() }.validate().is_ok();
    for origin in [GAME, "http://localhost:8080", "http://[::1]:4433"] {
        assert!(fits(policy(&[origin], false)), "{origin}");
    }
    for origin in [
        "",
        "null",
        "game.example",
        "https://",
        "https://game.example/",
        "https://Game.example",
        "https://a b",
    ] {
        assert!(!fits(policy(&[GAME, origin], false)), "{origin}");
    }
    for allow_native in [false, true] {
        let mut without = policy(&[GAME], allow_native);
        without.trusted_gateways.clear();
        assert!(!fits(without));
    }
    assert!(fits(OriginPolicy { allow_native: true, ..OriginPolicy::default() }));
}
