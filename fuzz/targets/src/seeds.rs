//! Seed inputs, so that fuzzing starts after the handshake instead of before it. Written to the
//! corpus by `cargo run -p torque-fuzz-targets --bin write-seeds`.

use torque_proto::identity::origin::{OriginClaims, sign_origin};
use torque_proto::wire::control::ControlMessage;
use torque_proto::wire::introduction::{
    Candidate, CandidateKind, CircuitNotice, CircuitState, Introduced, Introduction, Nat, Nats, Observed,
    Outcome, OutcomeResult, PartyFlags, Request, Tokens, observe, withdraw, write_candidates,
};
use torque_proto::wire::{Punch, WHO_ARE_YOU, path_id, probe, probe_echo, relayed_head, reset};
use torque_proto::{Config, Trust};

use crate::side::{Side, address, small_config};
use crate::{endpoint, insider, introduction, pair};

/// Seeds of a target, with names.
pub fn of(target: &str) -> Vec<(String, Vec<u8>)> {
    match target {
        "wire" => wire(),
        "text" => text(),
        "endpoint" => named(endpoint_plays()),
        "pair" => named(pair_plays()),
        "insider" => named(insider_plays()),
        "introduction" => named(introduction_plays()),
        _ => Vec::new(),
    }
}

fn named(plays: Vec<Vec<u8>>) -> Vec<(String, Vec<u8>)> {
    plays.into_iter().enumerate().map(|(index, bytes)| (format!("seed-{index}"), bytes)).collect()
}

/// One of each datagram of a real handshake, packets of a connection, and control messages.
fn wire() -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    let mut keep = |bytes: &[u8]| {
        let name = format!("datagram-{:02x}-{}", bytes[0], bytes.len());
        if !found.iter().any(|(known, _)| *known == name) {
            found.push((name, bytes.to_vec()));
        }
    };
    for (accept, config) in [(true, small_config()), (false, Config::default())] {
        let mut host = Side::new(1, config.clone());
        let mut client = Side::new(2, config);
        client.connect(address(1), Trust::Anyone, b"data of the request");
        for round in 0..12 {
            for (_, bytes) in client.take_transmits() {
                keep(&bytes);
                host.hear(address(2), &bytes, true);
                host.hear(address(2), &bytes, true);
            }
            host.take_events(usize::MAX);
            if round > 3 {
                host.answer(accept, b"data of the answer");
            }
            for (_, bytes) in host.take_transmits() {
                keep(&bytes);
                client.hear(address(1), &bytes, true);
            }
            client.take_events(usize::MAX);
            client.send(0, 20);
            host.send(0, 30);
            client.jump(core::time::Duration::from_millis(300));
            host.jump(core::time::Duration::from_millis(300));
        }
        client.close(0, b"bye");
        client.take_transmits().iter().for_each(|(_, bytes)| keep(bytes));
    }
    keep(&probe([7; 16]));
    keep(&probe_echo([7; 16]));
    keep(&stray_punch().with_tag([7; 16]));
    keep(&WHO_ARE_YOU);
    keep(&reset([7; 16]));
    keep(&observe(&[7; 16]));
    keep(&[&relayed_head(7)[..], &stray_punch().with_tag([7; 16])].concat());
    let mut controls = Vec::new();
    ControlMessage::Ping { id: 7, settled: 9 }.write(&mut controls);
    ControlMessage::Pong { id: 7, settled: 9 }.write(&mut controls);
    ControlMessage::Close { is_final: true, settled: 70_000, code: 0, reason: b"bye" }.write(&mut controls);
    ControlMessage::CloseAck { is_final: true, settled: 70_000 }.write(&mut controls);
    found.push(("control-messages".to_owned(), controls));
    found.push(("path-id".to_owned(), path_id(7, [9; 16]).to_vec()));
    let settings = [0, 128, 8, 0, 0, 50, 4, 126];
    let request =
        [&[0x0f, 0xff][..], &settings, &[1, 0, 3, b'a', b'b', b'c', 1, 0, 2, 5, 6, 9, 0, 0]].concat();
    found.push(("request-payload".to_owned(), request));
    let accept = [&[0, 7][..], &settings, &[9; 24], &[0, 3, b'a', b'b', b'c']].concat();
    found.push(("accept-payload".to_owned(), accept));
    found.push(("refuse-payload".to_owned(), vec![0, 1, 0, 3, b'b', b'y', b'e']));
    found.extend(introductions());
    found
}

/// One body of each message of introductions.
fn introductions() -> Vec<(String, Vec<u8>)> {
    let flags = PartyFlags { is_host: true, takes_direct: true, ..PartyFlags::default() };
    let candidates = vec![
        Candidate { kind: CandidateKind::Interface, address: ([192, 168, 1, 2], 28_000).into() },
        Candidate {
            kind: CandidateKind::Mapped,
            address: ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 9], 28_000).into(),
        },
    ];
    let introduced = Introduced {
        id: 7,
        flags,
        public_key: [1; 32],
        nonce: [2; 16],
        secret: [3; 32].into(),
        circuit: 8,
        circuit_rate: 128_000,
        nat: Nat::Sequential(4),
        own_nat: Nat::Independent,
        observed: Some(([203, 0, 113, 9], 40_000).into()),
        candidates: candidates.clone(),
    };
    let mut seeds: Vec<(String, Vec<u8>)> = Vec::new();
    let mut keep = |name: &str, write: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        write(&mut bytes);
        seeds.push((name.to_owned(), bytes));
    };
    keep("request", &|out| {
        Request { remote: 7, flags, nonce: [9; 16], candidates: candidates.clone() }.write(out);
    });
    let introduction = Introduction::Complete(Box::new(introduced));
    keep("introduction", &|out| introduction.write(out));
    keep("outcome", &|out| {
        Outcome { introduction: 7, result: OutcomeResult::Direct, millis: 99 }.write(out);
    });
    keep("candidates", &|out| write_candidates(&candidates, out));
    keep("candidates-ipv4-mapped", &|out| {
        out.extend([&[1, 2, 6][..], &[0; 10], &[0xff, 0xff, 192, 0, 2, 1, 0x6d, 0x60]].concat());
    });
    keep("withdraw", &|out| out.extend(withdraw(torque_proto::CloseCode::RoleConflict)));
    let observed = ([203, 0, 113, 9], 40_001).into();
    keep("tokens-wanted", &|out| out.push(4));
    keep("tokens-of-a-look", &|out| Tokens { second: Some(observed), tokens: vec![[7; 16]; 6] }.write(out));
    keep("tokens-asked-for", &|out| Tokens { second: None, tokens: vec![[7; 16]; 4] }.write(out));
    keep("observed", &|out| Observed { is_other: true, round: 3, address: observed }.write(out));
    keep("nats", &|out| {
        Nats { other: Nat::Sequential(2), own: Nat::Unpredictable, observed: Some(observed) }.write(out);
    });
    keep("circuit", &|out| CircuitNotice { circuit: 7, state: CircuitState::Ended }.write(out));
    seeds
}

/// A punch of a connection that nobody has.
fn stray_punch() -> Punch {
    Punch { is_from_host: false, is_of_connection: true, id: 7, number: 8, echo: 0 }
}

fn text() -> Vec<(String, Vec<u8>)> {
    let pair = torque_proto::KeyPair::from_seed([7; 32]);
    let other = torque_proto::KeyPair::from_seed([8; 32]);
    let key = pair.public().to_string();
    let mut seeds: Vec<(String, Vec<u8>)> = [
        ("public", key.clone()),
        ("secret", pair.to_secret_text().to_string()),
        ("url", "torque://play.example.org:28000".to_owned()),
        ("url-key", format!("torque://{key}@[::1]:9")),
        ("url-4", "torque://192.0.2.1".to_owned()),
        ("settings", "window=128;tag=8;ack_delay=50;max_packet=1150".to_owned()),
        ("cipher-1", "aes128-gcm-sst".to_owned()),
        ("cipher-2", "chacha20-poly1305".to_owned()),
    ]
    .map(|(name, text)| (name.to_owned(), text.into_bytes()))
    .into();
    let credential =
        torque_proto::identity::Credential::sign(&other, pair.public(), 1_900_000_000, "example");
    if let Ok(credential) = credential {
        seeds.push(("credential".to_owned(), credential.to_bytes()));
    }
    let claims = OriginClaims {
        origin: "https://game.example",
        initiator: &pair.public(),
        host: &other.public(),
        address: ([192, 0, 2, 7], 4_433).into(),
        expires: 1_900_000_060,
    };
    if let Ok(token) = sign_origin(&other, &claims) {
        seeds.push(("origin-token".to_owned(), token));
    }
    seeds
}

fn pair_plays() -> Vec<Vec<u8>> {
    use pair::Step::*;
    let step = |step: pair::Step, rest: &[u8]| [&[pair::byte_of(step)][..], rest].concat();
    // Two settings of four choices each; the initiator is side 1, so a connect is addressed to side 0.
    let begin = |choices: [u8; 8]| [&choices[..], &step(Connect, &[0, 0]), &step(Settle, &[])].concat();
    let small = begin([0, 0, 0, 0, 0, 0, 0, 0]);
    let wide = begin([4, 1, 3, 2, 3, 2, 1, 1]);
    let chacha = begin([1, 2, 1, 3, 2, 0, 0, 0]);
    let mut plays = Vec::new();
    for head in [&small, &wide, &chacha] {
        let sends = [step(Send, &[1, 0, 5, 3]), step(Send, &[0, 0, 30, 0])].concat();
        plays.push([&head[..], &sends, &step(Settle, &[]), &step(Pass, &[9])].concat());
        // Losses in both directions, and late and repeated packets.
        let mut play = head.clone();
        for side in [0, 1] {
            play.extend(step(Send, &[side, 0, 7, 1]));
            play.extend(step(Lose, &[1 - side, 2]));
            play.extend(step(Repeat, &[1 - side, 1]));
            play.extend(step(Reverse, &[1 - side]));
            play.extend(step(TakeEvents, &[side, 2]));
            play.extend(step(Pass, &[7]));
            play.extend(step(Bend, &[side, 0, 0, 4, 1]));
            play.extend(step(Cut, &[side, 0, 0, 9]));
            play.extend(step(Spoof, &[side, 0]));
            play.extend(step(Settle, &[]));
        }
        plays.push(play.clone());
        // A close that crosses packets and loses its answer.
        play.extend(step(Send, &[0, 0, 3, 0]));
        play.extend(step(Close, &[1, 0]));
        play.extend(step(LoseAll, &[]));
        play.extend(step(Pass, &[11]));
        play.extend(step(Close, &[0, 0]));
        play.extend(step(Settle, &[]));
        play.extend(step(Connect, &[1, 0]));
        play.extend(step(Connect, &[0, 1]));
        play.extend(step(Settle, &[]));
        plays.push(play);
        // Silence until the end.
        let mut play = head.clone();
        play.extend(step(Send, &[1, 0, 3, 0]));
        play.extend(step(Send, &[0, 0, 3, 0]));
        play.extend(step(LoseAll, &[]));
        play.extend(step(JumpAlone, &[0, 15]));
        play.extend(step(Pass, &[15]));
        plays.push(play);
    }
    // A handshake step by step, with every datagram repeated and bent.
    let mut play = vec![0; 8];
    play.extend(step(Connect, &[0, 1]));
    for _ in 0..6 {
        for side in [0, 1] {
            play.extend(step(Bend, &[side, 0, 0, 30, 1]));
            play.extend(step(Repeat, &[side, 0]));
            play.extend(step(Deliver, &[side, 0]));
            play.extend(step(TakeEvents, &[side, 0]));
            play.extend(step(Answer, &[side, 0]));
            play.extend(step(Jump, &[1]));
        }
    }
    play.extend(step(Inject, &[0, 1, 0, 3, 0x80, 1, 2]));
    plays.push(play);
    plays
}

fn endpoint_plays() -> Vec<Vec<u8>> {
    use endpoint::Step::*;
    let step = |step: endpoint::Step, rest: &[u8]| [&[step as u8][..], rest].concat();
    let begin = [0, 1, 0, 0];
    let mut as_host = begin.to_vec();
    as_host.extend(step(PeerConnects, &[0, 2, b'h', b'i']));
    for _ in 0..4 {
        as_host.extend(step(PeerTalks, &[]));
        as_host.extend(step(TakeEvents, &[0]));
        as_host.extend(step(Decide, &[0, 0, 1, b'y']));
        as_host.extend(step(Pass, &[1]));
    }
    let mut as_initiator = begin.to_vec();
    as_initiator.extend(step(Connect, &[0, 2, 0, 1, b'd']));
    for _ in 0..4 {
        as_initiator.extend(step(PeerTalks, &[]));
        as_initiator.extend(step(TakeEvents, &[0]));
        as_initiator.extend(step(Decide, &[0, 0, 0]));
        as_initiator.extend(step(Puzzle, &[200, 0]));
        as_initiator.extend(step(Pass, &[1]));
    }
    let mut plays = Vec::new();
    for connected in [&as_host, &as_initiator] {
        let mut play = connected.clone();
        play.extend(step(Send, &[0, 5, 3]));
        play.extend(step(PeerSends, &[9, 3]));
        play.extend(step(PeerTalks, &[]));
        play.extend(step(Bend, &[0, 1, 1, 0, 3, 1, 0]));
        play.extend(step(Bend, &[1, 7, 0, 0]));
        play.extend(step(Stall, &[13]));
        play.extend(step(PeerTalks, &[]));
        play.extend(step(TakeEvents, &[1]));
        play.extend(step(Close, &[0, 0, 1, b'x']));
        play.extend(step(PeerTalks, &[]));
        play.extend(step(Pass, &[14]));
        plays.push(play);
        let mut play = connected.clone();
        play.extend(step(PeerCloses, &[]));
        play.extend(step(PeerTalks, &[]));
        play.extend(step(PeerConnects, &[0, 0]));
        play.extend(step(Connect, &[0, 0, 0, 0]));
        play.extend(step(PeerTalks, &[]));
        play.extend(step(CloseAll, &[]));
        play.extend(step(Jump, &[15]));
        plays.push(play);
    }
    let mut strangers = begin.to_vec();
    strangers.extend(step(SetData, &[0, 3, 1, 2, 3]));
    strangers.extend(step(PeerConnects, &[0, 0]));
    strangers.extend(step(PeerTalks, &[]));
    for from in 1..5 {
        strangers.extend(step(ChallengeRequest, &[from, 9, 0, 1]));
        strangers.extend(step(Raw, &[from, 0, 4, 0x80, 1, 2, 3]));
        strangers.extend(step(Raw, &[from, 0, 2, 0x30, 1]));
        strangers.extend(step(SendInfo, &[from, 0, 2, 0x30, 1]));
        strangers.extend(step(Bend, &[from, 0, 0, 0]));
        strangers.extend(step(Connect, &[from, 2, 0, 0]));
        strangers.extend(step(TakeTransmits, &[]));
        strangers.extend(step(Answer, &[from, 1, 0, 1, 1, 1, 1, 1, 1, 0, 0, 3, 1, 2, 3]));
        for kind in 2..5 {
            strangers.extend(step(Answer, &[from, kind, 9, 0, 3, 1, 2, 3]));
        }
        for code in 0..6 {
            strangers.extend(step(Answer, &[from, 0, code]));
        }
        strangers.extend(step(ShareEpoch, &[]));
        strangers.extend(step(Pass, &[15]));
    }
    plays.push(strangers);
    // A host with several addresses, of which the peer's is not the first: told at once, in parts, and with obstacles.
    let mut several = begin.to_vec();
    for choice in [0x03, 0x05, 0x0c, 0x89] {
        several.extend(step(Connect, &[1, 3, 0, 1, b'd', 0, 2, choice]));
        for _ in 0..4 {
            several.extend(step(Pass, &[8]));
            several.extend(step(PeerTalks, &[]));
            several.extend(step(TakeEvents, &[0]));
            several.extend(step(Puzzle, &[200, 0]));
        }
        several.extend(step(Close, &[0, 0, 0]));
        several.extend(step(PeerTalks, &[]));
        several.extend(step(Pass, &[14]));
    }
    plays.push(several);
    plays.extend([&as_host, &as_initiator].map(|connected| movement(connected)));
    plays
}

/// The peer moves and comes back, and somebody else repeats and alters what it sends meanwhile.
fn movement(connected: &[u8]) -> Vec<u8> {
    use endpoint::Step::*;
    let step = |step: endpoint::Step, rest: &[u8]| [&[step as u8][..], rest].concat();
    let mut play = connected.to_vec();
    let raw = |from: u8, bytes: &[u8]| step(Raw, &[&[from, 0, bytes.len() as u8][..], bytes].concat());
    for _ in 0..2 {
        play.extend(step(PeerMoves, &[]));
        play.extend(step(PeerSends, &[1, 3]));
        play.extend(step(Send, &[0, 1, 3]));
        for which in 0..6 {
            play.extend(step(PeerTalks, &[]));
            play.extend(step(Bend, &[1, which, 0, 0]));
            play.extend(step(Bend, &[2, which, 1, 0, 12, 1, 0]));
            play.extend(step(Pass, &[6]));
        }
        play.extend(step(TakeEvents, &[0]));
    }
    for from in [0, 1] {
        play.extend(raw(from, &stray_punch().with_tag([7; 16])));
        play.extend(raw(from, &WHO_ARE_YOU));
        play.extend(raw(from, &reset([7; 16])));
        play.extend(raw(from, b" an info packet"));
    }
    play.extend(step(Send, &[0, 1, 3]));
    play.extend(step(Pass, &[15]));
    play
}

fn insider_plays() -> Vec<Vec<u8>> {
    use insider::Step::*;
    let step = |step: insider::Step, rest: &[u8]| [&[step as u8][..], rest].concat();
    let mut plays = Vec::new();
    for window in 0..5 {
        let mut play = vec![window];
        // A ping establishes the connection.
        play.extend(step(Control, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 9, 0, 0, 0]));
        play.extend(step(TakeEvents, &[0]));
        play.extend(step(Send, &[7, 2]));
        play.extend(step(Packet, &[0, 0, 0, 0, 5, 1, 0, 4, 0x1f, b'a', b'b', b'c']));
        play.extend(step(Packet, &[1, 0, 3, 0, 6, 7, 0, 3, 2, 0x0f, 0]));
        play.extend(step(Packet, &[2, 0, 1, 0, 7, 2, 0, 2, 0xff, 0]));
        play.extend(step(Again, &[1]));
        play.extend(step(Run, &[0, 6, 3, 0, 8]));
        play.extend(step(Packet, &[0, 0xff, 0xff, 0xff, 0xff, 7, 0, 2, 0, 0]));
        play.extend(step(Pass, &[9]));
        play.extend(step(TakeEvents, &[3]));
        let mut closing = play.clone();
        closing.extend(step(Control, &[0, 2, 0, 8, 0, 0, 0, 1, 2, 1, 0, 0, 3, 0, 0, 0, 3, b'b', b'y', b'e']));
        closing.extend(step(Pass, &[10]));
        closing.extend(step(Control, &[0, 2, 0, 8, 0, 0, 0, 1, 3, 1, 0, 9, 0]));
        plays.push(closing);
        play.extend(step(Close, &[]));
        play.extend(step(Control, &[0, 0, 0, 8, 0, 0, 0, 1, 3, 0, 0, 1, 3]));
        play.extend(step(Pass, &[10]));
        play.extend(step(Control, &[0, 0, 0, 8, 0, 0, 0, 1, 3, 1, 0, 1, 3]));
        plays.push(play);
    }
    // Past a generation, in the widest steps that a window allows.
    let mut play = vec![4];
    play.extend(step(Control, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 9, 0, 0, 0]));
    play.extend(step(Run, &[0x7f, 0xf0, 7, 0, 0]));
    plays.push(play);
    // Reliable control messages: ours is received, one comes whole, and one in two parts.
    let mut play = vec![1];
    play.extend(step(Control, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 9, 0, 0, 0]));
    let messages: [&[u8]; 4] = [
        &[1, 0, 1, 8, 0],
        &[5, 0, 1, 8, 1, 0, 2, b'a', b'b'],
        &[5, 0, 2, 12, 2, 0x04, 0xc0, 0],
        &[5, 0, 2, 12, 2, 0x04, 0xc0, 1],
    ];
    play.extend(step(Reliable, &[&[0, 0, 0, 0, 3], &messages.concat()[..]].concat()));
    play.extend(step(TakeEvents, &[0]));
    play.extend(step(Pass, &[10]));
    plays.push(play);
    plays
}

/// Introductions of two parties, with NATs of all kinds, with and without a relay, on a network that works or does not.
fn introduction_plays() -> Vec<Vec<u8>> {
    use introduction::Step::*;
    let step = |step: introduction::Step, rest: &[u8]| [&[step as u8][..], rest].concat();
    let mut plays = Vec::new();
    // The kinds of the parties' NATs, and whether the introducer relays.
    for (first, second, relay) in
        [(0, 0, 1), (0, 1, 1), (0, 2, 1), (1, 1, 1), (2, 2, 0), (2, 0, 4), (1, 0, 0)]
    {
        // All three: always try, with as many ports as they like; a second IP address.
        let mut play = vec![0, 0, 0, 0, 0, 0, 1];
        play.extend(step(ChangeNat, &[0, first]));
        play.extend(step(ChangeNat, &[1, second]));
        for party in [0, 1] {
            play.extend(step(Connect, &[party]));
            play.extend(step(Live, &[9]));
            play.extend(step(Decide, &[0, 0]));
            play.extend(step(Live, &[9]));
            play.extend(step(Candidates, &[party, 7, 0]));
        }
        let mut asked = play.clone();
        asked.extend(step(Look, &[0]));
        // With a relay, they take it at once.
        let wishes = if relay == 1 { 0 } else { 4 };
        asked.extend(step(Ask, &[0, wishes | 1]));
        asked.extend(step(Ask, &[1, wishes]));
        asked.extend(step(Live, &[8]));
        let mut refused = asked.clone();
        refused.extend(step(Refuse, &[]));
        refused.extend(step(Live, &[8]));
        plays.push(refused);
        asked.extend(step(Introduce, &[relay]));
        let mut met = asked.clone();
        for _ in 0..4 {
            met.extend(step(Live, &[11]));
            met.extend(step(Decide, &[1, 0]));
            met.extend(step(Decide, &[2, 0]));
        }
        met.extend(step(Live, &[14]));
        met.extend(step(Send, &[1, 1, 9]));
        met.extend(step(Send, &[2, 1, 9]));
        met.extend(step(Live, &[12]));
        met.extend(step(Move, &[0]));
        met.extend(step(Live, &[14]));
        met.extend(step(Close, &[1, 1]));
        met.extend(step(Live, &[12]));
        plays.push(met);
        // Nothing arrives but what somebody chooses.
        for round in 0..12 {
            asked.extend(step(Silence, &[9]));
            asked.extend(step(Repeat, &[0, round]));
            asked.extend(step(Misdirect, &[0, round, 1]));
            asked.extend(step(Bend, &[0, round, 0, round, 1]));
            asked.extend(step(Deliver, &[0, round]));
            asked.extend(step(Lose, &[0, 3]));
        }
        asked.extend(step(Raw, &[1, 3, 0, 2, 0x0d, 1]));
        asked.extend(step(Jump, &[13]));
        asked.extend(step(CloseAll, &[1]));
        plays.push(asked);
    }
    plays
}
