//! Whether a remote wants what a session sends it (GATEWAY.md 4.2).

use std::time::{Duration, Instant};

use crate::policy::pacing::{Budget, Pace};
use crate::wire::form::{Form, MAX_DATAGRAM_BYTES};

/// How long an echo is consent for.
pub const CONSENT: Duration = Duration::from_secs(30);
/// When the next probe is due, once there is consent.
const RENEW_AFTER: Duration = Duration::from_secs(15);
/// The least time between two probes to one remote.
const PROBE_GAP: Duration = Duration::from_millis(250);
/// How long a nonce is asked with. An echo may be late, but not any time later.
const NONCE_LIFE: Duration = Duration::from_secs(10);
/// The most datagrams that can be owed.
const MAX_CREDIT: u32 = 64;

/// The most probes that datagrams of a stranger are the reason for.
const MAX_STRANGER_PROBES: u32 = 4;

/// Greetings to one remote without consent.
pub const GREETINGS_TO_ONE: Pace = Pace::new(4, Duration::from_secs(1));
/// Greetings of a session to remotes without consent.
pub const GREETINGS_OF_SESSION: Pace = Pace::new(16, Duration::from_secs(1));

/// What one remote has shown of its will.
#[derive(Debug)]
pub struct Consent {
    /// Until when it consents.
    until: Option<Instant>,
    /// What it is asked with, and since when.
    asked: Option<([u8; 16], Instant)>,
    last_probe: Option<Instant>,
    greetings: Budget,
    /// Datagrams and bytes that came and were not answered.
    credit: (u32, u32),
    /// Datagrams that came and were no reason for a probe yet: a stranger, whose address may be forged, is asked no more often.
    unprobed: u32,
}

impl Consent {
    /// Of a remote that nothing is known of.
    pub fn new(now: Instant) -> Self {
        Self {
            until: None,
            asked: None,
            last_probe: None,
            greetings: Budget::full(now),
            credit: (0, 0),
            unprobed: 0,
        }
    }

    /// Whether the remote consents.
    pub fn is_given(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Whether a datagram may go to the remote. `session` is the session's budget for greetings, if it may be greeted.
    pub fn allows(&mut self, form: Form, bytes: usize, session: Option<&mut Budget>, now: Instant) -> bool {
        if self.is_given(now) {
            return true;
        }
        if let (Form::Greeting, Some(session)) = (form, session)
            && session.has(GREETINGS_OF_SESSION, 1, now)
            && self.greetings.take(GREETINGS_TO_ONE, 1, now)
        {
            return session.take(GREETINGS_OF_SESSION, 1, now);
        }
        let (datagrams, credit_bytes) = &mut self.credit;
        match (*datagrams, u32::try_from(bytes)) {
            (1.., Ok(bytes)) if bytes <= *credit_bytes => {
                *datagrams -= 1;
                *credit_bytes -= bytes;
                true
            }
            _ => false,
        }
    }

    /// Notes a datagram of the remote, which may be answered even without consent.
    pub fn heard(&mut self, bytes: usize, now: Instant) {
        if self.is_given(now) {
            return;
        }
        self.unprobed = (self.unprobed + 1).min(MAX_STRANGER_PROBES);
        let bytes = u32::try_from(bytes).unwrap_or(0);
        self.credit.0 = (self.credit.0 + 1).min(MAX_CREDIT);
        self.credit.1 = self.credit.1.saturating_add(bytes).min(MAX_CREDIT * MAX_DATAGRAM_BYTES as u32);
    }

    /// The page has sent something to a remote that wrote first: the nonce to probe with, if it is time to, and if it has written
    /// as often as it was asked, or has consented before.
    pub fn probe_stranger(
        &mut self,
        fresh: impl FnOnce() -> Option<[u8; 16]>,
        now: Instant,
    ) -> Option<[u8; 16]> {
        if self.until.is_none() && self.unprobed == 0 {
            return None;
        }
        let nonce = self.probe(fresh, now)?;
        self.unprobed = self.unprobed.saturating_sub(1);
        Some(nonce)
    }

    /// The page has sent something: the nonce to probe with, if it is time to.
    pub fn probe(&mut self, fresh: impl FnOnce() -> Option<[u8; 16]>, now: Instant) -> Option<[u8; 16]> {
        let is_fresh = self.until.is_some_and(|until| now + (CONSENT - RENEW_AFTER) < until);
        if is_fresh || self.last_probe.is_some_and(|last| now < last + PROBE_GAP) {
            return None;
        }
        let nonce = match self.asked {
            Some((nonce, since)) if now < since + NONCE_LIFE => nonce,
            _ => {
                let nonce = fresh()?;
                self.asked = Some((nonce, now));
                nonce
            }
        };
        self.last_probe = Some(now);
        Some(nonce)
    }

    /// Whether an echo is what was asked for; then the remote consents from now on.
    pub fn echoed(&mut self, nonce: &[u8; 16], now: Instant) -> bool {
        let is_it = self.asked.is_some_and(|(asked, since)| asked == *nonce && now < since + 2 * NONCE_LIFE);
        if is_it {
            self.grant(now);
        }
        is_it
    }

    /// The remote has echoed a probe.
    pub fn grant(&mut self, now: Instant) {
        self.until = Some(now + CONSENT);
        self.asked = None;
        self.credit = (0, 0);
    }
}

#[cfg(test)]
mod tests;
