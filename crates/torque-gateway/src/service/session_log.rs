//! The log of sessions and refusals. Each period has a quota of lines, and so has each client; the rest is summarised.
//! Otherwise anyone who can connect could fill the disk.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use crate::metrics::{CarrierKind, Ending, Refusal};
use crate::policy::origins::shown;
use crate::policy::quota::{Permit, Quota};

/// The length of a period, after which [`SessionLog::summarise`] must be called.
pub const PERIOD: Duration = Duration::from_secs(10);

/// The lines about refusals in a period: in all, and for one client.
const REFUSALS: (usize, usize) = (64, 4);
/// The lines about sessions that open and end.
const SESSIONS: (usize, usize) = (512, 64);

/// The log of sessions.
#[derive(Debug)]
pub struct SessionLog {
    refusals: Mutex<Lines<{ Refusal::NAMES.len() }>>,
    sessions: Mutex<Lines<2>>,
}

/// The facts about a session that are logged.
#[derive(Clone, Copy, Debug)]
pub struct Logged<'a> {
    /// The carrier of the page.
    pub carrier: CarrierKind,
    /// The client's address.
    pub client: SocketAddr,
    /// The page's origin.
    pub origin: &'a str,
    /// The session's UDP port.
    pub port: u16,
}

impl Default for SessionLog {
    fn default() -> Self {
        Self { refusals: Mutex::new(Lines::new(REFUSALS)), sessions: Mutex::new(Lines::new(SESSIONS)) }
    }
}

impl SessionLog {
    /// Logs that a client got no session. `error` is the operating system's, if that is the reason.
    pub fn refused(&self, client: SocketAddr, origin: Option<&str>, why: Refusal, error: Option<&io::Error>) {
        if !lock(&self.refusals).take(client.ip(), why as usize) {
            return;
        }
        let (reason, origin) = (why.name(), origin.map(shown));
        match error {
            None => info!(%client, origin, reason, "session refused"),
            Some(error) => warn!(%client, origin, reason, %error, "session refused"),
        }
    }

    /// Logs that a connection was refused.
    pub fn connection_refused(&self, client: SocketAddr, why: Refusal) {
        if lock(&self.refusals).take(client.ip(), why as usize) {
            info!(%client, reason = why.name(), "connection refused");
        }
    }

    /// Logs that a session began.
    pub fn opened(&self, session: Logged<'_>) {
        if lock(&self.sessions).take(session.client.ip(), 0) {
            let Logged { carrier, client, origin, port } = session;
            info!(carrier = carrier.name(), %client, origin, port, "session opened");
        }
    }

    /// Logs that a session ended.
    pub fn ended(&self, session: Logged<'_>, ending: Ending) {
        if lock(&self.sessions).take(session.client.ip(), 1) {
            let Logged { carrier, client, origin, port } = session;
            info!(carrier = carrier.name(), %client, origin, port, reason = ending.name(), "session ended");
        }
    }

    /// Ends a period: logs the number of events that had no line.
    pub fn summarise(&self) {
        let refused = lock(&self.refusals).next_period();
        for (reason, count) in Refusal::NAMES.iter().zip(refused).filter(|(_, count)| *count > 0) {
            info!(reason, count, "more sessions or connections were refused");
        }
        let [opened, ended] = lock(&self.sessions).next_period();
        if opened + ended > 0 {
            info!(opened, ended, "more sessions opened and ended");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> impl std::ops::DerefMut<Target = T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lines of one period, about `N` kinds of events.
#[derive(Debug)]
struct Lines<const N: usize> {
    quota: Arc<Quota>,
    used: Vec<Permit>,
    left_out: [u64; N],
}

impl<const N: usize> Lines<N> {
    fn new((total, per_client): (usize, usize)) -> Self {
        Self { quota: Quota::new(total, per_client), used: Vec::new(), left_out: [0; N] }
    }

    /// Takes a line for a client. Returns whether there was one; if not, the event is counted by its kind.
    fn take(&mut self, client: IpAddr, kind: usize) -> bool {
        let permit = self.quota.take(client).ok();
        let has_line = permit.is_some();
        self.used.extend(permit);
        if !has_line {
            self.left_out[kind] += 1;
        }
        has_line
    }

    /// Starts the next period. Returns the events without a line, by kind.
    fn next_period(&mut self) -> [u64; N] {
        self.used.clear();
        std::mem::replace(&mut self.left_out, [0; N])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_limits_lines_per_client_and_in_all_and_counts_the_rest() {
        let mut lines = Lines::<2>::new((10, 4));
        let ip = |text: String| text.parse::<IpAddr>().unwrap();
        for _ in 0..2 {
            let of_one = (0..100).filter(|n| lines.take(ip("192.0.2.1".into()), n % 2)).count();
            assert_eq!(of_one, 4);
            let of_others = (2..100).filter(|n| lines.take(ip(format!("192.0.2.{n}")), 0)).count();
            assert_eq!(of_others, 6, "one client leaves room for others");
            assert_eq!(lines.next_period(), [48 + 92, 48]);
            assert_eq!(lines.next_period(), [0, 0], "reported once");
        }
    }
}
