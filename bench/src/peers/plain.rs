//! What the peers without a protocol share: an address is a connection, one datagram is a packet.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{End, Invitation, Load, Take};
use crate::failure::Result;

/// What a client sends to be known, and the host's answer.
const HELLO: &[u8] = b"!";
/// Bytes that the kernel may hold in each direction. All peers that let one choose get the same.
pub const SOCKET_BUFFER: usize = 2 << 20;
/// How long a wait blocks.
pub const WAIT: Duration = Duration::from_millis(20);

/// Datagrams to and from one socket.
pub trait Carrier: Send {
    fn send(&mut self, to: SocketAddrV4, payload: &[u8]) -> io::Result<()>;
    fn flush(&mut self) -> io::Result<()>;
    /// Gives messages to `take`: where from, the bytes of one or more datagrams, and how long each is.
    fn receive(&mut self, most: usize, take: &mut dyn FnMut(SocketAddrV4, &[u8], usize)) -> io::Result<()>;
    fn wait(&mut self) -> io::Result<()>;
}

/// A socket on loopback with the buffers that all peers get. It blocks, up to [`WAIT`]; calls that must not say so.
pub fn bind() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let options = socket2::SockRef::from(&socket);
    options.set_recv_buffer_size(SOCKET_BUFFER)?;
    options.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_read_timeout(Some(WAIT))?;
    Ok(socket)
}

/// How many datagrams with so many bytes of payload surely fit into what the system really gives a socket of [`bind`].
/// The kernel counts its own overhead too: 768 bytes for each small datagram, 2,304 for one of 1,100.
pub fn packets_that_fit(payload: usize) -> io::Result<usize> {
    let given = socket2::SockRef::from(&bind()?).recv_buffer_size()?;
    let each = if payload <= 256 { 768 } else { 2_304 };
    Ok(given * 3 / 4 / each)
}

/// The address of a socket on loopback.
pub fn address_of(socket: &UdpSocket) -> io::Result<SocketAddrV4> {
    match socket.local_addr()? {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// `Ok` if a call found nothing to do: nothing there, time over, interrupted.
pub fn unless_idle(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}

struct Host<C> {
    carrier: C,
    indices: HashMap<SocketAddrV4, usize>,
    addresses: Vec<SocketAddrV4>,
}

struct Client<C> {
    carrier: C,
    host: SocketAddrV4,
    established: bool,
}

/// A host over `carrier`.
pub fn host<C: Carrier + 'static>(
    carrier: C,
    address: SocketAddrV4,
    load: &Load,
) -> (Box<dyn End>, Invitation) {
    let indices = HashMap::with_capacity(load.connections);
    (
        Box::new(Host { carrier, indices, addresses: Vec::with_capacity(load.connections) }),
        Invitation { address, key: Vec::new() },
    )
}

/// A client over `carrier`.
pub fn client<C: Carrier + 'static>(carrier: C, invitation: &Invitation) -> Box<dyn End> {
    Box::new(Client { carrier, host: invitation.address, established: false })
}

impl<C: Carrier> End for Host<C> {
    fn established(&self) -> usize {
        self.addresses.len()
    }

    fn send(&mut self, connection: usize, payload: &[u8]) -> Result<bool> {
        self.carrier.send(self.addresses[connection], payload)?;
        Ok(true)
    }

    fn flush(&mut self) -> Result {
        Ok(self.carrier.flush()?)
    }

    fn receive(&mut self, most: usize, take: Take<'_>) -> Result {
        let Self { carrier, indices, addresses } = self;
        let known = addresses.len();
        carrier.receive(most, &mut |from, bytes, size| {
            let index = match indices.get(&from) {
                Some(&index) => index,
                None => {
                    indices.insert(from, addresses.len());
                    addresses.push(from);
                    return;
                }
            };
            bytes
                .chunks(size)
                .filter(|datagram| *datagram != HELLO)
                .for_each(|datagram| take(index, datagram));
        })?;
        if addresses.len() > known {
            for &address in &addresses[known..] {
                carrier.send(address, HELLO)?;
            }
            carrier.flush()?;
        }
        Ok(())
    }

    fn wait(&mut self) -> Result {
        Ok(self.carrier.wait()?)
    }

    fn hears_back(&self) -> bool {
        false
    }
}

impl<C: Carrier> End for Client<C> {
    fn start(&mut self) -> Result {
        self.carrier.send(self.host, HELLO)?;
        Ok(self.carrier.flush()?)
    }

    fn established(&self) -> usize {
        usize::from(self.established)
    }

    fn send(&mut self, _: usize, payload: &[u8]) -> Result<bool> {
        self.carrier.send(self.host, payload)?;
        Ok(true)
    }

    fn flush(&mut self) -> Result {
        Ok(self.carrier.flush()?)
    }

    fn receive(&mut self, most: usize, take: Take<'_>) -> Result {
        let established = &mut self.established;
        self.carrier.receive(most, &mut |_, bytes, size| {
            for datagram in bytes.chunks(size) {
                if datagram == HELLO {
                    *established = true;
                } else {
                    take(0, datagram);
                }
            }
        })?;
        Ok(())
    }

    fn wait(&mut self) -> Result {
        Ok(self.carrier.wait()?)
    }

    fn hears_back(&self) -> bool {
        false
    }
}

/// A socket as [`bind`] makes it, that never blocks.
pub fn bind_nonblocking() -> io::Result<UdpSocket> {
    let socket = bind()?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Blocks until there is something to receive, or `limit` has passed.
pub fn wait_readable(socket: &impl AsFd, limit: Duration) -> io::Result<()> {
    let mut entry = [PollFd::new(socket, PollFlags::IN)];
    let limit = Timespec::try_from(limit).map_err(|_| io::ErrorKind::InvalidInput)?;
    match poll(&mut entry, Some(&limit)) {
        Ok(_) => Ok(()),
        Err(error) => unless_idle(error.into()),
    }
}
