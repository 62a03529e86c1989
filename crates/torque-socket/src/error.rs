//! Errors of making a socket: what happened, and what to do about it.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use torque_proto::ConfigError;

/// The reason why a socket could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// Another socket has this port.
    AddressInUse {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// This machine does not have this address.
    NoSuchAddress {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The operating system does not allow this address, on many systems a port below 1024.
    NotPermitted {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// This machine has no network interface of this name.
    NoSuchDevice {
        /// The name.
        interface: String,
    },
    /// A socket cannot be adopted.
    NotAdopted {
        /// Why not.
        error: io::Error,
    },
    /// The text is not an address.
    BadAddress {
        /// The text.
        text: String,
        /// The fault.
        error: io::Error,
    },
    /// A figure of the configuration is out of range.
    Config(ConfigError),
    /// The operating system gave no random bytes.
    Randomness(io::Error),
    /// Anything else.
    System {
        /// The step that failed.
        doing: &'static str,
        /// The address that was asked for.
        address: SocketAddr,
        /// The operating system's error.
        error: io::Error,
    },
}

impl BindError {
    pub(crate) fn from_bind(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse { address },
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress { address },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { address },
            _ => Self::System { doing: "binding", address, error },
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressInUse { address } if address.port() == 0 => write!(
                f,
                "no UDP port of {} is free: stop a program that has many, or let the system give out more (on Linux net.ipv4.ip_local_port_range)",
                address.ip()
            ),
            Self::AddressInUse { address } => write!(
                f,
                "UDP port {} is in use by another socket: stop that program, or bind another port (port 0 takes a free one)",
                address.port()
            ),
            Self::NoSuchAddress { address } => write!(
                f,
                "this machine does not have the address {}: use 0.0.0.0 or [::] for all of its addresses",
                address.ip()
            ),
            Self::NotPermitted { address } => write!(
                f,
                "the operating system does not allow {address}: use a port from 1024 to 65535, or look at the firewall's rules for this program"
            ),
            Self::NoSuchDevice { interface } => write!(
                f,
                "this machine has no network interface `{interface}`: give the name of one that it has"
            ),
            Self::NotAdopted { error } => {
                write!(
                    f,
                    "the socket cannot be adopted ({error}): give a bound UDP socket that is not connected"
                )
            }
            Self::BadAddress { text, error } => {
                write!(f, "`{text}` is no address to bind ({error}): write it as 0.0.0.0:28000 or [::]:28000")
            }
            Self::Config(error) => write!(f, "the configuration cannot work: {error}"),
            Self::Randomness(error) => write!(f, "the operating system gave no random bytes: {error}"),
            Self::System { doing, address, error } => write!(f, "{doing} {address} failed: {error}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BadAddress { error, .. }
            | Self::NotAdopted { error }
            | Self::Randomness(error)
            | Self::System { error, .. } => Some(error),
            Self::Config(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ConfigError> for BindError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}
