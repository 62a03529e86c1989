//! renet over netcode: messages in channels, here in the unreliable one, with acknowledgments of its own.
//!
//! Options: `ConnectionConfig::default()`, except that `available_bytes_per_tick` covers what a job has under way. A tick
//! (`update`, then `send_packets`) is what a job does between two flushes; an end that only receives ticks 60 times a second,
//! or it would send an acknowledgment each time it looks at its socket.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::time::Instant;

use bytes::Bytes;
use renet::{ConnectionConfig, DefaultChannel, RenetClient, RenetServer, ServerEvent};
use renet_netcode::{ClientAuthentication, NetcodeClientTransport, NetcodeServerTransport};

use super::netcode::{self, TICK};
use super::{End, Invitation, Load, Peer, Protocol, Take, plain};
use crate::failure::Result;

pub const PEER: Peer = Peer {
    name: "renet",
    package: Some("renet"),
    about: "renet's unreliable channel over netcode; acknowledgments that are not told for unreliable messages",
    protocol: || Box::new(Renet),
    lock_step: true,
};

const CHANNEL: DefaultChannel = DefaultChannel::Unreliable;

fn config(load: &Load) -> ConnectionConfig {
    let bytes = (load.payload * load.in_flight * 2) as u64;
    let default = ConnectionConfig::default();
    ConnectionConfig { available_bytes_per_tick: default.available_bytes_per_tick.max(bytes), ..default }
}

struct Renet;

impl Protocol for Renet {
    fn host(&self, load: &Load) -> Result<(Box<dyn End>, Invitation)> {
        let socket = plain::bind()?;
        let address = plain::address_of(&socket)?;
        let watched = socket.try_clone()?;
        let transport = NetcodeServerTransport::new(netcode::server_config(address, load)?, socket)?;
        let server = RenetServer::new(config(load));
        let (ids, indices) = netcode::tables(load);
        let host =
            Host { server, transport, watched, ticked: Instant::now(), sent: Instant::now(), ids, indices };
        Ok((Box::new(host), Invitation { address, key: Vec::new() }))
    }

    fn client(&self, invitation: &Invitation, load: &Load) -> Result<Box<dyn End>> {
        let socket = plain::bind()?;
        let watched = socket.try_clone()?;
        let authentication =
            ClientAuthentication::Secure { connect_token: netcode::token(invitation.address)? };
        let transport = NetcodeClientTransport::new(netcode::unix_time(), authentication, socket)?;
        let client = RenetClient::new(config(load));
        Ok(Box::new(Client { client, transport, watched, ticked: Instant::now(), sent: Instant::now() }))
    }
}

struct Host {
    server: RenetServer,
    transport: NetcodeServerTransport,
    watched: UdpSocket,
    ticked: Instant,
    sent: Instant,
    ids: Vec<u64>,
    indices: HashMap<u64, usize>,
}

impl End for Host {
    fn established(&self) -> usize {
        self.ids.len()
    }

    fn send(&mut self, connection: usize, payload: &[u8]) -> Result<bool> {
        self.server.send_message(self.ids[connection], CHANNEL, Bytes::copy_from_slice(payload));
        Ok(true)
    }

    fn flush(&mut self) -> Result {
        self.sent = Instant::now();
        self.transport.send_packets(&mut self.server);
        Ok(())
    }

    fn receive(&mut self, _: usize, take: Take<'_>) -> Result {
        let passed = self.ticked.elapsed();
        self.ticked += passed;
        self.server.update(passed);
        self.transport.update(passed, &mut self.server)?;
        while let Some(event) = self.server.get_event() {
            match event {
                ServerEvent::ClientConnected { client_id } => {
                    self.indices.insert(client_id, self.ids.len());
                    self.ids.push(client_id);
                }
                ServerEvent::ClientDisconnected { reason, .. } => {
                    return Err(format!("closed: {reason}").into());
                }
            }
        }
        for (index, &id) in self.ids.iter().enumerate() {
            while let Some(message) = self.server.receive_message(id, CHANNEL) {
                take(index, &message);
            }
        }
        if self.sent.elapsed() >= TICK { self.flush() } else { Ok(()) }
    }

    fn wait(&mut self) -> Result {
        Ok(plain::wait_readable(&self.watched, TICK)?)
    }
}

struct Client {
    client: RenetClient,
    transport: NetcodeClientTransport,
    watched: UdpSocket,
    ticked: Instant,
    sent: Instant,
}

impl End for Client {
    fn start(&mut self) -> Result {
        self.receive(usize::MAX, &mut |_, _| {})
    }

    fn established(&self) -> usize {
        usize::from(self.client.is_connected())
    }

    fn send(&mut self, _: usize, payload: &[u8]) -> Result<bool> {
        self.client.send_message(CHANNEL, Bytes::copy_from_slice(payload));
        Ok(true)
    }

    fn flush(&mut self) -> Result {
        self.sent = Instant::now();
        Ok(self.transport.send_packets(&mut self.client)?)
    }

    fn receive(&mut self, _: usize, take: Take<'_>) -> Result {
        let passed = self.ticked.elapsed();
        self.ticked += passed;
        self.client.update(passed);
        self.transport.update(passed, &mut self.client)?;
        while let Some(message) = self.client.receive_message(CHANNEL) {
            take(0, &message);
        }
        if self.client.is_connected() && self.sent.elapsed() >= TICK { self.flush() } else { Ok(()) }
    }

    fn wait(&mut self) -> Result {
        Ok(plain::wait_readable(&self.watched, TICK)?)
    }
}
