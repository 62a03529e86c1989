//! A socket for real-time programs: encrypted packets over UDP, with a delivery verdict for every one.
//!
//! Games, and other programs that would rather have the newest data than all of it, send *packets*. Each is sent once,
//! encrypted and authenticated, and the other application gets it or does not; the sender is **told which, exactly once
//! for each packet, in the order of sending**. The application decides, packet by packet, what to do about one that was
//! dropped: send it again, send something newer, or nothing.
//!
//! ```
//! use std::time::Duration;
//! use torque_socket::{Event, Socket};
//!
//! // A host. `0.0.0.0:28000` would be all addresses of this machine, IPv4 and IPv6.
//! let mut host = Socket::bind("127.0.0.1:0")?;
//! let url = format!("torque://{}@{}", host.public_key(), host.local_addr());
//!
//! // A client, which takes only the host with the key in the URL.
//! let mut client = Socket::client()?;
//! let connection = client.connect(url, None)?;
//!
//! // Two sockets take turns here; a program with one waits with `None`.
//! let tick = Duration::from_millis(1);
//! loop {
//!     match host.wait_event(tick) {
//!         Some(Event::ConnectRequest(request)) => _ = host.accept_connection(request.connection, b"welcome"),
//!         Some(Event::Packet { payload, .. }) => assert_eq!(&*payload, b"quack"),
//!         _ => {}
//!     }
//!     match client.wait_event(tick) {
//!         Some(Event::Established { .. }) => drop(client.send(connection, b"quack")?),
//!         Some(Event::Verdict { delivery, .. }) => {
//!             assert!(delivery.is_delivered());
//!             client.close(connection, b"")?;
//!         }
//!         // A connection's last event, also if it was never established.
//!         Some(Event::Close { code, .. }) => {
//!             println!("over: {code}");
//!             break;
//!         }
//!         _ => {}
//!     }
//! }
//! client.shutdown(Duration::from_secs(10), |_| {});
//! host.shutdown(Duration::from_secs(10), |_| {});
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The rule
//!
//! The protocol's core has one rule: *after any call, drain transmits, then events, then the deadline*. This
//! crate does it for you. That leaves you three things:
//!
//! - **transmits**: what `send` and the other calls have queued leaves with the next `flush`, `poll` or `wait`.
//!   Many packets that leave together cost little more than one.
//! - **events**: take them until there are none. An event that nobody takes keeps its place: an untaken verdict
//!   holds its slot in the packet window, and when the queue of received packets is full, further ones are not
//!   taken, and reported dropped to their sender.
//! - **the deadline**: something has to call `poll` when a timer is due. `wait` returns in time; a program with
//!   its own loop asks [`Socket::deadline`]; for a [`ThreadedSocket`] its thread does it, and an
//!   `AsyncSocket` runs its timers while its task awaits `wait_event`.
//!
//! # Three ways to drive a socket
//!
//! | way | for | chapter |
//! | --- | --- | --- |
//! | [`Socket`]: you call `poll` | games with a loop, programs with a loop over descriptors | [`guide::your_own_loop`] |
//! | [`ThreadedSocket`]: a thread does | programs whose frames are long, or that have no loop | [`guide::a_thread`] |
//! | `AsyncSocket`: tokio does | programs in the tokio runtime (feature `tokio`) | [`guide::tokio_runtime`] |
//!
//! A host that needs more than one core is a [`ShardedSocket`]: several sockets at one address
//! ([`guide::many_cores`]).
//!
//! A call that several of them have has the same name and meaning in each. [`EventSocket`] is a trait with the calls that a server needs. More chapters: [`guide::connecting`] (both sides' consent,
//! keys and trust), [`guide::verdicts`] (what to build on them), [`guide::moving`] (other addresses, restarted hosts), [`guide::introductions`] (connections through NATs), [`guide::errors_and_limits`] (errors, limits, counters,
//! bad networks on purpose).
//!
//! # Features
//!
//! - `native` (on): cryptography written for 64-bit Intel and ARM processors.
//! - `tokio` (off): [`AsyncSocket`](guide::tokio_runtime).
//! - `port-mapping` (off): a port of the router that leads to the socket, for introductions. Brings tokio and an HTTP client.
//! - `tracing` (off): events of the driver and of the protocol.
//!
//! # Systems
//!
//! | system | sending | receiving |
//! | --- | --- | --- |
//! | Linux, Android | many packets to many peers in one call (`sendmmsg`, segmentation by the kernel) | many in one call, joined by the kernel |
//! | Windows | runs of packets to one peer in one call, where the system can | runs from one peer in one call, where the system can |
//! | macOS, iOS, BSD | one packet a call | one to many packets a call |
//!
//! A [`ShardedSocket`] has a socket for each shard on Linux, where the kernel spreads datagrams by the shards' own
//! rule. Elsewhere one socket receives for all and hands on what is not its own; each shard sends by itself.
//!
//! Some datagrams that open a way have a hop limit. Linux and Android take one for each datagram. Other systems take one for a socket,
//! which is set around the call; where that fails, as it may for IPv4 from a socket of both families, the datagram leaves without.
//!
//! Linux is what the tests run on; the others are compiled.

#[cfg(unix)]
mod activation;
#[cfg(feature = "tokio")]
mod async_socket;
mod builder;
mod calls;
mod clock;
pub mod discovery;
mod error;
mod event_socket;
mod further_ports;
mod generate;
pub mod guide;
mod io;
pub mod key_file;
mod metrics;
mod puzzles;
mod resolver;
mod sharded;
mod socket;
mod target;
mod threaded;
pub mod trust;
mod waker;
mod zones;

#[cfg(feature = "tokio")]
pub use async_socket::{AsyncConnection, AsyncSocket, PendingVerdict};
pub use builder::Builder;
pub use error::BindError;
pub use event_socket::EventSocket;
pub use generate::Generate;
pub use io::IoStats;
pub use sharded::{ShardedBuilder, ShardedSocket, Steering};
pub use socket::{Shutdown, Socket, Wake};
pub use target::{ConnectError, Target, ToTarget};
pub use threaded::ThreadedSocket;
pub use torque_netem::{Burst, LinkConfig, LinkConfigError};
pub use torque_proto::identity::{
    self, BanSet, Credential, CredentialError, DEFAULT_PORT, HostName, TorqueUrl, Zone,
};
pub use torque_proto::{
    Address, ByteRate, CallError, ChallengeResponse, Cipher, CloseCode, ClosedBy, Config, ConfigError,
    ConnectOptions, ConnectRequest, ConnectionCounters, ConnectionId, ConnectionStats, Delivery, Event,
    Extension, HandshakeConfig, HandshakeStats, HardNat, IntroducedOptions, IntroducerStats,
    IntroductionConfig, IntroductionId, IntroductionResult, KeyLogEntry, KeyPair, Limits, Nat, OriginPolicy,
    PartyStats, PathSearch, Payload, Peer, PublicKey, PunchesLeftOut, PuzzleConfig, Relay, Relaying,
    SearchStage, SendError, Sequence, Settings, SettingsError, Stats, Trust,
};

/// The examples of the project's README and of this crate's have to work.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../README.md")]
struct Readme;
