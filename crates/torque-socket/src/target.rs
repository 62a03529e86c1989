//! What one can connect to, and in how many ways one can write it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use torque_proto::identity::TorqueUrl;
use torque_proto::{Address, CallError, PublicKey, Trust};

/// Where to connect to: an address, or a `torque://` URL with a name and perhaps a pinned key.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Target {
    /// An address.
    Address(Address),
    /// A URL. Names are resolved in the background.
    Url(TorqueUrl),
}

/// What can be made a [`Target`]: a URL or its text (`torque://` may be left out), or an address.
pub trait ToTarget {
    /// The target.
    ///
    /// # Errors
    /// The text is no URL.
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
        // A link-local address with its scope (`[fe80::1%2]:28000`) has no form as a URL.
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

impl<T: ToTarget + ?Sized> ToTarget for &T {
    fn to_target(&self) -> Result<Target, ConnectError> {
        (**self).to_target()
    }
}

/// Why `connect` did not begin. What happens after it has begun is told by events.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The text is no URL; says what is wrong with it.
    BadUrl(String),
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
    /// A shard connects to addresses, not to names, whose addresses may belong to several shards.
    NameOnShard,
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
            Self::TwoPins { url, options } => {
                write!(f, "the URL pins the key {url} and the options pin {options}: leave one of them out")
            }
            Self::OtherShard { owner } => {
                write!(f, "answers from this address would reach shard {owner}: connect from there")
            }
            Self::NameOnShard => write!(
                f,
                "a sharded socket connects to addresses only: resolve the name, or connect from a socket of its own"
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

/// The trust that follows from what the URL pins and what the options ask for.
pub(crate) fn combine_trust(url: Option<PublicKey>, options: Trust) -> Result<Trust, ConnectError> {
    match (url, options) {
        (None, trust) => Ok(trust),
        (Some(url), Trust::Pinned(options)) if url != options => Err(ConnectError::TwoPins { url, options }),
        (Some(url), _) => Ok(Trust::Pinned(url)),
    }
}
