//! handshake.json: whole handshakes between a real attempt and a real host (PROTOCOL.md 3 to 5), some of them introduced
//! (INTRODUCTIONS.md 7).

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;
use std::vec::Vec;

use super::identity::seed_with_sign;
use super::json::{Json, object};
use super::keys::DIRECTIONS;
use crate::address::Address;
use crate::codes::CloseCode;
use crate::config::Config;
use crate::crypto::Cipher;
use crate::crypto::dh::DhSecret;
use crate::crypto::introduced::IntroducedKeys;
use crate::crypto::noise::trace::{self, Step};
use crate::crypto::rng::Rng;
use crate::crypto::secret::{AnswerSecret, HandshakeSecret};
use crate::event::Extension;
use crate::handshake::internals::{TokenClaims, application_tag};
use crate::handshake::introduced::{AtHost, AtInitiator, IntroducedData};
use crate::handshake::{
    Admission, Asking, Attempt, AttemptOptions, AttemptOutcome, ConnectionParts, Context, Host, Occupancy,
    PuzzleProgress, ShortData, Trust,
};
use crate::id::ConnectionId;
use crate::identity::{KeyPair, PublicKey};
use crate::instant::Instant;
use crate::introduction::IntroductionId;
use crate::settings::Settings;
use crate::wire::header::HeaderSize;
use crate::wire::{
    AcceptPayload, ChallengeRequest, ChallengeResponse, ConnectAccept, ConnectRequest, DatagramKind,
    MAX_INITIAL_SEQUENCE, Offers, Reply, RequestPayload, SealedReply,
};

/// What the two applications choose; the rest is drawn.
struct Choices {
    name: &'static str,
    application_id: &'static [u8],
    address: &'static str,
    offers: &'static [Cipher],
    allowed: &'static [Cipher],
    initiator_sign_bit: bool,
    initiator_settings: Settings,
    host_settings: Settings,
    difficulty: u8,
    connect_data: Vec<u8>,
    extensions: Vec<Extension>,
    challenge_response_data: Vec<u8>,
    /// The two are introduced if there are any.
    introduced_data: Option<Vec<u8>>,
    accept_data: Vec<u8>,
    code: CloseCode,
    reason: Vec<u8>,
}

fn plain(name: &'static str) -> Choices {
    Choices {
        name,
        application_id: b"game 7",
        address: "198.51.100.1:40000",
        offers: &Cipher::DEFAULT_OFFER,
        allowed: &Cipher::DEFAULT_OFFER,
        initiator_sign_bit: false,
        initiator_settings: Settings::default(),
        host_settings: Settings::default(),
        difficulty: 4,
        connect_data: b"let me in".to_vec(),
        extensions: Vec::new(),
        challenge_response_data: b"the blue server".to_vec(),
        introduced_data: None,
        accept_data: b"welcome".to_vec(),
        code: CloseCode::Refused,
        reason: b"banned".to_vec(),
    }
}

fn settings(packet_window: u16, tag_bytes: u8, ack_delay: u64, max_packet_size: u16) -> Settings {
    Settings { packet_window, tag_bytes, ack_delay: Duration::from_millis(ack_delay), max_packet_size }
}

pub(super) fn vectors() -> Vec<Json> {
    use Cipher::{Aes128Gcm, Aes128GcmSst, ChaCha20Poly1305};
    let cases = [
        Choices { initiator_sign_bit: true, ..plain("cipher_3_defaults") },
        Choices {
            allowed: &[ChaCha20Poly1305, Aes128Gcm],
            address: "[2001:db8::7]:5000",
            initiator_settings: settings(2_048, 8, 25, 1_400),
            host_settings: settings(32_768, 12, 50, 65_535),
            difficulty: 8,
            ..plain("cipher_1_smaller_window_of_the_initiator")
        },
        Choices {
            offers: &[ChaCha20Poly1305],
            initiator_settings: settings(32_768, 4, 1_000, 65_535),
            host_settings: settings(2_049, 4, 0, 1_150),
            initiator_sign_bit: true,
            code: CloseCode::ShuttingDown,
            ..plain("cipher_2_smaller_window_of_the_host")
        },
        Choices {
            offers: &[Aes128GcmSst, ChaCha20Poly1305],
            initiator_settings: settings(8, 4, 10, 1_200),
            host_settings: settings(128, 16, 20, 1_300),
            ..plain("cipher_3_shorter_tag_of_the_initiator")
        },
        Choices {
            offers: &[Aes128Gcm, Aes128GcmSst],
            allowed: &[Aes128GcmSst],
            initiator_settings: settings(500, 9, 10, 1_400),
            host_settings: settings(500, 4, 20, 1_300),
            ..plain("cipher_3_shorter_tag_of_the_host")
        },
        Choices {
            application_id: b"",
            difficulty: 0,
            connect_data: Vec::new(),
            challenge_response_data: Vec::new(),
            accept_data: Vec::new(),
            code: CloseCode::NoDecision,
            reason: Vec::new(),
            ..plain("all_empty")
        },
        Choices {
            application_id: b"an application id has 32 bytes..",
            initiator_sign_bit: true,
            difficulty: 11,
            connect_data: std::vec![0xcd; 600],
            extensions: [(1_u8, 300), (200, 91), (1, 0)]
                .map(|(kind, size)| Extension { kind, data: std::vec![kind; size] })
                .into(),
            challenge_response_data: std::vec![0xd5; 511],
            accept_data: std::vec![0xac; 511],
            reason: std::vec![0x2e; 511],
            ..plain("most_data")
        },
        Choices { introduced_data: Some(b"room 7".to_vec()), ..plain("introduced") },
        Choices {
            application_id: b"",
            address: "[2001:db8::7]:5000",
            offers: &[ChaCha20Poly1305],
            initiator_sign_bit: true,
            difficulty: 0,
            connect_data: Vec::new(),
            challenge_response_data: Vec::new(),
            introduced_data: Some(Vec::new()),
            accept_data: Vec::new(),
            reason: Vec::new(),
            ..plain("introduced_all_empty")
        },
        Choices {
            difficulty: 9,
            connect_data: std::vec![0xcd; 997],
            extensions: std::vec![Extension { kind: 9, data: Vec::new() }],
            challenge_response_data: std::vec![0xd5; 511],
            introduced_data: Some(std::vec![0xda; 480]),
            ..plain("introduced_most_data")
        },
    ];
    cases.iter().map(vector).collect()
}

/// One socket's worth of what an endpoint lends.
struct Side {
    config: Config,
    pair: KeyPair,
    seed: [u8; 32],
    rng: Rng,
    /// Draws what the side draws, in the same order.
    twin: Rng,
}

impl Side {
    fn new(config: Config, sign_bit: Option<bool>, rng: &mut Rng) -> Self {
        let seed = match sign_bit {
            Some(wanted) => seed_with_sign(wanted, rng),
            None => rng.array(),
        };
        let draws: [u8; 32] = rng.array();
        Self { config, pair: KeyPair::from_seed(seed), seed, rng: Rng::new(draws), twin: Rng::new(draws) }
    }

    fn cx(&mut self) -> Context<'_> {
        Context { now: NOW, config: &self.config, key_pair: &self.pair, rng: &mut self.rng }
    }
}

/// What an introducer told both sides.
struct Told {
    id: IntroductionId,
    secret: [u8; 32],
    initiator_nonce: [u8; 16],
    host_nonce: [u8; 16],
}

impl Told {
    fn new(name: &str) -> Self {
        let mut rng = super::rng(&std::format!("{name}: introduction"));
        let id = IntroductionId::from_u64(rng.u64()).expect("it is not 0");
        Self { id, secret: rng.array(), initiator_nonce: rng.array(), host_nonce: rng.array() }
    }

    fn keys(&self, initiator: PublicKey, host: PublicKey) -> IntroducedKeys {
        let (nonces, keys) =
            ((&self.initiator_nonce, &self.host_nonce), (initiator.as_bytes(), host.as_bytes()));
        IntroducedKeys::derive(nonces.0, nonces.1, &self.secret, self.id.get(), keys.0, keys.1)
    }

    /// The two ends of the introduction.
    fn ends(&self, initiator: PublicKey, host: PublicKey, data: &[u8]) -> (AtInitiator, AtHost) {
        let keys = || self.keys(initiator, host);
        let data = IntroducedData::new(data.to_vec()).unwrap();
        (
            AtInitiator::new(self.id, host, keys().psk, keys().data),
            AtHost::new(self.id, initiator, keys().psk, keys().data, &data),
        )
    }

    fn json(&self, initiator: PublicKey, host: PublicKey, data: &[u8]) -> Json {
        let keys = self.keys(initiator, host);
        object! {
            "secret": self.secret,
            "initiator_nonce": self.initiator_nonce,
            "host_nonce": self.host_nonce,
            "psk": keys.psk.expose(),
            "data_key": keys.data.expose(),
            "introduced_data": data,
        }
    }
}

const NOW: Instant = Instant::from_millis(1_000);
const EPOCH_START: u64 = 1_700_000_000_000;

/// A handshake up to the host's question to its application.
struct Asked {
    host: Side,
    initiator: Side,
    attempt: Attempt,
    asking: Asking,
    challenge_request: Vec<u8>,
    challenge_response: Vec<u8>,
    connect_request: Vec<u8>,
    /// What the initiator's Noise state went through.
    noise: Vec<Step>,
}

fn ask(choices: &Choices, remote: Address) -> Asked {
    let mut rng = super::rng(choices.name);
    let config = |settings, ciphers: &[Cipher]| Config {
        application_id: choices.application_id.to_vec(),
        settings,
        min_tag_bytes: 4,
        ciphers: ciphers.to_vec(),
        ..Config::default()
    };
    let mut at_host = config(choices.host_settings, choices.allowed);
    at_host.puzzle.difficulty_min = choices.difficulty;
    let mut host_side = Side::new(at_host, None, &mut rng);
    let at_initiator = config(choices.initiator_settings, choices.offers);
    let mut initiator = Side::new(at_initiator, Some(choices.initiator_sign_bit), &mut rng);
    let mut host = Host::new(NOW, &host_side.config, EPOCH_START);
    host.set_challenge_response_data(ShortData::new(&choices.challenge_response_data).unwrap());

    let (at_initiator, at_host) = choices
        .introduced_data
        .as_ref()
        .map(|data| Told::new(choices.name).ends(initiator.pair.public(), host_side.pair.public(), data))
        .unzip();
    let options = AttemptOptions {
        connection: ConnectionId::from_u32(1).unwrap(),
        trust: Trust::Pinned(host_side.pair.public()),
        settings: choices.initiator_settings,
        connect_data: choices.connect_data.clone(),
        extensions: choices.extensions.clone(),
        introduced: at_initiator.map(Arc::new),
    };
    let mut challenge_request = Vec::new();
    let mut attempt = Attempt::start(&mut initiator.cx(), options, &mut challenge_request);
    let mut challenge_response = Vec::new();
    let cx = &mut host_side.cx();
    let request = ChallengeRequest::parse(&challenge_request).unwrap();
    let answer = host.answer_challenge(cx, remote, &request, at_host.as_ref(), 0, &mut challenge_response);
    assert_eq!(answer, Ok(()));

    let mut connect_request = Vec::new();
    let outcome = hear(&mut attempt, &mut initiator, &challenge_response, &mut connect_request);
    assert!(matches!(outcome, AttemptOutcome::Waiting));
    let noise = trace::last_exchange();
    let mut job = attempt.take_puzzle().unwrap();
    while job.solve(1_000) == PuzzleProgress::Working {}
    attempt.return_puzzle(&mut initiator.cx(), job, &mut connect_request);

    let request = ConnectRequest::parse(&connect_request).unwrap();
    let cx = &mut host_side.cx();
    let admission = host.admit(
        cx,
        remote,
        &request,
        &connect_request,
        at_host.as_ref(),
        Occupancy { pending: 0, has_room: || true },
        &mut Vec::new(),
    );
    let Admission::Admitted(admitted) = admission else { panic!("{}: not admitted", choices.name) };
    assert_eq!(trace::last_exchange(), noise, "both sides go through the same");
    let (asking, question) = admitted.ask(&mut host_side.cx());
    assert_eq!(question.connect_data, choices.connect_data);
    assert_eq!(question.public_key, initiator.pair.public());
    Asked {
        host: host_side,
        initiator,
        attempt,
        asking,
        challenge_request,
        challenge_response,
        connect_request,
        noise,
    }
}

fn hear(attempt: &mut Attempt, side: &mut Side, answer: &[u8], out: &mut Vec<u8>) -> AttemptOutcome {
    let reply = Reply::parse(DatagramKind::of(answer), answer).unwrap();
    attempt.handle_reply(&mut side.cx(), reply, out)
}

fn vector(choices: &Choices) -> Json {
    let socket_address: SocketAddr = choices.address.parse().unwrap();
    let remote = Address::from(socket_address);
    let Asked {
        mut host,
        mut initiator,
        mut attempt,
        mut asking,
        challenge_request,
        challenge_response,
        connect_request,
        noise,
    } = ask(choices, remote);
    let names = step_names(choices.introduced_data.is_some());
    // The draws of each side in their order; what can be seen of them is compared.
    let response = ChallengeResponse::parse(&challenge_response).unwrap();
    let request = ConnectRequest::parse(&connect_request).unwrap();
    let initiator_nonce: [u8; 16] = initiator.twin.array();
    let initiator_sequence = initiator.twin.below(u64::from(MAX_INITIAL_SEQUENCE) + 1) as u16;
    let ephemeral_secret: [u8; 32] = initiator.twin.array();
    let (epoch_secret, token_secret): ([u8; 32], [u8; 32]) = (host.twin.array(), host.twin.array());
    let host_salt: [u8; 16] = host.twin.array();
    let host_sequence = host.twin.below(u64::from(MAX_INITIAL_SEQUENCE) + 1) as u16;
    let connection_number = host.twin.u64();
    let e2_secret: [u8; 32] = host.twin.array();
    assert_eq!(initiator_nonce, response.initiator_nonce);
    assert_eq!(DhSecret::from_bytes(ephemeral_secret).public(), &request.noise[..32]);
    assert_eq!(*DhSecret::from_bytes(epoch_secret).public(), response.epoch_key);
    let claims = TokenClaims {
        remote,
        initiator_nonce: &initiator_nonce,
        difficulty: response.difficulty,
        cipher: response.cipher,
        offers: request.offers,
    };
    assert_eq!(claims.token(&token_secret), response.identity_token);

    let (mut connect_pending, mut connect_accept, mut connect_refuse) = (Vec::new(), Vec::new(), Vec::new());
    asking.repeat(NOW, &connect_request, &mut connect_pending).unwrap();
    let accept_data = ShortData::new(&choices.accept_data).unwrap();
    let (_, at_host) = asking.accept(&mut host.cx(), accept_data, &mut connect_accept);
    // A host answers once; the other answer is that of the same handshake run again.
    let mut again = ask(choices, remote);
    assert_eq!(again.connect_request, connect_request);
    let reason = ShortData::new(&choices.reason).unwrap();
    again.asking.refuse(&again.host.cx(), choices.code, reason, &mut connect_refuse);

    let accept = ConnectAccept::parse(&connect_accept).unwrap();
    let [pending, refuse] =
        [&connect_pending, &connect_refuse].map(|answer| SealedReply::parse(answer).unwrap());
    assert_eq!([accept.host_salt, pending.host_salt, refuse.host_salt], [host_salt; 3]);
    assert_eq!(DhSecret::from_bytes(e2_secret).public(), &accept.e2);
    let outcome = hear(&mut attempt, &mut initiator, &connect_pending, &mut Vec::new());
    assert!(matches!(outcome, AttemptOutcome::Waiting));
    let outcome = hear(&mut attempt, &mut initiator, &connect_accept, &mut Vec::new());
    let AttemptOutcome::Established(established) = outcome else { panic!("{}", choices.name) };
    let outcome = hear(&mut again.attempt, &mut again.initiator, &connect_refuse, &mut Vec::new());
    assert!(matches!(outcome, AttemptOutcome::Ended(ended) if ended.reason == choices.reason));
    let at_initiator = &established.parts;
    assert_eq!(at_initiator.secret.prk(), at_host.secret.prk());

    let [.., before_payload, end] = noise.as_slice() else { panic!("it has steps") };
    let answers = HandshakeSecret::from_parts(end.ck, end.h).answers(&host_salt);
    let accept_payload = at_host.secret.open_accept(&accept.header(), accept.sealed).unwrap();
    let refuse_payload = answers.open_refuse(&refuse.header(), refuse.sealed).unwrap();
    let (ephemeral, fresh) = (DhSecret::from_bytes(ephemeral_secret), DhSecret::from_bytes(e2_secret));
    let e_e2 = ephemeral.agree(&accept.e2).unwrap();
    let s_e2 = initiator.pair.dh_secret().agree(&accept.e2).unwrap();
    assert_eq!(Some(&e_e2), fresh.agree(ephemeral.public()).as_ref());
    assert_eq!(Some(&s_e2), fresh.agree(&initiator.pair.public().x25519()).as_ref());
    let accepted = AcceptPayload::parse(&accept_payload).unwrap();
    assert_eq!((accepted.initial_sequence, accepted.connection_id), (host_sequence, connection_number));
    let request_payload = trace::open(before_payload, &end.input);
    assert_eq!(RequestPayload::parse(&request_payload).unwrap().initial_sequence, initiator_sequence);

    let input = |name| &noise[names.iter().position(|other| *other == name).unwrap()].input;
    let vector = object! {
        "name": choices.name,
        "kind": "handshake",
        "application_id": choices.application_id,
        "initiator": object! {
            "seed": initiator.seed,
            "initiator_nonce": initiator_nonce,
            "ephemeral_secret": ephemeral_secret,
            "ciphers_offered": Offers::new(choices.offers).unwrap().to_bytes(),
            "initial_sequence": initiator_sequence,
            "settings": super::layouts::settings_fields(&choices.initiator_settings),
            "introduction_id": request.introduction_id,
            "connect_data": &choices.connect_data,
            "extensions": choices.extensions.iter()
                .map(|extension| object! { "type": extension.kind, "body": &extension.data })
                .collect::<Vec<_>>(),
            "x": request.solution,
            "address": object! {
                "ip": std::format!("{}", socket_address.ip()),
                "port": socket_address.port(),
            },
        },
        "host": object! {
            "seed": host.seed,
            "epoch_secret": epoch_secret,
            "epoch_start": response.epoch_start,
            "token_secret": token_secret,
            "challenge_response_data": &choices.challenge_response_data,
            "difficulty": response.difficulty,
            "ciphers_allowed": choices.allowed.iter()
                .map(|cipher| Json::from(cipher.number()))
                .collect::<Vec<_>>(),
            "host_salt": host_salt,
            "e2_secret": e2_secret,
            "initial_sequence": accepted.initial_sequence,
            "settings": super::layouts::settings_fields(&choices.host_settings),
            "connection_id": accepted.connection_id.to_be_bytes(),
            "accept_data": &choices.accept_data,
            "close_code": choices.code.number(),
            "reason": &choices.reason,
        },
        "datagrams": object! {
            "challenge_request": challenge_request,
            "challenge_response": &challenge_response,
            "connect_request": &connect_request,
            "connect_pending": &connect_pending,
            "connect_accept": &connect_accept,
            "connect_refuse": &connect_refuse,
        },
        "noise": steps(&names, &noise),
        "dh": object! {
            "ee": input("ee"),
            "se": input("se"),
            "es": input("es"),
            "e_e2": *e_e2,
            "s_e2": *s_e2,
        },
        "prologue": input("prologue"),
        "request_payload": request_payload,
        "accept_payload": accept_payload,
        "refuse_payload": refuse_payload,
        "keys": connection_keys(&answers, accept.e2, &at_host),
        "result": result(choices, &at_host, at_initiator),
    };
    match &choices.introduced_data {
        None => vector,
        Some(data) => {
            let told = Told::new(choices.name);
            assert_eq!(told.id.get(), request.introduction_id);
            vector.with("introduction", told.json(initiator.pair.public(), host.pair.public(), data))
        }
    }
}

/// The names of the steps in the files; `psk` is a step of introduced handshakes alone.
fn step_names(is_introduced: bool) -> Vec<&'static str> {
    let all =
        ["name", "prologue", "E", "S", "payload_1", "e", "ee", "se", "sealed_s", "es", "psk", "sealed_p"];
    all.into_iter().filter(|name| is_introduced || *name != "psk").collect()
}

/// A step that mixes something into the key has also the key that it gives: with a psk, ephemeral keys as well.
fn steps(names: &[&str], noise: &[Step]) -> Vec<Json> {
    assert_eq!(noise.len(), names.len());
    let has_psk = names.contains(&"psk");
    let one = |(name, step): (&str, &Step)| {
        let json = object! { "step": name, "h": step.h, "ck": step.ck };
        let has_key = match name {
            "ee" | "se" | "es" | "psk" => true,
            "E" | "e" => has_psk,
            _ => false,
        };
        if has_key { json.with("k", step.k) } else { json }
    };
    names.iter().copied().zip(noise).map(one).collect()
}

fn connection_keys(answers: &AnswerSecret, e2: [u8; 32], parts: &ConnectionParts) -> Json {
    let traffic = DIRECTIONS.map(|(name, direction)| (name, *parts.secret.traffic(direction).expose()));
    assert_eq!([traffic[0].0, traffic[1].0], ["initiator", "host"]);
    object! {
        "prk0": answers.prk0(),
        "refuse_key": answers.refuse_key(),
        "pending_key": answers.pending_key(),
        "e2": e2,
        "prk": parts.secret.prk(),
        "accept_key": parts.secret.accept_key(),
        "traffic": object! { "initiator": traffic[0].1, "host": traffic[1].1 },
    }
}

fn result(choices: &Choices, at_host: &ConnectionParts, at_initiator: &ConnectionParts) -> Json {
    let settings = at_host.agreed.settings;
    assert_eq!(settings.packet_window, at_initiator.agreed.settings.packet_window);
    assert_eq!(settings.tag_bytes, at_initiator.agreed.settings.tag_bytes);
    assert_eq!(at_host.reset_token, at_initiator.reset_token);
    object! {
        "cipher": at_initiator.cipher.number(),
        "initiator_public_key": at_host.public_key.as_bytes(),
        "host_public_key": at_initiator.public_key.as_bytes(),
        "application_tag": application_tag(choices.application_id),
        "packet_window": settings.packet_window,
        "tag_bytes": settings.tag_bytes,
        "header_size": HeaderSize::for_window(settings.packet_window).bytes(),
        "max_payload": object! {
            "initiator": at_initiator.agreed.send_limit(),
            "host": at_host.agreed.send_limit(),
        },
        "reset_token": at_initiator.reset_token,
    }
}
