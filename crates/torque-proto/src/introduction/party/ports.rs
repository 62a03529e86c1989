//! Further local ports of this socket: who has them, and what the driver is asked for.

use alloc::collections::VecDeque;
#[cfg(test)]
use alloc::vec::Vec;

use crate::id::ConnectionId;
use crate::introduction::{OBSERVING_PORT, PortRequest};
use crate::sorted::SortedMap;

/// The further ports that are open.
#[derive(Default)]
pub(crate) struct Ports {
    /// By their numbers, and whose they are: a connection to come, an established one, or the one with an introducer.
    owners: SortedMap<u16, ConnectionId>,
    last: u16,
    requests: VecDeque<PortRequest>,
}

impl Ports {
    /// Opens a port for a connection, unless `most` are open.
    pub(crate) fn open(&mut self, owner: ConnectionId, most: usize) -> Option<u16> {
        if self.owners.len() >= most.min(usize::from(OBSERVING_PORT) - 1) {
            return None;
        }
        loop {
            self.last = self.last % (OBSERVING_PORT - 1) + 1;
            if !self.owners.contains_key(&self.last) {
                break;
            }
        }
        self.owners.insert(self.last, owner);
        self.requests.push_back(PortRequest::Open(self.last));
        Some(self.last)
    }

    /// Closes those ports of a connection that `keeps` does not name.
    pub(crate) fn close_others(&mut self, owner: ConnectionId, keeps: impl Fn(u16) -> bool) {
        let requests = &mut self.requests;
        self.owners.retain(|port, other| {
            let stays = *other != owner || keeps(*port);
            if !stays {
                requests.push_back(PortRequest::Close(*port));
            }
            stays
        });
    }

    /// Closes one port, if it is open.
    pub(crate) fn close(&mut self, port: u16) {
        if self.owners.remove(&port).is_some() {
            self.requests.push_back(PortRequest::Close(port));
        }
    }

    /// Returns whether a connection has any.
    pub(crate) fn has(&self, owner: ConnectionId) -> bool {
        self.owners.values().any(|other| *other == owner)
    }

    /// The ports of a connection.
    #[cfg(test)]
    pub(crate) fn of(&self, owner: ConnectionId) -> Vec<u16> {
        self.owners.iter().filter(|(_, other)| **other == owner).map(|(port, _)| *port).collect()
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.owners.len()
    }

    /// What the driver is to do next.
    pub(crate) fn poll(&mut self) -> Option<PortRequest> {
        self.requests.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_opened_once_and_closed_once() {
        let (one, other) = (ConnectionId::new(0, 1, 1), ConnectionId::new(0, 1, 2));
        let mut ports = Ports::default();
        let opened: Vec<_> = (0..3).filter_map(|_| ports.open(one, 4)).collect();
        assert_eq!(opened, [1, 2, 3]);
        assert_eq!((ports.open(other, 4), ports.open(other, 4)), (Some(4), None));
        ports.close_others(one, |port| port == 2);
        assert_eq!((ports.of(one), ports.of(other)), (Vec::from([2]), Vec::from([4])));
        ports.close_others(one, |_| false);
        let asked: Vec<_> = core::iter::from_fn(|| ports.poll()).collect();
        let (open, close) = (PortRequest::Open, PortRequest::Close);
        assert_eq!(asked, [open(1), open(2), open(3), open(4), close(1), close(3), close(2)]);
        assert_eq!(ports.len(), 1);
    }

    #[test]
    fn numbers_go_round_and_spare_those_in_use() {
        let (one, other) = (ConnectionId::new(0, 1, 1), ConnectionId::new(0, 1, 2));
        let mut ports = Ports::default();
        assert_eq!(ports.open(one, 9), Some(1));
        for _ in 0..70_000 {
            let port = ports.open(other, 9).unwrap();
            assert!(port > 1 && port < OBSERVING_PORT);
            ports.close_others(other, |_| false);
        }
    }
}
