//! Farewells: the last datagrams of pages that are gone (GATEWAY.md 1.1). A browser ends a session when its page goes away,
//! often before the page knows. The page's last datagrams then come in a request that outlives it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::oneshot;

/// The time for which a session keeps its port for a farewell after its page left.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// The longest farewell: browsers allow this much for all requests that outlive a page.
pub const MAX_BYTES: usize = 64 * 1_024;
/// The key that a page sends with its farewell. It is random, and nobody else knows it.
pub type Key = [u8; 16];

/// The farewells that sessions expect.
#[derive(Debug, Default)]
pub struct Farewells(Mutex<HashMap<Key, oneshot::Sender<Bytes>>>);

/// An expected farewell. Dropping it ends the expectation.
#[derive(Debug)]
pub struct Expected {
    all: Arc<Farewells>,
    key: Key,
    receiver: oneshot::Receiver<Bytes>,
}

impl Farewells {
    /// Expects the farewell with this key. `None`: another session already does.
    pub fn expect(self: &Arc<Self>, key: Key) -> Option<Expected> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Entry::Vacant(place) = all.entry(key) else { return None };
        let (sender, receiver) = oneshot::channel();
        place.insert(sender);
        drop(all);
        Some(Expected { all: Arc::clone(self), key, receiver })
    }

    /// Hands the body of a request, a key and then frames, to the session that expects it. Returns whether there is one.
    pub fn say(&self, mut body: Bytes) -> bool {
        let Some(key) = body.first_chunk().copied() else { return false };
        body.advance(size_of::<Key>());
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        sender.is_some_and(|sender| sender.send(body).is_ok())
    }
}

impl Expected {
    /// Waits for the farewell. It may be cancelled. Do not call it again once it has returned.
    pub async fn frames(&mut self) -> Frames {
        match (&mut self.receiver).await {
            Ok(bytes) => Frames(bytes),
            // Only `say` removes the sender.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// The frames of a farewell, each after its two-byte length. A truncated frame at the end is left out.
#[derive(Debug)]
pub struct Frames(Bytes);

impl Iterator for Frames {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let length = usize::from(self.0.try_get_u16().ok()?);
        (length <= self.0.len()).then(|| self.0.split_to(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_farewell_reaches_the_session_that_expects_it_once_and_no_other() {
        let all = Arc::new(Farewells::default());
        let (mut one, other) = (all.expect([1; 16]).unwrap(), all.expect([2; 16]).unwrap());
        assert!(all.expect([1; 16]).is_none(), "a key is one session's");
        let body = |key: u8| Bytes::from([&[key; 16][..], &[0, 2, 7, 8, 0, 0, 0, 9, 1]].concat());
        assert!(!all.say(body(3)));
        assert!(!all.say(Bytes::from_static(&[1; 15])));
        assert!(all.say(body(1)));
        assert!(!all.say(body(1)), "once");
        let frames: Vec<_> = one.frames().await.collect();
        assert_eq!(frames, [&[7, 8][..], &[]], "what is cut off is left out");
        drop(other);
        assert!(!all.say(body(2)), "a session that is over expects nothing");
        assert!(all.0.lock().unwrap().is_empty());
    }
}
