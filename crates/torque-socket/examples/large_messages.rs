//! Messages larger than a packet on top of verdicts: cut into pieces, lost pieces sent again, put together.
//!
//! What a receiver keeps is bounded, whatever the other side sends: a number of messages at a time, each of a number of pieces.
//!
//! Run it: `cargo run --example large_messages`
#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use torque_socket::{
    Config, ConnectionId, Delivery, Event, LinkConfig, SendError, Sequence, Settings, Socket,
};

/// Message number (4), piece (2), pieces (2).
const HEAD: usize = 8;
/// The most that a receiver holds for one message: the sender does not decide sizes here.
const MAX_PIECES: u16 = 1_024;
/// Messages that may be on their way at a time. Both sides know it.
const MAX_PARTIAL: usize = 2;
/// How long a socket may take to end.
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
    /// Pieces that are missing of each message that was begun.
    begun: BTreeMap<u32, u16>,
}

impl LargeSender {
    /// Queues a message. An error says why the other side would not take it.
    fn push(&mut self, message: &[u8], max_packet_size: usize) -> Result<(), &'static str> {
        let pieces: Vec<&[u8]> = message.chunks(max_packet_size - HEAD).collect();
        let count = u16::try_from(pieces.len()).unwrap_or(u16::MAX);
        if count == 0 || count > MAX_PIECES {
            return Err("a message has 1 to 1,024 pieces");
        }
        for (index, bytes) in pieces.iter().enumerate() {
            self.waiting.push_back(Piece {
                number: self.next_number,
                index: index as u16,
                count,
                bytes: bytes.to_vec(),
            });
        }
        self.next_number = self.next_number.wrapping_add(1);
        Ok(())
    }

    fn send(&mut self, socket: &mut Socket, connection: ConnectionId) -> Result<(), SendError> {
        let mut packet = Vec::new();
        while let Some(piece) = self.waiting.front() {
            if !self.begun.contains_key(&piece.number) && self.begun.len() == MAX_PARTIAL {
                return Ok(());
            }
            packet.clear();
            packet.extend_from_slice(&piece.number.to_be_bytes());
            packet.extend_from_slice(&piece.index.to_be_bytes());
            packet.extend_from_slice(&piece.count.to_be_bytes());
            packet.extend_from_slice(&piece.bytes);
            match socket.send(connection, &packet) {
                Ok(sequence) => {
                    self.begun.entry(piece.number).or_insert(piece.count);
                    self.under_way.extend(self.waiting.pop_front().map(|piece| (sequence, piece)));
                }
                Err(SendError::WindowFull | SendError::Blocked) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn verdict(&mut self, sequence: Sequence, delivery: Delivery) {
        let Some(piece) = self.under_way.remove(&sequence) else { return };
        if !delivery.is_delivered() {
            return self.waiting.push_front(piece);
        }
        if let Some(missing) = self.begun.get_mut(&piece.number) {
            *missing -= 1;
            if *missing == 0 {
                self.begun.remove(&piece.number);
            }
        }
    }
}

/// A message of which pieces are missing.
struct Partial {
    count: u16,
    pieces: BTreeMap<u16, Vec<u8>>,
}

#[derive(Default)]
struct LargeReceiver {
    partial: HashMap<u32, Partial>,
}

impl LargeReceiver {
    /// The message that this packet completes, if it does. An error says what the other side does that it must not:
    /// end the connection.
    fn take(&mut self, packet: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
        let (head, bytes) = packet.split_first_chunk::<HEAD>().ok_or("a piece without a head")?;
        let number = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let (index, count) = (u16::from_be_bytes([head[4], head[5]]), u16::from_be_bytes([head[6], head[7]]));
        if count > MAX_PIECES || index >= count {
            return Err("a piece of a message that is too large");
        }
        if !self.partial.contains_key(&number) && self.partial.len() == MAX_PARTIAL {
            return Err("too many messages at a time");
        }
        let partial =
            self.partial.entry(number).or_insert_with(|| Partial { count, pieces: BTreeMap::new() });
        if partial.count != count || partial.pieces.insert(index, bytes.to_vec()).is_some() {
            return Err("a piece that does not fit the others");
        }
        if partial.pieces.len() < usize::from(count) {
            return Ok(None);
        }
        let message = self.partial.remove(&number);
        Ok(message.map(|message| message.pieces.into_values().flatten().collect()))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let link: LinkConfig = "delay=10,jitter=3,loss=5%".parse()?;
    // Both sides wish for a window that holds many pieces.
    let mut config = Config::default();
    config.settings = Settings { packet_window: 512, ..Settings::default() };
    let mut host = Socket::builder().config(config.clone()).simulated_link(link).bind("127.0.0.1:0")?;
    let mut client = Socket::builder().config(config).client()?;
    let id = client.connect(format!("{}@{}", host.public_key(), host.local_addr()), None)?;
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
                Event::ConnectRequest(request) => {
                    let _ = host.accept_connection(request.connection, b"");
                }
                Event::Packet { connection, payload, .. } => match receiver.take(&payload) {
                    Ok(message) => received.extend(message),
                    Err(why) => {
                        let _ = host.close(connection, why.as_bytes());
                    }
                },
                _ => {}
            }
        }
        while let Some(event) = client.wait_event(Duration::from_millis(1)) {
            match event {
                Event::Established { .. } => {
                    let size = client.max_packet_size(id).unwrap_or(1_150);
                    for message in &messages {
                        sender.push(message, size)?;
                    }
                }
                Event::Verdict { sequence, delivery, .. } => sender.verdict(sequence, delivery),
                Event::Close { code, .. } => return Err(format!("the connection ended: {code}").into()),
                _ => {}
            }
        }
        sender.send(&mut client, id)?;
    }
    let piece = |number: u8| [0, 0, 1, number, 0, 0, 0, 2];
    assert!((0..3).any(|number| receiver.take(&piece(number)).is_err()), "nobody fills its memory");
    for message in [Vec::new(), vec![0; 2_000_000], vec![0; 80_000_000]] {
        assert!(sender.push(&message, 1_150).is_err(), "the other side would refuse it");
    }
    assert!(sender.waiting.is_empty());
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
