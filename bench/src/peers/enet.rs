//! ENet, as rusty_enet: unreliable packets in one channel.
//!
//! Options: as many peers as the job has, one channel, no bandwidth limits, no checksum, no compression: the lightest that
//! it offers. No throttle: it would leave out a part of the unreliable packets when round-trip times vary, as they do when a
//! bench holds a client up. `always_unreliable` keeps it from making packets reliable that it has to cut.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};

use rusty_enet::{Event, Host, HostSettings, Packet, PeerID};

use super::{End, Invitation, Load, Peer, Protocol, Take, plain};
use crate::failure::Result;

pub const PEER: Peer = Peer {
    name: "rusty_enet",
    package: Some("rusty_enet"),
    about: "ENet's unreliable packets: no encryption, no keys, no word on what became of a packet",
    protocol: || Box::new(Enet),
    lock_step: true,
};

/// ENet's defaults, in milliseconds and in 32nds.
const THROTTLE_INTERVAL: u32 = 5_000;
const THROTTLE_ACCELERATION: u32 = 2;
/// A peer slot is taken at the first datagram, so the table is what bounds a host.
const MAX_PEERS: usize = 4_095;

struct Enet;

impl Protocol for Enet {
    fn host(&self, load: &Load) -> Result<(Box<dyn End>, Invitation)> {
        let (end, socket) = EnetEnd::new(load.connections, None)?;
        let address = plain::address_of(&socket)?;
        Ok((Box::new(end), Invitation { address, key: Vec::new() }))
    }

    fn client(&self, invitation: &Invitation, _: &Load) -> Result<Box<dyn End>> {
        Ok(Box::new(EnetEnd::new(1, Some(invitation.address.into()))?.0))
    }
}

struct EnetEnd {
    host: Host<UdpSocket>,
    watched: UdpSocket,
    remote: Option<SocketAddr>,
    peers: Vec<PeerID>,
    indices: HashMap<PeerID, usize>,
}

impl EnetEnd {
    fn new(peers: usize, remote: Option<SocketAddr>) -> Result<(Self, UdpSocket)> {
        let socket = plain::bind()?;
        let watched = socket.try_clone()?;
        let settings =
            HostSettings { peer_limit: peers.min(MAX_PEERS), channel_limit: 1, ..HostSettings::default() };
        let host = Host::new(socket, settings).map_err(|error| format!("{error:?}"))?;
        let address = watched.try_clone()?;
        Ok((
            Self {
                host,
                watched,
                remote,
                peers: Vec::with_capacity(peers),
                indices: HashMap::with_capacity(peers),
            },
            address,
        ))
    }
}

impl End for EnetEnd {
    fn start(&mut self) -> Result {
        if let Some(remote) = self.remote.take() {
            self.host.connect(remote, 1, 0)?;
            self.host.flush();
        }
        Ok(())
    }

    fn established(&self) -> usize {
        self.peers.len()
    }

    fn send(&mut self, connection: usize, payload: &[u8]) -> Result<bool> {
        self.host.peer_mut(self.peers[connection]).send(0, &Packet::always_unreliable(payload))?;
        Ok(true)
    }

    fn flush(&mut self) -> Result {
        self.host.flush();
        Ok(())
    }

    fn receive(&mut self, _: usize, take: Take<'_>) -> Result {
        while let Some(event) = self.host.service()? {
            match event {
                Event::Receive { peer, packet, .. } => {
                    let index = if self.peers.len() == 1 { 0 } else { self.indices[&peer.id()] };
                    take(index, packet.data());
                }
                Event::Connect { peer, .. } => {
                    peer.set_throttle(THROTTLE_INTERVAL, THROTTLE_ACCELERATION, 0);
                    let id = peer.id();
                    self.indices.insert(id, self.peers.len());
                    self.peers.push(id);
                }
                Event::Disconnect { .. } => return Err("closed".into()),
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> Result {
        Ok(plain::wait_readable(&self.watched, plain::WAIT)?)
    }
}
