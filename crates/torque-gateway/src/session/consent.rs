//! The consent of a remote to what a session sends it (GATEWAY.md 4.2).

use std::time::{Duration, Instant};

use crate::policy::pacing::{Budget, Pace};
use crate::wire::form::{Form, MAX_DATAGRAM_BYTES};

/// The time for which an echo gives consent.
pub const CONSENT: Duration = Duration::from_secs(30);
/// The age of a consent at which it is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(15);
/// The shortest time between two probes to one remote.
const PROBE_GAP: Duration = Duration::from_millis(250);
/// The time for which a nonce is used. Its echo may come late, but not at any time.
const NONCE_LIFE: Duration = Duration::from_secs(10);
/// The most datagrams that a page may send in answer.
const MAX_CREDIT: u32 = 64;

/// The most probes that the datagrams of a stranger can earn.
const MAX_STRANGER_PROBES: u32 = 4;

/// The pace of greetings to one remote without consent.
pub const GREETINGS_TO_ONE: Pace = Pace::new(4, Duration::from_secs(1));
/// The pace of a session's greetings to all remotes without consent.
pub const GREETINGS_OF_SESSION: Pace = Pace::new(16, Duration::from_secs(1));

/// The state of one remote's consent.
#[derive(Debug)]
pub struct Consent {
    /// The end of its consent.
    until: Option<Instant>,
    /// The nonce of the probes, and its age.
    asked: Option<([u8; 16], Instant)>,
    last_probe: Option<Instant>,
    greetings: Budget,
    /// Datagrams and bytes of the remote that the page may still answer.
    credit: (u32, u32),
    /// Datagrams of the remote that no probe was sent for yet. A stranger gets no more probes than it sent datagrams, because its
    /// address may be forged.
    unprobed: u32,
}

impl Consent {
    /// The consent of an unknown remote: none.
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

    /// Returns whether the remote consents.
    pub fn is_given(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Returns whether a datagram may go to the remote. `session` is the session's budget for greetings, if it may be greeted.
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

    /// Counts a datagram of the remote. It may be answered even without consent.
    pub fn heard(&mut self, bytes: usize, now: Instant) {
        if self.is_given(now) {
            return;
        }
        self.unprobed = (self.unprobed + 1).min(MAX_STRANGER_PROBES);
        let bytes = u32::try_from(bytes).unwrap_or(0);
        self.credit.0 = (self.credit.0 + 1).min(MAX_CREDIT);
        self.credit.1 = self.credit.1.saturating_add(bytes).min(MAX_CREDIT * MAX_DATAGRAM_BYTES as u32);
    }

    /// Notes that the page sent something to a remote that wrote first. Returns the nonce to probe with, if a probe is due and
    /// the remote has earned one with a datagram or an earlier consent.
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

    /// Notes that the page sent something. Returns the nonce to probe with, if a probe is due.
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

    /// Notes an echo. If it answers a probe, the remote consents from now on. Returns whether it does.
    pub fn echoed(&mut self, nonce: &[u8; 16], now: Instant) -> bool {
        let is_it = self.asked.is_some_and(|(asked, since)| asked == *nonce && now < since + 2 * NONCE_LIFE);
        if is_it {
            self.grant(now);
        }
        is_it
    }

    /// Notes that the remote echoed a probe.
    pub fn grant(&mut self, now: Instant) {
        self.until = Some(now + CONSENT);
        self.asked = None;
        self.credit = (0, 0);
    }
}

#[cfg(test)]
mod tests;
