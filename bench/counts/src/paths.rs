//! The hot paths. Each asserts that it did what it is named after.

use std::net::SocketAddr;
use std::time::Duration;

use torque_proto::measure::Keys;
use torque_proto::{
    Address, ChallengeResponse, Cipher, Config, ConnectOptions, Datagram, Endpoint, Event, Instant, KeyPair,
    Path, PuzzleProgress, Setup, Trust,
};

use crate::pair::{Pair, endpoint, host_address, initiator_address};
use crate::sides;

/// A path, and what takes it so many times.
pub type HotPath = (&'static str, fn(usize));

pub const PATHS: &[HotPath] = &[
    ("seal", |times| seal(Cipher::Aes128GcmSst, 100, times)),
    ("open", |times| open(Cipher::Aes128GcmSst, 100, times)),
    ("seal-1100", |times| seal(Cipher::Aes128GcmSst, 1_100, times)),
    ("open-1100", |times| open(Cipher::Aes128GcmSst, 1_100, times)),
    ("send", send),
    ("both-ways", both_ways),
    ("handshake", handshake),
    ("handshake-at-host", sides::host),
    ("handshake-at-initiator", sides::initiator),
    ("challenge-answered", challenge_answered),
    ("false-token-refused", |times| request_refused(times, Fault::Token)),
    ("false-solution-refused", |times| request_refused(times, Fault::Solution)),
];

/// As long as that of a data packet with the default window.
const ASSOCIATED: [u8; 19] = [3; 19];
/// Packets between two takings of events: below half the window, so that no report is due.
const BATCH: usize = 32;

fn seal(cipher: Cipher, size: usize, times: usize) {
    let mut keys = Keys::new(cipher);
    let mut text = vec![5; size];
    for sequence in 0..times as u64 {
        assert!(keys.seal(sequence, &ASSOCIATED, &mut text).is_some());
    }
}

fn open(cipher: Cipher, size: usize, times: usize) {
    let mut keys = Keys::new(cipher);
    let mut text = vec![5; size];
    let tag = keys.seal(0, &ASSOCIATED, &mut text).expect("nothing was sealed before");
    let sealed = text.clone();
    for _ in 0..times {
        text.copy_from_slice(&sealed);
        assert!(keys.open(0, &ASSOCIATED, &mut text, tag.as_ref()));
    }
}

/// `Endpoint::send` of 100 bytes and taking its verdict, with a part of the ping that each batch needs for it.
fn send(times: usize) {
    let mut pair = Pair::connect(Cipher::Aes128GcmSst);
    let mut sent = 0;
    for _ in 0..times.div_ceil(BATCH) {
        for _ in 0..BATCH {
            pair.initiator.send(pair.now, pair.at_initiator, &[7; 100]).expect("the window has room");
        }
        sent += pair.drop_and_report(BATCH);
    }
    assert!(sent >= times);
}

/// A packet of 100 bytes each way: `send`, `handle_datagram` and taking packet and verdict, at both ends.
fn both_ways(times: usize) {
    let mut pair = Pair::connect(Cipher::Aes128GcmSst);
    let mut taken = 0;
    for _ in 0..times.div_ceil(BATCH) {
        taken += pair.turn(BATCH, &[7; 100]);
    }
    assert!(taken >= 2 * times);
}

/// A whole handshake, both ends, with all but the making of the endpoints.
fn handshake(times: usize) {
    let mut now = Instant::from_micros(1_000_000);
    let mut config = Config::default();
    config.handshake.epoch_lifetime = Duration::from_secs(600);
    let mut host = Some(endpoint(now, 1, config));
    let key_pair = KeyPair::from_seed([2; 32]);
    for number in 0..times {
        // Another seed each time: a token is good for once.
        let mut seed = [2; 32];
        seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let (config, unix_millis) = (Config::default(), 1_700_000_000_000);
        let setup = Setup { config, key_pair: Some(key_pair.clone()), seed, unix_millis };
        let initiator = Endpoint::new(now, setup).expect("the configuration is in range");
        let mut pair = Pair::connect_these(now, host.take().expect("it is given back"), initiator);
        pair.host.close(pair.now, pair.at_host, b"").expect("it is open");
        pair.exchange();
        // So long that the next connection finds the address free.
        now = pair.now + Duration::from_secs(60);
        pair.host.handle_timeout(now);
        while pair.host.poll_event().is_some() {}
        host = Some(pair.host);
    }
}

fn stranger(number: usize) -> Address {
    let [_, a, b, c] = (number as u32).to_be_bytes();
    SocketAddr::from(([10, a, b, c], 6_000)).into()
}

fn first_transmit(endpoint: &mut Endpoint) -> Vec<u8> {
    let bytes = endpoint.transmits().get(0).expect("it has something to say").bytes.to_vec();
    endpoint.transmits().clear();
    bytes
}

fn challenge_answered(times: usize) {
    let now = Instant::from_micros(1_000_000);
    let mut host = endpoint(now, 1, Config::default());
    let mut initiator = endpoint(now, 2, Config::default());
    initiator.connect(now, host_address(), ConnectOptions::new(Trust::Ask)).expect("there is room");
    let request = first_transmit(&mut initiator);
    let mut bytes = request.clone();
    for number in 0..times {
        bytes.copy_from_slice(&request);
        host.handle_datagram(now, Datagram { path: Path::to(stranger(number)), bytes: &mut bytes });
        assert!(!host.transmits().is_empty());
        host.transmits().clear();
    }
    assert_eq!(host.stats().challenges_answered, times as u64);
}

enum Fault {
    Token,
    Solution,
}

/// A connect_request that is good but for one thing.
fn request_refused(times: usize, fault: Fault) {
    let now = Instant::from_micros(1_000_000);
    let mut host = endpoint(now, 1, Config::default());
    let mut initiator = endpoint(now, 2, Config::default());
    let options = ConnectOptions::new(Trust::Pinned(host.public_key()));
    initiator.connect(now, host_address(), options).expect("there is room");
    let mut bytes = first_transmit(&mut initiator);
    host.handle_datagram(now, Datagram { path: Path::to(initiator_address()), bytes: &mut bytes });
    let mut bytes = first_transmit(&mut host);
    initiator.handle_datagram(now, Datagram { path: Path::to(host_address()), bytes: &mut bytes });
    while let Some(Event::ChallengeResponse(ChallengeResponse { connection, .. })) = initiator.poll_event() {
        initiator.accept_challenge(now, connection).expect("it was asked");
    }
    let mut job = initiator.poll_puzzle().expect("the host demands a little");
    while job.solve(1 << 20) != PuzzleProgress::Solved {}
    initiator.puzzle_solved(now, job);
    let good = first_transmit(&mut initiator);

    let mut bad = good.clone();
    match fault {
        // The token begins at offset 22 (PROTOCOL.md 4.3).
        Fault::Token => bad[22] ^= 1,
        Fault::Solution => {
            let last = bad.len() - 1;
            // One in sixteen would do by chance.
            bad[last] = (0..=u8::MAX).find(|byte| is_refused(&good, *byte)).expect("most are false");
        }
    }
    let mut bytes = bad.clone();
    let mut now = now;
    for _ in 0..times {
        // Slowly, or the host asks for more work before it looks at the solution.
        now += Duration::from_millis(10);
        bytes.copy_from_slice(&bad);
        host.handle_datagram(now, Datagram { path: Path::to(initiator_address()), bytes: &mut bytes });
    }
    let stats = host.stats();
    let refused = match fault {
        Fault::Token => stats.false_token,
        Fault::Solution => stats.false_solution,
    };
    assert_eq!(refused, times as u64);
}

/// Whether a host refuses the request with another last byte, for its solution.
fn is_refused(good: &[u8], last: u8) -> bool {
    let now = Instant::from_micros(1_000_000);
    let mut host = endpoint(now, 1, Config::default());
    // Its epoch begins with the first challenge, and is the same as that of the host that is measured.
    let mut initiator = endpoint(now, 2, Config::default());
    initiator.connect(now, host_address(), ConnectOptions::new(Trust::Ask)).expect("there is room");
    let mut challenge = first_transmit(&mut initiator);
    host.handle_datagram(now, Datagram { path: Path::to(initiator_address()), bytes: &mut challenge });
    host.transmits().clear();
    let mut bytes = good.to_vec();
    *bytes.last_mut().expect("it has a solution") = last;
    host.handle_datagram(now, Datagram { path: Path::to(initiator_address()), bytes: &mut bytes });
    host.stats().false_solution == 1
}
