//! Events on their way to the application.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::address::{Address, Network};
use crate::config::Limits;
use crate::event::{Delivery, Event};
use crate::id::{ConnectionId, Sequence};
use crate::introduction::IntroductionConfig;
use crate::payload::Payload;

/// A queue that knows how many packets of each sort are in it. Its memory is bounded by its users: packets
/// by the configured limits, verdicts by the windows, the rest by the number of slots.
pub(super) struct EventQueue {
    events: VecDeque<Queued>,
    packets: usize,
    /// Packets that a driver has taken and its application has not.
    held: usize,
    /// The most packets that one connection has had here since the queue was last empty.
    fullest: usize,
    /// The networks that the info packets in the queue come from.
    info_sources: Vec<Network>,
    /// The connections whose requests to be introduced are in the queue.
    askers: Vec<ConnectionId>,
}

/// One network may take one in this many places for info packets.
const INFO_SHARE: usize = 4;

/// An event as it waits. The frequent ones are small: an `Event` is as large as its largest kind.
enum Queued {
    Packet { connection: ConnectionId, sequence: Sequence, payload: Payload },
    Verdict { connection: ConnectionId, sequence: Sequence, delivery: Delivery },
    Other(Box<Event>),
}

/// The place that the application frees by taking an event.
#[derive(Clone, Copy)]
pub(super) enum Frees {
    /// A place among the connection's received packets.
    Packet(ConnectionId),
    /// A place in its packet window.
    Verdict(ConnectionId),
    /// Its event of a changed path, of which one waits at most.
    PathChanged(ConnectionId),
    /// Its slot.
    Slot(ConnectionId),
    Nothing,
}

impl EventQueue {
    pub(super) fn new() -> Self {
        Self {
            events: VecDeque::new(),
            packets: 0,
            held: 0,
            fullest: 0,
            info_sources: Vec::new(),
            askers: Vec::new(),
        }
    }

    /// `queued`: how many packets of the connection wait now, with this one.
    pub(super) fn push_packet(
        &mut self,
        connection: ConnectionId,
        sequence: Sequence,
        payload: Payload,
        queued: usize,
    ) {
        self.packets += 1;
        self.fullest = self.fullest.max(queued);
        self.events.push_back(Queued::Packet { connection, sequence, payload });
    }

    pub(super) fn push_verdict(&mut self, connection: ConnectionId, sequence: Sequence, delivery: Delivery) {
        self.events.push_back(Queued::Verdict { connection, sequence, delivery });
    }

    /// Any other event.
    pub(super) fn push(&mut self, event: Event) {
        match &event {
            Event::InfoPacket { remote, .. } => self.info_sources.push(remote.network()),
            Event::IntroductionRequested { from, .. } => self.askers.push(*from),
            _ => {}
        }
        self.events.push_back(Queued::Other(Box::new(event)));
    }

    /// Has the event of a changed path that waits tell of a newer one.
    pub(super) fn tell_newer_path(&mut self, id: ConnectionId, address: Address, time: Duration) {
        let told = self.events.iter_mut().rev().find_map(|event| match event {
            Queued::Other(event) => match &mut **event {
                Event::PathChanged { connection, remote, round_trip } if *connection == id => {
                    Some((remote, round_trip))
                }
                _ => None,
            },
            _ => None,
        });
        if let Some((remote, round_trip)) = told {
            (*remote, *round_trip) = (address, time);
        }
    }

    /// The place that the next event frees; `None` if there is no event.
    pub(super) fn next_frees(&self) -> Option<Frees> {
        Some(match self.events.front()? {
            Queued::Packet { connection, .. } => Frees::Packet(*connection),
            Queued::Verdict { connection, .. } => Frees::Verdict(*connection),
            Queued::Other(event) => match **event {
                Event::Close { connection, .. } => Frees::Slot(connection),
                Event::PathChanged { connection, .. } => Frees::PathChanged(connection),
                _ => Frees::Nothing,
            },
        })
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let next = self.events.pop_front()?;
        if self.events.is_empty() {
            self.fullest = 0;
        }
        Some(match next {
            Queued::Packet { connection, sequence, payload } => {
                self.packets -= 1;
                Event::Packet { connection, sequence, payload }
            }
            Queued::Verdict { connection, sequence, delivery } => {
                Event::Verdict { connection, sequence, delivery }
            }
            Queued::Other(event) => {
                // They are taken in the order in which they came.
                match *event {
                    Event::InfoPacket { .. } => _ = self.info_sources.remove(0),
                    Event::IntroductionRequested { .. } => _ = self.askers.remove(0),
                    _ => {}
                }
                *event
            }
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Packets that the application has not taken.
    pub(super) fn packets(&self) -> usize {
        self.packets + self.held
    }

    /// Returns whether there is a place for another packet of a connection that has `queued` of them here. It may have as many as
    /// are left, so that connections which fill the queue leave room for the others.
    pub(super) fn has_room(&self, queued: usize, limits: &Limits) -> bool {
        let left = limits.queued_packets_total.saturating_sub(self.packets());
        queued < limits.queued_packets.min(left)
    }

    /// The number of packets for which every connection is sure to find a place.
    pub(super) fn room(&self, limits: &Limits) -> usize {
        let left = limits.queued_packets_total.saturating_sub(self.packets());
        limits.queued_packets.min(left).saturating_sub(self.fullest)
    }

    /// Returns whether there is a place for another info packet from there.
    pub(super) fn has_room_for_info(&self, remote: Address, limits: &Limits) -> bool {
        let network = remote.network();
        let same = self.info_sources.iter().filter(|source| **source == network).count();
        let most = limits.queued_info_packets;
        self.info_sources.len() < most && same < most.div_ceil(INFO_SHARE)
    }

    /// Returns whether there is a place for another request of this connection to be introduced. An application that takes no events
    /// answers none of them either.
    pub(super) fn has_room_for_asker(&self, from: ConnectionId, config: &IntroductionConfig) -> bool {
        let own = self.askers.iter().filter(|asker| **asker == from).count();
        self.askers.len() < config.records && own < config.records_per_connection
    }

    /// A driver has taken a packet that its application has not.
    pub(super) fn hold(&mut self) {
        self.held += 1;
    }

    /// Releases packets that the application has taken, or those of a connection that has ended.
    pub(super) fn release(&mut self, packets: usize) {
        self.held = self.held.saturating_sub(packets);
    }
}
