//! What an endpoint and a connection are begun with.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::address::Address;
use crate::config::Config;
use crate::error::CallError;
use crate::event::Extension;
use crate::handshake::{Trust, check_room};
use crate::id::ConnectionId;
use crate::identity::KeyPair;
use crate::path::Path;
use crate::settings::Settings;

/// The parts of an endpoint.
pub struct Setup {
    /// Figures and limits.
    pub config: Config,
    /// The socket's identity; `None` to have one generated from the seed.
    pub key_pair: Option<KeyPair>,
    /// 32 bytes from the operating system's randomness. The same seed makes the same keys: never use one twice
    /// outside a simulation.
    pub seed: [u8; 32],
    /// Milliseconds since 1970-01-01 at the moment that is `now` for [`Endpoint::new`](crate::Endpoint::new). Later it is told
    /// by [`set_unix_millis`](crate::Endpoint::set_unix_millis).
    pub unix_millis: u64,
}

/// A received datagram.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Where it came from and arrived; answers go back the same way.
    pub path: Path,
    /// All of it. It is decrypted in place.
    pub bytes: &'a mut [u8],
}

/// How to connect: whom to trust, what to tell the host, and wishes for the connection.
///
/// ```
/// use torque_proto::{ConnectOptions, Trust};
///
/// let options = ConnectOptions::new(Trust::Anyone).with_data(b"Ada, team red");
/// assert_eq!(options.connect_data, b"Ada, team red");
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// Data for the host's application, with `extensions` at most 1,000 bytes; encrypted for the host.
    pub connect_data: Vec<u8>,
    /// Typed extensions; each takes 3 bytes more than its data.
    pub extensions: Vec<Extension>,
    /// Which host keys to take. There is no default: without it an attempt does not begin, unless a key in the URL
    /// says it. With both, both decide: see [`Trust`].
    pub trust: Option<Trust>,
    /// Wishes for this connection; `None` for those of the configuration.
    pub settings: Option<Settings>,
}

impl ConnectOptions {
    /// Options with this trust and nothing else.
    pub fn new(trust: Trust) -> Self {
        Self { trust: Some(trust), ..Self::default() }
    }

    /// The same with other trust; `None` where the URL has the host's key.
    #[must_use]
    pub fn with_trust(mut self, trust: impl Into<Option<Trust>>) -> Self {
        self.trust = trust.into();
        self
    }

    /// The same with data for the host's application.
    #[must_use]
    pub fn with_data(mut self, connect_data: impl Into<Vec<u8>>) -> Self {
        self.connect_data = connect_data.into();
        self
    }

    /// The same with one more extension.
    #[must_use]
    pub fn with_extension(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// The same with wishes for this connection.
    #[must_use]
    pub fn with_settings(mut self, settings: impl Into<Option<Settings>>) -> Self {
        self.settings = settings.into();
        self
    }
}

/// Whether a connection that begins with an introduction may take a circuit through the introducer, if that grants one.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Relaying {
    /// No.
    Never,
    /// When no direct path was found in time. It goes on looking for one.
    #[default]
    Fallback,
    /// At once, if both sides say so: the connection is there after a round trip, and becomes direct later.
    AtOnce,
}

/// How to connect to a socket that an introducer names.
///
/// ```
/// use torque_proto::{ConnectOptions, IntroducedOptions, Relaying, Trust};
///
/// let guest = IntroducedOptions::initiator(ConnectOptions::new(Trust::Ask).with_data(b"Ada"));
/// let host = IntroducedOptions::host().with_introduced_data(b"table 4").with_relay(Relaying::AtOnce);
/// assert!(host.is_host && !guest.is_host && guest.direct);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IntroducedOptions {
    /// Whether this side is the host of the connection to come.
    pub is_host: bool,
    /// At the initiator: as for any connection.
    pub connect: ConnectOptions,
    /// At the host: data for the initiator's application, at most 480 bytes. It comes with the challenge response. The introducer can
    /// read it, and could make it up.
    pub introduced_data: Vec<u8>,
    /// Whether a circuit is taken.
    pub relay: Relaying,
    /// Whether direct paths are taken (default). Without them the other side never learns this one's address.
    pub direct: bool,
}

impl IntroducedOptions {
    /// For the side that connects.
    pub fn initiator(connect: ConnectOptions) -> Self {
        Self { is_host: false, connect, ..Self::host() }
    }

    /// For the side that is asked.
    pub fn host() -> Self {
        Self {
            is_host: true,
            connect: ConnectOptions::default(),
            introduced_data: Vec::new(),
            relay: Relaying::default(),
            direct: true,
        }
    }

    /// The same with data of the host for the initiator.
    #[must_use]
    pub fn with_introduced_data(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.introduced_data = data.into();
        self
    }

    /// The same with another word on circuits.
    #[must_use]
    pub fn with_relay(mut self, relay: Relaying) -> Self {
        self.relay = relay;
        self
    }

    /// The same without direct paths: the other side never learns this one's address.
    #[must_use]
    pub fn without_direct_paths(mut self) -> Self {
        self.direct = false;
        self
    }

    pub(super) fn check(&self) -> Result<(), CallError> {
        if self.is_host {
            return Ok(());
        }
        if self.connect.trust.is_none() {
            return Err(CallError::NoTrust);
        }
        check_room(&self.connect.connect_data, &self.connect.extensions)
    }
}

/// The secrets of one connection, for tools that decrypt captures.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct KeyLogEntry<'a> {
    /// The connection.
    pub connection: ConnectionId,
    /// The other side's address.
    pub remote: Address,
    /// True if this side is the initiator.
    pub is_initiator: bool,
    /// Number of the packet cipher.
    pub cipher: u8,
    /// Bytes of tag on data packets.
    pub tag_bytes: u8,
    /// The packet window.
    pub packet_window: u16,
    /// The first traffic secret of the initiator's direction, `traffic[0, 0]` (PROTOCOL.md 3.3).
    pub from_initiator: &'a [u8; 32],
    /// The first traffic secret of the host's direction, `traffic[0, 1]`.
    pub from_host: &'a [u8; 32],
    /// The initiator's initial sequence.
    pub initiator_sequence: u64,
    /// The host's initial sequence.
    pub host_sequence: u64,
}

/// Takes the secrets of new connections.
pub type KeyLog = Box<dyn FnMut(KeyLogEntry<'_>) + Send>;
