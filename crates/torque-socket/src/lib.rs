//! x
#[cfg(feature = "tokio")]
mod async_socket;
mod attempts;
mod builder;
mod clock;
pub mod discovery;
mod error;
mod io;
pub mod key_file;
mod metrics;
mod puzzles;
mod resolver;
mod simulated;
mod socket;
mod target;
mod threaded;
pub mod trust;
mod waker;

#[cfg(feature = "tokio")]
pub use async_socket::AsyncSocket;
pub use builder::Builder;
pub use error::BindError;
pub use io::IoStats;
pub use socket::{Socket, Wake};
pub use target::{ConnectError, Target, ToTarget};
pub use threaded::ThreadedSocket;
pub use torque_proto::identity::{self, Credential, CredentialError, DEFAULT_PORT, HostName, TorqueUrl};
pub use torque_proto::{
    Address, CallError, Cipher, CloseCode, ClosedBy, Config, ConfigError, ConnectOptions, ConnectionId,
    ConnectionStats, Delivery, Event, Extension, HandshakeConfig, KeyLogEntry, KeyPair, Limits, Payload,
    PublicKey, PuzzleConfig, SendError, Sequence, Settings, SettingsError, Stats, Trust,
};
pub use torque_sim::{Burst, LinkConfig, LinkConfigError};
