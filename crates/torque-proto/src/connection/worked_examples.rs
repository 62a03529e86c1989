//! The worked examples of PROTOCOL.md 7.5, recomputed.

use super::incoming::{Incoming, MAX_REPORT, MAX_SHORT_REPORT, Report};
use super::numbers::{expand_ack, expand_carried, expand_counter, expand_new};
use super::outgoing::{Outgoing, reported};
use super::*;
use crate::wire::header::Header;
use alloc::vec::Vec;

const WINDOW: u16 = 128;
const SIZE: HeaderSize = HeaderSize::Three;

/// A report as it goes onto the wire.
fn report(incoming: &mut Incoming, most: usize) -> (Report, Vec<u8>) {
    let report = incoming.report(most);
    let mut bytes = Vec::new();
    incoming.write_report(report, &mut bytes);
    (report, bytes)
}

/// The verdicts on A_last + 1 … ack, and A_last afterwards.
fn read(outgoing: &mut Outgoing, ack: u64, ack_bytes: &[u8]) -> (Vec<bool>, u64) {
    let mut verdicts = Vec::new();
    while outgoing.settled() < ack {
        let delivery = reported(ack, ack_bytes, outgoing.settled() + 1);
        verdicts.push(outgoing.settle_next(delivery).unwrap().delivery.is_delivered());
    }
    (verdicts, outgoing.settled())
}

#[test]
fn a_run_without_loss() {
    assert_eq!((HeaderSize::for_window(WINDOW), SIZE.sequence_bits(), SIZE.modulus()), (SIZE, 9, 512));
    let header = Header { kind: PacketKind::Data, sequence_low: 101, ack_low: 7, form: 0 };
    let mut bytes = Vec::new();
    header.write(SIZE, &mut bytes);
    assert_eq!(bytes, [0x86, 0x50, 0x38]);
    assert_eq!(expand_new(SIZE, WINDOW, 100, 101), Some(101));

    let mut at_host = Incoming::new(WINDOW, 100);
    at_host.advance(101, true);
    assert_eq!(report(&mut at_host, MAX_SHORT_REPORT), (Report { ack: 101, bytes: 0 }, Vec::new()));
}

#[test]
fn a_wrap() {
    assert_eq!(expand_new(SIZE, WINDOW, 510, 3), Some(515));
    assert_eq!(expand_new(SIZE, WINDOW, 515, 510), None);
}

#[test]
fn a_gap_and_a_report_that_was_lost() {
    let mut at_host = Incoming::new(WINDOW, 100);
    for sequence in [101, 102, 104] {
        at_host.advance(sequence, true);
    }
    let (first, bytes) = report(&mut at_host, MAX_SHORT_REPORT);
    assert_eq!((first.ack, first.form(), bytes.as_slice()), (104, 1, [0x0d].as_slice()));
    let mut at_initiator = Outgoing::new(WINDOW, 100);
    (0..4).for_each(|_| at_initiator.sent(7, true));
    assert_eq!(read(&mut at_initiator, 104, &bytes), ([true, true, false, true].to_vec(), 104));

    at_host.advance(105, true);
    let (second, bytes) = report(&mut at_host, MAX_SHORT_REPORT);
    assert_eq!((second.ack, second.form(), bytes.as_slice()), (105, 1, [0x1b].as_slice()));
    at_host.report_was_read(105);
    assert_eq!((at_host.base(), at_host.report(MAX_SHORT_REPORT).form()), (105, 0));
}

#[test]
fn less_than_is_known() {
    let mut at_host = Incoming::new(WINDOW, 100);
    at_host.advance(150, true);
    at_host.advance(190, true);
    let (data, bytes) = report(&mut at_host, MAX_SHORT_REPORT);
    assert_eq!((data.ack, data.form(), bytes.len()), (148, 6, 6));
    let (ack, bytes) = report(&mut at_host, MAX_REPORT);
    assert_eq!((ack.ack, ack.form(), bytes[0], bytes.len()), (190, 7, 12, 13));
}

#[test]
fn a_report_that_came_too_late() {
    assert_eq!(expand_ack(SIZE, WINDOW, 190, 148), Some(148));
    let mut at_initiator = Outgoing::new(WINDOW, 190);
    at_initiator.sent(7, true);
    assert_eq!(read(&mut at_initiator, 148, &[]), (Vec::new(), 190));
}

#[test]
fn a_lost_tail() {
    let mut at_host = Incoming::new(WINDOW, 105);
    at_host.advance(106, true);
    assert_eq!(expand_carried(SIZE, WINDOW, 106, 107), Some(107));
    assert_eq!(expand_counter(0, 1), Some(1));
    at_host.close_book(107);
    let (pong, bytes) = report(&mut at_host, MAX_REPORT);
    assert_eq!((pong.ack, pong.form(), bytes.as_slice()), (107, 1, [0x02].as_slice()));
    let mut at_initiator = Outgoing::new(WINDOW, 105);
    (0..2).for_each(|_| at_initiator.sent(7, true));
    assert_eq!(read(&mut at_initiator, 107, &bytes), ([true, false].to_vec(), 107));
}
