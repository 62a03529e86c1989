//! Raw UDP with segmentation offload (GSO) and receive offload (GRO): up to 64 datagrams of one size to one address in
//! one call, joined again on the other side. The floor of everything that batches to one address.

use std::io;
use std::net::{SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;

use super::plain::{self, Carrier, unless_idle};
use super::{End, Invitation, Load, Peer, Protocol};
use crate::failure::Result;
use crate::sys::{self, Joined};

pub const PEER: Peer = Peer {
    name: "raw-gso",
    package: None,
    about: "sendmsg with UDP_SEGMENT, recvmsg with UDP_GRO; no connection, encryption, acknowledgment",
    protocol: || Box::new(RawGso),
    lock_step: true,
};

/// What the kernel cuts in one call at most (UDP_MAX_SEGMENTS was 64 before Linux 6.9).
const MAX_SEGMENTS: usize = 64;
/// A little less than the longest datagram.
const MAX_BYTES: usize = 65_000;

struct RawGso;

impl Protocol for RawGso {
    fn host(&self, load: &Load) -> Result<(Box<dyn End>, Invitation)> {
        let runs = Runs::new()?;
        let address = plain::address_of(&runs.socket)?;
        Ok(plain::host(runs, address, load))
    }

    fn client(&self, invitation: &Invitation, _: &Load) -> Result<Box<dyn End>> {
        Ok(plain::client(Runs::new()?, invitation))
    }
}

struct Runs {
    socket: UdpSocket,
    /// The run that grows: datagrams of one size to one address.
    run: Vec<u8>,
    to: SocketAddrV4,
    size: usize,
    buffer: Vec<u8>,
    /// What a wait has received, if it has.
    waiting: Option<Joined>,
}

impl Runs {
    fn new() -> io::Result<Self> {
        let socket = plain::bind()?;
        sys::enable_joining(socket.as_fd())?;
        Ok(Self {
            to: plain::address_of(&socket)?,
            socket,
            run: Vec::with_capacity(MAX_BYTES),
            size: 0,
            buffer: vec![0; 65_536],
            waiting: None,
        })
    }
}

impl Carrier for Runs {
    fn send(&mut self, to: SocketAddrV4, payload: &[u8]) -> io::Result<()> {
        let fits = to == self.to
            && payload.len() == self.size
            && self.run.len() + payload.len() <= MAX_BYTES
            && self.run.len() / payload.len().max(1) < MAX_SEGMENTS;
        if !self.run.is_empty() && !fits {
            self.flush()?;
        }
        (self.to, self.size) = (to, payload.len());
        self.run.extend_from_slice(payload);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.run.is_empty() {
            sys::send_segments(self.socket.as_fd(), self.to, &self.run, self.size as u16)?;
            self.run.clear();
        }
        Ok(())
    }

    fn receive(&mut self, most: usize, take: &mut dyn FnMut(SocketAddrV4, &[u8], usize)) -> io::Result<()> {
        if let Some(joined) = self.waiting.take() {
            take(joined.from, &self.buffer[..joined.len], joined.segment);
            // A wait follows, which does not block if there is more.
            return Ok(());
        }
        let mut taken = 0;
        while taken < most {
            match sys::receive_joined(self.socket.as_fd(), &mut self.buffer, libc::MSG_DONTWAIT) {
                Ok(joined) => {
                    taken += joined.len.div_ceil(joined.segment);
                    take(joined.from, &self.buffer[..joined.len], joined.segment);
                }
                Err(error) => return unless_idle(error),
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> io::Result<()> {
        match sys::receive_joined(self.socket.as_fd(), &mut self.buffer, 0) {
            Ok(joined) => self.waiting = Some(joined),
            Err(error) => unless_idle(error)?,
        }
        Ok(())
    }
}
