//! TorqueSocket, through its public interface: `send`, `flush`, `poll`, `next_event`, `wait`.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use torque_socket::{
    Builder, Cipher, Config, ConnectionId, Event, PublicKey, SendError, Settings, Socket, Trust,
};

use super::plain::{SOCKET_BUFFER, WAIT};
use super::{End, Invitation, Load, Peer, Protocol, Take};
use crate::failure::Result;

const ABOUT: &str = "public-key handshake, encryption, a verdict on each packet";

/// What applications get without a word about ciphers: AES-GCM-SST, 8-byte tags.
pub const PEER: Peer = peer("torque", || Box::new(Torque { cipher: Cipher::Aes128GcmSst }));
/// AES-128-GCM, 16-byte tags.
pub const GCM: Peer = peer("torque-gcm", || Box::new(Torque { cipher: Cipher::Aes128Gcm }));
/// ChaCha20-Poly1305, 16-byte tags.
pub const CHACHA: Peer = peer("torque-chacha", || Box::new(Torque { cipher: Cipher::ChaCha20Poly1305 }));

const fn peer(name: &'static str, protocol: fn() -> Box<dyn Protocol>) -> Peer {
    Peer { name, package: Some("torque-socket"), about: ABOUT, protocol, lock_step: true }
}

struct Torque {
    cipher: Cipher,
}

impl Torque {
    fn config(&self, load: &Load) -> Config {
        let mut config = Config::default();
        // One cipher, so that the row's name says which it is.
        config.ciphers = vec![self.cipher];
        // The default window of 128 for what keeps to it. Throughput with hundreds of packets under way takes a
        // larger one: those under way, and as many whose verdict the other side may hold back.
        if load.in_flight > 64 {
            let window = (load.in_flight * 4).next_power_of_two();
            config.settings.packet_window = u16::try_from(window).unwrap_or(Settings::MAX_WINDOW);
        }
        // Hosts make strangers pay for coming faster than this; the clients here all come at once, and what is
        // to be measured is a quiet host.
        config.puzzle.quiet_rate = 100_000;
        config.limits.connections = config.limits.connections.max(load.connections);
        config.limits.pending = config.limits.pending.max(load.connections);
        config
    }
}

/// The socket buffers that all peers get.
fn builder(config: Config) -> Builder {
    Socket::builder().config(config).send_buffer_size(SOCKET_BUFFER).receive_buffer_size(SOCKET_BUFFER)
}

impl Protocol for Torque {
    fn host(&self, load: &Load) -> Result<(Box<dyn End>, Invitation)> {
        let socket = builder(self.config(load)).bind((Ipv4Addr::LOCALHOST, 0))?;
        let SocketAddr::V4(address) = socket.local_addr() else { return Err("not IPv4".into()) };
        let key = socket.public_key().to_string().into_bytes();
        let mut end = TorqueEnd::new(socket, None);
        // The bench's own tables are not memory of connections.
        end.connections.reserve(load.connections);
        end.indices.reserve(load.connections);
        Ok((Box::new(end), Invitation { address, key }))
    }

    fn client(&self, invitation: &Invitation, load: &Load) -> Result<Box<dyn End>> {
        let mut config = self.config(load);
        config.accept_incoming = false;
        // Bound as the other peers' clients are; `Socket::client()` would take both families.
        let socket = builder(config).bind((Ipv4Addr::LOCALHOST, 0))?;
        let key: PublicKey = std::str::from_utf8(&invitation.key)?.parse()?;
        Ok(Box::new(TorqueEnd::new(socket, Some((invitation.address.into(), key)))))
    }
}

struct TorqueEnd {
    socket: Socket,
    connect: Option<(SocketAddr, PublicKey)>,
    connections: Vec<ConnectionId>,
    indices: HashMap<ConnectionId, usize>,
    delivered: u64,
    dropped: u64,
}

impl TorqueEnd {
    fn new(socket: Socket, connect: Option<(SocketAddr, PublicKey)>) -> Self {
        Self { socket, connect, connections: Vec::new(), indices: HashMap::new(), delivered: 0, dropped: 0 }
    }
}

impl End for TorqueEnd {
    fn start(&mut self) -> Result {
        if let Some((address, key)) = self.connect.take() {
            self.socket.connect(address, Trust::Pinned(key))?;
            self.socket.flush();
        }
        Ok(())
    }

    fn established(&self) -> usize {
        self.connections.len()
    }

    fn send(&mut self, connection: usize, payload: &[u8]) -> Result<bool> {
        match self.socket.send(self.connections[connection], payload) {
            Ok(_) => Ok(true),
            Err(SendError::WindowFull | SendError::Blocked) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn flush(&mut self) -> Result {
        self.socket.flush();
        Ok(())
    }

    fn receive(&mut self, _: usize, take: Take<'_>) -> Result {
        self.socket.poll();
        while let Some(event) = self.socket.next_event() {
            match event {
                Event::Packet { connection, payload, .. } => {
                    // A program that has one connection has no table of them.
                    let index = if self.connections.len() == 1 { 0 } else { self.indices[&connection] };
                    take(index, &payload);
                }
                Event::Verdict { delivery, .. } => {
                    if delivery.is_delivered() {
                        self.delivered += 1;
                    } else {
                        self.dropped += 1;
                    }
                }
                Event::ConnectRequest(request) => self.socket.accept_connection(request.connection, b"")?,
                Event::Established { connection, .. } => {
                    self.indices.insert(connection, self.connections.len());
                    self.connections.push(connection);
                }
                Event::Close { code, .. } => return Err(format!("closed: {code}").into()),
                _ => {}
            }
        }
        self.socket.flush();
        Ok(())
    }

    fn wait(&mut self) -> Result {
        self.socket.wait(WAIT);
        Ok(())
    }

    fn verdicts(&self) -> Option<(u64, u64)> {
        Some((self.delivered, self.dropped))
    }
}
