//! Events on their way to the application.

use alloc::collections::VecDeque;

use crate::event::Event;

/// A queue that knows how many packets of each sort are in it. Its memory is bounded by its users: packets
/// by the configured limits, verdicts by the windows, the rest by the number of slots.
pub(super) struct EventQueue {
    events: VecDeque<Event>,
    packets: usize,
    info_packets: usize,
}

impl EventQueue {
    pub(super) fn new() -> Self {
        Self { events: VecDeque::new(), packets: 0, info_packets: 0 }
    }

    pub(super) fn push(&mut self, event: Event) {
        match event {
            Event::Packet { .. } => self.packets += 1,
            Event::InfoPacket { .. } => self.info_packets += 1,
            _ => {}
        }
        self.events.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        match event {
            Event::Packet { .. } => self.packets -= 1,
            Event::InfoPacket { .. } => self.info_packets -= 1,
            _ => {}
        }
        Some(event)
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
