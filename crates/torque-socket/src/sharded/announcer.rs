//! Waking the threads that wait for events of any shard.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Where threads wait for news of several sockets. Announcing costs one look at a number while nobody waits, so
/// shards whose events are taken from each have nothing in common to contend for.
#[derive(Default)]
pub(crate) struct Announcer {
    waiting: AtomicUsize,
    news: Mutex<u64>,
    told: Condvar,
}

impl Announcer {
    /// To be called when there are events, after the lock under which they were put was taken.
    pub(crate) fn announce(&self) {
        // A thread that waits has raised the number before its last look at the events, under the same lock: either it
        // saw them, or it is seen here.
        if self.waiting.load(Ordering::SeqCst) > 0 {
            *self.lock() += 1;
            self.told.notify_all();
        }
    }

    /// Calls `look` until it gives something, or until `end` (`None`: without limit): once at least, and again after
    /// each announcement.
    pub(crate) fn wait_until<T>(
        &self,
        end: Option<Instant>,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let _waiting = Waiting::new(&self.waiting);
        loop {
            let seen = *self.lock();
            if let Some(found) = look() {
                return Some(found);
            }
            let mut news = self.lock();
            while *news == seen {
                let left = end.map(|end| end.saturating_duration_since(Instant::now()));
                news = match left {
                    Some(left) if left.is_zero() => return None,
                    Some(left) => {
                        self.told.wait_timeout(news, left).unwrap_or_else(PoisonError::into_inner).0
                    }
                    None => self.told.wait(news).unwrap_or_else(PoisonError::into_inner),
                };
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One more waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
