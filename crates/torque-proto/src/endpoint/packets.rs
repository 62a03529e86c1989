//! Packets of connections (PROTOCOL.md 5.6, 6).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::convert::Infallible;

use super::Endpoint;
use super::slot::{Sink, Slot};
use crate::connection::{Connection, Ended, Refusal};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::path::Path;
use crate::transmits::{Cause, Outbox};

/// Bytes of the shortest packet: a header and the shortest tag.
const MIN_PACKET: usize = 7;

/// The consequences of a connection's action.
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
    /// A packet goes to the connection that owns its address, then to those that receive from there beside it.
    pub(super) fn on_packet(&mut self, now: Instant, path: Path, bytes: &mut [u8]) {
        let owner = self.connections.find(path.remote);
        let result = match self.claims.get(&path.remote) {
            None => owner.map_or(Err(None), |id| self.on_packet_of(now, id, path, bytes).map_err(Some)),
            Some(others) => {
                let others = others.clone();
                self.on_packet_of_several(now, owner, &others, path, bytes)
            }
        };
        let Err(refusal) = result else { return };
        trace_event!(TRACE, remote = %path.remote, ?refusal, "packet dropped");
        match refusal {
            None => self.stats.unknown_address += 1,
            Some(refusal) => refusal.count(&mut self.stats),
        }
        // Somebody may have moved here.
        if matches!(refusal, None | Some(Refusal::Forged)) && bytes.len() >= MIN_PACKET {
            self.ask_who(now, path);
        }
    }

    /// A packet from an address that several connections receive from, or one that is not its owner.
    fn on_packet_of_several(
        &mut self,
        now: Instant,
        owner: Option<ConnectionId>,
        others: &[ConnectionId],
        path: Path,
        bytes: &mut [u8],
    ) -> Result<(), Option<Refusal>> {
        // A failed attempt to open it destroys it, so the next connection needs a copy.
        let is_alone = owner.is_none() && others.len() == 1;
        let original = if is_alone { Vec::new() } else { bytes.to_vec() };
        let mut refusal = None;
        if let Some(id) = owner {
            match self.on_packet_of(now, id, path, bytes) {
                Ok(()) => return Ok(()),
                Err(why) => refusal = Some(why),
            }
        }
        for id in others {
            if !is_alone {
                bytes.copy_from_slice(&original);
            }
            match self.on_first_packet(now, *id, path, bytes) {
                Ok(()) => return Ok(()),
                Err(why) => refusal = refusal.or(Some(why)),
            }
        }
        Err(refusal)
    }

    /// A packet for a connection that is established, or that its first packet has just proven.
    fn on_packet_of(
        &mut self,
        now: Instant,
        id: ConnectionId,
        path: Path,
        bytes: &mut [u8],
    ) -> Result<(), Refusal> {
        self.try_drive(id, Cause::Peer, |connection, sink, outbox| {
            let opened = connection.open(bytes)?;
            outbox.follow(path);
            opened.process(now, sink, outbox);
            Ok(())
        })
    }

    /// A packet for a connection that arrived on another of its paths than the active one.
    fn on_packet_elsewhere(
        &mut self,
        now: Instant,
        id: ConnectionId,
        bytes: &mut [u8],
    ) -> Result<(), Refusal> {
        self.try_drive(id, Cause::Peer, |connection, sink, outbox| {
            connection.open(bytes)?.process(now, sink, outbox);
            Ok(())
        })
    }

    /// A packet for a connection that is not established here yet. The first one that is authentic establishes it, and is
    /// received after that, so that the application hears of the connection before it hears of the packet.
    fn on_first_packet(
        &mut self,
        now: Instant,
        id: ConnectionId,
        path: Path,
        bytes: &mut [u8],
    ) -> Result<(), Refusal> {
        let slot = match self.slots.get_mut(id).map(|entry| &mut entry.slot) {
            Some(Slot::Confirming(slot)) => slot,
            Some(Slot::Connected(_)) => return self.on_packet_elsewhere(now, id, bytes),
            _ => return Err(Refusal::NoKeys),
        };
        // If the application, or the owner of the address, closed it meanwhile, only its end is negotiated.
        if slot.connected.connection.is_open() && slot.displacing.is_none() {
            slot.connected.connection.authenticate(bytes)?;
            self.on_confirmed(now, id, path.remote);
        }
        self.on_packet_of(now, id, path, bytes)
    }

    /// Lets a connection act, established or waiting to be, and does what follows from it: tells its end, frees
    /// what is over, sets its timer.
    pub(super) fn drive(
        &mut self,
        id: ConnectionId,
        cause: Cause,
        act: impl FnOnce(&mut Connection, &mut Sink<'_>, &mut Outbox<'_>),
    ) {
        let Ok(()) = self.try_drive(id, cause, |connection, sink, outbox| {
            act(connection, sink, outbox);
            Ok::<(), Infallible>(())
        });
    }

    /// As [`drive`](Self::drive), but nothing follows from an error.
    fn try_drive<E>(
        &mut self,
        id: ConnectionId,
        cause: Cause,
        act: impl FnOnce(&mut Connection, &mut Sink<'_>, &mut Outbox<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(entry) = self.slots.get_mut(id) else { return Ok(()) };
        let (connected, is_waiting) = match &mut entry.slot {
            Slot::Connected(connected) => (&mut **connected, false),
            Slot::Confirming(slot) => (&mut slot.connected, slot.displacing.is_some()),
            _ => return Ok(()),
        };
        let mut outbox = self.transmits.outbox(cause, &mut connected.path);
        let mut sink = Sink {
            id,
            is_waiting,
            events: &mut self.events,
            pool: &mut self.pool,
            queued: &mut connected.queued,
            control: &mut self.control,
            limits: &self.config.limits,
            stats: &mut self.stats,
        };
        act(&mut connected.connection, &mut sink, &mut outbox)?;
        let after = After::of(&mut entry.slot);
        self.follow(id, after);
        Ok(())
    }

    fn follow(&mut self, id: ConnectionId, after: After) {
        if let Some(ended) = after.ended {
            self.tell_close(id, ended.code, ended.by, ended.reason);
        }
        if after.is_gone {
            return self.forget_connection(id);
        }
        self.rearm_for(id, after.deadline);
    }

    fn forget_connection(&mut self, id: ConnectionId) {
        match self.slots.get(id).map(|entry| &entry.slot) {
            Some(Slot::Connected(connected)) => {
                let remote = connected.path.remote;
                self.forget_paths(id);
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
