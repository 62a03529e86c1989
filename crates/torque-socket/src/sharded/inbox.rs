//! A shard's inbox: datagrams that are its own but reached other shards, and new epochs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use torque_proto::{EpochSecrets, Path, PublicKey};

use crate::waker::Waker;

/// Bytes of datagrams that wait in one inbox at the most.
const MAX_BYTES: usize = 4 << 20;
/// Epochs that live at a time (PROTOCOL.md 5.2).
const MAX_EPOCHS: usize = 2;

/// Datagrams, one behind the other.
#[derive(Default)]
pub(super) struct Batch {
    heads: Vec<Head>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Head {
    path: Path,
    len: usize,
}

impl Batch {
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

    /// Gives each datagram once, in order, and forgets all.
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

/// The content of an inbox.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) batch: Batch,
    /// With the identity that signed each.
    pub(super) epochs: Vec<(PublicKey, EpochSecrets)>,
    /// The owner sleeps, or is about to, and has to be woken.
    is_owner_asleep: bool,
}

/// One shard's inbox. Bounded; its lock is held only for copying.
pub(super) struct Inbox {
    contents: Mutex<Contents>,
    pub(super) waker: Waker,
    max_datagrams: usize,
}

impl Inbox {
    pub(super) fn new(waker: Waker, max_datagrams: usize) -> Self {
        Self { contents: Mutex::default(), waker, max_datagrams }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Contents> {
        // Nothing in here is left half done by a panic.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts datagrams in as far as there is room, and drops the others. Returns how many it took.
    pub(super) fn push(&self, batch: &mut Batch) -> usize {
        let mut contents = self.lock();
        let mut taken = 0;
        batch.drain(|path, bytes| {
            let waiting = &mut contents.batch;
            if waiting.heads.len() < self.max_datagrams && waiting.bytes.len() + bytes.len() <= MAX_BYTES {
                waiting.push(path, bytes);
                taken += 1;
            }
        });
        self.wake(contents);
        taken
    }

    /// Puts a new epoch in. Only the newest two matter.
    pub(super) fn push_epoch(&self, identity: PublicKey, secrets: EpochSecrets) {
        let mut contents = self.lock();
        if contents.epochs.len() >= MAX_EPOCHS {
            contents.epochs.remove(0);
        }
        contents.epochs.push((identity, secrets));
        self.wake(contents);
    }

    /// Once for each sleep is enough.
    fn wake(&self, mut contents: MutexGuard<'_, Contents>) {
        let is_asleep = std::mem::take(&mut contents.is_owner_asleep);
        drop(contents);
        if is_asleep {
            self.waker.wake();
        }
    }

    /// Returns whether the owner may sleep: nothing waits, and from now on it is woken when something comes.
    pub(super) fn begin_sleep(&self) -> bool {
        let mut contents = self.lock();
        contents.is_owner_asleep = contents.batch.is_empty() && contents.epochs.is_empty();
        contents.is_owner_asleep
    }
}
