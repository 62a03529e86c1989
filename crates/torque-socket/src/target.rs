//! What one can connect to, and in how many ways one can write it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use torque_proto::identity::{HostName, TorqueUrl};
use torque_proto::{Address, CallError, PublicKey, Trust};

use crate::zones;

/// Where to connect to: an address, or a `torque://` URL with a name and perhaps a pinned key.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Target {
    /// An address.
    Address(Address),
    /// A URL. Names are resolved in the background.
    Url(TorqueUrl),
}

/// Where a target is.
pub(crate) enum Place {
    Address(Address),
    /// To be resolved.
    Name {
        name: String,
        port: u16,
    },
}

impl Target {
    /// The host's key, if a URL pins one.
    pub fn key(&self) -> Option<PublicKey> {
        match self {
            Self::Address(_) => None,
            Self::Url(url) => url.key,
        }
    }

    /// The address that this leads to; `None` for a name, which has to be resolved.
    ///
    /// # Errors
    /// [`ConnectError::Unspecified`], [`ConnectError::NoZone`], [`ConnectError::NoSuchZone`].
    pub fn address(&self) -> Result<Option<Address>, ConnectError> {
        Ok(match self.place()? {
            Place::Address(address) => Some(address),
            Place::Name { .. } => None,
        })
    }

    /// As [`address`](Self::address).
    pub(crate) fn place(&self) -> Result<Place, ConnectError> {
        let address = match self {
            Self::Address(address) => *address,
            Self::Url(TorqueUrl { host, port, .. }) => match host {
                HostName::Name(name) => return Ok(Place::Name { name: name.clone(), port: *port }),
                HostName::V4(ip) => SocketAddr::from((*ip, *port)).into(),
                HostName::V6(ip) => SocketAddr::from((*ip, *port)).into(),
                HostName::LinkLocal { ip, zone } => {
                    let no_such_zone = || ConnectError::NoSuchZone { zone: zone.as_str().to_owned() };
                    let number = zones::number_of(zone).ok_or_else(no_such_zone)?;
                    SocketAddr::from(SocketAddrV6::new(*ip, *port, 0, number)).into()
                }
            },
        };
        match address.socket_addr() {
            Some(unspecified) if unspecified.ip().is_unspecified() => {
                Err(ConnectError::Unspecified { address: unspecified })
            }
            // The kernel may guess an interface, but answers come with their own.
            Some(SocketAddr::V6(v6)) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
                Err(ConnectError::NoZone { address: v6 })
            }
            _ => Ok(Place::Address(address)),
        }
    }
}

/// A value that can be made a [`Target`]: a URL or its text (`torque://` may be left out), an address, or a host and a port.
///
/// ```
/// use torque_socket::ToTarget;
///
/// assert_eq!(("pond.example", 28_001).to_target(), "torque://pond.example:28001".to_target());
/// assert_eq!(("::1", 28_001).to_target(), "[::1]:28001".to_target());
/// ```
pub trait ToTarget {
    /// The target.
    ///
    /// # Errors
    /// The text is not a URL.
    fn to_target(&self) -> Result<Target, ConnectError>;
}

impl ToTarget for Target {
    fn to_target(&self) -> Result<Target, ConnectError> {
        Ok(self.clone())
    }
}

impl ToTarget for Address {
    fn to_target(&self) -> Result<Target, ConnectError> {
        Ok(Target::Address(*self))
    }
}

impl ToTarget for SocketAddr {
    fn to_target(&self) -> Result<Target, ConnectError> {
        Ok(Target::Address((*self).into()))
    }
}

impl ToTarget for TorqueUrl {
    fn to_target(&self) -> Result<Target, ConnectError> {
        Ok(Target::Url(self.clone()))
    }
}

impl ToTarget for str {
    fn to_target(&self) -> Result<Target, ConnectError> {
        let text = self.trim();
        // Outside a URL a percent sign stands for itself: `[fe80::1%2]:28000`.
        if let Ok(address) = SocketAddr::from_str(text) {
            return Ok(Target::Address(address.into()));
        }
        let url =
            if text.contains("://") { TorqueUrl::from_str(text) } else { format!("torque://{text}").parse() };
        url.map(Target::Url).map_err(|error| ConnectError::BadUrl(error.to_string()))
    }
}

impl ToTarget for String {
    fn to_target(&self) -> Result<Target, ConnectError> {
        self.as_str().to_target()
    }
}

/// A name or an IP address, as in a URL but for the brackets of an IPv6 address, and a port.
impl ToTarget for (&str, u16) {
    fn to_target(&self) -> Result<Target, ConnectError> {
        let (host, port) = *self;
        match IpAddr::from_str(host.trim()) {
            Ok(ip) => (ip, port).to_target(),
            // With a zone.
            Err(_) if host.contains(':') => format!("[{}]:{port}", host.trim()).to_target(),
            Err(_) => format!("{}:{port}", host.trim()).to_target(),
        }
    }
}

impl ToTarget for (String, u16) {
    fn to_target(&self) -> Result<Target, ConnectError> {
        (self.0.as_str(), self.1).to_target()
    }
}

impl ToTarget for (IpAddr, u16) {
    fn to_target(&self) -> Result<Target, ConnectError> {
        SocketAddr::from(*self).to_target()
    }
}

impl<T: ToTarget + ?Sized> ToTarget for &T {
    fn to_target(&self) -> Result<Target, ConnectError> {
        (**self).to_target()
    }
}

/// Why `connect` did not begin. What happens after it has begun is told by events.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The text is not a URL, for this reason.
    BadUrl(String),
    /// `0.0.0.0` or `[::]`: where a host listens, but no address of any host.
    Unspecified {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// A link-local IPv6 address without the interface that leads to it.
    NoZone {
        /// The address that was asked for.
        address: SocketAddrV6,
    },
    /// This machine has no interface of this name.
    NoSuchZone {
        /// The zone of a link-local address.
        zone: String,
    },
    /// Nothing says whose key counts: no key in the URL, and no [`Trust`]. See [`trust`](crate::trust).
    NoTrust,
    /// The URL pins one key and the options another.
    TwoPins {
        /// The key in the URL.
        url: PublicKey,
        /// The key in the options.
        options: PublicKey,
    },
    /// This shard of a host would not get the answers: they belong to another one. A
    /// [`ShardedSocket`](crate::ShardedSocket) chooses the right one by itself.
    OtherShard {
        /// The number of the shard that owns the address.
        owner: usize,
    },
    /// A shard could not open the further UDP port from which it connects by name, for this reason.
    NoPort(String),
    /// The endpoint refused the call.
    Call(CallError),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl(why) => {
                write!(
                    f,
                    "this cannot be connected to: {why}; write torque://name:port or torque://key@name:port"
                )
            }
            Self::Unspecified { address } => {
                let here: IpAddr =
                    if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
                write!(
                    f,
                    "{address} means all addresses of a machine, and cannot be connected to: use {} for a host on this machine, or the host's own address",
                    SocketAddr::new(here, address.port())
                )
            }
            Self::NoZone { address } => write!(
                f,
                "{} is in the network of one interface: name it, as in [{}%25eth0]:{}",
                address.ip(),
                address.ip(),
                address.port()
            ),
            Self::NoSuchZone { zone } => write!(
                f,
                "this machine has no network interface `{zone}`: take the name or number of the one that leads to the host"
            ),
            Self::NoTrust => f.write_str(
                "nothing says which host this is: put its key into the URL (torque://tk1…@name:port), or give Trust::Pinned(key); Trust::Ask to decide when the host shows its key (trust::Judge has known hosts and authorities); or Trust::Anyone to take any host",
            ),
            Self::TwoPins { url, options } => {
                write!(f, "the URL pins the key {url} and the options pin {options}: leave one of them out")
            }
            Self::OtherShard { owner } => {
                write!(f, "answers from this address would reach shard {owner}: connect from there")
            }
            Self::NoPort(why) => write!(
                f,
                "no UDP port could be opened to connect by name from a sharded socket ({why}): free some ports or file descriptors, or resolve the name and connect to an address"
            ),
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectError {}

impl From<CallError> for ConnectError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// The trust that follows from the key in the URL and the trust that was given.
pub(crate) fn combine_trust(url: Option<PublicKey>, options: Option<Trust>) -> Result<Trust, ConnectError> {
    match (url, options) {
        (None, trust) => trust.ok_or(ConnectError::NoTrust),
        (Some(url), Some(Trust::Pinned(options) | Trust::AskPinned(options))) if url != options => {
            Err(ConnectError::TwoPins { url, options })
        }
        // Both decide.
        (Some(url), Some(Trust::Ask | Trust::AskPinned(_))) => Ok(Trust::AskPinned(url)),
        (Some(url), None | Some(Trust::Pinned(_) | Trust::Anyone)) => Ok(Trust::Pinned(url)),
    }
}
