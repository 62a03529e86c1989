//! Reliable control messages of connections. The endpoint itself sees to those of paths and introductions.
//!
//! A connection passes them over until something uses them, so no peer makes one keep anything for nothing. After
//! [`Endpoint::enable_control`] or [`Endpoint::send_control`], which tests use, all but those of paths wait for
//! [`Endpoint::poll_control`], and introductions of this endpoint get none.

use alloc::collections::VecDeque;

use super::Endpoint;
use super::paths::PATHS;
use super::slot::Slot;
use crate::connection::control::reliable::{ControlError, ControlEvent, ControlStats};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::transmits::Cause;
use crate::wire::control::reliable::ReliableKind;

/// Messages that wait, and how many of them may be one connection's.
const MAX_QUEUED: usize = 256;
const MAX_QUEUED_OF_CONNECTION: usize = 32;
/// Messages of one connection that the endpoint itself sees to.
const MAX_OWN_OF_CONNECTION: usize = 16;

/// What reliable control messages told, until it is taken.
#[derive(Default)]
pub(super) struct ControlQueue {
    /// Oldest first; few, and seldom any.
    events: VecDeque<(ConnectionId, ControlEvent)>,
    /// Those that the endpoint sees to with the next timers.
    own: VecDeque<(ConnectionId, ControlEvent)>,
    /// Whether somebody outside reads what is not about a connection itself.
    is_read: bool,
}

impl ControlQueue {
    /// Takes an event, unless it is one message too many. Other events are as many as messages were sent, which
    /// [`has_room_of`](Self::has_room_of) bounds.
    pub(super) fn offer(&mut self, id: ConnectionId, event: ControlEvent) -> bool {
        if event.attempt() == PATHS || !self.is_read {
            // The next `handle_timeout` sees to it, so a few are plenty; others are as many as messages were sent.
            let takes = !matches!(event, ControlEvent::Message { .. })
                || self.own.iter().filter(|(other, _)| *other == id).count() < MAX_OWN_OF_CONNECTION;
            if takes {
                self.own.push_back((id, event));
            }
            return takes;
        }
        let takes = !matches!(event, ControlEvent::Message { .. })
            || self.events.len() < MAX_QUEUED && self.has_room_of(id);
        if takes {
            self.events.push_back((id, event));
        }
        takes
    }

    /// Whether there is something for the endpoint itself.
    pub(super) fn has_own(&self) -> bool {
        !self.own.is_empty()
    }

    pub(super) fn take_own(&mut self) -> Option<(ConnectionId, ControlEvent)> {
        self.own.pop_front()
    }

    fn has_room_of(&self, id: ConnectionId) -> bool {
        self.events.iter().filter(|(other, _)| *other == id).count() < MAX_QUEUED_OF_CONNECTION
    }

    /// Drops the messages of a connection that has ended: they take nobody's room.
    pub(super) fn forget_messages(&mut self, id: ConnectionId) {
        self.events.retain(|(other, event)| *other != id || !matches!(event, ControlEvent::Message { .. }));
    }
}

/// Not part of the interface yet.
impl Endpoint {
    /// Reads the reliable control messages of a connection from now on.
    ///
    /// # Errors
    /// `Closed`.
    #[doc(hidden)]
    pub fn enable_control(&mut self, connection: ConnectionId) -> Result<(), ControlError> {
        match self.slots.get_mut(connection).map(|entry| &mut entry.slot) {
            Some(Slot::Connected(connected)) if connected.connection.is_open() => {
                self.control.is_read = true;
                connected.connection.enable_reliable();
                Ok(())
            }
            _ => Err(ControlError::Closed),
        }
    }

    /// Sends a reliable control message and returns its serial. A `Received` or `Failed` with that serial follows, unless the
    /// connection ends first.
    ///
    /// # Errors
    /// See [`ControlError`].
    #[doc(hidden)]
    pub fn send_control(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        attempt: u32,
        kind: ReliableKind,
        body: &[u8],
    ) -> Result<u16, ControlError> {
        // What others have sent does not keep this connection from sending.
        if !self.control.has_room_of(connection) {
            return Err(ControlError::TooMany);
        }
        self.control.is_read = true;
        let mut sent = Err(ControlError::Closed);
        if self.slots.get(connection).is_some_and(|entry| entry.slot.is_open()) {
            self.drive(connection, Cause::Own, |connection, _, outbox| {
                sent = connection.send_reliable(now, attempt, kind, body, outbox);
            });
        }
        sent
    }

    /// What reliable control messages told, oldest first.
    #[doc(hidden)]
    pub fn poll_control(&mut self) -> Option<(ConnectionId, ControlEvent)> {
        self.control.events.pop_front()
    }

    /// What came of a connection's reliable control messages; `None` if it uses none.
    #[doc(hidden)]
    pub fn control_stats(&self, connection: ConnectionId) -> Option<&ControlStats> {
        self.slots.get(connection)?.slot.connection()?.reliable_stats()
    }
}
