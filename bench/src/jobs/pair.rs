//! Two ends on one thread: connecting them, and moving packets in lock-step.

use std::time::{Duration, Instant};

use super::content;
use crate::failure::Result;
use crate::peers::{End, Load, Peer};

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// How long a packet may be under way on loopback before it counts as lost.
const LOST_AFTER: Duration = Duration::from_millis(500);

/// A host and one client that are connected.
pub struct Pair {
    pub client: Box<dyn End>,
    pub host: Box<dyn End>,
}

impl Pair {
    /// Makes both and connects them.
    pub fn connect(peer: &Peer, load: &Load) -> Result<Self> {
        let protocol = (peer.protocol)();
        let (mut host, invitation) = protocol.host(load)?;
        let mut client = protocol.client(&invitation, load)?;
        connect(&mut *client, &mut *host)?;
        Ok(Self { client, host })
    }
}

/// Connects a client to a host on the same thread.
pub fn connect(client: &mut dyn End, host: &mut dyn End) -> Result {
    let before = host.established();
    client.start()?;
    let begin = Instant::now();
    while client.established() == 0 || host.established() == before {
        host.receive(usize::MAX, &mut |_, _| {})?;
        client.receive(usize::MAX, &mut |_, _| {})?;
        if begin.elapsed() > CONNECT_LIMIT {
            return Err("the two ends did not connect".into());
        }
    }
    Ok(())
}

/// Packets one way, in lock-step.
pub struct Stream {
    payload: Vec<u8>,
    next: u64,
    /// Packets that came, as they should be.
    pub received: u64,
}

impl Stream {
    pub fn new(bytes: usize) -> Self {
        Self { payload: vec![0x5a; bytes], next: 0, received: 0 }
    }

    /// Sends `batch` packets and receives until all are there.
    pub fn step(&mut self, from: &mut dyn End, to: &mut dyn End, batch: u64) -> Result {
        for _ in 0..batch {
            content::fill(&mut self.payload, self.next);
            if !from.send(0, &self.payload)? {
                self.make_room(from, to)?;
            }
            self.next += 1;
        }
        from.flush()?;
        self.receive_all(from, to)
    }

    /// Receives until everything that was sent is there.
    fn receive_all(&mut self, from: &mut dyn End, to: &mut dyn End) -> Result {
        self.receive(to)?;
        if self.received < self.next {
            let begin = Instant::now();
            while self.received < self.next {
                // Some peers hold packets back until their timers or acknowledgments allow.
                from.receive(usize::MAX, &mut |_, _| {})?;
                from.flush()?;
                self.receive(to)?;
                if begin.elapsed() > LOST_AFTER {
                    return Err(format!("{} packets were lost", self.next - self.received).into());
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, to: &mut dyn End) -> Result {
        let (bytes, missing) = (self.payload.len(), (self.next - self.received) as usize);
        let (mut good, mut bad) = (0, 0);
        to.receive(missing, &mut |_, payload| match content::check(payload, bytes) {
            Some(_) => good += 1,
            None => bad += 1,
        })?;
        if bad > 0 {
            return Err(format!("{bad} packets came with another content").into());
        }
        self.received += good;
        Ok(())
    }

    /// Lets both ends work until the packet that found no room is taken.
    fn make_room(&mut self, from: &mut dyn End, to: &mut dyn End) -> Result {
        let begin = Instant::now();
        loop {
            from.flush()?;
            self.receive(to)?;
            from.receive(usize::MAX, &mut |_, _| {})?;
            if from.send(0, &self.payload)? {
                return Ok(());
            }
            if begin.elapsed() > LOST_AFTER {
                return Err("the peer takes no more packets".into());
            }
        }
    }
}

/// Whether each packet got its verdict, and each verdict says what is true, after all have come. Peers without verdicts
/// pass.
pub fn check_verdicts(from: &mut dyn End, to: &mut dyn End, sent: u64) -> Result {
    let begin = Instant::now();
    while let Some((delivered, dropped)) = from.verdicts() {
        if delivered == sent {
            return Ok(());
        }
        if delivered + dropped >= sent || begin.elapsed() > Duration::from_secs(2) {
            return Err(format!("{sent} packets came, but the verdicts are {delivered} and {dropped}").into());
        }
        from.receive(usize::MAX, &mut |_, _| {})?;
        to.receive(usize::MAX, &mut |_, _| {})?;
    }
    Ok(())
}
