//! Shows how an introduction looks for a path, while it does.

use std::net::SocketAddr;

use serde_json::json;
use torque_socket::{Address, ConnectionId, PathSearch, SearchStage, Socket};

use crate::failure::Failure;
use crate::output::{DIM, GOOD, Output};

/// What was shown of a search.
pub struct PathWatch {
    id: ConnectionId,
    shown: Option<Seen>,
    /// The punches of the socket before this search.
    before: Punches,
}

#[derive(Clone, PartialEq)]
struct Seen {
    search: PathSearch,
    punches: Punches,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Punches {
    sent: u64,
    received: u64,
}

impl Punches {
    fn of(socket: &Socket) -> Self {
        let stats = socket.party_stats();
        Self { sent: stats.punches_sent, received: stats.punches_received }
    }

    fn since(self, before: Self) -> Self {
        Self { sent: self.sent - before.sent, received: self.received - before.received }
    }
}

impl PathWatch {
    pub fn new(socket: &Socket, id: ConnectionId) -> Self {
        Self { id, shown: None, before: Punches::of(socket) }
    }

    /// Shows what is new. Call it in every turn.
    pub fn look(&mut self, socket: &Socket, output: &Output) -> Result<(), Failure> {
        let Some(search) = socket.path_search(self.id) else { return Ok(()) };
        // What follows is told by events.
        if search.stage == SearchStage::Established {
            return Ok(());
        }
        let seen = Seen { search, punches: Punches::of(socket).since(self.before) };
        if self.shown.as_ref() == Some(&seen) {
            return Ok(());
        }
        for line in seen.news(self.shown.as_ref()) {
            output.note(format_args!("{line}"));
        }
        output.record(|| seen.record())?;
        self.shown = Some(seen);
        Ok(())
    }
}

impl Seen {
    /// What is not as it was, in lines for people.
    fn news(&self, earlier: Option<&Self>) -> Vec<String> {
        let Self { search, punches } = self;
        let was = earlier.map(|earlier| &earlier.search);
        let mut lines = Vec::new();
        if search.stage == SearchStage::Waiting && was.is_none_or(|was| was.stage != search.stage) {
            lines.push(format!("{DIM}the lobby waits for the host{DIM:#}"));
        }
        let has_candidates = |was: &PathSearch| was.candidates == search.candidates;
        if !search.candidates.is_empty() && !was.is_some_and(has_candidates) {
            lines.push(format!("{DIM}the host may be at {}{DIM:#}", listed(&search.candidates)));
        }
        if search.has_circuit && !was.is_some_and(|was| was.has_circuit) {
            lines.push(format!("{DIM}the lobby relays while no direct path works{DIM:#}"));
        }
        if *punches != earlier.map(|earlier| earlier.punches).unwrap_or_default() {
            let Punches { sent, received } = punches;
            lines.push(format!("{DIM}punches: {sent} sent, {received} received{DIM:#}"));
        }
        for source in not_in(&search.sources, was.map(|was| &was.sources[..])) {
            lines.push(format!("{DIM}the host sends from {source}, too{DIM:#}"));
        }
        for address in not_in(&search.working, was.map(|was| &was.working[..])) {
            lines.push(format!("{GOOD}a direct path works{GOOD:#}: {address}"));
        }
        lines
    }

    fn record(&self) -> serde_json::Value {
        let Self { search, punches } = self;
        let texts = |addresses: &[Address]| addresses.iter().map(Address::to_string).collect::<Vec<_>>();
        json!({
            "event": "path_search",
            "stage": match search.stage {
                SearchStage::Asking => "asking",
                SearchStage::Waiting => "waiting",
                _ => "meeting",
            },
            "candidates": search.candidates.iter().map(SocketAddr::to_string).collect::<Vec<_>>(),
            "sources": texts(&search.sources),
            "working": texts(&search.working),
            "relay_granted": search.has_circuit,
            "punches_sent": punches.sent,
            "punches_received": punches.received,
        })
    }
}

fn listed(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
}

/// Those that are new.
fn not_in<'a>(now: &'a [Address], earlier: Option<&'a [Address]>) -> impl Iterator<Item = &'a Address> {
    now.iter().filter(move |address| !earlier.is_some_and(|earlier| earlier.contains(address)))
}
