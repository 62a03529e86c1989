//! What a socket has sent lately that nothing asked for, and the shares of it (PATHS.md 9).

use alloc::collections::VecDeque;

use crate::address::Address;
use crate::instant::Instant;
use crate::micros::Micros;

/// What was sent in the last second, oldest first.
#[derive(Default)]
pub(super) struct Recent {
    list: VecDeque<(Instant, u32, Address)>,
}

impl Recent {
    /// Notes one more from a connection (0 for none) to `remote`, if the limits of all, of one connection and address, and of one
    /// network allow it.
    pub(super) fn takes(
        &mut self,
        now: Instant,
        connection: u32,
        remote: Address,
        limits: [usize; 3],
    ) -> bool {
        while self.list.front().is_some_and(|(at, ..)| *at + Micros::from_secs(1) <= now) {
            self.list.pop_front();
        }
        let [most, most_of_one, most_of_network] = limits;
        let network = remote.network();
        let (mut of_one, mut of_network) = (0, 0);
        if self.list.len() < most {
            for (_, other, address) in &self.list {
                of_one += usize::from(*other == connection && (connection != 0 || *address == remote));
                of_network += usize::from(address.network() == network);
            }
        }
        let takes = self.list.len() < most && of_one < most_of_one && of_network < most_of_network;
        if takes {
            self.list.push_back((now, connection, remote));
        }
        takes
    }
}
