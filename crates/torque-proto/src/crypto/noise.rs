//! The Noise exchange of the handshake: IX with the host in the Noise initiator's role (PROTOCOL.md 3.2). With the psk of an
//! introduction it is IXpsk2 (INTRODUCTIONS.md 7).
//!
//! Written out here because the epoch key, which Noise calls the host's ephemeral, serves many handshakes,
//! and no Noise library lets one ephemeral answer several messages.

use alloc::vec::Vec;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::dh::{DhSecret, UsableKey};
use super::introduced::Psk;
use super::nonce::Nonce;
use super::secret::HandshakeSecret;
use super::{aead, hash};
use crate::identity::KeyPair;

const NAME: &[u8; 32] = b"Noise_IX_25519_ChaChaPoly_SHA256";
const NAME_WITH_PSK: &[u8; 36] = b"Noise_IXpsk2_25519_ChaChaPoly_SHA256";

/// Bytes of the initiator's ephemeral key and of its sealed identity.
const E_BYTES: usize = 32;
const SEALED_S_BYTES: usize = 32 + aead::TAG_BYTES;

/// The input that both sides have before the exchange and mix into it.
#[derive(Clone, Copy)]
pub(crate) struct Prior<'a> {
    pub(crate) prologue: &'a [u8],
    /// That of the introduction, if there was one.
    pub(crate) psk: Option<&'a Psk>,
}

/// Noise's symmetric state: chaining key, transcript hash, and the key of the next text.
#[derive(Zeroize, ZeroizeOnDrop)]
struct State<'a> {
    ck: [u8; 32],
    h: [u8; 32],
    k: [u8; 32],
    #[zeroize(skip)]
    psk: Option<&'a Psk>,
}

impl<'a> State<'a> {
    /// The state after the first message, which both sides know. Its payload is empty in this protocol.
    fn after_first(prior: Prior<'a>, epoch_key: &[u8; 32], host_x25519: &[u8; 32], payload: &[u8]) -> Self {
        let Prior { prologue, psk } = prior;
        let name = if psk.is_some() { hash::sha256(&[NAME_WITH_PSK]) } else { *NAME };
        let mut state = Self { ck: name, h: name, k: [0; 32], psk };
        #[cfg(test)]
        trace::begin(&state);
        state.mix_hash(prologue);
        state.mix_ephemeral(epoch_key);
        if psk.is_some() {
            // The psk gives a key from the first ephemeral key on. What it seals is not sent, only taken into the transcript.
            let mut unsent = Vec::with_capacity(SEALED_S_BYTES + payload.len() + aead::TAG_BYTES);
            state.seal(Nonce::NOISE_FIRST, host_x25519, &mut unsent);
            state.seal(Nonce::NOISE_SECOND, payload, &mut unsent);
        } else {
            state.mix_hash(host_x25519);
            state.mix_hash(payload);
        }
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

        self.mix_ephemeral(ephemeral.public());
        out.extend_from_slice(ephemeral.public());
        self.mix_key(&ee);
        self.mix_key(&se);
        self.seal(Nonce::NOISE_FIRST, identity.public(), out);
        self.mix_key(&es);
        self.mix_psk();
        self.seal(Nonce::NOISE_FIRST, payload, out);
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
        self.mix_ephemeral(e);
        let (e, ee) = epoch.agree_first(e)?;
        self.mix_key(&ee);
        self.mix_key(&*identity.agree(e.as_bytes())?);
        let s: [u8; 32] = self.open(sealed_s)?.try_into().ok()?;
        let (s, es) = epoch.agree_first(&s)?;
        self.mix_key(&es);
        self.mix_psk();
        let payload = self.open(sealed_p)?;
        Some((InitiatorKeys { e, s }, payload))
    }

    fn mix_hash(&mut self, data: &[u8]) {
        self.h = hash::sha256(&[&self.h, data]);
        #[cfg(test)]
        trace::note(self, data);
    }

    fn mix_key(&mut self, shared: &[u8; 32]) {
        self.derive(shared);
        #[cfg(test)]
        trace::note(self, shared);
    }

    /// An ephemeral key. With a psk it is also mixed into the keys, so that they are random before the first agreement.
    fn mix_ephemeral(&mut self, key: &[u8; 32]) {
        self.h = hash::sha256(&[&self.h, key]);
        if self.psk.is_some() {
            self.derive(key);
        }
        #[cfg(test)]
        trace::note(self, key);
    }

    /// The psk, if this exchange has one.
    fn mix_psk(&mut self) {
        let Some(Psk(psk)) = self.psk else { return };
        let all = self.hkdf::<96>(psk);
        self.ck.copy_from_slice(&all[..32]);
        self.h = hash::sha256(&[&self.h, &all[32..64]]);
        self.k.copy_from_slice(&all[64..]);
        #[cfg(test)]
        trace::note(self, psk);
    }

    fn derive(&mut self, input: &[u8; 32]) {
        let both = self.hkdf::<64>(input);
        self.ck.copy_from_slice(&both[..32]);
        self.k.copy_from_slice(&both[32..]);
    }

    /// The outputs of Noise's HKDF, 32 bytes each.
    fn hkdf<const N: usize>(&self, input: &[u8; 32]) -> Zeroizing<[u8; N]> {
        let prk = Zeroizing::new(hash::extract(&[&self.ck], input));
        let mut outputs = Zeroizing::new([0; N]);
        hash::expand(&*prk, &[], &mut *outputs);
        outputs
    }

    /// Appends the text sealed, and takes what was appended into the transcript.
    fn seal(&mut self, nonce: Nonce, text: &[u8], out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(text);
        aead::seal(&self.k, nonce, &self.h, out, from);
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
    prior: Prior<'_>,
    epoch_key: &[u8; 32],
    host_x25519: &[u8; 32],
    ephemeral_seed: [u8; 32],
    identity: &KeyPair,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Option<Initiated> {
    let ephemeral = DhSecret::from_bytes(ephemeral_seed);
    let mut state = State::after_first(prior, epoch_key, host_x25519, &[]);
    state.write_second(epoch_key, host_x25519, &ephemeral, identity.dh_secret(), payload, out)?;
    Some(Initiated { secret: state.finish(), ephemeral })
}

/// The host's side: opens `e ‖ sealed_s ‖ sealed_p`. `None` if anything is not authentic or a secret is all zeros.
pub(crate) fn respond(
    prior: Prior<'_>,
    epoch_secret: &DhSecret,
    identity: &KeyPair,
    message: &[u8],
) -> Option<Responded> {
    let identity = identity.dh_secret();
    let mut state = State::after_first(prior, epoch_secret.public(), identity.public(), &[]);
    let (initiator, payload) = state.read_second(epoch_secret, identity, message)?;
    Some(Responded { initiator, payload, secret: state.finish() })
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests;
#[cfg(test)]
pub(crate) mod trace;
