//! Idle connections give back the memory that only data needs.

use super::Connection;
use crate::instant::Instant;

impl Connection {
    /// Data passes: puts rest off, and makes ready what the packets to come need.
    pub(super) fn rest_later(&mut self) {
        if self.rest_at.is_none() {
            self.rest_at = Some(self.liveness.rest_deadline());
            // Both directions: data one way is answered by acknowledgments the other way.
            self.send_keys.wake();
            self.receive_keys.wake();
        }
    }

    #[cfg(test)]
    pub(crate) fn is_resting(&self) -> bool {
        self.rest_at.is_none() && self.send_keys.is_resting() && self.receive_keys.is_resting()
    }

    #[cfg(test)]
    pub(crate) fn is_awake(&self) -> bool {
        self.rest_at.is_some() && !self.send_keys.is_resting() && !self.receive_keys.is_resting()
    }

    /// Gives back memory that only data needs, if none has passed for a while.
    pub(super) fn rest(&mut self, now: Instant) {
        let idle_since = self.liveness.rest_deadline();
        if idle_since > now {
            self.rest_at = Some(idle_since);
        } else if self.outgoing.open() > 0 {
            self.rest_at = Some(now + self.liveness.interval());
        } else {
            self.rest_at = None;
            self.send_keys.rest();
            self.receive_keys.rest();
            self.outgoing.rest();
        }
    }
}
