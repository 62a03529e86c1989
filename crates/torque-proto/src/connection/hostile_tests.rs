//! A peer that holds the keys and breaks the rules.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::incoming::MAX_REPORT;
use super::packets::Numbers;
use super::*;
use crate::address::Address;
use crate::crypto::secret::TrafficSecret;
use crate::path::Path;
use crate::transmits::{Cause, Transmits};
use crate::wire::control::ControlMessages;
use crate::wire::control::reliable::{ReliableKind, ReliableMessage, ReliableMessages};

const WHERE: [u8; 4] = [10, 0, 0, 1];

/// What an application would have got.
#[derive(Default)]
struct Application {
    packets: Vec<(u64, usize)>,
    verdicts: Vec<(u64, Delivery)>,
    control_events: usize,
}

impl Output for Application {
    fn packet(&mut self, sequence: u64, payload: &[u8]) -> bool {
        self.packets.push((sequence, payload.len()));
        true
    }

    fn verdict(&mut self, sequence: u64, delivery: Delivery) {
        self.verdicts.push((sequence, delivery));
    }

    fn control(&mut self, _: ControlEvent) -> bool {
        self.control_events += 1;
        true
    }
}

struct Side {
    connection: Connection,
    transmits: Transmits,
    path: Path,
    application: Application,
}

impl Side {
    fn new(now: Instant, settings: Settings, sends: u8, receives: u8) -> Self {
        let cipher = Cipher::Aes128GcmSst;
        let traffic = |number| TrafficSecret::from_log([number; 32]);
        let parts = Parts {
            send_keys: SendKeys::new(traffic(sends), cipher, settings.tag_bytes),
            receive_keys: ReceiveKeys::new(traffic(receives), cipher, settings.tag_bytes),
            cipher,
            settings,
            peer_ack_delay: settings.ack_delay,
            send_initial: 100,
            receive_initial: 100,
            rtt: Some(Duration::from_millis(20)),
            handshake: HandshakeStats::default(),
            unheard: None,
        };
        Self {
            connection: Connection::new(now, &Config::default(), parts),
            transmits: Transmits::new(100_000, 1 << 30),
            path: Path::to(Address::from(SocketAddr::from((WHERE, 1)))),
            application: Application::default(),
        }
    }

    fn outbox(&mut self) -> (&mut Connection, &mut Application, Outbox<'_>) {
        let outbox = self.transmits.outbox(Cause::Own, &mut self.path);
        (&mut self.connection, &mut self.application, outbox)
    }

    fn send(&mut self, now: Instant, payload: &[u8]) -> Result<u64, SendError> {
        let (connection, _, mut outbox) = self.outbox();
        connection.send(now, payload, &mut outbox)
    }

    /// A packet of any kind with any body, sealed as it has to be.
    fn write(&mut self, kind: PacketKind, body: &[u8]) {
        let (connection, _, mut outbox) = self.outbox();
        connection.seal_packet(kind, MAX_REPORT, &mut outbox, |out| out.extend_from_slice(body)).unwrap();
    }

    fn close(&mut self, now: Instant) {
        let (connection, _, mut outbox) = self.outbox();
        connection.close(now, crate::CloseCode::Closed, crate::ClosedBy::Application, b"bye", &mut outbox);
    }

    fn send_reliable(&mut self, now: Instant, body: &[u8]) {
        let (connection, _, mut outbox) = self.outbox();
        connection.send_reliable(now, 1, ReliableKind::REQUEST, body, &mut outbox).unwrap();
    }

    /// Opens a packet and returns its body, without doing what it says.
    fn body_of(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let opened = self.connection.open(&mut bytes).unwrap();
        opened.packet.split(opened.bytes).unwrap().1.to_vec()
    }

    fn receive(&mut self, now: Instant, bytes: &mut [u8]) {
        let (connection, application, mut outbox) = self.outbox();
        connection.open(bytes).unwrap().process(now, application, &mut outbox);
    }

    /// A packet with these ack bytes and body, whatever the form says of them.
    fn seal(&mut self, kind: PacketKind, form: u8, text: &[u8]) -> Vec<u8> {
        let connection = &mut self.connection;
        let numbers = Numbers {
            sequence: connection.outgoing.last() + u64::from(kind.is_sequenced()),
            ack: connection.incoming.known(),
            counter: (!kind.is_sequenced()).then_some(connection.counter_sent + 1),
        };
        let mut bytes = Vec::new();
        let keys = &mut connection.send_keys;
        packets::seal(keys, connection.size, (kind, form), numbers, &mut bytes, |out| {
            out.extend_from_slice(text);
        })
        .unwrap();
        bytes
    }

    fn timeout(&mut self, now: Instant) {
        let (connection, application, mut outbox) = self.outbox();
        connection.handle_timeout(now, application, &mut outbox);
    }

    /// Takes what waits to be sent.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let sent = self.transmits.iter().map(|transmit| transmit.bytes.to_vec()).collect();
        self.transmits.clear();
        sent
    }
}

/// The victim and its peer.
fn pair(now: Instant, settings: Settings) -> (Side, Side) {
    (Side::new(now, settings, 1, 2), Side::new(now, settings, 2, 1))
}

fn messages(messages: &[ControlMessage<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    messages.iter().for_each(|message| message.write(&mut out));
    out
}

#[test]
fn a_control_packet_gets_at_most_one_answer_of_each_kind() {
    let now = Instant::from_millis(1);
    let pings: Vec<_> = (0..1_000).map(|id| ControlMessage::Ping { id, settled: 100 }).collect();
    let closes = [ControlMessage::Close { is_final: false, settled: 100, code: 0, reason: b"" }; 1_000];
    let acks: Vec<_> = (0..1_000)
        .map(|number| ControlMessage::CloseAck { is_final: false, settled: 100 + number })
        .collect();
    for (victim_closes, messages_sent) in
        [(false, &pings[..]), (false, &closes), (true, &closes), (true, &acks)]
    {
        let (mut victim, mut peer) = pair(now, Settings::default());
        // Something without a verdict, so that no message ends the connection.
        victim.send(now, b"open").unwrap();
        if victim_closes {
            victim.close(now);
        }
        victim.sent();
        peer.write(PacketKind::Control, &messages(messages_sent));
        for mut bytes in peer.sent() {
            victim.receive(now, &mut bytes);
        }
        assert!(victim.sent().len() <= 1, "{:?}", messages_sent[0]);
    }
}

#[test]
fn after_a_malformed_message_the_rest_of_a_control_packet_is_ignored() {
    let now = Instant::from_millis(1);
    let ping = messages(&[ControlMessage::Ping { id: 1, settled: 100 }]);
    let malformed_ping = [1, 0, 1, 0].to_vec();
    let reliable = [5, 0, 6, 0, 0, 0, 1, 0, 1].to_vec();
    let without_serial = [5, 0, 6, 0, 0, 0, 1, 0, 0].to_vec();
    for (body, pongs, control_events) in [
        ([&ping[..], &reliable, &malformed_ping].concat(), 1, 1),
        ([&malformed_ping[..], &reliable].concat(), 0, 0),
        ([&reliable[..], &malformed_ping, &ping].concat(), 0, 1),
        ([&without_serial[..], &ping].concat(), 0, 0),
        ([&ping[..], &without_serial, &reliable].concat(), 1, 0),
    ] {
        let (mut victim, mut peer) = pair(now, Settings::default());
        victim.connection.enable_reliable();
        peer.write(PacketKind::Control, &body);
        victim.receive(now, &mut peer.sent()[0]);
        // A pong, or the word that the reliable message was received.
        assert_eq!(victim.sent().len(), pongs + control_events, "{body:?}");
        assert_eq!(victim.application.control_events, control_events, "{body:?}");
    }
}

/// As a driver does it: whatever is due at `now` is run until nothing is.
fn run_at(now: Instant, side: &mut Side) -> usize {
    for calls in 0..1_000 {
        if side.connection.deadline().is_none_or(|(at, _)| at > now) {
            return calls;
        }
        side.timeout(now);
    }
    panic!("always due at {now:?}: {:?}", side.connection.deadline());
}

#[test]
fn no_timer_stays_due_after_it_was_handled() {
    let mut now = Instant::from_millis(1);
    let settings = Settings { packet_window: 32_768, ack_delay: Duration::ZERO, ..Settings::default() };
    let (mut victim, mut peer) = pair(now, settings);
    // More than one report can say, with a gap at the beginning, and the peer never tells what it has read.
    for _ in 0..5_000 {
        peer.send(now, b"x").unwrap();
    }
    for mut bytes in peer.sent().into_iter().skip(1) {
        victim.receive(now, &mut bytes);
    }
    victim.sent();
    let mut sent = 0;
    for _ in 0..1_000 {
        now += Duration::from_millis(1);
        run_at(now, &mut victim);
        sent += victim.sent().len();
    }
    assert!(sent < 100, "{sent} datagrams in a second, and nothing new to say");
}

/// An initiator whose host accepted from an address that was not asked, and the host, which it has not heard.
fn not_asked(now: Instant) -> (Side, Side) {
    let (mut initiator, host) = pair(now, Settings::default());
    let wait = Duration::from_secs(10);
    initiator.connection.phase = Phase::new(now, Some(Unheard { wait, was_asked: false }));
    (initiator, host)
}

/// Runs the timers for so long, and returns the bodies of the packets that were sent, as `peer` reads them.
fn bodies_sent(now: &mut Instant, milliseconds: u64, side: &mut Side, peer: &mut Side) -> Vec<Vec<u8>> {
    for _ in 0..milliseconds {
        run_at(*now, side);
        *now += Duration::from_millis(1);
    }
    side.sent().into_iter().map(|bytes| peer.body_of(bytes)).collect()
}

fn is_ping(body: &[u8]) -> bool {
    ReliableMessages::new(body).next().is_none()
        && matches!(ControlMessages::new(body).collect::<Vec<_>>()[..], [Ok(ControlMessage::Ping { .. })])
}

/// Whatever the initiator has to say: an accept can be copied to the address of somebody who asked for nothing.
#[test]
fn a_reliable_message_waits_until_an_address_that_was_not_asked_is_heard() {
    let mut now = Instant::from_millis(1);
    let (mut initiator, mut host) = not_asked(now);
    initiator.send_reliable(now, b"hello");
    let bodies = bodies_sent(&mut now, 1_000, &mut initiator, &mut host);
    assert_eq!(bodies.len(), 3, "{bodies:?}");
    assert!(bodies.iter().all(|body| is_ping(body)), "{bodies:?}");

    host.write(PacketKind::Ack, b"");
    initiator.receive(now, &mut host.sent()[0]);
    let bodies = bodies_sent(&mut now, 1, &mut initiator, &mut host);
    let messages: Vec<_> = bodies.iter().flat_map(|body| ReliableMessages::new(body).flatten()).collect();
    let (kind, body) = (ReliableKind::REQUEST, &b"hello"[..]);
    assert_eq!(messages, [ReliableMessage::Whole { kind, attempt: 1, serial: 1, body }]);
}

#[test]
fn a_close_waits_until_an_address_that_was_not_asked_is_heard() {
    let is_close = |body: &Vec<u8>| {
        ControlMessages::new(body).any(|message| matches!(message, Ok(ControlMessage::Close { .. })))
    };
    for is_heard in [true, false] {
        let mut now = Instant::from_millis(1);
        let (mut initiator, mut host) = not_asked(now);
        initiator.close(now);
        let bodies = bodies_sent(&mut now, 1_000, &mut initiator, &mut host);
        assert!(!bodies.is_empty() && bodies.iter().all(|body| is_ping(body)), "{bodies:?}");
        if is_heard {
            host.write(PacketKind::Ack, b"");
            initiator.receive(now, &mut host.sent()[0]);
            let bodies = bodies_sent(&mut now, 1, &mut initiator, &mut host);
            assert!(bodies.len() == 1 && is_close(&bodies[0]), "at once: {bodies:?}");
        } else {
            let bodies = bodies_sent(&mut now, 3_000, &mut initiator, &mut host);
            assert!(bodies.iter().all(|body| is_ping(body)), "{bodies:?}");
            let ended = initiator.connection.take_ended().expect("the close wait is over");
            assert_eq!((ended.code, ended.by), (crate::CloseCode::Closed, crate::ClosedBy::Application));
        }
    }
}

#[test]
fn a_payload_above_what_was_announced_is_not_taken() {
    let now = Instant::from_millis(1);
    let (mut victim, mut peer) = pair(now, Settings::default());
    for length in [1_150, 1_151, 60_000, 1] {
        peer.write(PacketKind::Data, &alloc::vec![7; length]);
        for mut bytes in peer.sent() {
            victim.receive(now, &mut bytes);
        }
    }
    assert_eq!(victim.application.packets, [(101, 1_150), (104, 1)]);
    victim.write(PacketKind::Ack, b"");
    for mut bytes in victim.sent() {
        peer.receive(now, &mut bytes);
    }
    let delivered: Vec<_> =
        peer.application.verdicts.iter().map(|(_, verdict)| verdict.is_delivered()).collect();
    assert_eq!(delivered, [true, false, false, true]);
}

#[test]
fn a_report_that_says_nothing_new_is_not_sent_for_each_packet() {
    let now = Instant::from_millis(1);
    let (mut victim, mut peer) = pair(now, Settings { packet_window: 32_768, ..Settings::default() });
    for _ in 0..30_000 {
        peer.send(now, b"x").unwrap();
    }
    for mut bytes in peer.sent().into_iter().skip(1) {
        victim.receive(now, &mut bytes);
    }
    let sent = victim.sent().len();
    assert!(sent < 10, "{sent} reports for 30,000 packets");
}

#[test]
fn a_final_close_whose_report_does_not_count_settles_nothing() {
    let now = Instant::from_millis(1);
    let (mut victim, mut peer) = pair(now, Settings::default());
    victim.send(now, b"open").unwrap();
    // The peer claims to know sequences that were never sent.
    peer.connection.incoming.close_book(110);
    let close = ControlMessage::Close { is_final: true, settled: 100, code: 0, reason: b"" };
    peer.write(PacketKind::Control, &messages(&[close]));
    for mut bytes in peer.sent() {
        victim.receive(now, &mut bytes);
    }
    assert_eq!(victim.connection.counters.reports_ignored, 1);
    assert_eq!(victim.application.verdicts, []);
    victim.timeout(now + Duration::from_secs(3));
    assert_eq!(victim.application.verdicts, [(101, Delivery::Unknown)]);
}

#[test]
fn a_packet_without_its_ack_bytes_uses_its_number_up() {
    // Or its nonce could be opened again, and short tags are only good for once.
    let now = Instant::from_micros(1_000_000);
    let (mut a, mut b) = pair(now, Settings::default());
    for is_data in [true, false] {
        let kind = if is_data { PacketKind::Data } else { PacketKind::Ack };
        let ack = a.connection.incoming.known();
        let mut bytes = a.seal(kind, 3, &[0; 2]);

        let (connection, application, mut outbox) = b.outbox();
        let mut opened_bytes = bytes.clone();
        connection.open(&mut opened_bytes).unwrap().process(now, application, &mut outbox);
        assert_eq!(connection.open(&mut bytes).err(), Some(Refusal::LateOrDuplicate));
        assert!(application.packets.is_empty());
        if is_data {
            a.connection.outgoing.sent(ack, true);
        }
    }
    assert_eq!(b.connection.stats().counters.malformed, 2);
}

#[test]
fn every_data_packet_that_opens_is_acknowledged_taken_or_not() {
    let now = Instant::from_millis(1);
    // Taken; too large; with fewer ack bytes than its form says.
    for (length, form) in [(10, 0), (2_000, 0), (0, 3)] {
        let (mut victim, mut peer) = pair(now, Settings::default());
        let mut bytes = peer.seal(PacketKind::Data, form, &alloc::vec![7; length]);
        victim.receive(now, &mut bytes);
        let (due, kind) = victim.connection.deadline().unwrap();
        assert_eq!((due, kind), (now + Settings::default().ack_delay, TimerKind::Ack), "{length} bytes");
        victim.timeout(due);
        assert_eq!(victim.sent().len(), 1);
    }
}

#[test]
fn a_report_that_could_not_say_all_leaves_another_one_due() {
    let now = Instant::from_millis(1);
    let (mut victim, mut peer) = pair(now, Settings::default());
    for _ in 0..100 {
        peer.send(now, b"x").unwrap();
    }
    // The first is lost, so that it takes 13 ack bytes to say what came; a data packet carries 6.
    for mut bytes in peer.sent().into_iter().skip(1).take(62) {
        victim.receive(now, &mut bytes);
    }
    victim.send(now, b"with a part of the report").unwrap();
    assert_eq!(victim.connection.deadline().unwrap().1, TimerKind::Ack);
    victim.sent();
    victim.timeout(now + Settings::default().ack_delay);
    let report = victim.sent().remove(0);
    peer.receive(now, &mut report.clone());
    assert_eq!(peer.application.verdicts.len(), 63);
}

#[test]
fn a_report_packet_on_what_was_never_sent_is_not_reported_as_read() {
    let now = Instant::from_millis(1);
    let (mut victim, mut peer) = pair(now, Settings::default());
    peer.connection.incoming.close_book(110);
    peer.write(PacketKind::Report, b"");
    for mut bytes in peer.sent() {
        victim.receive(now, &mut bytes);
    }
    assert_eq!(victim.connection.counters.reports_ignored, 1);
    let report = victim.connection.incoming.report(MAX_REPORT);
    let mut written = Vec::new();
    victim.connection.incoming.write_report(report, &mut written);
    assert_eq!(written, [0]);
}

#[test]
fn the_report_of_an_old_control_packet_says_nothing() {
    let now = Instant::from_millis(1);
    let (mut victim, mut peer) = pair(now, Settings::default());
    victim.send(now, b"held up").unwrap();
    let first = victim.sent().remove(0);
    // The peer closes its book on the packet, and says so. Then it sends data; that arrives first.
    peer.connection.incoming.close_book(101);
    peer.write(PacketKind::Ack, b"");
    let old_ack = peer.sent().remove(0);
    peer.connection.incoming = Incoming::new(Settings::default().packet_window, 100);
    peer.receive(now, &mut first.clone());
    peer.sent();
    peer.send(now, b"newer").unwrap();
    peer.connection.incoming = Incoming::new(Settings::default().packet_window, 100);
    peer.send(now, b"newest, without a report on it").unwrap();
    let newest = peer.sent().remove(1);
    victim.receive(now, &mut newest.clone());
    victim.receive(now, &mut old_ack.clone());
    assert_eq!(victim.application.verdicts, [], "its sequence is below R");
}

#[test]
fn the_peers_close_reason_is_told_even_if_its_address_is_taken() {
    let now = Instant::from_millis(1);
    let (mut victim, mut peer) = pair(now, Settings::default());
    let close = ControlMessage::Close { is_final: false, settled: 100, code: 0, reason: b"good night" };
    peer.write(PacketKind::Control, &messages(&[close]));
    for mut bytes in peer.sent() {
        victim.receive(now, &mut bytes);
    }
    assert!(victim.connection.take_ended().is_none(), "its verdicts may still come");
    let (connection, application, _) = victim.outbox();
    connection.abandon(crate::CloseCode::Replaced, crate::ClosedBy::Socket, application);
    let ended = connection.take_ended().unwrap();
    assert_eq!((ended.code, ended.by), (crate::CloseCode::Closed, crate::ClosedBy::Remote));
    assert_eq!(ended.reason, b"good night");
}

#[test]
fn a_lingering_side_answers_what_the_document_says() {
    let ping = ControlMessage::Ping { id: 1, settled: 100 };
    let pong = ControlMessage::Pong { id: 1, settled: 100 };
    let close = ControlMessage::Close { is_final: true, settled: 100, code: 0, reason: b"" };
    let close_ack = ControlMessage::CloseAck { is_final: true, settled: 100 };
    for (name, kind, form, text, is_answered) in [
        ("data", PacketKind::Data, 0, Vec::new(), true),
        ("a report", PacketKind::Report, 0, Vec::new(), true),
        ("an ack", PacketKind::Ack, 0, Vec::new(), false),
        ("data with too few ack bytes", PacketKind::Data, 3, Vec::new(), false),
        ("no message", PacketKind::Control, 0, Vec::new(), false),
        ("a pong", PacketKind::Control, 0, messages(&[pong]), false),
        ("a close_ack", PacketKind::Control, 0, messages(&[close_ack]), false),
        ("a ping", PacketKind::Control, 0, messages(&[close_ack, ping]), true),
        ("a close", PacketKind::Control, 0, messages(&[close]), true),
        ("an unknown kind", PacketKind::Control, 0, [99, 0, 0].to_vec(), false),
        ("a violation", PacketKind::Control, 0, [1, 0, 1, 0].to_vec(), true),
    ] {
        for (after, may_answer) in [(49, false), (50, true)] {
            let now = Instant::from_millis(1);
            let (mut side, mut peer) = pair(now, Settings::default());
            peer.write(PacketKind::Control, &messages(&[close]));
            side.receive(now, &mut peer.sent()[0]);
            assert_eq!(side.sent().len(), 1, "the answer to the close that ended it");
            side.receive(now + Duration::from_millis(after), &mut peer.seal(kind, form, &text));
            let answers: Vec<_> = side.sent().into_iter().map(|bytes| peer.body_of(bytes)).collect();
            assert_eq!(answers.len(), usize::from(is_answered && may_answer), "{name} after {after} ms");
            assert!(answers.iter().all(|answer| {
                matches!(ControlMessages::new(answer).next(), Some(Ok(ControlMessage::CloseAck { .. })))
            }));
        }
    }
}
