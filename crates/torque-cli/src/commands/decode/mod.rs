//! `torque decode`: datagrams explained, from hex or a capture, with or without keys.

mod capture;
mod fields;
mod handshake;
mod introduction;
mod keys;
mod packet;
mod reliable;

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::json;
use torque_proto::wire::{DatagramKind, RELAYED_HEAD_BYTES, is_relayable, parse_relayed};

use crate::failure::Failure;
use crate::key_log;
use crate::output::{BAD, DIM, GOOD, NAME, Output, WARN};
use crate::units::{from_hex, hex};
use fields::{Explained, Field, data};
use keys::Keys;

const EXAMPLES: &str = "\
Examples:
  torque decode 07 01 00112233445566778899aabbccddeeff 06
                                          a datagram in hex
  torque decode capture.pcap              everything in a capture of tcpdump or Wireshark (pcap, pcapng)
  tcpdump -i any -w - udp port 28000 | torque decode -
  TORQUE_KEYLOG=keys.txt torque host      write the keys of all connections, then
  torque decode --key-log keys.txt capture.pcap
                                          open their packets too

Without keys the header of a packet can be told only if its packet window is known (--window), as that decides its
size; what is sealed stays sealed. With a key log the packets of its connections are opened, numbered in full, and
their reports and control messages written out. The sealed parts of handshake messages stay sealed.

The key log has a line for each connection and side:
  torque-key v=1 role=initiator|host remote=ADDR:PORT cipher=N tag=N window=N initiator_sequence=N
             host_sequence=N from_initiator=<64 hex digits> from_host=<64 hex digits>
where role is the side that wrote it, remote the other side, and the last two are traffic[0, 0] and traffic[0, 1]
of PROTOCOL.md 3.3.
";

/// Explain datagrams, in hex or from a capture
///
/// Names every field, and says what a receiver would object to.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Hex (words are joined), or files: captures, or text with one datagram in hex a line; - is standard input
    #[arg(value_name = "HEX|FILE", default_value = "-")]
    input: Vec<String>,

    /// File with the secrets of connections, written when TORQUE_KEYLOG named it
    #[arg(long, value_name = "FILE")]
    key_log: Option<PathBuf>,

    /// The packet window of connections without keys, which decides the size of headers
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(8..=32_768))]
    window: u16,

    /// Only datagrams of a capture from or to this UDP port
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// One line for each datagram
    #[arg(long, short)]
    brief: bool,
}

/// A datagram with what is known of its way.
struct Item {
    path: Option<keys::Path>,
    micros: Option<u64>,
    bytes: Vec<u8>,
}

impl Item {
    fn bare(bytes: Vec<u8>) -> Self {
        Self { path: None, micros: None, bytes }
    }
}

pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let log = args.key_log.as_deref().map(key_log::read).transpose()?.unwrap_or_default();
    let mut keys = Keys::new(log);
    let items = read_input(args, output)?;
    let begin = items.iter().find_map(|item| item.micros).unwrap_or(0);
    for (index, item) in items.iter().enumerate() {
        let explained = explain(args, &mut keys, item);
        show(args, output, index, begin, item, &explained)?;
    }
    if items.is_empty() {
        return Err(
            Failure::failed("there is no datagram in it").next("give hex, or a capture with UDP in it")
        );
    }
    Ok(())
}

fn read_input(args: &Args, output: &Output) -> Result<Vec<Item>, Failure> {
    let is_file = |text: &String| text == "-" || Path::new(text).is_file();
    if !args.input.iter().any(is_file) {
        let text = args.input.concat();
        return match from_hex(&text) {
            Some(bytes) => Ok(vec![Item::bare(bytes)]),
            None => Err(Failure::usage(format!("`{}` is neither hex nor a file", args.input.join(" ")))
                .next("write pairs of hex digits, or the name of a capture")),
        };
    }
    let mut items = Vec::new();
    for name in &args.input {
        let mut bytes = Vec::new();
        let read = match name.as_str() {
            "-" => std::io::stdin().read_to_end(&mut bytes),
            name => std::fs::File::open(name).and_then(|mut file| file.read_to_end(&mut bytes)),
        };
        read.map_err(|error| Failure::file("reading", Path::new(name), &error))?;
        match capture::read(&bytes) {
            Some(capture) => take_capture(args, output, capture, &mut items),
            None => take_lines(name, &bytes, &mut items)?,
        }
    }
    Ok(items)
}

fn take_capture(args: &Args, output: &Output, capture: capture::Capture, items: &mut Vec<Item>) {
    if capture.skipped > 0 {
        output.note(format_args!(
            "{DIM}{} packets of the capture are no whole UDP datagrams{DIM:#}",
            capture.skipped
        ));
    }
    if capture.is_cut_off {
        output.note(format_args!(
            "{WARN}the capture ends in the middle of a packet, or is damaged: the rest was not read{WARN:#}"
        ));
    }
    for datagram in capture.datagrams {
        let ports = [datagram.from.port(), datagram.to.port()];
        if args.port.is_none_or(|port| ports.contains(&port)) {
            items.push(Item {
                path: Some((datagram.from, datagram.to)),
                micros: Some(datagram.micros),
                bytes: datagram.bytes,
            });
        }
    }
}

fn take_lines(name: &str, bytes: &[u8], items: &mut Vec<Item>) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(bytes);
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let bytes = from_hex(line).ok_or_else(|| {
            Failure::usage(format!("{name}, line {} is no hex", index + 1))
                .next("give a capture (pcap, pcapng), or text with one datagram in hex a line")
        })?;
        items.push(Item::bare(bytes));
    }
    Ok(())
}

fn explain(args: &Args, keys: &mut Keys, item: &Item) -> Explained {
    let bytes = &item.bytes;
    match DatagramKind::of(bytes) {
        DatagramKind::Packet => match keys.open(item.path, bytes) {
            Some((packet, from_initiator)) => packet::opened(&packet, from_initiator, bytes),
            None => packet::closed(args.window, bytes),
        },
        DatagramKind::Info => info(bytes),
        DatagramKind::Relayed => relayed(args, keys, bytes),
        DatagramKind::Empty => {
            let mut explained = Explained::new("empty", "nothing at all");
            explained.problem = Some("it would be dropped".into());
            explained
        }
        DatagramKind::Reserved => {
            let mut explained = Explained::new("reserved", format!("first byte {:#04x}", bytes[0]));
            explained.problem = Some("this version has no use for it; it would be dropped".into());
            explained.field(0, bytes.len(), "bytes", hex(bytes));
            explained
        }
        kind => handshake::explain(kind, bytes),
    }
}

/// The datagram inside is explained as well: its addresses are unknown, so every key of the log is tried.
fn relayed(args: &Args, keys: &mut Keys, bytes: &[u8]) -> Explained {
    let (circuit, inner) = match parse_relayed(bytes) {
        Ok(parts) => parts,
        Err(error) => return handshake::malformed("relayed", bytes, &error),
    };
    let mut explained = Explained::new("relayed", format!("on circuit {circuit:08x}"));
    explained.field(1, 4, "circuit", format!("{circuit:08x}"));
    if !is_relayable(inner[0]) {
        explained.problem = Some("an introducer passes on only handshakes, punches and packets".into());
        explained.field(RELAYED_HEAD_BYTES, inner.len(), "inner", hex(inner));
        return explained;
    }
    let told = explain(args, keys, &Item::bare(inner.to_vec()));
    explained.summary = format!("{}, {}: {}", explained.summary, told.kind, told.summary);
    explained.opened = told.opened;
    explained.problem = told.problem.map(|problem| format!("inside: {problem}"));
    let moved = told
        .fields
        .into_iter()
        .map(|field| Field { at: field.at.map(|at| at + RELAYED_HEAD_BYTES), ..field });
    explained.fields.extend(moved);
    explained
}

fn info(bytes: &[u8]) -> Explained {
    let what = match bytes.get(..8) {
        Some(b"?TqFind1") => "a question of discovery",
        Some(b"!TqHere1") => "an answer of discovery",
        _ => "the application's own, neither encrypted nor authenticated",
    };
    let mut explained = Explained::new("info", what);
    let shown = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    explained.field(0, bytes.len(), "bytes", data(&bytes[..shown]));
    explained
}

fn show(
    args: &Args,
    output: &Output,
    index: usize,
    begin: u64,
    item: &Item,
    explained: &Explained,
) -> Result<(), Failure> {
    let time = item.micros.map(|micros| micros.saturating_sub(begin));
    output.record(|| {
        let fields: Vec<_> = explained
            .fields
            .iter()
            .map(|field| json!({ "name": field.name, "offset": field.at, "size": field.size, "value": field.value }))
            .collect();
        json!({
            "event": "datagram",
            "index": index,
            "time_us": time,
            "from": item.path.map(|path| path.0.to_string()),
            "to": item.path.map(|path| path.1.to_string()),
            "bytes": item.bytes.len(),
            "kind": explained.kind,
            "summary": explained.summary,
            "opened": explained.opened,
            "problem": explained.problem,
            "fields": fields,
        })
    })?;
    let place = match (time, item.path) {
        (Some(time), Some((from, to))) => format!("{:>10.6} {from} > {to}  ", time as f64 / 1e6),
        _ => String::new(),
    };
    let seal = match explained.opened {
        Some(true) => format!(" {GOOD}opened{GOOD:#}"),
        Some(false) => format!(" {DIM}sealed{DIM:#}"),
        None => String::new(),
    };
    output.line(format_args!(
        "{DIM}{place}{DIM:#}{NAME}{}{NAME:#} {DIM}({} bytes){DIM:#}{seal}: {}",
        explained.kind,
        item.bytes.len(),
        explained.summary
    ))?;
    if let Some(problem) = &explained.problem {
        output.line(format_args!("  {BAD}{problem}{BAD:#}"))?;
    }
    if args.brief {
        return Ok(());
    }
    for field in &explained.fields {
        let at = field.at.map_or_else(|| "sealed".into(), |at| format!("{at:>4} +{}", field.size));
        output.line(format_args!("  {DIM}{at:<10}{DIM:#} {:<24} {}", field.name, field.value))?;
    }
    Ok(())
}
