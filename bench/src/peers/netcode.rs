//! renetcode: the netcode 1.02 standard, connection tokens and encryption, without acknowledgments. Its user brings the
//! socket, so it is driven here as renet's transport drives it: a call a datagram, keep-alives once a tick.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use renetcode::{
    ClientAuthentication, ConnectToken, NETCODE_MAX_PACKET_BYTES, NetcodeClient, NetcodeServer,
    ServerAuthentication, ServerConfig, ServerResult,
};

use super::{End, Invitation, Load, Peer, Protocol, Take, plain};
use crate::failure::{Result, Unable};

pub const PEER: Peer = Peer {
    name: "renetcode",
    package: Some("renetcode"),
    about: "netcode: encryption, tokens from a shared key instead of public keys; no acknowledgments",
    protocol: || Box::new(Netcode),
    lock_step: true,
};

pub const PROTOCOL: u64 = 7;
/// Shared by the hosts and the service that hands out tokens.
pub const KEY: [u8; 32] = [9; 32];
/// Of a host: the standard's table of connected clients.
pub const MAX_CLIENTS: usize = 1_024;
/// How often timers are run, as in a game with 60 turns a second.
pub const TICK: Duration = Duration::from_nanos(1_000_000_000 / 60);

/// Time since 1970, which tokens expire by.
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// A token for a new client, as a game's web service would make it.
pub fn token(address: SocketAddrV4) -> Result<ConnectToken> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    Ok(ConnectToken::generate(unix_time(), PROTOCOL, 3_600, id, 15, vec![address.into()], None, &KEY)?)
}

/// The configuration of a host.
pub fn server_config(address: SocketAddrV4, load: &Load) -> Result<ServerConfig> {
    if load.connections > MAX_CLIENTS {
        return Err(Unable("has room for 1,024 clients").into());
    }
    Ok(ServerConfig {
        current_time: unix_time(),
        max_clients: MAX_CLIENTS,
        protocol_id: PROTOCOL,
        public_addresses: vec![load.front.unwrap_or(address).into()],
        authentication: ServerAuthentication::Secure { private_key: KEY },
    })
}

/// Client ids in the order of their coming, and where they stand, with room for all of a job so that they are not
/// counted as memory of connections.
pub fn tables(load: &Load) -> (Vec<u64>, HashMap<u64, usize>) {
    (Vec::with_capacity(load.connections), HashMap::with_capacity(load.connections))
}

struct Netcode;

impl Protocol for Netcode {
    fn host(&self, load: &Load) -> Result<(Box<dyn End>, Invitation)> {
        let socket = plain::bind_nonblocking()?;
        let address = plain::address_of(&socket)?;
        let (ids, indices) = tables(load);
        let server = Box::new(NetcodeServer::new(server_config(address, load)?));
        let host = Host { socket, server, ticked: Instant::now(), ids, indices };
        Ok((Box::new(host), Invitation { address, key: Vec::new() }))
    }

    fn client(&self, invitation: &Invitation, _: &Load) -> Result<Box<dyn End>> {
        let authentication = ClientAuthentication::Secure { connect_token: token(invitation.address)? };
        let client = NetcodeClient::new(unix_time(), authentication)?;
        Ok(Box::new(Client { socket: plain::bind_nonblocking()?, client, ticked: Instant::now() }))
    }
}

/// `None` if nothing is there.
fn receive<'a>(socket: &UdpSocket, buffer: &'a mut [u8]) -> io::Result<Option<(&'a mut [u8], SocketAddr)>> {
    match socket.recv_from(buffer) {
        Ok((len, from)) => Ok(Some((&mut buffer[..len], from))),
        Err(error) => plain::unless_idle(error).map(|()| None),
    }
}

struct Host {
    socket: UdpSocket,
    server: Box<NetcodeServer>,
    ticked: Instant,
    ids: Vec<u64>,
    indices: HashMap<u64, usize>,
}

impl Host {
    fn tick(&mut self) -> Result {
        let passed = self.ticked.elapsed();
        if passed < TICK {
            return Ok(());
        }
        self.ticked += passed;
        self.server.update(passed);
        for id in self.server.clients_id() {
            if let ServerResult::PacketToSend { addr, payload } = self.server.update_client(id) {
                self.socket.send_to(payload, addr)?;
            }
        }
        Ok(())
    }
}

impl End for Host {
    fn established(&self) -> usize {
        self.ids.len()
    }

    fn send(&mut self, connection: usize, payload: &[u8]) -> Result<bool> {
        let (to, bytes) = self.server.generate_payload_packet(self.ids[connection], payload)?;
        self.socket.send_to(bytes, to)?;
        Ok(true)
    }

    fn flush(&mut self) -> Result {
        Ok(())
    }

    fn receive(&mut self, most: usize, take: Take<'_>) -> Result {
        self.tick()?;
        let mut buffer = [0; NETCODE_MAX_PACKET_BYTES];
        for _ in 0..most {
            let Some((bytes, from)) = receive(&self.socket, &mut buffer)? else { break };
            match self.server.process_packet(from, bytes) {
                ServerResult::Payload { client_id, payload } => {
                    let index = if self.ids.len() == 1 { 0 } else { self.indices[&client_id] };
                    take(index, payload);
                }
                ServerResult::PacketToSend { addr, payload } => {
                    self.socket.send_to(payload, addr)?;
                }
                ServerResult::ClientConnected { client_id, addr, payload, .. } => {
                    self.indices.insert(client_id, self.ids.len());
                    self.ids.push(client_id);
                    self.socket.send_to(payload, addr)?;
                }
                ServerResult::ClientDisconnected { .. } | ServerResult::None => {}
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> Result {
        Ok(plain::wait_readable(&self.socket, TICK)?)
    }

    fn hears_back(&self) -> bool {
        false
    }
}

struct Client {
    socket: UdpSocket,
    client: NetcodeClient,
    ticked: Instant,
}

impl Client {
    fn tick(&mut self, passed: Duration) -> Result {
        if let Some((bytes, to)) = self.client.update(passed) {
            self.socket.send_to(bytes, to)?;
        }
        Ok(())
    }
}

impl End for Client {
    fn start(&mut self) -> Result {
        self.tick(Duration::ZERO)
    }

    fn established(&self) -> usize {
        usize::from(self.client.is_connected())
    }

    fn send(&mut self, _: usize, payload: &[u8]) -> Result<bool> {
        let (to, bytes) = self.client.generate_payload_packet(payload)?;
        self.socket.send_to(bytes, to)?;
        Ok(true)
    }

    fn flush(&mut self) -> Result {
        Ok(())
    }

    fn receive(&mut self, most: usize, take: Take<'_>) -> Result {
        let mut buffer = [0; NETCODE_MAX_PACKET_BYTES];
        let connecting = self.client.is_connecting();
        for _ in 0..most {
            let Some((bytes, _)) = receive(&self.socket, &mut buffer)? else { break };
            if let Some(payload) = self.client.process_packet(bytes) {
                take(0, payload);
            } else if connecting {
                // The next step of the handshake goes at once instead of at the next tick.
                break;
            }
        }
        let passed = self.ticked.elapsed();
        if passed >= TICK || connecting {
            self.ticked += passed;
            self.tick(passed)?;
        }
        Ok(())
    }

    fn wait(&mut self) -> Result {
        Ok(plain::wait_readable(&self.socket, TICK)?)
    }

    fn hears_back(&self) -> bool {
        false
    }
}
