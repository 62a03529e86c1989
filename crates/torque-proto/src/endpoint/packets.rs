//! Packets of connections (PROTOCOL.md 5.6, 6).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Endpoint;
use super::slot::{Displaced, Sink, Slot};
use crate::connection::{Connection, Ended, Refusal};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::path::Path;
use crate::transmits::{Cause, Outbox};

/// What is to be done after a connection has acted.
struct After {
    ended: Option<Box<Ended>>,
    is_gone: bool,
    deadline: Option<Instant>,
}

impl After {
    fn of(slot: &mut Slot) -> Self {
        let (ended, is_gone) = slot
            .connection_mut()
            .map_or((None, false), |connection| (connection.take_ended(), connection.is_gone()));
        Self { ended, is_gone, deadline: slot.deadline().map(|(at, _)| at) }
    }
}

impl Endpoint {
    /// A packet goes to the connection that owns its address, then to those that wait to be confirmed there.
    pub(super) fn on_packet(&mut self, now: Instant, path: Path, bytes: &mut [u8]) {
        let waiting = self.confirming.get(&path.remote).cloned().unwrap_or_default();
        // Whoever fails to open it leaves nothing for the next one.
        let original = if waiting.is_empty() { Vec::new() } else { bytes.to_vec() };
        let mut refusal = None;
        if let Some(id) = self.connections.find(path.remote) {
            match self.on_packet_of(now, id, path, bytes) {
                Ok(()) => return,
                Err(why) => refusal = Some(why),
            }
        }
        for id in waiting {
            bytes.copy_from_slice(&original);
            match self.on_first_packet(now, id, path, bytes) {
                Ok(()) => return,
                Err(why) => refusal = refusal.or(Some(why)),
            }
        }
        trace_event!(TRACE, remote = %path.remote, ?refusal, "packet dropped");
        match refusal {
            None => self.stats.unknown_address += 1,
            Some(Refusal::Malformed) => self.stats.malformed += 1,
            Some(Refusal::LateOrDuplicate) => self.stats.late_or_duplicate += 1,
            Some(Refusal::NoKeys) => self.stats.no_keys += 1,
            Some(Refusal::Forged | Refusal::AckRange) => self.stats.forged += 1,
        }
    }

    fn on_packet_of(
        &mut self,
        now: Instant,
        id: ConnectionId,
        path: Path,
        bytes: &mut [u8],
    ) -> Result<(), Refusal> {
        let Some(entry) = self.slots.get_mut(id) else { return Ok(()) };
        let Slot::Connected(connected) = &mut entry.slot else { return Ok(()) };
        let opened = connected.connection.open(bytes)?;
        connected.path.follow(path);
        let mut outbox = self.transmits.outbox(Cause::Peer, connected.path);
        let mut sink = Sink {
            id,
            events: &mut self.events,
            pool: &mut self.pool,
            queued: &mut connected.queued,
            limits: &self.config.limits,
            stats: &mut self.stats,
        };
        connected.connection.process(now, opened, bytes, &mut sink, &mut outbox);
        let after = After::of(&mut entry.slot);
        self.follow(id, after);
        Ok(())
    }

    /// A packet for a connection that is not established here yet.
    fn on_first_packet(
        &mut self,
        now: Instant,
        id: ConnectionId,
        path: Path,
        bytes: &mut [u8],
    ) -> Result<(), Refusal> {
        let Some(Slot::Confirming(slot)) = self.slots.get_mut(id).map(|entry| &mut entry.slot) else {
            return Err(Refusal::NoKeys);
        };
        let opened = slot.connected.connection.open(bytes)?;
        // If the application, or the owner of the address, closed it meanwhile, only its end is negotiated.
        if slot.connected.connection.is_open() && slot.displacing.is_none() {
            self.on_confirmed(now, id, path);
        }
        // Nobody knows yet whether it will get the address. What was opened is processed all the same: its number is used
        // up, and must not open again.
        let waits = matches!(self.slots.get(id).map(|entry| &entry.slot),
            Some(Slot::Confirming(slot)) if slot.displacing.is_some());
        self.drive(id, Cause::Peer, |connection, sink, outbox| {
            if waits {
                connection.process(now, opened, bytes, &mut Displaced(sink), outbox);
            } else {
                connection.process(now, opened, bytes, sink, outbox);
            }
        });
        Ok(())
    }

    /// Lets a connection act, established or waiting to be, and does what follows from it: tells its end, frees
    /// what is over, sets its timer.
    pub(super) fn drive(
        &mut self,
        id: ConnectionId,
        cause: Cause,
        act: impl FnOnce(&mut Connection, &mut Sink<'_>, &mut Outbox<'_>),
    ) {
        let Some(entry) = self.slots.get_mut(id) else { return };
        let connected = match &mut entry.slot {
            Slot::Connected(connected) => &mut **connected,
            Slot::Confirming(slot) => &mut slot.connected,
            _ => return,
        };
        let mut outbox = self.transmits.outbox(cause, connected.path);
        let mut sink = Sink {
            id,
            events: &mut self.events,
            pool: &mut self.pool,
            queued: &mut connected.queued,
            limits: &self.config.limits,
            stats: &mut self.stats,
        };
        act(&mut connected.connection, &mut sink, &mut outbox);
        let after = After::of(&mut entry.slot);
        self.follow(id, after);
    }

    fn follow(&mut self, id: ConnectionId, after: After) {
        if let Some(ended) = after.ended {
            self.tell_close(id, ended.code, ended.by, ended.reason);
        }
        if after.is_gone { self.forget_connection(id) } else { self.rearm_for(id, after.deadline) }
    }

    fn forget_connection(&mut self, id: ConnectionId) {
        match self.slots.get(id).map(|entry| &entry.slot) {
            Some(Slot::Connected(connected)) => {
                let remote = connected.path.remote;
                if self.connections.get(&remote) == Some(&id) {
                    self.connections.remove(&remote);
                }
            }
            Some(Slot::Confirming(slot)) => {
                let source = slot.source;
                self.forget_request(id, source);
            }
            _ => return,
        }
        self.end_slot(id);
    }
}
