//! Bare `sendmmsg` and `recvmmsg`: up to 64 datagrams to any addresses in one call, no protocol. The floor of hosts with
//! many clients.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;

use super::plain::{self, Carrier, unless_idle};
use super::{End, Invitation, Load, Peer, Protocol};
use crate::failure::Result;
use crate::sys::{self, BATCH, Space};

pub const PEER: Peer = Peer {
    name: "mmsg",
    package: None,
    about: "sendmmsg and recvmmsg of up to 64; no connection, encryption, acknowledgment",
    protocol: || Box::new(Mmsg),
    lock_step: true,
};

/// Bytes for one received datagram.
const STRIDE: usize = 2_048;

struct Mmsg;

impl Protocol for Mmsg {
    fn host(&self, load: &Load) -> Result<(Box<dyn End>, Invitation)> {
        let batches = Batches::new()?;
        let address = plain::address_of(&batches.socket)?;
        Ok(plain::host(batches, address, load))
    }

    fn client(&self, invitation: &Invitation, _: &Load) -> Result<Box<dyn End>> {
        Ok(plain::client(Batches::new()?, invitation))
    }
}

struct Batches {
    socket: UdpSocket,
    bytes: Vec<u8>,
    /// Where to, and where in `bytes` each ends.
    queued: Vec<(SocketAddrV4, usize)>,
    buffer: Vec<u8>,
    heads: [(SocketAddrV4, usize); BATCH],
    /// How many a wait has received.
    waiting: usize,
    space: Box<Space>,
}

impl Batches {
    fn new() -> io::Result<Self> {
        Ok(Self {
            socket: plain::bind()?,
            bytes: Vec::new(),
            queued: Vec::new(),
            buffer: vec![0; STRIDE * BATCH],
            heads: [(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), 0); BATCH],
            waiting: 0,
            space: Space::new(),
        })
    }

    fn call(&mut self, flags: libc::c_int) -> io::Result<usize> {
        let Self { socket, space, buffer, heads, .. } = self;
        sys::receive_many(socket.as_fd(), space, buffer, STRIDE, heads, flags)
    }

    fn give(&self, count: usize, take: &mut dyn FnMut(SocketAddrV4, &[u8], usize)) {
        for (&(from, len), buffer) in self.heads.iter().zip(self.buffer.chunks_exact(STRIDE)).take(count) {
            take(from, &buffer[..len.min(STRIDE)], len.max(1));
        }
    }
}

impl Carrier for Batches {
    fn send(&mut self, to: SocketAddrV4, payload: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(payload);
        self.queued.push((to, self.bytes.len()));
        if self.queued.len() == BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut done = 0;
        while done < self.queued.len() {
            let (queued, bytes) = (&self.queued, &self.bytes);
            done += sys::send_many(self.socket.as_fd(), &mut self.space, |index| {
                let &(to, end) = queued.get(done + index)?;
                let start = (done + index).checked_sub(1).map_or(0, |before| queued[before].1);
                Some((to, &bytes[start..end]))
            })?;
        }
        self.queued.clear();
        self.bytes.clear();
        Ok(())
    }

    fn receive(&mut self, most: usize, take: &mut dyn FnMut(SocketAddrV4, &[u8], usize)) -> io::Result<()> {
        let mut taken = std::mem::take(&mut self.waiting);
        if taken > 0 {
            self.give(taken, take);
            return Ok(());
        }
        while taken < most {
            match self.call(libc::MSG_DONTWAIT) {
                Ok(count) => {
                    self.give(count, take);
                    taken += count;
                    if count < BATCH {
                        break;
                    }
                }
                Err(error) => return unless_idle(error),
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> io::Result<()> {
        match self.call(libc::MSG_WAITFORONE) {
            Ok(count) => self.waiting = count,
            Err(error) => unless_idle(error)?,
        }
        Ok(())
    }
}
