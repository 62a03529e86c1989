//! WebSocket over TLS 1.3 over TCP: tungstenite with rustls (ring), driven without a runtime. What web pages have when
//! there is no UDP. The kernel and TLS merge messages that are sent together into one segment and one record.
//!
//! Options: no delay on TCP (`TCP_NODELAY`), so that a flush sends; tungstenite's default buffers of 128 KiB for one
//! connection, and 4 KiB for reading where there are many, as its documentation has it; `write`, then one `flush` for
//! a batch. A host with more than one connection asks `epoll` which have something.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::server::{NoCallback, ServerHandshake};
use tungstenite::handshake::{HandshakeRole, MidHandshake};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

use super::tls::{self, Identity};
use super::{End, Invitation, Load, Peer, Protocol, Take, plain};
use crate::failure::Result;

pub const PEER: Peer = Peer {
    name: "websocket",
    package: Some("tungstenite"),
    about: "WebSocket over TLS 1.3 over TCP: reliable and ordered, a lost packet holds up all that follow; clients without a key",
    protocol: || Box::new(Socket),
    lock_step: true,
};

type Tls<S> = StreamOwned<S, TcpStream>;
type Client = Tls<ClientConnection>;
type Server = Tls<ServerConnection>;

struct Socket;

fn config(load: &Load) -> WebSocketConfig {
    let config = WebSocketConfig::default();
    let config = if load.connections > 16 { config.read_buffer_size(4 << 10) } else { config };
    let most = config.write_buffer_size + (256 << 10);
    config.max_write_buffer_size(most)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)
}

impl Protocol for Socket {
    fn host(&self, load: &Load) -> Result<(Box<dyn End>, Invitation)> {
        let Identity { certificate, key } = Identity::generate()?;
        let tls =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.clone()], key)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let SocketAddr::V4(address) = listener.local_addr()? else { return Err("not IPv4".into()) };
        let watched = if load.connections > 1 {
            let watched = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            watch(&watched, &listener, LISTENER)?;
            Some(watched)
        } else {
            None
        };
        let host = Host {
            listener,
            watched,
            tls: Arc::new(tls),
            config: config(load),
            most: load.connections,
            links: Vec::with_capacity(load.connections),
            numbers: Vec::with_capacity(load.connections),
            established: Vec::with_capacity(load.connections),
            dirty: Vec::new(),
        };
        Ok((Box::new(host), Invitation { address, key: certificate.to_vec() }))
    }

    fn client(&self, invitation: &Invitation, load: &Load) -> Result<Box<dyn End>> {
        let tls = ClientConfig::builder()
            .with_root_certificates(tls::roots(&invitation.key)?)
            .with_no_client_auth();
        Ok(Box::new(ClientEnd {
            remote: invitation.address.into(),
            tls: Arc::new(tls),
            config: config(load),
            link: None,
        }))
    }
}

fn watch(epoll: &OwnedFd, what: &impl AsFd, number: u64) -> io::Result<()> {
    Ok(epoll::add(epoll, what, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?)
}

/// A connection, from the first byte on.
enum Link<S, R: HandshakeRole> {
    Opening(MidHandshake<R>),
    Open(Box<WebSocket<S>>),
    /// Only while it is changed.
    Moving,
}

type ServerLink = Link<Server, ServerHandshake<Server, NoCallback>>;
type ClientLink = Link<Client, ClientHandshake<Client>>;

/// Messages that are there, to `take`.
fn read<S: io::Read + io::Write>(socket: &mut WebSocket<S>, take: &mut dyn FnMut(&[u8])) -> Result {
    loop {
        match socket.read() {
            Ok(Message::Binary(payload)) => take(&payload),
            Ok(_) => {}
            Err(Error::Io(error)) => return Ok(plain::unless_idle(error)?),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether there was room for it.
fn write<S: io::Read + io::Write>(socket: &mut WebSocket<S>, payload: &[u8]) -> Result<bool> {
    match socket.write(Message::Binary(Bytes::copy_from_slice(payload))) {
        Ok(()) => Ok(true),
        Err(Error::WriteBufferFull(_)) => Ok(false),
        // It is in the buffer, and leaves with a later flush.
        Err(Error::Io(error)) => Ok(plain::unless_idle(error).map(|()| true)?),
        Err(error) => Err(error.into()),
    }
}

/// Whether all is written.
fn flush<S: io::Read + io::Write>(socket: &mut WebSocket<S>) -> Result<bool> {
    match socket.flush() {
        Ok(()) => Ok(true),
        Err(Error::Io(error)) => Ok(plain::unless_idle(error).map(|()| false)?),
        Err(error) => Err(error.into()),
    }
}

/// The number of the listener in the set that is watched.
const LISTENER: u64 = u64::MAX;

struct Host {
    listener: TcpListener,
    watched: Option<OwnedFd>,
    tls: Arc<ServerConfig>,
    config: WebSocketConfig,
    /// How many connections are expected; then the listener is left alone.
    most: usize,
    links: Vec<ServerLink>,
    /// For each link, its number among the established.
    numbers: Vec<usize>,
    /// Indices of links in the order in which they opened.
    established: Vec<usize>,
    /// Indices of links with something to flush.
    dirty: Vec<usize>,
}

impl Host {
    fn accept(&mut self) -> Result {
        while self.links.len() < self.most {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => return Ok(plain::unless_idle(error)?),
            };
            prepare(&stream)?;
            if let Some(watched) = &self.watched {
                watch(watched, &stream, self.links.len() as u64)?;
            }
            let stream = StreamOwned::new(ServerConnection::new(Arc::clone(&self.tls))?, stream);
            let link = match tungstenite::accept_with_config(stream, Some(self.config)) {
                Ok(socket) => Link::Open(Box::new(socket)),
                Err(HandshakeError::Interrupted(opening)) => Link::Opening(opening),
                Err(HandshakeError::Failure(error)) => return Err(error.into()),
            };
            self.links.push(link);
            self.numbers.push(usize::MAX);
        }
        Ok(())
    }

    /// Goes on with a link that may have something to read.
    fn serve(&mut self, index: usize, take: Take<'_>) -> Result {
        let link = &mut self.links[index];
        if let Link::Opening(_) = link {
            let Link::Opening(opening) = std::mem::replace(link, Link::Moving) else { return Ok(()) };
            match opening.handshake() {
                Ok(socket) => {
                    *link = Link::Open(Box::new(socket));
                    self.numbers[index] = self.established.len();
                    self.established.push(index);
                }
                Err(HandshakeError::Interrupted(opening)) => *link = Link::Opening(opening),
                Err(HandshakeError::Failure(error)) => return Err(error.into()),
            }
        }
        if let Link::Open(socket) = link {
            let number = self.numbers[index];
            read(socket, &mut |payload| take(number, payload))?;
        }
        Ok(())
    }
}

impl End for Host {
    fn established(&self) -> usize {
        self.established.len()
    }

    fn send(&mut self, connection: usize, payload: &[u8]) -> Result<bool> {
        let index = self.established[connection];
        let Link::Open(socket) = &mut self.links[index] else { return Ok(false) };
        if self.dirty.last() != Some(&index) {
            self.dirty.push(index);
        }
        write(socket, payload)
    }

    fn flush(&mut self) -> Result {
        let mut left = Vec::new();
        for index in self.dirty.drain(..) {
            if let Link::Open(socket) = &mut self.links[index]
                && !flush(socket)?
            {
                left.push(index);
            }
        }
        self.dirty.append(&mut left);
        Ok(())
    }

    fn receive(&mut self, _: usize, take: Take<'_>) -> Result {
        self.flush()?;
        if self.watched.is_none() {
            self.accept()?;
            return if self.links.is_empty() { Ok(()) } else { self.serve(0, take) };
        }
        let mut ready: Vec<epoll::Event> = Vec::with_capacity(1_024);
        loop {
            ready.clear();
            if let Some(watched) = &self.watched {
                let room = rustix::buffer::spare_capacity(&mut ready);
                epoll::wait(watched, room, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
            }
            if ready.is_empty() {
                return Ok(());
            }
            for event in &ready {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    index => self.serve(index as usize, take)?,
                }
            }
        }
    }

    fn wait(&mut self) -> Result {
        let out = if self.dirty.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        let limit = Timespec::try_from(plain::WAIT)?;
        let mut entry = match (&self.watched, self.links.first()) {
            (Some(watched), _) => [PollFd::new(watched, PollFlags::IN)],
            (None, Some(Link::Open(socket))) => [PollFd::new(&socket.get_ref().sock, PollFlags::IN | out)],
            _ => return Ok(()),
        };
        match poll(&mut entry, Some(&limit)) {
            Ok(_) => Ok(()),
            Err(error) => Ok(plain::unless_idle(error.into())?),
        }
    }
}

struct ClientEnd {
    remote: SocketAddr,
    tls: Arc<ClientConfig>,
    config: WebSocketConfig,
    link: Option<ClientLink>,
}

impl ClientEnd {
    fn socket(&mut self) -> Result<&mut WebSocket<Client>> {
        match &mut self.link {
            Some(Link::Open(socket)) => Ok(socket),
            _ => Err("not connected".into()),
        }
    }
}

impl End for ClientEnd {
    fn start(&mut self) -> Result {
        let stream = TcpStream::connect(self.remote)?;
        prepare(&stream)?;
        let tls = ClientConnection::new(Arc::clone(&self.tls), ServerName::try_from(tls::NAME)?)?;
        let stream = StreamOwned::new(tls, stream);
        let url = format!("wss://{}/", tls::NAME);
        self.link = Some(match tungstenite::client::client_with_config(url, stream, Some(self.config)) {
            Ok((socket, _)) => Link::Open(Box::new(socket)),
            Err(HandshakeError::Interrupted(opening)) => Link::Opening(opening),
            Err(HandshakeError::Failure(error)) => return Err(error.into()),
        });
        Ok(())
    }

    fn established(&self) -> usize {
        usize::from(matches!(self.link, Some(Link::Open(_))))
    }

    fn send(&mut self, _: usize, payload: &[u8]) -> Result<bool> {
        write(self.socket()?, payload)
    }

    fn flush(&mut self) -> Result {
        if let Some(Link::Open(socket)) = &mut self.link {
            flush(socket)?;
        }
        Ok(())
    }

    fn receive(&mut self, _: usize, take: Take<'_>) -> Result {
        if let Some(Link::Opening(_)) = &self.link
            && let Some(Link::Opening(opening)) = self.link.take()
        {
            self.link = Some(match opening.handshake() {
                Ok((socket, _)) => Link::Open(Box::new(socket)),
                Err(HandshakeError::Interrupted(opening)) => Link::Opening(opening),
                Err(HandshakeError::Failure(error)) => return Err(error.into()),
            });
        }
        match &mut self.link {
            Some(Link::Open(socket)) => {
                flush(socket)?;
                read(socket, &mut |payload| take(0, payload))
            }
            _ => Ok(()),
        }
    }

    fn wait(&mut self) -> Result {
        let Some(Link::Open(socket)) = &mut self.link else { return Ok(()) };
        // What would not be written is waited for too.
        let out = if flush(socket)? { PollFlags::empty() } else { PollFlags::OUT };
        let limit = Timespec::try_from(plain::WAIT)?;
        let mut entry = [PollFd::new(&socket.get_ref().sock, PollFlags::IN | out)];
        match poll(&mut entry, Some(&limit)) {
            Ok(_) => Ok(()),
            Err(error) => Ok(plain::unless_idle(error.into())?),
        }
    }
}
