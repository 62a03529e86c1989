//! Messages larger than a packet on top of verdicts: cut into pieces, lost pieces sent again, put together.
//!
//! Run it: `cargo run --example large_messages`
#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use torque_socket::{
    Config, ConnectOptions, ConnectionId, Delivery, Event, LinkConfig, SendError, Sequence, Settings, Socket,
};

/// Message number (4), piece (2), pieces (2).
const HEAD: usize = 8;
/// More than this a receiver does not hold for one message: whoever sends decides no sizes here.
const MAX_PIECES: u16 = 1_024;
/// What a socket may take to end.
const END: Duration = Duration::from_secs(10);

/// One piece of a message that is shared by all of its pieces.
struct Piece {
    number: u32,
    index: u16,
    count: u16,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct LargeSender {
    next_number: u32,
    waiting: VecDeque<Piece>,
    under_way: BTreeMap<Sequence, Piece>,
}

impl LargeSender {
    fn push(&mut self, message: &[u8], max_packet_size: usize) {
        let pieces: Vec<&[u8]> = message.chunks(max_packet_size - HEAD).collect();
        for (index, bytes) in pieces.iter().enumerate() {
            self.waiting.push_back(Piece {
                number: self.next_number,
                index: index as u16,
                count: pieces.len() as u16,
                bytes: bytes.to_vec(),
            });
        }
        self.next_number += 1;
    }

    fn send(&mut self, socket: &mut Socket, connection: ConnectionId) -> Result<(), SendError> {
        let mut packet = Vec::new();
        while let Some(piece) = self.waiting.pop_front() {
            packet.clear();
            packet.extend_from_slice(&piece.number.to_be_bytes());
            packet.extend_from_slice(&piece.index.to_be_bytes());
            packet.extend_from_slice(&piece.count.to_be_bytes());
            packet.extend_from_slice(&piece.bytes);
            match socket.send(connection, &packet) {
                Ok(sequence) => self.under_way.insert(sequence, piece),
                Err(SendError::WindowFull | SendError::Blocked) => {
                    self.waiting.push_front(piece);
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    fn verdict(&mut self, sequence: Sequence, delivery: Delivery) {
        let piece = self.under_way.remove(&sequence);
        if let Some(piece) = piece.filter(|_| !delivery.is_delivered()) {
            self.waiting.push_front(piece);
        }
    }
}

#[derive(Default)]
struct LargeReceiver {
    partial: HashMap<u32, BTreeMap<u16, Vec<u8>>>,
}

impl LargeReceiver {
    /// The message that this packet completes, if it does.
    fn take(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let (head, bytes) = packet.split_first_chunk::<HEAD>()?;
        let number = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let (index, count) = (u16::from_be_bytes([head[4], head[5]]), u16::from_be_bytes([head[6], head[7]]));
        if count > MAX_PIECES || index >= count {
            return None;
        }
        let pieces = self.partial.entry(number).or_default();
        pieces.insert(index, bytes.to_vec());
        if pieces.len() < usize::from(count) {
            return None;
        }
        let pieces = self.partial.remove(&number)?;
        Some(pieces.into_values().flatten().collect())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let link: LinkConfig = "delay=10,jitter=3,loss=5%".parse()?;
    // Both sides wish for a window that holds many pieces.
    let mut config = Config::default();
    config.settings = Settings { packet_window: 512, ..Settings::default() };
    let mut host = Socket::builder().config(config.clone()).simulated_link(link).bind("127.0.0.1:0")?;
    let mut client = Socket::builder().config(config).client()?;
    let id =
        client.connect(format!("{}@{}", host.public_key(), host.local_addr()), ConnectOptions::default())?;
    let messages: Vec<Vec<u8>> =
        (1..=5_u32).map(|n| (0..n * 100_000).map(|i| (i * n % 251) as u8).collect()).collect();
    let (mut sender, mut receiver, mut received) =
        (LargeSender::default(), LargeReceiver::default(), Vec::new());
    let begun = Instant::now();
    while received.len() < messages.len() {
        if begun.elapsed() > Duration::from_secs(30) {
            return Err("it takes too long".into());
        }
        host.wait(Duration::from_millis(1));
        host.poll();
        while let Some(event) = host.next_event() {
            match event {
                Event::ConnectRequest { connection, .. } => host.accept_connection(connection, b"")?,
                Event::Packet { payload, .. } => received.extend(receiver.take(&payload)),
                _ => {}
            }
        }
        while let Some(event) = client.wait_event(Duration::from_millis(1)) {
            match event {
                Event::Established { .. } => {
                    let size = client.max_packet_size(id).unwrap_or(1_150);
                    messages.iter().for_each(|message| sender.push(message, size));
                }
                Event::PacketDeliveryNotify { sequence, delivery, .. } => sender.verdict(sequence, delivery),
                Event::Close { code, .. } => return Err(format!("the connection ended: {code}").into()),
                _ => {}
            }
        }
        sender.send(&mut client, id)?;
    }
    received.sort_by_key(Vec::len);
    assert!(received == messages);
    println!("{} messages, 1.5 MB, after {:?}", received.len(), begun.elapsed());
    // Each of them waits for the other's last word, so they end at the same time.
    thread::scope(|threads| {
        threads.spawn(|| host.shutdown(END, |_| {}));
        client.shutdown(END, |_| {});
    });
    Ok(())
}
