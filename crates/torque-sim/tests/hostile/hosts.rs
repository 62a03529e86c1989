//! Hosts that keep to the letter of the handshake and not to its rules.

use super::*;
use foreign::Host;
use torque_proto::{ClosedBy, KeyPair};
use torque_sim::oracle::Closed;

/// A client of ours and a hand-written host that it connects to.
struct Lure {
    play: Play,
    client: NodeId,
    address: Address,
    connection: ConnectionId,
    host: Host,
    response: Vec<u8>,
}

impl Lure {
    fn new(seed: u64, trust: Trust) -> Self {
        let mut play = Play::new(seed);
        let client = play.add_default();
        let nobody = play.add_default();
        let address = play.world.address(nobody);
        play.crash(nobody);
        play.world.open_mailbox(address);
        let options = ConnectOptions::new(trust);
        let connection = play.connect(client, nobody, options);
        Self { play, client, address, connection, host: Host::new([8; 32]), response: Vec::new() }
    }

    fn mail(&mut self, kind: u8) -> Vec<Vec<u8>> {
        self.play.run_for(MS);
        let mail = self.play.world.take_mail(self.address);
        mail.into_iter().map(|mail| mail.bytes).filter(|bytes| is_kind(bytes, kind)).collect()
    }

    fn say(&mut self, bytes: Vec<u8>) {
        let client = self.play.world.address(self.client);
        self.play.world.inject(Duration::ZERO, self.address, client, bytes);
        self.play.run_for(MS);
    }

    /// Sends an honest challenge and opens the request that follows.
    fn challenge(&mut self) -> foreign::Opened {
        let request = self.mail(1).remove(0);
        self.response = self.host.challenge_response(&request, 4, b"welcome");
        self.say(self.response.clone());
        let request = self.mail(3).remove(0);
        self.host.open(&self.response, &request).expect("a true solution and true keys")
    }

    fn closed(&self) -> Option<Closed> {
        self.play.end(self.client, self.connection).closed.clone()
    }
}

#[test]
fn an_honest_host_is_understood() {
    let key = KeyPair::from_seed([8; 32]).public();
    for (seed, trust) in [Trust::Ask, Trust::Pinned(key), Trust::Anyone].into_iter().enumerate() {
        let mut lure = Lure::new(seed as u64, trust);
        let opened = lure.challenge();
        assert_eq!(&opened.payload[11..13], [0, 12], "the play's own twelve bytes");
        assert_eq!(&opened.payload[13..17], b"try ");
        lure.say(opened.accept([0, 64, 16, 0, 0, 50, 0x04, 0x7e], b"come in"));
        assert!(lure.play.end(lure.client, lure.connection).established);
        let told = lure.play.history(lure.client).iter().any(|(_, event)| {
            matches!(event, Event::Established { accept_data, public_key, settings, .. }
                if accept_data == b"come in" && *public_key == key && settings.packet_window == 64)
        });
        assert!(told);
        // The first ping comes at once, and then again until the host is heard.
        assert!(!lure.play.world.take_mail(lure.address).is_empty());
        lure.play.run_for(11 * SECOND);
        assert_eq!(lure.closed().map(|closed| closed.code), Some(CloseCode::TimedOut));
        lure.play.finish(SECOND);
    }
}

#[test]
fn settings_that_nobody_asked_for_end_the_attempt() {
    for settings in [
        // A larger window, a shorter tag, a tag that the cipher does not have; then figures out of range.
        [0, 129, 16, 0, 0, 50, 0x04, 0x7e],
        [0, 128, 8, 0, 0, 50, 0x04, 0x7e],
        [0, 128, 17, 0, 0, 50, 0x04, 0x7e],
        [0, 7, 16, 0, 0, 50, 0x04, 0x7e],
        [0, 128, 16, 0, 0xff, 0xff, 0x04, 0x7e],
        [0, 128, 16, 0, 0, 50, 0x04, 0x7d],
    ] {
        let mut lure = Lure::new(1, Trust::Ask);
        let opened = lure.challenge();
        lure.say(opened.accept(settings, b""));
        let closed = lure.closed().expect("ended at once");
        assert_eq!(
            (closed.code, closed.by),
            (CloseCode::ProtocolViolation, ClosedBy::Socket),
            "{settings:?}"
        );
        assert_eq!(lure.play.world.node(lure.client).slots_used(), 0);
    }
}

#[test]
fn malformed_sealed_texts_end_the_attempt() {
    for kind in [4, 5] {
        for len in [0, 1, 3, 4, 35, 36, 40] {
            let mut lure = Lure::new(2, Trust::Ask);
            let opened = lure.challenge();
            // Lengths within that run past the end.
            lure.say(opened.reply(kind, &vec![0xff; len]));
            lure.play.finish(20 * SECOND);
            let code = lure.closed().map(|closed| closed.code);
            assert!(matches!(code, Some(CloseCode::ProtocolViolation | CloseCode::NoAnswer)), "{code:?}");
        }
    }
}

#[test]
fn a_refusal_is_believed_only_if_it_is_sealed() {
    let mut lure = Lure::new(3, Trust::Ask);
    let opened = lure.challenge();
    let refusal = [&[0, 1][..], &[0, 4], b"full"].concat();
    let mut forged = opened.reply(5, &refusal);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    lure.say(forged);
    assert_eq!(lure.closed(), None);
    lure.say(opened.reply(5, &refusal));
    let closed = lure.closed().unwrap();
    assert_eq!(
        (closed.code, closed.by, &closed.reason[..]),
        (CloseCode::Refused, ClosedBy::Remote, &b"full"[..])
    );
    // What comes later is for nobody.
    lure.say(opened.accept([0, 64, 16, 0, 0, 50, 0x04, 0x7e], b""));
    assert_eq!(lure.play.world.node(lure.client).slots_used(), 0);
}

#[test]
fn a_host_that_says_pending_for_ever_is_given_up() {
    let mut lure = Lure::new(4, Trust::Ask);
    let opened = lure.challenge();
    let start = lure.play.world.now();
    let mut requests = 0;
    while lure.closed().is_none() {
        lure.say(opened.reply(6, b""));
        lure.play.run_for(500 * MS);
        requests += lure.mail(3).len();
        assert!(lure.play.world.now().saturating_since(start) < 130 * SECOND);
    }
    assert_eq!(lure.closed().map(|closed| closed.code), Some(CloseCode::NoDecision));
    // Every two seconds, and no more often because of the answers.
    assert!(requests <= 65, "{requests}");
}

#[test]
fn an_epoch_key_of_small_order_ends_the_attempt() {
    let mut lure = Lure::new(5, Trust::Ask);
    lure.host.epoch_key = EIGHT_TORSION[1].to_montgomery().0;
    let request = lure.mail(1).remove(0);
    let response = lure.host.challenge_response(&request, 4, b"");
    lure.say(response);
    assert!(lure.mail(3).is_empty());
    lure.play.finish(20 * SECOND);
    let code = lure.closed().map(|closed| closed.code);
    assert_eq!(code, Some(CloseCode::ProtocolViolation));
}

#[test]
fn a_cipher_that_was_not_offered_ends_the_attempt() {
    let mut lure = Lure::new(6, Trust::Ask);
    let request = lure.mail(1).remove(0);
    for cipher in [0, 4, 255] {
        let mut response = lure.host.challenge_response(&request, 4, b"");
        response[139] = cipher;
        lure.say(response);
    }
    assert!(lure.mail(3).is_empty());
    assert_eq!(lure.closed(), None);
    lure.play.finish(20 * SECOND);
    assert_eq!(lure.closed().map(|closed| closed.code), Some(CloseCode::ProtocolViolation));
}
