//! One endpoint, host and initiator at once, with strangers and one honest peer. The input makes every call of an
//! application, in any order and at any time.

use core::time::Duration;

use torque_proto::wire::{
    ChallengeRequest, ChallengeResponse, ConnectAccept, Offers, Reject, ReplyKind, SealedReply,
};
use torque_proto::{Address, Cipher, CloseCode, RejectCode, Trust};

use crate::input::Input;
use crate::pair::TIMES;
use crate::side::{Side, address, small_config};

/// The honest peer's addresses, of which it has one at a time; strangers have 10 to 13.
const PEER: u8 = 2;
const PEER_MOVED: u8 = 3;
const MAX_STEPS: usize = 2_000;

/// The steps that the input can choose. Seeds are written in them, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Step {
    /// From, bytes: these, as they are.
    Raw,
    /// From, nonce: a challenge request that is valid but for one fault, which the next byte chooses.
    ChallengeRequest,
    /// From, kind, bytes: an answer with the nonce of our latest request.
    Answer,
    /// From, which, place, value: what the endpoint or the peer sent, changed.
    Bend,
    /// To, trust; or to several.
    Connect,
    /// Yes or no to the oldest question.
    Decide,
    /// Which, count, size.
    Send,
    /// Which.
    Close,
    /// To, bytes.
    SendInfo,
    /// Bytes to show.
    SetData,
    /// How many.
    TakeEvents,
    /// Loses everything that waits to be sent.
    TakeTransmits,
    /// Time from deadline to deadline.
    Pass,
    /// Time at once.
    Jump,
    /// Takes a puzzle, works on it, and gives it back.
    Puzzle,
    /// The peer hears what was sent to it, and its answers are heard.
    PeerTalks,
    /// The peer connects.
    PeerConnects,
    /// The peer sends.
    PeerSends,
    /// The peer closes.
    PeerCloses,
    /// Close everything.
    CloseAll,
    /// Takes over its own epoch, as a shard would.
    ShareEpoch,
    /// Time without timers being run.
    Stall,
    /// The peer is at its other address from now on.
    PeerMoves,
}

const STEPS: [Step; 23] = [
    Step::Raw,
    Step::ChallengeRequest,
    Step::Answer,
    Step::Bend,
    Step::Connect,
    Step::Decide,
    Step::Send,
    Step::Close,
    Step::SendInfo,
    Step::SetData,
    Step::TakeEvents,
    Step::TakeTransmits,
    Step::Pass,
    Step::Jump,
    Step::Puzzle,
    Step::PeerTalks,
    Step::PeerConnects,
    Step::PeerSends,
    Step::PeerCloses,
    Step::CloseAll,
    Step::ShareEpoch,
    Step::Stall,
    Step::PeerMoves,
];

struct World {
    us: Side,
    peer: Side,
    /// Where the peer is.
    peer_at: u8,
    /// The latest datagrams of all senders, to be corrupted.
    seen: Vec<Vec<u8>>,
    /// Addresses that may be answered at length: those that we asked, and the peer's.
    asked: Vec<Address>,
    /// The initiator_nonce of our latest request to a stranger.
    nonce: [u8; 16],
}

/// Plays the input.
pub fn endpoint(data: &[u8]) {
    play(data);
}

/// Plays the input and returns the final state.
fn play(data: &[u8]) -> World {
    let mut input = Input::new(data);
    let mut config = small_config();
    // So that it answers punches of connections that it does not have.
    config.sole_identity = true;
    let mut peer_config = small_config();
    config.settings.packet_window = input.pick([8, 128, 129, 2_048]);
    config.settings.tag_bytes = input.pick([4, 8, 16]);
    config.accept_incoming = input.below(8) != 7;
    peer_config.ciphers = vec![input.pick(Cipher::DEFAULT_OFFER)];
    let mut world = World {
        us: Side::new(1, config),
        peer: Side::new(2, peer_config),
        peer_at: PEER,
        seen: Vec::new(),
        asked: vec![address(PEER)],
        nonce: [0; 16],
    };
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
        world.us.check_bounds();
    }
    world.finish();
    world
}

impl World {
    fn step(&mut self, input: &mut Input<'_>) {
        match STEPS[input.below(STEPS.len())] {
            Step::Raw => {
                let from = stranger_or_peer(input);
                let bytes = input.bytes(2_000);
                self.hear(from, bytes);
            }
            Step::ChallengeRequest => self.challenge_request(input),
            Step::Answer => self.answer(input),
            Step::Bend => self.bend(input),
            Step::Connect => {
                let to = stranger_or_peer(input);
                let choice = input.below(6);
                let trust = match choice % 3 {
                    0 => Trust::Anyone,
                    1 => Trust::Pinned(self.peer.endpoint.public_key()),
                    _ => Trust::Ask,
                };
                let data = input.bytes(1_100);
                self.asked.push(to);
                if choice < 3 {
                    self.us.connect(to, trust, data);
                } else {
                    self.connect_to_several(to, trust, data, input);
                }
            }
            Step::Decide => {
                let yes = input.below(4) != 3;
                let data = input.bytes(600);
                self.us.answer(yes, data);
            }
            Step::Send => {
                let (which, count, size) = (input.below(4), input.below(40), input.u8());
                for _ in 0..=count {
                    self.us.send(which, usize::from(size) * 5);
                }
            }
            Step::Close => {
                let which = input.below(4);
                let reason = input.bytes(600);
                self.us.close(which, reason);
            }
            Step::SendInfo => {
                let to = stranger_or_peer(input);
                let bytes = input.bytes(1_300);
                let _ = self.us.endpoint.send_info(to, bytes);
            }
            Step::SetData => {
                let data = input.bytes(600);
                let _ = self.us.endpoint.set_challenge_response_data(data);
            }
            Step::TakeEvents => {
                let limit = input.below(16);
                self.us.take_events(if limit == 0 { usize::MAX } else { limit });
            }
            Step::TakeTransmits => {
                self.look_at_transmits();
            }
            Step::Pass => {
                let time = Duration::from_millis(input.pick(TIMES));
                self.pass(time);
            }
            Step::Jump => {
                let time = Duration::from_millis(input.pick(TIMES));
                self.us.jump(time);
                self.peer.jump(time);
            }
            Step::Stall => self.us.now += Duration::from_millis(input.pick(TIMES)),
            Step::PeerMoves => {
                self.peer_at = if self.peer_at == PEER { PEER_MOVED } else { PEER };
                // Its connection may take the path there.
                self.asked.push(address(self.peer_at));
            }
            Step::Puzzle => self.puzzle(input),
            Step::PeerTalks => self.peer_talks(),
            Step::PeerConnects => {
                let data = input.bytes(1_100);
                self.peer.connect(address(1), Trust::Anyone, data);
            }
            Step::PeerSends => {
                let (count, size) = (input.below(40), input.u8());
                for _ in 0..=count {
                    self.peer.send(0, usize::from(size) * 5);
                }
            }
            Step::PeerCloses => self.peer.close(0, b"bye"),
            Step::CloseAll => self.us.endpoint.close_all(self.us.now),
            Step::ShareEpoch => {
                if let Some(epoch) = self.us.endpoint.share_epoch() {
                    self.us.endpoint.install_epoch(self.us.now, epoch);
                }
            }
        }
    }

    /// Asks several addresses for one host. They are told at once or later, and some cannot be sent to.
    fn connect_to_several(&mut self, first: Address, trust: Trust, data: &[u8], input: &mut Input<'_>) {
        let addresses = [first, stranger_or_peer(input), stranger_or_peer(input)];
        self.asked.extend(addresses);
        let choice = input.u8();
        let now = self.us.now;
        let us = &mut self.us;
        let Some(id) = us.connect_unresolved(trust, data) else { return };
        let told = usize::from(choice) % 4;
        // The driver may be wrong about whether more are wanted, which the calls say.
        let _ = us.endpoint.add_candidates(now, id, &addresses[..told]);
        if choice & 4 != 0 {
            let _ = us.endpoint.end_candidates(now, id, CloseCode::NameNotFound, "no such name");
        }
        let _ = us.endpoint.add_candidates(now, id, &addresses);
        if choice & 8 != 0 {
            us.endpoint.obstacle(now, addresses[usize::from(choice >> 4) % 3], "no route", choice & 128 != 0);
        }
    }

    fn hear(&mut self, from: Address, bytes: &[u8]) {
        let is_proven = self.asked.contains(&from);
        self.us.hear(from, bytes, is_proven);
    }

    fn challenge_request(&mut self, input: &mut Input<'_>) {
        let from = stranger_or_peer(input);
        let request = ChallengeRequest {
            initiator_nonce: [input.u8(); 16],
            application_tag: if input.below(8) == 7 { [1; 8] } else { self.application_tag() },
            offers: Offers::new(&[input.pick(Cipher::DEFAULT_OFFER)]).expect("one cipher"),
            introduction_id: if input.below(8) == 7 { u64::from(input.u8()) } else { 0 },
        };
        let mut bytes = Vec::new();
        request.write(&mut bytes);
        self.hear(from, &bytes);
    }

    /// The application tag that the peer's requests show.
    fn application_tag(&mut self) -> [u8; 8] {
        let request = self.seen.iter().find_map(|bytes| ChallengeRequest::parse(bytes).ok());
        request.map_or([0; 8], |request| request.application_tag)
    }

    fn answer(&mut self, input: &mut Input<'_>) {
        let from = stranger_or_peer(input);
        let initiator_nonce = self.nonce;
        let kind = input.below(5);
        let mut out = Vec::new();
        match kind {
            0 => {
                let code = RejectCode::ALL[input.below(RejectCode::ALL.len())];
                Reject { version: 1, initiator_nonce, code }.write(&mut out);
            }
            1 => {
                let key = self.peer.endpoint.public_key();
                let response = ChallengeResponse {
                    initiator_nonce,
                    epoch_start: u64::from(input.u16()),
                    epoch_key: [input.u8(); 32],
                    signature: [input.u8(); 64],
                    identity_token: [input.u8(); 16],
                    difficulty: input.u8(),
                    cipher: input.u8(),
                    host_key: if input.below(2) == 0 { *key.as_bytes() } else { [input.u8(); 32] },
                    data: input.bytes(600),
                    introduced_data: None,
                };
                if response.data.len() <= 511 {
                    response.write(&mut out);
                }
            }
            _ => {
                let byte = input.u8();
                let host_salt = [byte; 16];
                if kind == 2 {
                    // Zeros among others, which are of small order.
                    let e2 = [byte; 32];
                    let sealed = input.bytes(600);
                    ConnectAccept { initiator_nonce, host_salt, e2, sealed }.write(&mut out);
                } else {
                    let kind = [ReplyKind::Refuse, ReplyKind::Pending][kind - 3];
                    SealedReply { kind, initiator_nonce, host_salt, sealed: input.bytes(600) }
                        .write(&mut out);
                }
            }
        }
        self.hear(from, &out);
    }

    fn bend(&mut self, input: &mut Input<'_>) {
        let from = stranger_or_peer(input);
        if self.seen.is_empty() {
            return;
        }
        let mut bytes = self.seen[input.below(self.seen.len())].clone();
        let changes = input.below(4);
        for _ in 0..changes {
            let place = usize::from(input.u16()) % bytes.len();
            bytes[place] ^= input.u8();
        }
        if input.below(4) == 3 {
            bytes.truncate(usize::from(input.u16()) % bytes.len());
        }
        self.hear(from, &bytes);
    }

    fn puzzle(&mut self, input: &mut Input<'_>) {
        if let Some(mut job) = self.us.endpoint.poll_puzzle() {
            let tries = u64::from(input.u8());
            let _ = job.solve(tries);
            if input.below(4) != 3 {
                self.us.endpoint.puzzle_solved(self.us.now, job);
            }
        }
    }

    /// Keeps our datagrams to be corrupted, and returns the peer's part.
    fn look_at_transmits(&mut self) -> Vec<Vec<u8>> {
        let mut for_peer = Vec::new();
        for (remote, bytes) in self.us.take_transmits() {
            assert!(!bytes.is_empty() && bytes.len() <= 65_535);
            if ![PEER, PEER_MOVED].map(address).contains(&remote)
                && let Ok(request) = ChallengeRequest::parse(&bytes)
            {
                self.nonce = request.initiator_nonce;
            }
            self.remember(&bytes);
            if remote == address(self.peer_at) {
                for_peer.push(bytes);
            }
        }
        for_peer
    }

    fn remember(&mut self, bytes: &[u8]) {
        if self.seen.len() == 8 {
            self.seen.remove(0);
        }
        self.seen.push(bytes.to_vec());
    }

    fn peer_talks(&mut self) {
        for bytes in self.look_at_transmits() {
            self.peer.hear(address(1), &bytes, true);
        }
        // Puzzles are solved after the timers have run.
        self.peer.jump(Duration::from_millis(2));
        self.peer.take_events(usize::MAX);
        while !self.peer.waiting.is_empty() {
            self.peer.answer(true, b"yes");
        }
        for (remote, bytes) in self.peer.take_transmits() {
            if remote == address(1) {
                self.remember(&bytes);
                self.hear(address(self.peer_at), &bytes);
            }
        }
    }

    fn pass(&mut self, by: Duration) {
        for side in [&mut self.us, &mut self.peer] {
            let end = side.now + by;
            for _ in 0..1_000 {
                match side.endpoint.poll_timeout() {
                    Some((at, _)) if at < end => side.now = side.now.max(at),
                    _ => break,
                }
                side.run_timers();
            }
            side.now = end;
            side.run_timers();
        }
    }

    /// Checks that an endpoint left alone ends everything and keeps nothing.
    fn finish(&mut self) {
        self.us.endpoint.close_all(self.us.now);
        for _ in 0..200 {
            self.us.take_events(usize::MAX);
            self.us.take_transmits();
            if self.us.endpoint.slots_used() == 0 {
                break;
            }
            self.pass(Duration::from_secs(2));
        }
        assert_eq!(self.us.endpoint.slots_used(), 0, "slots held for ever");
        assert_eq!(self.us.ledger.open(), 0, "closes that were not told");
    }
}

fn stranger_or_peer(input: &mut Input<'_>) -> Address {
    address(input.pick([PEER, 10, 11, 12, 13]))
}

#[cfg(test)]
mod tests;
