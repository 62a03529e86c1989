//! Packets of connections: the header without keys, everything with them (PROTOCOL.md 6 to 8).

use torque_proto::inspect::InspectedPacket;
use torque_proto::wire::control::{ControlMessage, ControlMessages};
use torque_proto::wire::header::{Header, HeaderSize, PacketKind};
use torque_socket::CloseCode;

use super::fields::{Explained, data};
use super::reliable;
use crate::units::{hex, printable};

/// Verdicts of one report that are written out.
const MAX_BITS: u64 = 64;

const fn name(kind: PacketKind) -> &'static str {
    match kind {
        PacketKind::Data => "data",
        PacketKind::Report => "report",
        PacketKind::Ack => "ack",
        PacketKind::Control => "control",
    }
}

/// The explanation that is possible without keys, if the packet window is known or guessed.
pub fn closed(window: u16, bytes: &[u8]) -> Explained {
    let size = HeaderSize::for_window(window);
    let Some(header) = Header::parse(size, bytes) else {
        let mut explained = Explained::new("packet", "too short for a packet");
        explained.problem = Some("it is shorter than a header".into());
        return explained;
    };
    let mut explained = Explained::new(
        name(header.kind),
        format!("{} packet, sequence …{}, ack …{}", name(header.kind), header.sequence_low, header.ack_low),
    );
    let mut at = header_fields(&mut explained, size, &header);
    if !header.kind.is_sequenced() {
        match header.counter_low(size, bytes) {
            Some(counter) => explained.field(at, 2, "counter_low", hex(&counter.to_be_bytes())),
            None => explained.problem = Some("the control counter is missing".into()),
        }
        at = header.head_bytes(size);
    }
    let sealed = bytes.get(at..).unwrap_or_default();
    explained.field(at, sealed.len(), "sealed", hex(sealed));
    explained.opened = Some(false);
    explained
}

fn header_fields(explained: &mut Explained, size: HeaderSize, header: &Header) -> usize {
    let bits = size.sequence_bits();
    explained.field(0, size.bytes(), "type", name(header.kind));
    explained.field(0, size.bytes(), "sequence_low", format!("{} ({bits} bits)", header.sequence_low));
    explained.field(0, size.bytes(), "ack_low", format!("{} ({bits} bits)", header.ack_low));
    explained.field(0, size.bytes(), "ack_form", header.form.to_string());
    size.bytes()
}

/// An opened packet.
pub fn opened(packet: &InspectedPacket, from_initiator: bool, bytes: &[u8]) -> Explained {
    let sender = if from_initiator { "initiator" } else { "host" };
    let mut explained = Explained::new(
        name(packet.kind),
        format!("{} {} of the {sender}, {}", name(packet.kind), packet.sequence, report(packet)),
    );
    explained.opened = Some(true);
    explained.sealed_field(0, "sequence", packet.sequence.to_string());
    if let Some(counter) = packet.counter {
        explained.sealed_field(0, "counter", counter.to_string());
    }
    explained.sealed_field(0, "ack", packet.ack.to_string());
    explained.sealed_field(0, "generation", packet.generation.to_string());
    explained.sealed_field(packet.ack_bytes.len(), "report", report_in_full(packet));
    match packet.kind {
        PacketKind::Data => explained.sealed_field(packet.body.len(), "payload", data(&packet.body)),
        PacketKind::Control => control(&mut explained, &packet.body),
        PacketKind::Report | PacketKind::Ack if packet.body.is_empty() => {}
        PacketKind::Report | PacketKind::Ack => {
            explained.sealed_field(packet.body.len(), "rest", hex(&packet.body));
        }
    }
    explained.sealed_field(bytes.len(), "datagram", format!("{} bytes", bytes.len()));
    explained
}

fn report(packet: &InspectedPacket) -> String {
    match packet.form {
        0 => format!("everything up to {} delivered", packet.ack),
        _ => format!("report up to {}", packet.ack),
    }
}

/// Every sequence of a report with its bit.
fn report_in_full(packet: &InspectedPacket) -> String {
    if packet.form == 0 {
        return format!("form 0: everything since the last report, up to {}, was delivered", packet.ack);
    }
    let count = (packet.ack_bytes.len() as u64 * 8).min(packet.ack + 1).min(MAX_BITS);
    let first = packet.ack + 1 - count;
    let bits: String = (first..=packet.ack)
        .map(|sequence| if packet.reports(sequence) == Some(true) { '1' } else { '0' })
        .collect();
    format!(
        "form {}: {first} to {}: {bits} (1: delivered; what was settled before is 0)",
        packet.form, packet.ack
    )
}

fn control(explained: &mut Explained, body: &[u8]) {
    for message in ControlMessages::new(body) {
        match message {
            Ok(ControlMessage::Ping { id, settled }) => {
                explained.sealed_field(15, "ping", format!("id {id}, settled {settled}"));
            }
            Ok(ControlMessage::Pong { id, settled }) => {
                explained.sealed_field(15, "pong", format!("id {id}, settled {settled}"));
            }
            Ok(ControlMessage::Close { is_final, settled, code, reason }) => {
                let code = match CloseCode::from_number(code) {
                    Some(known) => format!("{code} ({})", known.name()),
                    None => code.to_string(),
                };
                explained.summary.push_str(", close");
                explained.sealed_field(
                    14 + reason.len(),
                    "close",
                    format!(
                        "code {code}, final {is_final}, settled {settled}, reason \"{}\"",
                        printable(reason)
                    ),
                );
            }
            Ok(ControlMessage::CloseAck { is_final, settled }) => {
                explained.summary.push_str(", close_ack");
                explained.sealed_field(12, "close_ack", format!("final {is_final}, settled {settled}"));
            }
            Err(_) => explained.problem = Some("a control message is malformed".into()),
        }
    }
    reliable::messages(explained, body);
}
