//! The peers, one file each, all behind the same two traits.

#[cfg(feature = "openssl")]
mod dtls;
mod enet;
mod mmsg;
mod netcode;
pub mod plain;
mod quinn;
mod quinn_proto;
mod raw;
mod raw_gso;
mod renet;
mod tls;
mod torque;
#[cfg(feature = "webrtc")]
mod webrtc;
mod websocket;

use std::net::SocketAddrV4;

use crate::failure::{Result, Unable};

/// What a job is about to do, so that a peer can choose its window and buffers, as its user would.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Bytes of the largest payload.
    pub payload: usize,
    /// The most packets that are under way on one connection at a time.
    pub in_flight: usize,
    /// The most connections of the host.
    pub connections: usize,
    /// Where clients see the host, if a relay stands before it.
    pub front: Option<SocketAddrV4>,
}

impl Load {
    /// One connection, without a relay.
    pub fn pair(payload: usize, in_flight: usize) -> Self {
        Self { payload, in_flight, connections: 1, front: None }
    }
}

/// A payload that has come: the index of its connection, and its content.
pub type Take<'a> = &'a mut dyn FnMut(usize, &[u8]);

/// One end: a host with any number of connections, or a client with one, whose index is 0.
///
/// A host numbers its connections in the order in which they were established.
pub trait End: Send {
    /// Begins to connect (clients). All that is not part of a connection was prepared before.
    fn start(&mut self) -> Result {
        Ok(())
    }

    /// How many connections are up.
    fn established(&self) -> usize;

    /// Sends one packet, or leaves it for `flush` if the peer can do that. `false`: no room now; the job then lets
    /// both ends receive, and tries again.
    fn send(&mut self, connection: usize, payload: &[u8]) -> Result<bool>;

    /// Hands all that was sent to the operating system.
    fn flush(&mut self) -> Result;

    /// Takes what has come without blocking, gives payloads to `take`, and does all that the protocol wants: verdicts,
    /// acknowledgments, timers. May stop once `most` payloads were given.
    fn receive(&mut self, most: usize, take: Take<'_>) -> Result;

    /// Blocks until there may be something to receive, or for some milliseconds. `receive` follows.
    fn wait(&mut self) -> Result;

    /// Whether the other side's protocol sends anything back to an end that only sends. If not, a job
    /// spares it looking for it.
    fn hears_back(&self) -> bool {
        true
    }

    /// Verdicts so far, delivered and dropped, of an end that gets them.
    fn verdicts(&self) -> Option<(u64, u64)> {
        None
    }
}

/// What a client needs in order to connect.
#[derive(Clone, Debug)]
pub struct Invitation {
    pub address: SocketAddrV4,
    /// A key or certificate, if the peer has one.
    pub key: Vec<u8>,
}

/// Makes the ends of one peer.
pub trait Protocol {
    /// A host, ready, and what its clients need.
    fn host(&self, load: &Load) -> Result<(Box<dyn End>, Invitation)>;

    /// A client that has not begun to connect.
    fn client(&self, invitation: &Invitation, load: &Load) -> Result<Box<dyn End>>;
}

/// One peer.
pub struct Peer {
    /// Its name on the command line and in rows.
    pub name: &'static str,
    /// Its crate, whose version is told; none for what the operating system does.
    pub package: Option<&'static str>,
    /// What it is, and what it lacks beside the others.
    pub about: &'static str,
    /// Makes its ends.
    pub protocol: fn() -> Box<dyn Protocol>,
    /// Whether it runs without a runtime of its own, so that both ends can share a thread in lock-step.
    pub lock_step: bool,
}

impl Peer {
    /// The protocol of clients that are many and not measured: the same on the wire, and cheaper to have by the
    /// thousand than a runtime each.
    pub fn crowd(&self) -> Box<dyn Protocol> {
        let protocol = if self.name == quinn::PEER.name { quinn_proto::PEER.protocol } else { self.protocol };
        protocol()
    }

    /// Refuses what needs connections.
    pub fn need_connections(&self) -> Result {
        if self.package.is_some() { Ok(()) } else { Err(Unable("has no connections").into()) }
    }

    /// Refuses what needs both ends on one thread.
    pub fn need_lock_step(&self) -> Result {
        if self.lock_step { Ok(()) } else { Err(Unable("needs a runtime, which lock-step excludes").into()) }
    }
}

/// All peers, the floor first.
pub const ALL: &[Peer] = &[
    raw::PEER,
    raw_gso::PEER,
    mmsg::PEER,
    torque::PEER,
    torque::GCM,
    torque::CHACHA,
    enet::PEER,
    netcode::PEER,
    renet::PEER,
    quinn_proto::PEER,
    quinn_proto::APART,
    quinn::PEER,
    DTLS,
    WEBRTC,
    websocket::PEER,
];

/// OpenSSL's headers are not everywhere, so this peer can be left out of the build.
const DTLS: Peer = Peer {
    name: "dtls",
    package: Some("openssl"),
    about: "DTLS 1.2 by OpenSSL: no acknowledgments; clients without a key",
    #[cfg(feature = "openssl")]
    protocol: || Box::new(dtls::Dtls),
    #[cfg(not(feature = "openssl"))]
    protocol: || Box::new(Missing("built without OpenSSL: install its headers (libssl-dev) and pkg-config")),
    lock_step: true,
};

/// Its cryptography takes long to build.
const WEBRTC: Peer = Peer {
    name: "webrtc",
    package: Some("str0m"),
    about: "WebRTC data channel: ICE, DTLS, SCTP; messages sent together share datagrams; keys vouched for by signalling",
    #[cfg(feature = "webrtc")]
    protocol: || Box::new(webrtc::DataChannel),
    #[cfg(not(feature = "webrtc"))]
    protocol: || Box::new(Missing("built without the feature `webrtc`")),
    lock_step: true,
};

/// A peer that was not built, and why.
#[cfg(not(all(feature = "openssl", feature = "webrtc")))]
struct Missing(&'static str);

#[cfg(not(all(feature = "openssl", feature = "webrtc")))]
impl Protocol for Missing {
    fn host(&self, _: &Load) -> Result<(Box<dyn End>, Invitation)> {
        Err(Unable(self.0).into())
    }

    fn client(&self, _: &Invitation, _: &Load) -> Result<Box<dyn End>> {
        Err(Unable(self.0).into())
    }
}

/// The peer of that name.
pub fn find(name: &str) -> Result<&'static Peer> {
    ALL.iter().find(|peer| peer.name == name).ok_or_else(|| format!("there is no peer `{name}`").into())
}
