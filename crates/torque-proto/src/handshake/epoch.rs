//! Epochs: the host's short-lived key, what is signed with it, and the tokens that were used under it
//! (PROTOCOL.md 5.2).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use zeroize::Zeroizing;

use super::transcript::epoch_message;
use crate::crypto::dh::DhSecret;
use crate::crypto::hash::sha256;
use crate::crypto::rng::Rng;
use crate::identity::KeyPair;
use crate::instant::Instant;

/// An epoch must be this old before new data or a full table ends its use.
const MIN_AGE: Duration = Duration::from_secs(1);

/// One epoch's secrets, to be shared among the shards of one host. All shards must have the same identity,
/// and a source address must always reach the same shard, because each keeps its own table of used tokens.
#[derive(Clone)]
pub struct EpochSecrets {
    start_millis: u64,
    dh: DhSecret,
    signature: [u8; 64],
    token_secret: Zeroizing<[u8; 32]>,
    data: Vec<u8>,
}

impl EpochSecrets {
    fn generate(start_millis: u64, data: &[u8], key_pair: &KeyPair, rng: &mut Rng) -> Self {
        let dh = DhSecret::from_bytes(rng.array());
        let message = epoch_message(start_millis, dh.public(), &sha256(&[data]));
        Self {
            start_millis,
            signature: key_pair.sign(&message),
            dh,
            token_secret: Zeroizing::new(rng.array()),
            data: data.to_vec(),
        }
    }

    #[cfg(feature = "measure")]
    pub(crate) fn dh(&self) -> &DhSecret {
        &self.dh
    }
}

impl fmt::Debug for EpochSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochSecrets").field("start_millis", &self.start_millis).finish_non_exhaustive()
    }
}

/// One epoch as a host holds it. Dropping it erases its secrets.
pub(crate) struct Epoch {
    secrets: EpochSecrets,
    key: [u8; 32],
    data_digest: [u8; 32],
    started: Instant,
    /// Its age at `started`: another shard may have begun it, before this shard's clock began.
    aged: Duration,
    /// Tokens that were used. A tree: its cost does not depend on which tokens someone collects.
    used: BTreeSet<[u8; 16]>,
    capacity: usize,
}

/// The outcome of recording a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Recorded {
    Fresh,
    Used,
    Full,
}

impl Epoch {
    fn new(secrets: EpochSecrets, started: Instant, aged: Duration, capacity: usize) -> Self {
        Self {
            key: *secrets.dh.public(),
            data_digest: sha256(&[&secrets.data]),
            secrets,
            started,
            aged,
            used: BTreeSet::new(),
            capacity,
        }
    }

    pub(crate) fn start_millis(&self) -> u64 {
        self.secrets.start_millis
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    pub(crate) fn dh(&self) -> &DhSecret {
        &self.secrets.dh
    }

    pub(crate) fn signature(&self) -> &[u8; 64] {
        &self.secrets.signature
    }

    pub(crate) fn token_secret(&self) -> &[u8; 32] {
        &self.secrets.token_secret
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.secrets.data
    }

    pub(crate) fn data_digest(&self) -> &[u8; 32] {
        &self.data_digest
    }

    /// Records a token until the epoch ends. Only what is `Fresh` may be admitted.
    pub(crate) fn record(&mut self, token: [u8; 16]) -> Recorded {
        if self.used.contains(&token) {
            Recorded::Used
        } else if self.is_full() {
            Recorded::Full
        } else {
            self.used.insert(token);
            Recorded::Fresh
        }
    }

    fn is_full(&self) -> bool {
        self.used.len() >= self.capacity
    }

    fn age(&self, now: Instant) -> Duration {
        self.aged.saturating_add(now.saturating_since(self.started))
    }
}

/// The current epoch and the one before it. None is made before it is needed.
pub(crate) struct Epochs {
    current: Option<Epoch>,
    previous: Option<Epoch>,
    lifetime: Duration,
    capacity: usize,
    /// The newest challenge_response_data; an epoch may still stand for older data.
    data: Vec<u8>,
}

impl Epochs {
    /// Each epoch is used for `lifetime`, and holds at most `capacity` used tokens.
    pub(crate) fn new(lifetime: Duration, capacity: usize) -> Self {
        Self { current: None, previous: None, lifetime, capacity, data: Vec::new() }
    }

    /// The data of the next epoch.
    pub(crate) fn set_data(&mut self, data: &[u8]) {
        self.data.clear();
        self.data.extend_from_slice(data);
    }

    /// The epoch to hand out now; a new one is started when it is due.
    pub(crate) fn current(
        &mut self,
        now: Instant,
        unix_millis: u64,
        key_pair: &KeyPair,
        rng: &mut Rng,
    ) -> &mut Epoch {
        self.erase_ended(now);
        let epoch = match self.current.take() {
            Some(epoch) if !self.is_due(&epoch, now) => epoch,
            old => {
                // With a newer one on top, the one before `old` has ended (PROTOCOL.md 5.2).
                self.previous = old.or(self.previous.take());
                let secrets = EpochSecrets::generate(unix_millis, &self.data, key_pair, rng);
                Epoch::new(secrets, now, Duration::ZERO, self.capacity)
            }
        };
        self.current.insert(epoch)
    }

    /// Returns whether the next challenge begins a new epoch.
    pub(crate) fn is_new_one_due(&self, now: Instant) -> bool {
        self.current.as_ref().is_none_or(|epoch| self.is_due(epoch, now))
    }

    fn is_due(&self, epoch: &Epoch, now: Instant) -> bool {
        let age = epoch.age(now);
        age > self.lifetime
            || (age >= MIN_AGE && epoch.is_full())
            || (age >= self.lifetime / 3 && epoch.data() != self.data.as_slice())
    }

    /// The living epoch whose key begins with `tag`.
    pub(crate) fn find(&mut self, now: Instant, tag: [u8; 4]) -> Option<&mut Epoch> {
        self.erase_ended(now);
        let mut living = self.current.iter_mut().chain(self.previous.iter_mut());
        living.find(|epoch| epoch.key[..4] == tag)
    }

    /// The secrets of the current epoch, for other shards.
    pub(crate) fn share(&self) -> Option<EpochSecrets> {
        self.current.as_ref().map(|epoch| epoch.secrets.clone())
    }

    /// Takes over an epoch that another shard began, and its data, unless newer data was set here that no epoch
    /// shows yet: the next epoch will, and then bring it to the other shard. An epoch that is known or has ended
    /// changes nothing.
    pub(crate) fn install(&mut self, now: Instant, unix_millis: u64, secrets: EpochSecrets) {
        self.erase_ended(now);
        let age = Duration::from_millis(unix_millis.saturating_sub(secrets.start_millis));
        let epoch = Epoch::new(secrets, now, age, self.capacity);
        let known = self.current.iter().chain(self.previous.iter()).any(|held| held.key == epoch.key);
        if known || age >= self.end_age() {
            return;
        }
        match &self.current {
            Some(current) if current.start_millis() > epoch.start_millis() => {
                if self.previous.as_ref().is_none_or(|held| held.start_millis() < epoch.start_millis()) {
                    self.previous = Some(epoch);
                }
            }
            _ => {
                let data_is_shown =
                    self.current.as_ref().map_or(self.data.is_empty(), |shown| shown.data() == self.data);
                if data_is_shown {
                    self.data.clone_from(&epoch.secrets.data);
                }
                self.previous = self.current.take().or(self.previous.take());
                self.current = Some(epoch);
            }
        }
    }

    /// Forgets everything: the identity that signed it is no longer this host's.
    pub(crate) fn clear(&mut self) {
        self.current = None;
        self.previous = None;
    }

    /// The time to erase the next epoch.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let held = self.current.iter().chain(self.previous.iter());
        held.map(|epoch| epoch.started + self.end_age().saturating_sub(epoch.aged)).min()
    }

    /// Erases what has ended.
    pub(crate) fn erase_ended(&mut self, now: Instant) {
        let end_age = self.end_age();
        for slot in [&mut self.current, &mut self.previous] {
            if slot.as_ref().is_some_and(|epoch| epoch.age(now) >= end_age) {
                *slot = None;
            }
        }
    }

    fn end_age(&self) -> Duration {
        self.lifetime.saturating_mul(2)
    }
}

#[cfg(test)]
mod tests;
