//! Reliable, ordered messages on top of verdicts: what was dropped is sent again, what comes too early waits.
//!
//! Run it: `cargo run --example reliable`
#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use torque_socket::{ConnectOptions, ConnectionId, Delivery, Event, LinkConfig, SendError, Sequence, Socket};

/// Sends messages until the other side has them.
#[derive(Default)]
struct ReliableSender {
    next_number: u32,
    waiting: VecDeque<Vec<u8>>,
    under_way: BTreeMap<Sequence, Vec<u8>>,
    sent_again: u32,
}

impl ReliableSender {
    fn push(&mut self, message: &[u8]) {
        let mut packet = self.next_number.to_be_bytes().to_vec();
        packet.extend_from_slice(message);
        self.next_number += 1;
        self.waiting.push_back(packet);
    }

    /// Call often: sends what the window has room for.
    fn send(&mut self, socket: &mut Socket, connection: ConnectionId) -> Result<(), SendError> {
        while let Some(packet) = self.waiting.pop_front() {
            match socket.send(connection, &packet) {
                Ok(sequence) => self.under_way.insert(sequence, packet),
                Err(SendError::WindowFull | SendError::Blocked) => {
                    self.waiting.push_front(packet);
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    fn verdict(&mut self, sequence: Sequence, delivery: Delivery) {
        if let Some(packet) = self.under_way.remove(&sequence)
            && !delivery.is_delivered()
        {
            // What waits longest at the other side goes first.
            self.waiting.push_front(packet);
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
    fn take(&mut self, packet: &[u8]) {
        if let Some((number, message)) = packet.split_first_chunk() {
            self.early.insert(u32::from_be_bytes(*number), message.to_vec());
        }
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let message = self.early.remove(&self.next_number)?;
        self.next_number += 1;
        Some(message)
    }
}

const MESSAGES: u32 = 1_000;
/// What a socket may take to end.
const END: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let link: LinkConfig = "delay=10,jitter=3,loss=15%".parse()?;
    let mut host = Socket::builder().simulated_link(link).bind("127.0.0.1:0")?;
    let mut client = Socket::client()?;
    let id =
        client.connect(format!("{}@{}", host.public_key(), host.local_addr()), ConnectOptions::default())?;
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
                Event::ConnectRequest { connection, .. } => host.accept_connection(connection, b"")?,
                Event::Packet { payload, .. } => receiver.take(&payload),
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
                Event::PacketDeliveryNotify { sequence, delivery, .. } => sender.verdict(sequence, delivery),
                Event::Close { code, .. } => return Err(format!("the connection ended: {code}").into()),
                _ => {}
            }
        }
        if client.max_packet_size(id).is_some() {
            sender.send(&mut client, id)?;
            client.flush();
        }
    }
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
