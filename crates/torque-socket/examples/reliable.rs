//! Reliable, ordered messages on top of verdicts: what was dropped is sent again, what comes too early waits.
//!
//! The receiver keeps no more than the sender may send ahead. Anyone who sends more is breaking the rules, and is shown the door.
//!
//! Run it: `cargo run --example reliable`
#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use torque_socket::{ConnectionId, Delivery, Event, LinkConfig, SendError, Sequence, Socket};

/// How far ahead of the oldest message that is missing others may come. Both sides know it.
const MAX_AHEAD: u32 = 256;

/// Sends messages until the other side has them.
#[derive(Default)]
struct ReliableSender {
    next_number: u32,
    waiting: VecDeque<(u32, Vec<u8>)>,
    under_way: BTreeMap<Sequence, (u32, Vec<u8>)>,
    /// Numbers of messages that have been sent and are not known to be there.
    open: BTreeSet<u32>,
    sent_again: u32,
}

impl ReliableSender {
    fn push(&mut self, message: &[u8]) {
        let mut packet = self.next_number.to_be_bytes().to_vec();
        packet.extend_from_slice(message);
        self.waiting.push_back((self.next_number, packet));
        self.next_number += 1;
    }

    /// Call often: sends what the window, and the other side, have room for.
    fn send(&mut self, socket: &mut Socket, connection: ConnectionId) -> Result<(), SendError> {
        while let Some((number, packet)) = self.waiting.front() {
            let number = *number;
            if self.open.first().is_some_and(|oldest| number - oldest >= MAX_AHEAD) {
                return Ok(());
            }
            match socket.send(connection, packet) {
                Ok(sequence) => {
                    self.open.insert(number);
                    self.under_way.extend(self.waiting.pop_front().map(|message| (sequence, message)));
                }
                Err(SendError::WindowFull | SendError::Blocked) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn verdict(&mut self, sequence: Sequence, delivery: Delivery) {
        let Some((number, packet)) = self.under_way.remove(&sequence) else { return };
        if delivery.is_delivered() {
            self.open.remove(&number);
        } else {
            // Packets that the other side misses go first.
            self.waiting.push_front((number, packet));
            self.sent_again += 1;
        }
    }

    fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }
}

/// Gives messages out in the order in which they were pushed.
#[derive(Default)]
struct ReliableReceiver {
    next_number: u32,
    early: BTreeMap<u32, Vec<u8>>,
}

impl ReliableReceiver {
    /// Takes a packet. An error says what the other side does that it must not: end the connection.
    fn take(&mut self, packet: &[u8]) -> Result<(), &'static str> {
        let (number, message) = packet.split_first_chunk().ok_or("a message without a number")?;
        let number = u32::from_be_bytes(*number);
        // A verdict is lost with its connection only, so nothing comes twice, and nothing that was given out.
        if number.wrapping_sub(self.next_number) >= MAX_AHEAD {
            return Err("a message that is too far ahead, or old");
        }
        match self.early.insert(number, message.to_vec()) {
            None => Ok(()),
            Some(_) => Err("a message that came before"),
        }
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let message = self.early.remove(&self.next_number)?;
        self.next_number += 1;
        Some(message)
    }
}

const MESSAGES: u32 = 1_000;
/// How long a socket may take to end.
const END: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let link: LinkConfig = "delay=10,jitter=3,loss=15%".parse()?;
    let mut host = Socket::builder().simulated_link(link).bind("127.0.0.1:0")?;
    let mut client = Socket::client()?;
    let id = client.connect(format!("{}@{}", host.public_key(), host.local_addr()), None)?;
    let (mut sender, mut receiver, mut received) =
        (ReliableSender::default(), ReliableReceiver::default(), 0);
    for number in 0..MESSAGES {
        sender.push(format!("message {number}").as_bytes());
    }
    let begun = Instant::now();
    while received < MESSAGES || !sender.is_done() {
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
                Event::Packet { connection, payload, .. } => {
                    if let Err(why) = receiver.take(&payload) {
                        let _ = host.close(connection, why.as_bytes());
                    }
                }
                _ => {}
            }
            while let Some(message) = receiver.next() {
                assert_eq!(message, format!("message {received}").as_bytes());
                received += 1;
            }
        }
        client.wait(Duration::from_millis(1));
        client.poll();
        while let Some(event) = client.next_event() {
            match event {
                Event::Verdict { sequence, delivery, .. } => sender.verdict(sequence, delivery),
                Event::Close { code, .. } => return Err(format!("the connection ended: {code}").into()),
                _ => {}
            }
        }
        if client.max_packet_size(id).is_some() {
            sender.send(&mut client, id)?;
            client.flush();
        }
    }
    assert!(receiver.take(&(received + MAX_AHEAD).to_be_bytes()).is_err(), "nobody fills its memory");
    println!(
        "{received} messages in order after {:?}; {} packets were sent again",
        begun.elapsed(),
        sender.sent_again
    );
    // Each of them waits for the other's last word, so they end at the same time.
    thread::scope(|threads| {
        threads.spawn(|| host.shutdown(END, |_| {}));
        client.shutdown(END, |_| {});
    });
    Ok(())
}
