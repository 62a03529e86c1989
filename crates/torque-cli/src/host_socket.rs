//! The socket of a host: one, or several shards.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use torque_socket::{
    Address, CallError, ConnectionId, Event, PublicKey, SendError, Sequence, ShardedSocket, Shutdown, Socket,
    Steering,
};

use crate::failure::Failure;
use crate::key_log;
use crate::output::Output;

/// The socket of `torque host`: plain or sharded. Both look the same from outside.
pub enum HostSocket {
    One(Box<Socket>),
    Sharded(ShardedSocket),
}

impl HostSocket {
    pub fn bind(builder: torque_socket::Builder, shards: usize, address: &str) -> Result<Self, Failure> {
        Ok(match shards {
            1 => Self::One(Box::new(builder.bind(address)?)),
            _ => Self::Sharded(builder.shards(shards).bind(address)?),
        })
    }

    pub fn shards(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Sharded(sharded) => sharded.shards().len(),
        }
    }

    /// The way in which datagrams reach their shards, for `--json`.
    pub fn steering(&self) -> Option<&'static str> {
        match self {
            Self::One(_) => None,
            Self::Sharded(sharded) => Some(match sharded.steering() {
                Steering::Kernel => "kernel",
                Steering::HandOn => "hand_on",
                Steering::OneSocket => "one_socket",
            }),
        }
    }

    pub fn install_key_log(&mut self, output: &Output) -> Result<(), Failure> {
        let Some(log) = key_log::KeyLogFile::from_environment(output)? else { return Ok(()) };
        match self {
            Self::One(socket) => log.install(socket),
            Self::Sharded(sharded) => {
                sharded.shards().iter().try_for_each(|shard| shard.with(|socket| log.install(socket)))
            }
        }
    }

    pub fn set_challenge_response_data(&mut self, data: &[u8]) -> Result<(), CallError> {
        match self {
            Self::One(socket) => socket.set_challenge_response_data(data),
            Self::Sharded(sharded) => sharded.set_challenge_response_data(data),
        }
    }

    pub fn local_addr(&self) -> SocketAddr {
        match self {
            Self::One(socket) => socket.local_addr(),
            Self::Sharded(sharded) => sharded.local_addr(),
        }
    }

    pub fn public_key(&self) -> PublicKey {
        match self {
            Self::One(socket) => socket.public_key(),
            Self::Sharded(sharded) => sharded.public_key(),
        }
    }

    pub fn accept_connection(&mut self, connection: ConnectionId, data: &[u8]) -> Result<(), CallError> {
        match self {
            Self::One(socket) => socket.accept_connection(connection, data),
            Self::Sharded(sharded) => sharded.accept_connection(connection, data),
        }
    }

    pub fn refuse(&mut self, connection: ConnectionId, reason: &[u8]) -> Result<(), CallError> {
        match self {
            Self::One(socket) => socket.refuse(connection, reason),
            Self::Sharded(sharded) => sharded.refuse(connection, reason),
        }
    }

    pub fn send(&mut self, connection: ConnectionId, payload: &[u8]) -> Result<Sequence, SendError> {
        match self {
            Self::One(socket) => socket.send(connection, payload),
            Self::Sharded(sharded) => sharded.send(connection, payload),
        }
    }

    pub fn send_info_from(
        &mut self,
        local: Option<IpAddr>,
        remote: Address,
        payload: &[u8],
    ) -> Result<(), CallError> {
        match self {
            Self::One(socket) => socket.send_info_from(local, remote, payload),
            Self::Sharded(sharded) => sharded.send_info_from(local, remote, payload),
        }
    }

    /// The next event. Waits for it until `end`, and sends what is queued before that.
    pub fn event_before(&mut self, end: Instant) -> Option<Event> {
        let left = end.saturating_duration_since(Instant::now());
        match self {
            Self::One(socket) => socket.wait_event(left),
            Self::Sharded(sharded) => sharded.wait_event(left),
        }
    }

    pub fn metrics(&mut self) -> String {
        match self {
            Self::One(socket) => socket.metrics(),
            Self::Sharded(sharded) => sharded.metrics(),
        }
    }

    /// As [`Socket::shutdown`].
    pub fn shutdown(self, limit: Duration, event: impl FnMut(Event)) -> Shutdown {
        match self {
            Self::One(socket) => socket.shutdown(limit, event),
            Self::Sharded(sharded) => sharded.shutdown(limit, event),
        }
    }
}
