//! What stands in the place of introductions in a program that is built without them (feature `introductions`): nothing asks for one,
//! and what others send for one is dropped.

use alloc::sync::Arc;

use super::Endpoint;
use super::maps::Seeded;
use crate::address::Address;
use crate::codes::CloseCode;
use crate::connection::control::reliable::ControlEvent;
use crate::handshake::introduced::AtHost;
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::path::Path;
use crate::wire::{ConnectRequest, Punch};

pub(super) struct Introductions;

impl Introductions {
    pub(super) fn new(_: Seeded) -> Self {
        Self
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        None
    }

    pub(super) fn note_end(&mut self, _: ConnectionId, _: CloseCode) {}

    pub(super) fn has_none(&self) -> bool {
        true
    }

    pub(super) fn introducer_of(&self, _: ConnectionId) -> Option<ConnectionId> {
        None
    }

    pub(super) fn handshake_at_host(&self, _: u64, _: Path) -> Option<(ConnectionId, Arc<AtHost>)> {
        None
    }

    pub(super) fn expects(&self, _: Address) -> bool {
        false
    }

    pub(super) fn network_changed(&mut self, _: Instant) {}

    pub(super) fn path_was_shown(&mut self, _: ConnectionId, _: Path) {}

    pub(super) fn note_answer(&mut self, _: ConnectionId, _: &[u8]) {}
}

impl Endpoint {
    pub(super) fn run_introductions(&mut self, _: Instant) {}

    pub(super) fn after_introduction(&mut self, _: Instant, _: ConnectionId) {}

    pub(super) fn after_path_change(&mut self, _: Instant, _: ConnectionId, _: Path, _: bool) {}

    pub(super) fn on_introduction_punch(
        &mut self,
        _: Instant,
        _: Path,
        _: &Punch,
        _: &[u8; Punch::TAG_BYTES],
    ) {
        self.stats.punches_refused += 1;
    }

    pub(super) fn on_introduction_message(&mut self, _: Instant, _: ConnectionId, _: ControlEvent) {}

    pub(super) fn on_introduced_request(&mut self, _: Instant, _: Path, _: &ConnectRequest<'_>, _: &[u8]) {
        self.stats.unknown_introduction += 1;
    }

    pub(super) fn on_observe(&mut self, _: Instant, _: Path, _: &[u8]) {
        self.stats.reserved_kind += 1;
    }

    pub(super) fn on_relayed(&mut self, _: Instant, _: Path, _: &mut [u8]) {
        self.stats.relayed_refused += 1;
    }
}
