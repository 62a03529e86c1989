//! packets.json: runs of packets between two real connections (PROTOCOL.md 6 to 10).

mod run;

use std::format;
use std::vec::Vec;

use self::run::{End, Run, Setup};
use super::json::Json;
use super::layouts::Message;
use crate::codes::CloseCode;
use crate::crypto::Cipher;
use crate::wire::control::ControlMessage;

const INITIATOR: End = End::Initiator;
const HOST: End = End::Host;

pub(super) fn vectors() -> Vec<Json> {
    use Cipher::{Aes128Gcm, Aes128GcmSst, ChaCha20Poly1305};
    let mut vectors = Vec::new();
    // Cipher, tag, window; initial sequences just below a change of generation.
    let all = [
        (Aes128Gcm, 16, 128, 65_532, 3 * 65_536 - 4),
        (Aes128Gcm, 16, 2_048, 65_532, 65_532),
        (Aes128Gcm, 16, 32_768, 2 * 65_536 - 4, 65_533),
        (ChaCha20Poly1305, 16, 128, 5 * 65_536 - 4, 65_531),
        (ChaCha20Poly1305, 16, 1_500, 65_532, 2 * 65_536 - 3),
        (ChaCha20Poly1305, 16, 32_768, 65_532, 65_532),
        (Aes128GcmSst, 8, 128, 65_532, 65_532),
        (Aes128GcmSst, 4, 2_048, 2 * 65_536 - 4, 65_533),
        (Aes128GcmSst, 16, 20_000, 65_532, 2 * 65_536 - 5),
    ];
    for (index, (cipher, tag_bytes, packet_window, initiator, host)) in all.into_iter().enumerate() {
        let name = format!("cipher_{}_tag_{tag_bytes}_window_{packet_window}", cipher.number());
        let setup = Setup { cipher, tag_bytes, packet_window, initiator, host };
        vectors.push(everything(name, &setup, index));
    }
    vectors.push(low_numbers());
    vectors.push(full_window_and_close());
    vectors.push(window_of_128_lost_but_the_last());
    vectors.push(crossing_closes());
    vectors
}

/// All types, forms, losses and refusals, with a change of generation in each direction.
fn everything(name: std::string::String, setup: &Setup, index: usize) -> Json {
    let mut run = Run::new(&name, setup);
    let held = run.ping(INITIATOR);

    // Without loss; a duplicate; changed copies.
    let first = run.data(INITIATOR, b"hello");
    run.receive(first);
    let answer = run.data(HOST, b"");
    run.receive(answer);
    run.receive(first);
    let next = run.data(INITIATOR, b"seventeen bytes..");
    let end = run.datagram(next).len() - 1;
    run.receive_changed(next, |bytes| bytes[end] ^= 1);
    run.receive_changed(next, |bytes| bytes[end / 2] ^= 0x40);
    run.receive_changed(next, |bytes| bytes.truncate(3));
    run.receive_header_changed(next, |header, size| header.ack_low += size.modulus() / 2);
    run.receive_header_changed(next, |header, _| header.sequence_low += 1);
    run.receive(next);

    // Loss and reordering over the initiator's change of generation; a packet of the old one comes too late.
    let [lost, overtaken, last] = [b"1", b"2", b"3"].map(|payload| run.data(INITIATOR, payload));
    run.lost(lost);
    run.receive(last);
    run.receive(overtaken);
    run.receive(held);
    let old = run.acknowledge(HOST);
    let answer = run.data(HOST, b"report in form 1");
    run.receive(answer);
    run.receive(old);
    run.receive(old);
    run.take_all(INITIATOR);

    // The host's application takes no more for a while, and the host changes its generation.
    let full = run.data(INITIATOR, b"not taken");
    run.receive_when_full(full);
    for payload in [&b"four"[..], b"five", b"six"] {
        let answer = run.data(HOST, payload);
        run.receive(answer);
    }
    settle_at(&mut run, HOST);
    let ack = run.acknowledge(INITIATOR);
    run.receive(ack);
    run.receive(ack);
    run.take_all(HOST);

    // A lost tail, and a control packet that closes the book over it.
    let tail = [b"7", b"8", b"9"].map(|payload| run.data(INITIATOR, payload));
    run.receive(tail[0]);
    run.lost(tail[1]);
    run.lost(tail[2]);
    let settled = run.settled(INITIATOR);
    let probe = run.control(
        INITIATOR,
        &[
            Message::Skipped(0, std::vec![0; 3]),
            Message::Known(ControlMessage::Ping { id: 0x0bad_cafe, settled }),
            Message::Skipped(200, b"new".to_vec()),
        ],
    );
    run.receive_and_deliver_answers(probe);
    settle_at(&mut run, HOST);

    // A report of several bytes. Long ones are in a third of the runs: one of each cipher and each size of header.
    let is_long = index.is_multiple_of(4);
    let bytes = if is_long { 4 + index / 4 } else { 2 + index % 2 };
    burst(&mut run, INITIATOR, 8 * bytes - 3, &[4, 9]);
    let answer = run.data(HOST, b"several bytes");
    run.receive(answer);
    settle_at(&mut run, HOST);
    if is_long {
        long_reports(&mut run, index);
    }
    run.into_vector()
}

/// More than a data packet can say, in each direction: the report says the rest, and B advances.
fn long_reports(run: &mut Run, index: usize) {
    for (from, to) in [(INITIATOR, HOST), (HOST, INITIATOR)] {
        burst(run, from, 51 + index, &[1, 20, 21, 33]);
        let short = run.data(to, b"six bytes");
        run.receive(short);
        let report = run.acknowledge(to);
        run.receive(report);
        let ping = run.ping(to);
        run.receive_and_deliver_answers(ping);
        run.take_all(from);
        run.take_all(to);
        settle_at(run, to);
        let after = run.data(to, b"form 0 again");
        run.receive(after);
    }
}

/// The reports of `end` so far are known to be read: B advances.
fn settle_at(run: &mut Run, end: End) {
    let carrier = run.data(end, b"");
    run.receive(carrier);
    let answer = run.data(end.other(), b"");
    run.receive(answer);
    run.take_all(end);
    run.take_all(end.other());
}

/// `count` small packets, of which the last and those of these numbers arrive.
fn burst(run: &mut Run, from: End, count: usize, arrive: &[usize]) {
    let sent: Vec<usize> = (0..count).map(|_| run.data(from, b"")).collect();
    for index in arrive.iter().copied().filter(|index| *index < count - 1).chain([count - 1]) {
        run.receive(sent[index]);
    }
}

/// Numbers so low that older ones would be negative.
fn low_numbers() -> Json {
    let setup =
        Setup { cipher: Cipher::Aes128GcmSst, tag_bytes: 8, packet_window: 128, initiator: 5, host: 0 };
    let mut run = Run::new("low_numbers", &setup);
    let first = run.data(INITIATOR, b"first");
    run.receive(first);
    let ack = run.acknowledge(HOST);
    run.receive_header_changed(ack, |header, size| header.sequence_low += size.modulus() - 40);
    run.receive_header_changed(ack, |header, size| header.ack_low += size.modulus() - 40);
    run.receive(ack);
    let answer = run.data(HOST, b"answer");
    run.receive_header_changed(answer, |header, size| header.ack_low += size.modulus() - 100);
    run.receive_header_changed(answer, |header, size| header.sequence_low += size.modulus() - 1);
    run.receive(answer);
    let ping = run.ping(INITIATOR);
    run.receive_header_changed(ping, |header, size| header.sequence_low += size.modulus() - 8);
    run.receive_and_deliver_answers(ping);
    run.into_vector()
}

/// A window that is no power of two is filled, acknowledged at once, taken, and filled again; then one side closes
/// with verdicts outstanding on both.
fn full_window_and_close() -> Json {
    let setup = Setup {
        cipher: Cipher::ChaCha20Poly1305,
        tag_bytes: 16,
        packet_window: 20,
        initiator: 4_095,
        host: 17,
    };
    let mut run = Run::new("full_window_and_close", &setup);
    burst(&mut run, INITIATOR, 20, &[2, 3]);
    run.window_full(INITIATOR);
    run.deliver_answers();
    // All have their verdicts, but nobody has taken them.
    run.window_full(INITIATOR);
    run.take_verdicts(INITIATOR, 5);
    let more = [b"a", b"b", b"c", b"d", b"e"].map(|payload| run.data(INITIATOR, payload));
    run.window_full(INITIATOR);
    run.receive(more[1]);
    let from_host = [b"x", b"y", b"z"].map(|payload| run.data(HOST, payload));
    run.receive(from_host[1]);

    let close = run.close(INITIATOR, CloseCode::Closed, b"bye");
    // What comes before the host has heard of it is not taken any more.
    run.receive(from_host[2]);
    run.receive(close);
    run.receive(more[4]);
    run.deliver_answers();
    run.receive(close);
    run.take_all(INITIATOR);
    run.take_all(HOST);
    run.into_vector()
}

/// The farthest that a sequence may be ahead.
fn window_of_128_lost_but_the_last() -> Json {
    let setup =
        Setup { cipher: Cipher::Aes128GcmSst, tag_bytes: 8, packet_window: 128, initiator: 1_000, host: 300 };
    let mut run = Run::new("window_of_128_lost_but_the_last", &setup);
    burst(&mut run, INITIATOR, 128, &[]);
    run.window_full(INITIATOR);
    run.deliver_answers();
    run.take_all(INITIATOR);
    let next = run.data(INITIATOR, b"next");
    run.receive(next);
    let close = run.close(HOST, CloseCode::ShuttingDown, b"");
    run.receive_and_deliver_answers(close);
    run.into_vector()
}

/// Both sides close at once.
fn crossing_closes() -> Json {
    let setup =
        Setup { cipher: Cipher::Aes128Gcm, tag_bytes: 16, packet_window: 8, initiator: 0, host: 4_095 };
    let mut run = Run::new("crossing_closes", &setup);
    let sent = [b"1", b"2", b"3"].map(|payload| run.data(INITIATOR, payload));
    let answers = [b"4", b"5"].map(|payload| run.data(HOST, payload));
    run.receive(sent[1]);
    run.receive(answers[0]);
    let closes = [
        run.close(INITIATOR, CloseCode::Closed, b"enough"),
        run.close(HOST, CloseCode::ShuttingDown, b"evening"),
    ];
    run.receive(closes[0]);
    run.receive(closes[1]);
    run.deliver_answers();
    run.into_vector()
}
