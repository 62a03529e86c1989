//! From the end of the Noise exchange to the keys of a connection (PROTOCOL.md 3.3).

use alloc::vec::Vec;
use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::nonce::Nonce;
use super::{aead, hash};

/// What both sides share when the Noise exchange is done: chaining key and transcript hash.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct HandshakeSecret {
    pub(super) ck: [u8; 32],
    pub(super) h: [u8; 32],
}

impl HandshakeSecret {
    /// The secret of the connection that the host made with this salt. At the initiator several answers may
    /// have to be tried, so this does not use the handshake secret up.
    pub(crate) fn connection(&self, host_salt: &[u8; 16]) -> ConnectionSecret {
        ConnectionSecret { prk: hash::extract(&[host_salt, &self.h], &self.ck) }
    }
}

/// The secret from which all keys of one connection come.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct ConnectionSecret {
    prk: [u8; 32],
}

/// Who sends what is sealed with a traffic secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// The initiator.
    FromInitiator,
    /// The host.
    FromHost,
}

/// The secret of one direction and generation.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct TrafficSecret(pub(super) [u8; 32]);

impl TrafficSecret {
    /// The secret that a key log told, for [`inspect`](crate::inspect) alone.
    pub(crate) fn from_log(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// For the key log hook and for test vectors, for nothing else.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The replies of a host to a connect_request; each has a key of its own.
#[derive(Clone, Copy)]
enum Reply {
    Accept,
    Refuse,
    Pending,
}

impl ConnectionSecret {
    /// Generation 0 of one direction.
    pub(crate) fn traffic(&self, direction: Direction) -> TrafficSecret {
        let d = match direction {
            Direction::FromInitiator => 0,
            Direction::FromHost => 1,
        };
        let mut traffic = TrafficSecret([0; 32]);
        hash::expand(&self.prk, &[b"TorqueSocket traffic", &[d]], &mut traffic.0);
        traffic
    }

    /// Seals the text of a connect_accept in place and appends the tag. `header` is offsets 0 to 32 of the
    /// datagram. Once only: what comes out is kept and repeated.
    pub(crate) fn seal_accept(&self, header: &[u8; 33], text: &mut Vec<u8>) {
        self.seal(Reply::Accept, header, text);
    }

    /// The text of a connect_accept; `None` if it is not authentic.
    pub(crate) fn open_accept(&self, header: &[u8; 33], sealed: &[u8]) -> Option<Vec<u8>> {
        self.open(Reply::Accept, header, sealed)
    }

    /// As [`seal_accept`](Self::seal_accept), for a connect_refuse.
    pub(crate) fn seal_refuse(&self, header: &[u8; 33], text: &mut Vec<u8>) {
        self.seal(Reply::Refuse, header, text);
    }

    /// As [`open_accept`](Self::open_accept), for a connect_refuse.
    pub(crate) fn open_refuse(&self, header: &[u8; 33], sealed: &[u8]) -> Option<Vec<u8>> {
        self.open(Reply::Refuse, header, sealed)
    }

    /// As [`seal_accept`](Self::seal_accept), for a connect_pending, whose text is empty.
    pub(crate) fn seal_pending(&self, header: &[u8; 33], text: &mut Vec<u8>) {
        self.seal(Reply::Pending, header, text);
    }

    /// As [`open_accept`](Self::open_accept), for a connect_pending.
    pub(crate) fn open_pending(&self, header: &[u8; 33], sealed: &[u8]) -> Option<Vec<u8>> {
        self.open(Reply::Pending, header, sealed)
    }

    fn reply_key(&self, reply: Reply) -> Zeroizing<[u8; 32]> {
        let label: &[u8] = match reply {
            Reply::Accept => b"TorqueSocket accept",
            Reply::Refuse => b"TorqueSocket refuse",
            Reply::Pending => b"TorqueSocket pending",
        };
        let mut key = Zeroizing::new([0; 32]);
        hash::expand(&self.prk, &[label], &mut *key);
        key
    }

    fn seal(&self, reply: Reply, header: &[u8; 33], text: &mut Vec<u8>) {
        aead::seal(&self.reply_key(reply), Nonce::ONLY, header, text, 0);
    }

    fn open(&self, reply: Reply, header: &[u8; 33], sealed: &[u8]) -> Option<Vec<u8>> {
        aead::open(&self.reply_key(reply), Nonce::ONLY, header, sealed)
    }
}

macro_rules! debug_without_content {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}
debug_without_content!(HandshakeSecret, ConnectionSecret, TrafficSecret);

#[cfg(test)]
#[path = "secret_tests.rs"]
pub(super) mod tests;
#[cfg(test)]
#[path = "secret_vectors.rs"]
mod vectors;
