//! Buffers for received payloads, reused without locks or unsafe code.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

/// The content of a received packet: owned, cheap to move, `Send`. Its buffer goes back to the
/// endpoint's pool when it is dropped.
#[derive(Clone)]
pub struct Payload(Arc<Vec<u8>>);

impl Payload {
    /// Copies bytes into a payload outside any pool.
    pub fn copy_from(bytes: &[u8]) -> Self {
        Self(Arc::new(bytes.to_vec()))
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Payload> for Vec<u8> {
    /// The bytes as a vector. They are copied if the pool keeps the buffer, as it does with all of common size.
    fn from(payload: Payload) -> Self {
        Arc::try_unwrap(payload.0).unwrap_or_else(|shared| shared.to_vec())
    }
}

impl PartialEq<[u8]> for Payload {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// Larger payloads, which hardly any path carries, get a separate buffer: the pool would keep it at that size.
const MAX_POOLED: usize = 2_048;

/// Keeps a reference to each buffer that it lent; one whose payload has been dropped has no other.
pub(crate) struct Pool {
    buffers: VecDeque<Arc<Vec<u8>>>,
    capacity: usize,
}

impl Pool {
    /// A pool that keeps at most `capacity` buffers.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { buffers: VecDeque::new(), capacity }
    }

    /// A payload with a copy of `bytes`. Allocates only if the oldest buffer is still lent.
    pub(crate) fn fill(&mut self, bytes: &[u8]) -> Payload {
        if bytes.len() > MAX_POOLED {
            return Payload::copy_from(bytes);
        }
        // The oldest lent buffer is the likeliest to have come back.
        if let Some(mut buffer) = self.buffers.pop_front() {
            if let Some(content) = Arc::get_mut(&mut buffer) {
                content.clear();
                content.extend_from_slice(bytes);
                self.buffers.push_back(Arc::clone(&buffer));
                return Payload(buffer);
            }
            self.buffers.push_back(buffer);
        }
        let payload = Payload::copy_from(bytes);
        if self.buffers.len() < self.capacity {
            self.buffers.push_back(Arc::clone(&payload.0));
        }
        payload
    }
}

#[cfg(test)]
mod tests;
