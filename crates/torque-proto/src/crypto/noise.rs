//! The Noise exchange of the handshake: IX with the host in the Noise initiator's role (PROTOCOL.md 3.2).
//!
//! Written out here because the epoch key, which Noise calls the host's ephemeral, serves many handshakes,
//! and no Noise library lets one ephemeral answer several messages.

use alloc::vec::Vec;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::dh::{DhSecret, UsableKey};
use super::nonce::Nonce;
use super::secret::HandshakeSecret;
use super::{aead, hash};
use crate::identity::KeyPair;

const NAME: &[u8; 32] = b"Noise_IX_25519_ChaChaPoly_SHA256";

/// Bytes of the initiator's ephemeral key and of its sealed identity.
const E_BYTES: usize = 32;
const SEALED_S_BYTES: usize = 32 + aead::TAG_BYTES;

/// Noise's symmetric state: chaining key, transcript hash, and the key of the next text.
#[derive(Zeroize, ZeroizeOnDrop)]
struct State {
    ck: [u8; 32],
    h: [u8; 32],
    k: [u8; 32],
}

impl State {
    /// The state after the first message, which both sides know. Its payload is empty in this protocol.
    fn after_first(prologue: &[u8], epoch_key: &[u8; 32], host_x25519: &[u8; 32], payload: &[u8]) -> Self {
        let mut state = Self { ck: *NAME, h: *NAME, k: [0; 32] };
        #[cfg(test)]
        trace::begin(&state);
        state.mix_hash(prologue);
        state.mix_hash(epoch_key);
        state.mix_hash(host_x25519);
        state.mix_hash(payload);
        state
    }

    /// Writes the second message.
    fn write_second(
        &mut self,
        epoch_key: &[u8; 32],
        host_x25519: &[u8; 32],
        ephemeral: &DhSecret,
        identity: &DhSecret,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<()> {
        // All three first, so that nothing has been written when one of them fails.
        let ee = ephemeral.agree(epoch_key)?;
        let se = ephemeral.agree(host_x25519)?;
        let es = identity.agree(epoch_key)?;

        self.mix_hash(ephemeral.public());
        out.extend_from_slice(ephemeral.public());
        self.mix_key(&ee);
        self.mix_key(&se);
        self.seal(identity.public(), out);
        self.mix_key(&es);
        self.seal(payload, out);
        Some(())
    }

    /// Reads the second message: the other side's keys as they came, and the payload.
    fn read_second(
        &mut self,
        epoch: &DhSecret,
        identity: &DhSecret,
        message: &[u8],
    ) -> Option<(InitiatorKeys, Vec<u8>)> {
        let (e, rest) = message.split_first_chunk::<E_BYTES>()?;
        let (sealed_s, sealed_p) = rest.split_first_chunk::<SEALED_S_BYTES>()?;
        self.mix_hash(e);
        let (e, ee) = epoch.agree_first(e)?;
        self.mix_key(&ee);
        self.mix_key(&*identity.agree(e.as_bytes())?);
        let s: [u8; 32] = self.open(sealed_s)?.try_into().ok()?;
        let (s, es) = epoch.agree_first(&s)?;
        self.mix_key(&es);
        let payload = self.open(sealed_p)?;
        Some((InitiatorKeys { e, s }, payload))
    }

    fn mix_hash(&mut self, data: &[u8]) {
        self.h = hash::sha256(&[&self.h, data]);
        #[cfg(test)]
        trace::note(self, data);
    }

    fn mix_key(&mut self, shared: &[u8; 32]) {
        let prk = Zeroizing::new(hash::extract(&[&self.ck], shared));
        let mut both = Zeroizing::new([0; 64]);
        hash::expand(&*prk, &[], &mut *both);
        self.ck.copy_from_slice(&both[..32]);
        self.k.copy_from_slice(&both[32..]);
        #[cfg(test)]
        trace::note(self, shared);
    }

    /// Appends the text sealed, and takes what was appended into the transcript.
    fn seal(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(text);
        aead::seal(&self.k, Nonce::NOISE_FIRST, &self.h, out, from);
        self.mix_hash(&out[from..]);
    }

    fn open(&mut self, sealed: &[u8]) -> Option<Vec<u8>> {
        let text = aead::open(&self.k, Nonce::NOISE_FIRST, &self.h, sealed)?;
        self.mix_hash(sealed);
        Some(text)
    }

    fn finish(&self) -> HandshakeSecret {
        HandshakeSecret { ck: self.ck, h: self.h }
    }
}

/// The initiator's state until its request is answered.
pub(crate) struct Initiated {
    pub(crate) secret: HandshakeSecret,
    /// The private key of `e`.
    pub(crate) ephemeral: DhSecret,
}

/// The initiator's public keys, as the host knows them from the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InitiatorKeys {
    /// Its ephemeral key.
    pub(crate) e: UsableKey,
    /// Its identity in X25519 form, as it came.
    pub(crate) s: UsableKey,
}

/// The parts of a request that the host has read.
pub(crate) struct Responded {
    pub(crate) initiator: InitiatorKeys,
    pub(crate) payload: Vec<u8>,
    pub(crate) secret: HandshakeSecret,
}

/// The initiator's message: appends `e ‖ sealed_s ‖ sealed_p` to `out`. `None`, with `out` as it was, if a
/// key of the host gives an all-zero secret. `ephemeral_seed` is fresh random bytes.
pub(crate) fn initiate(
    prologue: &[u8],
    epoch_key: &[u8; 32],
    host_x25519: &[u8; 32],
    ephemeral_seed: [u8; 32],
    identity: &KeyPair,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Option<Initiated> {
    let ephemeral = DhSecret::from_bytes(ephemeral_seed);
    let mut state = State::after_first(prologue, epoch_key, host_x25519, &[]);
    state.write_second(epoch_key, host_x25519, &ephemeral, identity.dh_secret(), payload, out)?;
    Some(Initiated { secret: state.finish(), ephemeral })
}

/// The host's side: opens `e ‖ sealed_s ‖ sealed_p`. `None` if anything is not authentic or a secret is all zeros.
pub(crate) fn respond(
    prologue: &[u8],
    epoch_secret: &DhSecret,
    identity: &KeyPair,
    message: &[u8],
) -> Option<Responded> {
    let identity = identity.dh_secret();
    let mut state = State::after_first(prologue, epoch_secret.public(), identity.public(), &[]);
    let (initiator, payload) = state.read_second(epoch_secret, identity, message)?;
    Some(Responded { initiator, payload, secret: state.finish() })
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests;
#[cfg(test)]
pub(crate) mod trace;
