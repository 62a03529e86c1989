//! Events on their way to the application.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::event::{Delivery, Event};
use crate::id::{ConnectionId, Sequence};
use crate::payload::Payload;

/// A queue that knows how many packets of each sort are in it. Its memory is bounded by its users: packets
/// by the configured limits, verdicts by the windows, the rest by the number of slots.
pub(super) struct EventQueue {
    events: VecDeque<Queued>,
    packets: usize,
    info_packets: usize,
}

/// An event as it waits. The frequent ones are small: an `Event` is as large as its largest kind.
enum Queued {
    Packet { connection: ConnectionId, sequence: Sequence, payload: Payload },
    Verdict { connection: ConnectionId, sequence: Sequence, delivery: Delivery },
    Other(Box<Event>),
}

/// What the application frees by taking an event.
#[derive(Clone, Copy)]
pub(super) enum Frees {
    /// A place among the connection's received packets.
    Packet(ConnectionId),
    /// A place in its packet window.
    Verdict(ConnectionId),
    /// Its slot.
    Slot(ConnectionId),
    Nothing,
}

impl EventQueue {
    pub(super) fn new() -> Self {
        Self { events: VecDeque::new(), packets: 0, info_packets: 0 }
    }

    pub(super) fn push_packet(&mut self, connection: ConnectionId, sequence: Sequence, payload: Payload) {
        self.packets += 1;
        self.events.push_back(Queued::Packet { connection, sequence, payload });
    }

    pub(super) fn push_verdict(&mut self, connection: ConnectionId, sequence: Sequence, delivery: Delivery) {
        self.events.push_back(Queued::Verdict { connection, sequence, delivery });
    }

    /// Any other event.
    pub(super) fn push(&mut self, event: Event) {
        if matches!(event, Event::InfoPacket { .. }) {
            self.info_packets += 1;
        }
        self.events.push_back(Queued::Other(Box::new(event)));
    }

    /// What the next event frees; `None` if there is none.
    pub(super) fn next_frees(&self) -> Option<Frees> {
        Some(match self.events.front()? {
            Queued::Packet { connection, .. } => Frees::Packet(*connection),
            Queued::Verdict { connection, .. } => Frees::Verdict(*connection),
            Queued::Other(event) => match **event {
                Event::Close { connection, .. } => Frees::Slot(connection),
                _ => Frees::Nothing,
            },
        })
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        Some(match self.events.pop_front()? {
            Queued::Packet { connection, sequence, payload } => {
                self.packets -= 1;
                Event::Packet { connection, sequence, payload }
            }
            Queued::Verdict { connection, sequence, delivery } => {
                Event::PacketDeliveryNotify { connection, sequence, delivery }
            }
            Queued::Other(event) => {
                if matches!(*event, Event::InfoPacket { .. }) {
                    self.info_packets -= 1;
                }
                *event
            }
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn packets(&self) -> usize {
        self.packets
    }

    pub(super) fn info_packets(&self) -> usize {
        self.info_packets
    }
}
