//! Counters of the whole gateway, and their text form for Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::wire::control::{ClosingCode, RefuseCode};

/// An enumeration with a name for each member, which also indexes an array of counters.
macro_rules! labels {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            pub(crate) const NAMES: &'static [&'static str] = &[$($text),+];

            /// The name in metrics and logs.
            pub const fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }
        }
    };
}

labels! {
    /// The way by which a page reaches the gateway.
    CarrierKind {
        /// WebTransport.
        WebTransport = "webtransport",
        /// WebSocket.
        WebSocket = "websocket",
    }
}

labels! {
    /// The direction of a datagram.
    Direction {
        /// From a page to a remote.
        ToRemote = "to_remote",
        /// From a remote to a page.
        ToPage = "to_page",
    }
}

labels! {
    /// The reason why a datagram was dropped.
    DropReason {
        /// It does not have the form of a TorqueSocket datagram.
        Form = "form",
        /// Its context is not in use.
        Context = "context",
        /// The remote has not consented.
        Consent = "consent",
        /// The session exceeds its rate.
        SessionRate = "session_rate",
        /// The target's rate is exceeded.
        TargetRate = "target_rate",
        /// The remote wrote first, and may not, or no context is left for it.
        Stranger = "stranger",
        /// The page reads its datagrams too slowly.
        SlowPage = "slow_page",
        /// It is too long for a datagram of the carrier.
        TooLarge = "too_large",
        /// The operating system refused it.
        Network = "network",
    }
}

labels! {
    /// The reason why a client got no session.
    Refusal {
        /// The origin is missing or not allowed.
        Origin = "origin",
        /// All sessions are in use.
        Full = "full",
        /// This client uses all of its sessions.
        Client = "client",
        /// The gateway is going away.
        Draining = "draining",
        /// No UDP port is free.
        NoPort = "no_port",
    }
}

labels! {
    /// The reason why a session ended.
    Ending {
        /// The page went away.
        Left = "left",
        /// The gateway is going away.
        Draining = "draining",
        /// The page sent far more than its rate.
        Flooding = "flooding",
        /// The page broke the protocol.
        Protocol = "protocol",
        /// The session was idle for too long.
        Idle = "idle",
        /// The page does not read its control messages, or does not answer.
        Stuck = "stuck",
        /// The session's UDP port failed.
        Port = "port",
    }
}

impl From<ClosingCode> for Ending {
    fn from(code: ClosingCode) -> Self {
        match code {
            ClosingCode::Draining => Self::Draining,
            ClosingCode::Flooding => Self::Flooding,
            ClosingCode::Protocol => Self::Protocol,
            ClosingCode::Idle => Self::Idle,
            // Only the last of them can end a session; the others refuse one.
            ClosingCode::Full | ClosingCode::TooManySessions | ClosingCode::NoPort => Self::Port,
        }
    }
}

/// The counters of a gateway. All but the number of open sessions only grow.
#[derive(Debug, Default)]
pub struct Metrics {
    opened: [AtomicU64; CarrierKind::NAMES.len()],
    ended: [AtomicU64; CarrierKind::NAMES.len()],
    endings: [AtomicU64; Ending::NAMES.len()],
    refusals: [AtomicU64; Refusal::NAMES.len()],
    datagrams: [AtomicU64; Direction::NAMES.len()],
    bytes: [AtomicU64; Direction::NAMES.len()],
    dropped: [[AtomicU64; DropReason::NAMES.len()]; Direction::NAMES.len()],
    contexts: AtomicU64,
    contexts_refused: [AtomicU64; RefuseCode::ALL.len()],
    probes: AtomicU64,
    consents: AtomicU64,
    tokens: AtomicU64,
    certificates: AtomicU64,
    certificate_failures: AtomicU64,
    listener_failures: AtomicU64,
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Metrics {
    pub(crate) fn session_opened(&self, carrier: CarrierKind) {
        add(&self.opened[carrier as usize], 1);
    }

    pub(crate) fn session_ended(&self, carrier: CarrierKind, ending: Ending) {
        add(&self.ended[carrier as usize], 1);
        add(&self.endings[ending as usize], 1);
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        add(&self.refusals[refusal as usize], 1);
    }

    pub(crate) fn passed(&self, direction: Direction, bytes: usize) {
        add(&self.datagrams[direction as usize], 1);
        add(&self.bytes[direction as usize], bytes as u64);
    }

    pub(crate) fn dropped(&self, direction: Direction, why: DropReason) {
        add(&self.dropped[direction as usize][why as usize], 1);
    }

    pub(crate) fn context_opened(&self) {
        add(&self.contexts, 1);
    }

    pub(crate) fn context_refused(&self, code: RefuseCode) {
        let place = RefuseCode::ALL.iter().position(|other| *other == code);
        if let Some(counter) = place.and_then(|place| self.contexts_refused.get(place)) {
            add(counter, 1);
        }
    }

    pub(crate) fn probe_sent(&self) {
        add(&self.probes, 1);
    }

    pub(crate) fn consented(&self) {
        add(&self.consents, 1);
    }

    pub(crate) fn token_signed(&self) {
        add(&self.tokens, 1);
    }

    /// Counts a new certificate, or one that could not be used.
    pub(crate) fn certificate(&self, is_good: bool) {
        add(if is_good { &self.certificates } else { &self.certificate_failures }, 1);
    }

    /// Counts a QUIC endpoint that ended.
    pub(crate) fn listener_failed(&self) {
        add(&self.listener_failures, 1);
    }

    /// The number of open sessions.
    pub fn open_sessions(&self) -> u64 {
        let sum = |counters: &[AtomicU64]| counters.iter().map(get).sum::<u64>();
        sum(&self.opened).saturating_sub(sum(&self.ended))
    }

    /// The number of datagrams dropped for this reason.
    pub fn dropped_for(&self, direction: Direction, why: DropReason) -> u64 {
        get(&self.dropped[direction as usize][why as usize])
    }

    /// The number of sessions refused for this reason.
    pub fn refused_for(&self, refusal: Refusal) -> u64 {
        get(&self.refusals[refusal as usize])
    }

    /// The number of sessions that ended for this reason.
    pub fn ended_for(&self, ending: Ending) -> u64 {
        get(&self.endings[ending as usize])
    }

    /// All counters, in the text format of Prometheus.
    pub fn text(&self) -> String {
        let mut text = Text(String::new());
        let carriers = CarrierKind::NAMES.iter().zip(self.opened.iter().zip(&self.ended));
        text.head("sessions", "gauge", "open sessions");
        for (name, (opened, ended)) in carriers.clone() {
            text.value("sessions", &[("carrier", name)], get(opened).saturating_sub(get(ended)));
        }
        text.head("sessions_opened_total", "counter", "sessions that were opened");
        for (name, (opened, _)) in carriers {
            text.value("sessions_opened_total", &[("carrier", name)], get(opened));
        }
        text.family("sessions_ended_total", "sessions that ended", "reason", Ending::NAMES, &self.endings);
        text.family(
            "sessions_refused_total",
            "sessions that were refused",
            "reason",
            Refusal::NAMES,
            &self.refusals,
        );
        text.family(
            "datagrams_total",
            "datagrams that passed",
            "direction",
            Direction::NAMES,
            &self.datagrams,
        );
        text.family(
            "bytes_total",
            "bytes of the datagrams that passed",
            "direction",
            Direction::NAMES,
            &self.bytes,
        );
        text.head("dropped_total", "counter", "datagrams that were dropped");
        for (direction, counters) in Direction::NAMES.iter().zip(&self.dropped) {
            for (reason, counter) in DropReason::NAMES.iter().zip(counters) {
                text.value("dropped_total", &[("direction", direction), ("reason", reason)], get(counter));
            }
        }
        let codes: Vec<_> = RefuseCode::ALL.iter().map(|code| code.name()).collect();
        text.family(
            "contexts_refused_total",
            "contexts that were refused to pages",
            "code",
            &codes,
            &self.contexts_refused,
        );
        for (name, about, counter) in [
            ("contexts_total", "contexts that were given out", &self.contexts),
            ("probes_total", "probes that were sent", &self.probes),
            ("consents_total", "probes that were echoed", &self.consents),
            ("tokens_total", "origin tokens that were signed", &self.tokens),
            ("certificates_total", "certificates that were taken into use", &self.certificates),
            (
                "certificate_failures_total",
                "certificates that could not be taken into use",
                &self.certificate_failures,
            ),
            (
                "listener_failures_total",
                "QUIC endpoints that ended and were opened again",
                &self.listener_failures,
            ),
        ] {
            text.head(name, "counter", about);
            text.value(name, &[], get(counter));
        }
        text.0
    }
}

struct Text(String);

impl Text {
    // Writing to a string cannot fail.
    fn head(&mut self, name: &str, kind: &str, about: &str) {
        let _ = writeln!(self.0, "# HELP torque_gateway_{name} {about}\n# TYPE torque_gateway_{name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<_> = labels.iter().map(|(key, label)| format!("{key}=\"{label}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "torque_gateway_{name}{labels} {value}");
    }

    fn family(&mut self, name: &str, about: &str, label: &str, names: &[&str], counters: &[AtomicU64]) {
        self.head(name, "counter", about);
        for (text, counter) in names.iter().zip(counters) {
            self.value(name, &[(label, text)], get(counter));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_appears_under_its_name() {
        let metrics = Metrics::default();
        metrics.session_opened(CarrierKind::WebSocket);
        metrics.session_opened(CarrierKind::WebSocket);
        metrics.session_ended(CarrierKind::WebSocket, Ending::Flooding);
        metrics.passed(Direction::ToPage, 100);
        metrics.dropped(Direction::ToRemote, DropReason::Consent);
        metrics.context_refused(RefuseCode::NoRoute);
        metrics.refused(Refusal::Origin);
        let text = metrics.text();
        for line in [
            "torque_gateway_sessions{carrier=\"websocket\"} 1",
            "torque_gateway_sessions{carrier=\"webtransport\"} 0",
            "torque_gateway_sessions_opened_total{carrier=\"websocket\"} 2",
            "torque_gateway_sessions_ended_total{reason=\"flooding\"} 1",
            "torque_gateway_sessions_refused_total{reason=\"origin\"} 1",
            "torque_gateway_datagrams_total{direction=\"to_page\"} 1",
            "torque_gateway_bytes_total{direction=\"to_page\"} 100",
            "torque_gateway_dropped_total{direction=\"to_remote\",reason=\"consent\"} 1",
            "torque_gateway_contexts_refused_total{code=\"no_route\"} 1",
            "torque_gateway_probes_total 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert_eq!(metrics.open_sessions(), 1);
        let types = text.lines().filter(|line| line.starts_with("# TYPE")).count();
        let names: std::collections::HashSet<_> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|l| l.split(['{', ' ']).next())
            .collect();
        assert_eq!(types, names.len(), "each family has one head");
    }
}
