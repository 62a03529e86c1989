//! What other shards leave for a shard: datagrams that are its own but reached them, and new epochs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use torque_proto::{EpochSecrets, Path, PublicKey};

use crate::waker::Waker;

/// Bytes of datagrams that wait in one inbox at the most.
const MAX_BYTES: usize = 4 << 20;
/// Epochs that live at a time (PROTOCOL.md 5.2).
const MAX_EPOCHS: usize = 2;

/// Datagrams in a row of bytes.
#[derive(Default)]
pub(super) struct Parcels {
    heads: Vec<Head>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Head {
    path: Path,
    len: usize,
}

impl Parcels {
    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    pub(super) fn push(&mut self, path: Path, bytes: &[u8]) {
        self.heads.push(Head { path, len: bytes.len() });
        self.bytes.extend_from_slice(bytes);
    }

    /// Gives each datagram once, in the order of pushing, and forgets all.
    pub(super) fn drain(&mut self, mut give: impl FnMut(Path, &mut [u8])) {
        let mut rest = self.bytes.as_mut_slice();
        for Head { path, len } in self.heads.drain(..) {
            let (bytes, behind) = rest.split_at_mut(len);
            rest = behind;
            give(path, bytes);
        }
        self.bytes.clear();
    }
}

/// What waits.
#[derive(Default)]
pub(super) struct Mail {
    pub(super) parcels: Parcels,
    /// With the identity that signed each.
    pub(super) epochs: Vec<(PublicKey, EpochSecrets)>,
    /// The owner sleeps, or is about to: who leaves something has to wake it.
    is_owner_asleep: bool,
}

/// One shard's inbox. Bounded; its lock is held only for copying.
pub(super) struct Inbox {
    mail: Mutex<Mail>,
    pub(super) waker: Waker,
    max_datagrams: usize,
}

impl Inbox {
    pub(super) fn new(waker: Waker, max_datagrams: usize) -> Self {
        Self { mail: Mutex::default(), waker, max_datagrams }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Mail> {
        // Nothing in here is left half done by a panic.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves datagrams, as far as there is room, and forgets the others. Returns how many were left.
    pub(super) fn leave(&self, parcels: &mut Parcels) -> usize {
        let mut mail = self.lock();
        let mut left = 0;
        parcels.drain(|path, bytes| {
            let waiting = &mut mail.parcels;
            if waiting.heads.len() < self.max_datagrams && waiting.bytes.len() + bytes.len() <= MAX_BYTES {
                waiting.push(path, bytes);
                left += 1;
            }
        });
        self.wake(mail);
        left
    }

    /// Leaves a new epoch. Only the newest two matter.
    pub(super) fn leave_epoch(&self, identity: PublicKey, secrets: EpochSecrets) {
        let mut mail = self.lock();
        if mail.epochs.len() >= MAX_EPOCHS {
            mail.epochs.remove(0);
        }
        mail.epochs.push((identity, secrets));
        self.wake(mail);
    }

    /// Once for each sleep is enough.
    fn wake(&self, mut mail: MutexGuard<'_, Mail>) {
        let is_asleep = std::mem::take(&mut mail.is_owner_asleep);
        drop(mail);
        if is_asleep {
            self.waker.wake();
        }
    }

    /// Whether the owner may sleep: nothing waits, and from now on it is woken when something comes.
    pub(super) fn begin_sleep(&self) -> bool {
        let mut mail = self.lock();
        mail.is_owner_asleep = mail.parcels.is_empty() && mail.epochs.is_empty();
        mail.is_owner_asleep
    }
}
