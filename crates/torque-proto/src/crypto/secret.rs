//! From the end of the Noise exchange to the keys of a connection (PROTOCOL.md 3.3).

use alloc::vec::Vec;
use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::dh::{DhSecret, Shared};
use super::noise::InitiatorKeys;
use super::nonce::Nonce;
use super::{aead, hash};
use crate::wire::{ACCEPT_HEADER_BYTES, Punch, REPLY_HEADER_BYTES};

/// The secrets that both sides share after the Noise exchange: chaining key and transcript hash.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct HandshakeSecret {
    pub(super) ck: [u8; 32],
    pub(super) h: [u8; 32],
}

impl HandshakeSecret {
    /// The secret of the answers that the host gives with this salt. At the initiator several answers may
    /// have to be tried, so this does not use the handshake secret up.
    pub(crate) fn answers(&self, host_salt: &[u8; 16]) -> AnswerSecret {
        AnswerSecret { prk0: hash::extract(&[host_salt, &self.h], &self.ck) }
    }
}

/// The secret of connect_refuse and connect_pending, and the first half of the connection's secret.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct AnswerSecret {
    prk0: [u8; 32],
}

impl AnswerSecret {
    /// At the host, whose application accepts: E2, and the connection's secret. `fresh` is the private key of E2, for
    /// this connection alone; it and this secret are used up.
    pub(crate) fn accept(self, initiator: &InitiatorKeys, fresh: DhSecret) -> ([u8; 32], ConnectionSecret) {
        let (e, s) = (fresh.agree_again(&initiator.e), fresh.agree_again(&initiator.s));
        let e2 = *fresh.public();
        (e2, self.connection(&e2, &e, &s))
    }

    /// At the initiator, which hears an E2 that nobody has authenticated yet. `None` if it gives an all-zero secret.
    pub(crate) fn accepted(
        &self,
        ephemeral: &DhSecret,
        identity: &DhSecret,
        e2: &[u8; 32],
    ) -> Option<ConnectionSecret> {
        let (e, s) = (ephemeral.agree(e2)?, identity.agree(e2)?);
        Some(self.connection(e2, &e, &s))
    }

    /// `e` is DH(e, E2), `s` is DH(s, E2).
    fn connection(&self, e2: &[u8; 32], e: &Shared, s: &Shared) -> ConnectionSecret {
        let mut input = Zeroizing::new([0; 96]);
        hash::expand(&self.prk0, &[b"TorqueSocket second"], &mut input[..32]);
        input[32..64].copy_from_slice(&**e);
        input[64..].copy_from_slice(&**s);
        ConnectionSecret { prk: hash::extract(&[e2], &*input) }
    }

    /// Seals the text of a connect_refuse in place and appends the tag. `header` is offsets 0 to 32 of the
    /// datagram. Once only: what comes out is kept and repeated.
    pub(crate) fn seal_refuse(&self, header: &[u8; REPLY_HEADER_BYTES], text: &mut Vec<u8>) {
        seal(&self.prk0, REFUSE, header, text);
    }

    /// The text of a connect_refuse; `None` if it is not authentic.
    pub(crate) fn open_refuse(&self, header: &[u8; REPLY_HEADER_BYTES], sealed: &[u8]) -> Option<Vec<u8>> {
        open(&self.prk0, REFUSE, header, sealed)
    }

    /// As [`seal_refuse`](Self::seal_refuse), for a connect_pending, whose text is empty.
    pub(crate) fn seal_pending(&self, header: &[u8; REPLY_HEADER_BYTES], text: &mut Vec<u8>) {
        seal(&self.prk0, PENDING, header, text);
    }

    /// As [`open_refuse`](Self::open_refuse), for a connect_pending.
    pub(crate) fn open_pending(&self, header: &[u8; REPLY_HEADER_BYTES], sealed: &[u8]) -> Option<Vec<u8>> {
        open(&self.prk0, PENDING, header, sealed)
    }
}

/// The secret from which all keys of one connection come.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct ConnectionSecret {
    prk: [u8; 32],
}

/// The key that makes and judges the punches of a connection (PATHS.md 3) or an introduction (INTRODUCTIONS.md 6).
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct PunchKey(pub(super) [u8; 32]);

impl PunchKey {
    /// The punch as it travels.
    pub(crate) fn seal(&self, punch: &Punch) -> [u8; Punch::BYTES] {
        punch.with_tag(self.tag(punch))
    }

    /// Returns whether this is the tag of that punch, in constant time.
    pub(crate) fn verifies(&self, punch: &Punch, tag: &[u8; Punch::TAG_BYTES]) -> bool {
        self.tag(punch).ct_eq(tag).into()
    }

    fn tag(&self, punch: &Punch) -> [u8; Punch::TAG_BYTES] {
        let mac = hash::hmac_sha256(&self.0, &[&punch.head()]);
        let mut tag = [0; Punch::TAG_BYTES];
        tag.copy_from_slice(&mac[..Punch::TAG_BYTES]);
        tag
    }
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

    /// The key of the connection's punches.
    pub(crate) fn punch_key(&self) -> PunchKey {
        let mut key = PunchKey([0; 32]);
        hash::expand(&self.prk, &[b"TorqueSocket punch"], &mut key.0);
        key
    }

    /// As [`AnswerSecret::seal_refuse`], for a connect_accept; `header` is offsets 0 to 64.
    pub(crate) fn seal_accept(&self, header: &[u8; ACCEPT_HEADER_BYTES], text: &mut Vec<u8>) {
        seal(&self.prk, ACCEPT, header, text);
    }

    /// As [`AnswerSecret::open_refuse`], for a connect_accept.
    pub(crate) fn open_accept(&self, header: &[u8; ACCEPT_HEADER_BYTES], sealed: &[u8]) -> Option<Vec<u8>> {
        open(&self.prk, ACCEPT, header, sealed)
    }
}

// Each answer has a key of its own, which seals one text.
const ACCEPT: &[u8] = b"TorqueSocket accept";
const REFUSE: &[u8] = b"TorqueSocket refuse";
const PENDING: &[u8] = b"TorqueSocket pending";

fn answer_key(prk: &[u8; 32], label: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    hash::expand(prk, &[label], &mut *key);
    key
}

fn seal(prk: &[u8; 32], label: &[u8], header: &[u8], text: &mut Vec<u8>) {
    aead::seal(&answer_key(prk, label), Nonce::ONLY, header, text, 0);
}

fn open(prk: &[u8; 32], label: &[u8], header: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    aead::open(&answer_key(prk, label), Nonce::ONLY, header, sealed)
}

/// For secrets: `Debug` shows the name of the type and nothing else.
macro_rules! debug_without_content {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}
pub(super) use debug_without_content;
debug_without_content!(HandshakeSecret, AnswerSecret, ConnectionSecret, PunchKey, TrafficSecret);

#[cfg(test)]
pub(super) mod tests;
#[cfg(test)]
mod vectors;
