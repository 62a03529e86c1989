//! The last datagrams of pages that are gone already (GATEWAY.md 1.1). A browser ends a session when its page goes away, often
//! before the page knows; what the page had to say then comes by a request that outlives it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::oneshot;

/// So long the port of a session that its page has left is kept for a farewell.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// No farewell is longer: browsers give all requests that outlive a page as much.
pub const MAX_BYTES: usize = 64 * 1_024;
/// What a page shows with its farewell: it chose it at random, and nobody else knows it.
pub type Key = [u8; 16];

/// Those that are expected.
#[derive(Debug, Default)]
pub struct Farewells(Mutex<HashMap<Key, oneshot::Sender<Bytes>>>);

/// A farewell that is expected as long as this lives.
#[derive(Debug)]
pub struct Expected {
    all: Arc<Farewells>,
    key: Key,
    receiver: oneshot::Receiver<Bytes>,
}

impl Farewells {
    /// Expects the farewell with this key. `None`: another session does.
    pub fn expect(self: &Arc<Self>, key: Key) -> Option<Expected> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Entry::Vacant(place) = all.entry(key) else { return None };
        let (sender, receiver) = oneshot::channel();
        place.insert(sender);
        drop(all);
        Some(Expected { all: Arc::clone(self), key, receiver })
    }

    /// Hands the body of a request to the session that expects it: key, then frames. Whether there is one.
    pub fn say(&self, mut body: Bytes) -> bool {
        let Some(key) = body.first_chunk().copied() else { return false };
        body.advance(size_of::<Key>());
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        sender.is_some_and(|sender| sender.send(body).is_ok())
    }
}

impl Expected {
    /// Waits for it. May be cancelled; is not to be called again once it has come.
    pub async fn frames(&mut self) -> Frames {
        match (&mut self.receiver).await {
            Ok(bytes) => Frames(bytes),
            // Only who hands it over takes the sender away.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// The frames of a farewell, each after its length (2); what is cut off at the end is left out.
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
