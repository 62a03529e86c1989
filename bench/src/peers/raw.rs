//! Raw UDP: `sendto` and `recvfrom`, one datagram a call, no protocol. The floor of everything that does not batch.

use std::io;
use std::net::{SocketAddrV4, UdpSocket};

use rustix::net::{RecvFlags, SendFlags, SocketAddrAny, recvfrom, sendto};

use super::plain::{self, Carrier, unless_idle};
use super::{End, Invitation, Load, Peer, Protocol};
use crate::failure::Result;

pub const PEER: Peer = Peer {
    name: "raw",
    package: None,
    about: "sendto and recvfrom; no connection, encryption, acknowledgment",
    protocol: || Box::new(Raw),
    lock_step: true,
};

struct Raw;

impl Protocol for Raw {
    fn host(&self, load: &Load) -> Result<(Box<dyn End>, Invitation)> {
        let calls = Calls::new()?;
        let address = plain::address_of(&calls.socket)?;
        Ok(plain::host(calls, address, load))
    }

    fn client(&self, invitation: &Invitation, _: &Load) -> Result<Box<dyn End>> {
        Ok(plain::client(Calls::new()?, invitation))
    }
}

struct Calls {
    socket: UdpSocket,
    buffer: Box<[u8; 2048]>,
    /// What a wait has received, if it has.
    waiting: Option<(SocketAddrV4, usize)>,
}

impl Calls {
    fn new() -> io::Result<Self> {
        Ok(Self { socket: plain::bind()?, buffer: Box::new([0; 2048]), waiting: None })
    }

    fn call(&mut self, flags: RecvFlags) -> io::Result<(SocketAddrV4, usize)> {
        let (len, _, from) = recvfrom(&self.socket, self.buffer.as_mut_slice(), flags)?;
        let from = from.and_then(|from: SocketAddrAny| SocketAddrV4::try_from(from).ok());
        Ok((from.ok_or(io::ErrorKind::InvalidData)?, len))
    }
}

impl Carrier for Calls {
    fn send(&mut self, to: SocketAddrV4, payload: &[u8]) -> io::Result<()> {
        sendto(&self.socket, payload, SendFlags::empty(), &to)?;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn receive(&mut self, most: usize, take: &mut dyn FnMut(SocketAddrV4, &[u8], usize)) -> io::Result<()> {
        if let Some((from, len)) = self.waiting.take() {
            take(from, &self.buffer[..len], len.max(1));
            // A wait follows, which does not block if there is more: one call a datagram.
            return Ok(());
        }
        for _ in 0..most {
            match self.call(RecvFlags::DONTWAIT) {
                Ok((from, len)) => take(from, &self.buffer[..len], len.max(1)),
                Err(error) => return unless_idle(error),
            }
        }
        Ok(())
    }

    /// The receiving call itself blocks, so that a datagram costs one call.
    fn wait(&mut self) -> io::Result<()> {
        match self.call(RecvFlags::empty()) {
            Ok(received) => self.waiting = Some(received),
            Err(error) => unless_idle(error)?,
        }
        Ok(())
    }
}
