//! What makes a [`Socket`](crate::Socket) one shard of several.

use std::net::UdpSocket;
use std::sync::{Arc, Mutex, PoisonError};

use torque_proto::wire::DatagramKind;
use torque_proto::{Address, Endpoint, Instant, Path};

use super::inbox::{Batch, Inbox};
use super::rule::Rule;
use crate::io::IoStats;
use crate::waker::Waker;

/// State that all shards of a host share. A datagram that reaches its owner touches none of it.
pub(crate) struct Group {
    pub(super) rule: Rule,
    pub(super) inboxes: Box<[Inbox]>,
    /// The kernel follows the rule too.
    pub(super) is_steered: bool,
    /// Held by the shard that begins an epoch for all.
    pub(super) epoch_turn: Mutex<()>,
}

/// One shard's part of it.
pub(crate) struct Shard {
    group: Arc<Group>,
    number: usize,
    /// False where another shard receives for this one.
    receives: bool,
    /// Becomes readable when another thread wakes this shard. The shards share a port, so that a datagram to it
    /// could wake any of them.
    wake_socket: UdpSocket,
    /// Datagrams for others, until the receive call that brought them is done with.
    outgoing: Box<[Batch]>,
    /// Changes places with what is in the inbox.
    incoming: Batch,
    /// Copies of broadcasts, of which the owner has one too.
    copies: u64,
}

impl Shard {
    pub(super) fn new(group: Arc<Group>, number: usize, receives: bool, wake_socket: UdpSocket) -> Self {
        let outgoing = group.inboxes.iter().map(|_| Batch::default()).collect();
        Self { group, number, receives, wake_socket, outgoing, incoming: Batch::default(), copies: 0 }
    }

    pub(crate) fn receives(&self) -> bool {
        self.receives
    }

    pub(crate) fn wake_socket(&self) -> &UdpSocket {
        &self.wake_socket
    }

    pub(crate) fn waker(&self) -> Waker {
        self.group.inboxes[self.number].waker.clone()
    }

    /// The shard that owns datagrams from `remote`, if that is another one.
    pub(crate) fn other_owner(&self, remote: Address) -> Option<usize> {
        Some(self.group.rule.owner(remote)).filter(|owner| *owner != self.number)
    }

    /// Returns whether a received datagram is this shard's own, as all are at its private port. If not, puts it aside for its owner.
    pub(crate) fn owns(&mut self, path: Path, bytes: &[u8]) -> bool {
        if path.port != 0 {
            return true;
        }
        let Some(owner) = self.other_owner(path.remote) else { return true };
        if self.group.is_steered && DatagramKind::of(bytes) == DatagramKind::Info {
            // The kernel steers what is sent to one address, and copies what is sent to all to every socket of
            // the port: the owner has received one too. (An info packet to this address alone, in IPv6 with extension
            // headers, is lost here too.)
            self.copies += 1;
            return false;
        }
        self.outgoing[owner].push(path, bytes);
        false
    }

    /// Hands on what was put aside. What finds no room is lost, as on any path: its sender is not told that it arrived.
    pub(crate) fn hand_on(&mut self, stats: &mut IoStats) {
        stats.broadcast_copies += std::mem::take(&mut self.copies);
        for (batch, inbox) in self.outgoing.iter_mut().zip(&self.group.inboxes) {
            if !batch.is_empty() {
                let count = batch.len();
                let taken = inbox.push(batch);
                stats.handed_on += taken as u64;
                stats.inbox_full += (count - taken) as u64;
            }
        }
    }

    /// Empties the inbox; `give` gets the endpoint and each datagram.
    pub(crate) fn drain_inbox(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        mut give: impl FnMut(&mut Self, &mut Endpoint, Path, &mut [u8]),
    ) {
        let mut taken = std::mem::take(&mut self.incoming);
        std::mem::swap(&mut self.group.inboxes[self.number].lock().batch, &mut taken);
        self.install_epochs(now, endpoint);
        taken.drain(|path, bytes| give(self, endpoint, path, bytes));
        self.incoming = taken;
    }

    fn install_epochs(&self, now: Instant, endpoint: &mut Endpoint) {
        let epochs = std::mem::take(&mut self.group.inboxes[self.number].lock().epochs);
        for (identity, secrets) in epochs {
            // A shard that was given another key pair signs its own.
            if identity == endpoint.public_key() {
                endpoint.install_epoch(now, secrets);
            }
        }
    }

    /// Begins an epoch for all shards, if the endpoint would begin one at this datagram. To be called before the datagram
    /// is handed in.
    pub(crate) fn ensure_epoch(&self, now: Instant, endpoint: &mut Endpoint, bytes: &[u8]) {
        if DatagramKind::of(bytes) != DatagramKind::ChallengeRequest || !endpoint.epoch_is_due(now) {
            return;
        }
        let _turn = self.group.epoch_turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Another shard may have been faster; epochs are put into inboxes only in turn.
        self.install_epochs(now, endpoint);
        if endpoint.config().accept_incoming
            && endpoint.epoch_is_due(now)
            && let Some(secrets) = endpoint.start_epoch(now)
        {
            let others = self.group.inboxes.iter().enumerate().filter(|(index, _)| *index != self.number);
            for (_, inbox) in others {
                inbox.push_epoch(endpoint.public_key(), secrets.clone());
            }
        }
    }

    /// Returns whether this shard may sleep. If so, it is woken when something is put into its inbox.
    pub(crate) fn begin_sleep(&self) -> bool {
        self.group.inboxes[self.number].begin_sleep()
    }
}
