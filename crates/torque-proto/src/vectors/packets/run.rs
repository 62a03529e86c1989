//! Two connections, and a record of all that happens to them.

use core::time::Duration;
use std::string::String;
use std::vec::Vec;

use super::super::json::{Json, object};
use super::super::layouts::{Message, message_json, type_name, write_messages};
use crate::address::Address;
use crate::codes::CloseCode;
use crate::config::Config;
use crate::connection::control::reliable::ControlEvent;
use crate::connection::inspect::{self, Reason, ReportFate, WindowState, Written};
use crate::connection::packets::SealedPacket;
use crate::connection::{Connection, Output, Parts};
use crate::crypto::Cipher;
use crate::crypto::keys::{self, ReceiveKeys, SendKeys};
use crate::crypto::secret::{ConnectionSecret, Direction};
use crate::event::{ClosedBy, Delivery};
use crate::instant::Instant;
use crate::path::Path;
use crate::settings::Settings;
use crate::stats::HandshakeStats;
use crate::transmits::{Cause, Outbox, Transmits};
use crate::wire::control::ControlMessages;
use crate::wire::header::{Header, HeaderSize, PacketKind};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Initiator,
    Host,
}

impl End {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Host,
            Self::Host => Self::Initiator,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Initiator => "initiator",
            Self::Host => "host",
        }
    }

    /// The direction of this end's packets.
    fn direction(self) -> Direction {
        match self {
            Self::Initiator => Direction::FromInitiator,
            Self::Host => Direction::FromHost,
        }
    }
}

/// The beginning of a run.
pub(super) struct Setup {
    pub(super) cipher: Cipher,
    pub(super) tag_bytes: u8,
    pub(super) packet_window: u16,
    /// Initial sequences.
    pub(super) initiator: u64,
    pub(super) host: u64,
}

/// The application of one end.
#[derive(Default)]
struct Application {
    queue_is_full: bool,
    packets: Vec<(u64, Vec<u8>)>,
    verdicts: Vec<(u64, bool)>,
}

impl Output for Application {
    fn packet(&mut self, sequence: u64, payload: &[u8]) -> bool {
        if self.queue_is_full {
            return false;
        }
        self.packets.push((sequence, payload.to_vec()));
        true
    }

    fn verdict(&mut self, sequence: u64, delivery: Delivery) {
        self.verdicts.push((sequence, delivery.is_delivered()));
    }

    fn control(&mut self, _: ControlEvent) -> bool {
        panic!("nothing uses control messages here")
    }
}

struct Side {
    connection: Connection,
    /// Opens what this side sends, to see what is in it.
    own_keys: ReceiveKeys,
}

/// A datagram that was sent.
struct Sent {
    from: End,
    bytes: Vec<u8>,
    /// Sent by the connection itself, and not delivered yet.
    is_answer: bool,
}

pub(super) struct Run {
    head: Json,
    size: HeaderSize,
    now: Instant,
    initiator: Side,
    host: Side,
    transmits: Transmits,
    sent: Vec<Sent>,
    events: Vec<Json>,
}

impl Run {
    pub(super) fn new(name: &str, setup: &Setup) -> Self {
        let prk = super::super::rng(name).array();
        let secret = ConnectionSecret::from_prk(prk);
        let start = |end| if end == End::Initiator { setup.initiator } else { setup.host };
        let pair = |end: End| {
            let traffic = || secret.traffic(end.direction());
            keys::vectors::pair_at(traffic, setup.cipher, setup.tag_bytes, start(end))
        };
        let side = |end: End| {
            let ((send_keys, own_keys), (_, receive_keys)) = (pair(end), pair(end.other()));
            let sequences = (start(end), start(end.other()));
            let parts = parts(setup, send_keys, receive_keys, sequences);
            Side { connection: Connection::new(Instant::ZERO, &Config::default(), parts), own_keys }
        };
        let (initiator, host) = (side(End::Initiator), side(End::Host));
        let head = object! {
            "name": name,
            "kind": "packets",
            "cipher": setup.cipher.number(),
            "tag_bytes": setup.tag_bytes,
            "packet_window": setup.packet_window,
            "header_size": initiator.connection.header_bytes(),
            "prk": secret.prk(),
            "initial_sequence": object! { "initiator": setup.initiator, "host": setup.host },
        };
        Self {
            head,
            size: HeaderSize::for_window(setup.packet_window),
            now: Instant::ZERO,
            initiator,
            host,
            transmits: Transmits::new(16, 1 << 20),
            sent: Vec::new(),
            events: Vec::new(),
        }
    }

    pub(super) fn into_vector(self) -> Json {
        self.head.with("events", self.events)
    }

    pub(super) fn datagram(&self, datagram: usize) -> &[u8] {
        &self.sent[datagram].bytes
    }

    fn side(&mut self, end: End) -> &mut Side {
        match end {
            End::Initiator => &mut self.initiator,
            End::Host => &mut self.host,
        }
    }

    fn state(&mut self, end: End) -> WindowState {
        self.side(end).connection.window_state()
    }

    /// A_last.
    pub(super) fn settled(&mut self, end: End) -> u64 {
        self.state(end).a_last
    }

    /// Calls a connection with an outbox; time goes on.
    fn call<T>(&mut self, end: End, call: impl FnOnce(&mut Connection, Instant, &mut Outbox<'_>) -> T) -> T {
        self.now += Duration::from_millis(1);
        let connection = match end {
            End::Initiator => &mut self.initiator.connection,
            End::Host => &mut self.host.connection,
        };
        let remote = Address::from_virtual(end as u64);
        let mut path = Path::to(remote);
        let mut outbox = self.transmits.outbox(Cause::Own, &mut path);
        call(connection, self.now, &mut outbox)
    }

    pub(super) fn data(&mut self, from: End, payload: &[u8]) -> usize {
        self.call(from, |connection, now, outbox| connection.send(now, payload, outbox)).unwrap();
        self.record_sent(from, None)
    }

    /// An ack packet or a report, whichever is right.
    pub(super) fn acknowledge(&mut self, from: End) -> usize {
        self.call(from, |connection, now, outbox| connection.send_ack_now(now, outbox));
        self.record_sent(from, None)
    }

    pub(super) fn ping(&mut self, from: End) -> usize {
        self.call(from, |connection, now, outbox| connection.send_ping(now, outbox));
        self.record_sent(from, None)
    }

    pub(super) fn control(&mut self, from: End, messages: &[Message]) -> usize {
        let (bytes, json) = write_messages(messages);
        self.call(from, |connection, _, outbox| connection.send_control_bytes(&bytes, outbox));
        self.record_sent(from, Some(json))
    }

    pub(super) fn close(&mut self, from: End, code: CloseCode, reason: &[u8]) -> usize {
        self.call(from, |connection, now, outbox| {
            connection.close(now, code, ClosedBy::Application, reason, outbox);
        });
        self.record_sent(from, None)
    }

    pub(super) fn window_full(&mut self, from: End) {
        assert!(self.side(from).connection.is_window_full());
        let refused = self.call(from, |connection, now, outbox| connection.send(now, b"", outbox));
        assert!(refused.is_err() && self.transmits.is_empty());
        self.events.push(object! { "event": "window_full", "from": from.name() });
    }

    pub(super) fn take_verdicts(&mut self, at: End, count: u64) {
        (0..count).for_each(|_| self.side(at).connection.verdict_taken());
        let open = self.state(at).open;
        self.events.push(object! {
            "event": "take_verdicts",
            "at": at.name(),
            "count": count,
            "open": open,
        });
    }

    /// All verdicts that are there, if there are any.
    pub(super) fn take_all(&mut self, at: End) {
        let state = self.state(at);
        let untaken = state.open - (state.sent - state.a_last);
        if untaken > 0 {
            self.take_verdicts(at, untaken);
        }
    }

    pub(super) fn lost(&mut self, datagram: usize) {
        self.events.push(object! { "event": "lost", "datagram": datagram });
    }

    pub(super) fn receive(&mut self, datagram: usize) {
        let bytes = self.sent[datagram].bytes.clone();
        self.arrive(datagram, bytes, false);
    }

    pub(super) fn receive_when_full(&mut self, datagram: usize) {
        let bytes = self.sent[datagram].bytes.clone();
        self.arrive(datagram, bytes, true);
    }

    pub(super) fn receive_changed(&mut self, datagram: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.sent[datagram].bytes.clone();
        change(&mut bytes);
        self.arrive(datagram, bytes, false);
    }

    pub(super) fn receive_header_changed(
        &mut self,
        datagram: usize,
        change: impl FnOnce(&mut Header, HeaderSize),
    ) {
        let size = self.size;
        self.receive_changed(datagram, |bytes| {
            let mut header = Header::parse(size, bytes).unwrap();
            change(&mut header, size);
            let mut head = Vec::new();
            header.write(size, &mut head);
            bytes[..head.len()].copy_from_slice(&head);
        });
    }

    pub(super) fn receive_and_deliver_answers(&mut self, datagram: usize) {
        self.receive(datagram);
        self.deliver_answers();
    }

    /// Delivers what the connections themselves sent, until they are silent.
    pub(super) fn deliver_answers(&mut self) {
        while let Some(datagram) = self.sent.iter().position(|sent| sent.is_answer) {
            self.sent[datagram].is_answer = false;
            self.receive(datagram);
        }
    }

    fn arrive(&mut self, datagram: usize, bytes: Vec<u8>, queue_is_full: bool) {
        let at = self.sent[datagram].from.other();
        let mut event = object! { "event": "receive", "at": at.name(), "datagram": datagram };
        if bytes != self.sent[datagram].bytes {
            event = event.with("hex", &bytes);
        }
        let before = self.state(at);
        let mut opened_bytes = bytes.clone();
        let queue = Application { queue_is_full, ..Application::default() };
        let arrived = self.call(at, |connection, now, outbox| {
            let opened = connection.open(&mut opened_bytes)?;
            let (kind, foreseen, mut application) = (opened.kind(), opened.foresee(), queue);
            opened.process(now, &mut application, outbox);
            Ok((kind == PacketKind::Data, foreseen, application))
        });
        let (is_data, (fate, mut verdicts), application) = match arrived {
            Ok(arrived) => arrived,
            Err(refusal) => {
                let reason = reason_name(self.side(at).connection.reason(refusal, &bytes));
                assert_eq!(self.state(at), before);
                let event = event.with("result", "dropped").with("reason", reason);
                return self.events.push(event.with("state", state_json(before)));
            }
        };

        // What the report does not settle is dropped by a final close.
        let mut after = self.state(at);
        let reported = before.a_last.max(verdicts.last().map_or(0, |last| last.0));
        verdicts.extend((reported + 1..=after.a_last).map(|sequence| (sequence, false)));
        assert!(application.verdicts.iter().all(|verdict| verdicts.contains(verdict)));
        // A report that was sent at once belongs to the next event.
        let answers = self.transmits.len();
        if answers > 0 && self.answer_kind() == PacketKind::Report {
            after.sent -= 1;
            after.open -= 1;
        }
        let was_taken = !is_data || !application.packets.is_empty();
        let fate = match fate {
            ReportFate::Read => "read",
            ReportFate::Old => "old",
            ReportFate::Beyond => "beyond",
        };
        let verdicts: Vec<Json> = verdicts
            .into_iter()
            .map(|(sequence, delivered)| object! { "sequence": sequence, "delivered": delivered })
            .collect();
        self.events.push(
            event
                .with("result", if was_taken { "taken" } else { "not_taken" })
                .with("report", fate)
                .with("verdicts", verdicts)
                .with("state", state_json(after)),
        );
        if answers > 0 {
            let answer = self.record_sent(at, None);
            self.sent[answer].is_answer = true;
        }
    }

    fn answer_kind(&self) -> PacketKind {
        let answer = self.transmits.get(0).unwrap();
        Header::parse(self.size, answer.bytes).unwrap().kind
    }

    /// Records the one datagram that waits to be sent.
    fn record_sent(&mut self, from: End, messages: Option<Vec<Json>>) -> usize {
        assert_eq!(self.transmits.len(), 1);
        let bytes = self.transmits.get(0).unwrap().bytes.to_vec();
        self.transmits.clear();
        let written = self.side(from).connection.last_written(&bytes);
        let text = self.open_own(from, &bytes, &written);
        let kind = written.header.kind;
        let (ack_bytes, rest) = inspect::split_text(written.header.form, &text).unwrap();
        let datagram = self.sent.len();
        let mut event = object! {
            "event": "send",
            "from": from.name(),
            "datagram": datagram,
            "type": type_name(kind),
        };
        if kind == PacketKind::Data {
            event = event.with("payload", rest);
        }
        if kind == PacketKind::Control {
            let read = || ControlMessages::new(rest).map(|message| message_json(&message.unwrap())).collect();
            event = event.with("messages", messages.unwrap_or_else(read));
        }
        if let Some(counter) = written.numbers.counter {
            event = event.with("counter", counter);
        }
        self.events.push(
            event
                .with("sequence", written.numbers.sequence)
                .with("ack", written.numbers.ack)
                .with("ack_form", written.header.form)
                .with("ack_bytes", ack_bytes)
                .with("hex", &bytes),
        );
        self.sent.push(Sent { from, bytes, is_answer: false });
        datagram
    }

    /// The sealed text of a packet that this end sent: that it opens shows that the numbers are right.
    fn open_own(&mut self, from: End, datagram: &[u8], written: &Written) -> Vec<u8> {
        let size = self.size;
        let keys = &mut self.side(from).own_keys;
        let packet = SealedPacket::parse(size, keys, datagram).unwrap();
        let mut opened = datagram.to_vec();
        packet.open(keys, written.numbers, &mut opened).unwrap();
        packet.text(&opened).to_vec()
    }
}

fn parts(
    setup: &Setup,
    send_keys: SendKeys,
    receive_keys: ReceiveKeys,
    (send_initial, receive_initial): (u64, u64),
) -> Parts {
    let settings =
        Settings { packet_window: setup.packet_window, tag_bytes: setup.tag_bytes, ..Settings::default() };
    Parts {
        send_keys,
        receive_keys,
        cipher: setup.cipher,
        settings,
        peer_ack_delay: settings.ack_delay,
        send_initial,
        receive_initial,
        rtt: None,
        handshake: HandshakeStats::default(),
        unheard: None,
    }
}

fn state_json(state: WindowState) -> Json {
    object! {
        "r": state.r,
        "b": state.b,
        "c": state.c,
        "sent": state.sent,
        "a_last": state.a_last,
        "open": state.open,
    }
}

fn reason_name(reason: Reason) -> String {
    match reason {
        Reason::Late => "late",
        Reason::LateCounter => "late_counter",
        Reason::AckRange => "ack_range",
        Reason::Negative => "negative",
        Reason::NoKeys => "no_keys",
        Reason::Forged => "forged",
        Reason::Malformed => "malformed",
    }
    .into()
}
