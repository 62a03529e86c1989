//! What bounds the punches that nothing asked for: all that an introducer who lies can have a party send (INTRODUCTIONS.md 12).
//!
//! Answers count elsewhere: they go only to senders that know the introduction's key.

use alloc::collections::VecDeque;
use core::net::Ipv4Addr;

use crate::address::{Address, Network};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::introduction::PunchesLeftOut;
use crate::micros::Micros;
use crate::sorted::SortedMap;

const SECOND: Micros = Micros::from_secs(1);
const MINUTE: Micros = Micros::from_secs(60);
/// Punches in a second, and how many of them one introducer may cause.
const MOST: usize = 500;
const MOST_OF_INTRODUCER: usize = MOST / 2;
/// Punches to one network in a short span and in a minute. This protects the network: who else named it does not matter.
const SHORT: Micros = Micros::from_secs(10);
const MOST_IN_SHORT: usize = 40;
const MOST_IN_MINUTE: usize = 80;
/// Different networks in a minute: of one introducer, and of all.
const NETWORKS_OF_INTRODUCER: usize = 64;
const NETWORKS: usize = 1_024;
/// The pause between runs (9.2) against one address, and how many addresses are remembered.
const RUN_PAUSE: Micros = Micros::from_secs(600);
const MAX_RUNS: usize = 256;

/// The punches of the last minute.
#[derive(Default)]
pub(super) struct Budgets {
    /// Those of the last second, oldest first, and the introducers that caused them.
    recent: VecDeque<(Instant, ConnectionId)>,
    /// When each network was punched in the last minute, oldest first.
    networks: SortedMap<Network, VecDeque<Instant>>,
    /// Networks by the introducers that named them, and when first in the last minute.
    named: SortedMap<(ConnectionId, Network), Instant>,
    /// Addresses against which a run began, and when.
    runs: SortedMap<Ipv4Addr, Instant>,
    counters: PunchesLeftOut,
}

impl Budgets {
    pub(super) fn counters(&self) -> PunchesLeftOut {
        self.counters
    }

    /// Takes one punch to an address that an introducer named.
    pub(super) fn takes(&mut self, now: Instant, introducer: ConnectionId, remote: Address) -> bool {
        let network = remote.network();
        if !self.takes_network(now, introducer, network) {
            self.counters.networks += 1;
            return false;
        }
        let times = self.networks.get_or_insert_with(network, VecDeque::new);
        while times.front().is_some_and(|at| *at + MINUTE <= now) {
            times.pop_front();
        }
        let in_short = times.iter().rev().take_while(|at| now < **at + SHORT).count();
        if in_short >= MOST_IN_SHORT || times.len() >= MOST_IN_MINUTE {
            self.counters.to_network += 1;
            return false;
        }
        if !self.takes_proven(now, introducer) {
            return false;
        }
        if let Some(times) = self.networks.get_mut(&network) {
            times.push_back(now);
        }
        true
    }

    /// Takes one punch to an address where the other party is, because it has echoed from there.
    pub(super) fn takes_proven(&mut self, now: Instant, introducer: ConnectionId) -> bool {
        while self.recent.front().is_some_and(|(at, _)| *at + SECOND <= now) {
            self.recent.pop_front();
        }
        if self.recent.len() >= MOST {
            self.counters.in_all += 1;
            return false;
        }
        let of_introducer = self.recent.iter().filter(|(_, other)| *other == introducer).count();
        if of_introducer >= MOST_OF_INTRODUCER {
            self.counters.of_introducer += 1;
            return false;
        }
        self.recent.push_back((now, introducer));
        true
    }

    /// Returns whether an introducer may have this network punched. A network is new again a minute after it was named first.
    fn takes_network(&mut self, now: Instant, introducer: ConnectionId, network: Network) -> bool {
        if self.named.get(&(introducer, network)).is_some_and(|first| now < *first + MINUTE) {
            return true;
        }
        self.expire(now);
        let of_introducer = self.named.keys().filter(|(other, _)| *other == introducer).count();
        let is_known = self.networks.contains_key(&network);
        if of_introducer >= NETWORKS_OF_INTRODUCER
            || self.named.len() >= NETWORKS
            || !is_known && self.networks.len() >= NETWORKS
        {
            return false;
        }
        self.named.insert((introducer, network), now);
        true
    }

    /// Takes a run against an address.
    ///
    /// # Errors
    /// When the next one may begin.
    pub(super) fn takes_run(&mut self, now: Instant, ip: Ipv4Addr) -> Result<(), Instant> {
        self.runs.retain(|_, began| now < *began + RUN_PAUSE);
        let oldest = || self.runs.values().min().filter(|_| self.runs.len() >= MAX_RUNS);
        if let Some(began) = self.runs.get(&ip).or_else(oldest) {
            return Err(*began + RUN_PAUSE);
        }
        self.runs.insert(ip, now);
        Ok(())
    }

    /// Forgets the runs: in another network they may lead elsewhere.
    pub(super) fn forget_runs(&mut self) {
        self.runs = SortedMap::new();
    }

    /// Forgets what is too old to count.
    pub(super) fn expire(&mut self, now: Instant) {
        self.runs.retain(|_, began| now < *began + RUN_PAUSE);
        self.recent.retain(|(at, _)| now < *at + SECOND);
        self.named.retain(|_, first| now < *first + MINUTE);
        self.networks.retain(|_, times| times.back().is_some_and(|last| now < *last + MINUTE));
    }

    /// When nothing counts any more of what counts now; `None` if nothing does.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let last = self.networks.values().filter_map(VecDeque::back).chain(self.named.values()).max();
        let last = last.map(|last| *last + MINUTE);
        let runs = self.runs.values().max().map(|last| *last + RUN_PAUSE);
        last.max(self.recent.back().map(|(at, _)| *at + SECOND)).max(runs)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;
    use core::net::{Ipv4Addr, SocketAddr};

    use super::*;

    fn introducer(number: u32) -> ConnectionId {
        ConnectionId::new(0, 1, number)
    }

    fn address(number: u32) -> Address {
        Address::from(SocketAddr::new(Ipv4Addr::from_bits(0x0100_0000 + number).into(), 5_000))
    }

    /// The most that lie in a span of this many milliseconds.
    fn most_in(times: &[u64], span: u64) -> usize {
        let ends = |start: &u64| times.iter().take_while(|at| **at < start + span).count();
        times.iter().enumerate().map(|(index, start)| ends(start) - index).max().unwrap_or(0)
    }

    /// `victims` networks are named in turn, 320 punches a second for each introducer, for so many seconds. Returns the times of the
    /// punches to each, in milliseconds.
    fn lies(budgets: &mut Budgets, victims: u32, introducers: u32, seconds: u64) -> Vec<Vec<u64>> {
        let mut sent = vec![Vec::new(); victims as usize];
        let mut turn = 0;
        for tick in 0..seconds * 320 {
            let millis = tick * 1_000 / 320;
            for number in 0..introducers {
                turn += 1;
                let victim = turn % victims;
                if budgets.takes(Instant::from_millis(millis), introducer(number), address(victim)) {
                    sent[victim as usize].push(millis);
                }
            }
        }
        sent
    }

    #[test]
    fn a_victim_gets_forty_punches_in_ten_seconds_and_eighty_in_a_minute() {
        // Two introducers that lie are no worse than one.
        for introducers in [1, 2] {
            let mut budgets = Budgets::default();
            let sent = lies(&mut budgets, 1, introducers, 180);
            assert_eq!((most_in(&sent[0], 10_000), most_in(&sent[0], 60_000)), (40, 80));
            assert!(budgets.counters.to_network > 50_000);
        }
    }

    #[test]
    fn an_ipv6_network_is_one_victim() {
        let mut budgets = Budgets::default();
        let sent = (0..1_000u128).filter(|host| {
            let ip = core::net::Ipv6Addr::from_bits(0x2001_0db8 << 96 | host);
            budgets.takes(Instant::ZERO, introducer(1), SocketAddr::new(ip.into(), 5_000).into())
        });
        assert_eq!(sent.count(), MOST_IN_SHORT);
    }

    #[test]
    fn an_introducer_takes_half_of_what_is_sent_and_leaves_the_other_half() {
        let mut budgets = Budgets::default();
        let mut sent = [0; 3];
        for step in 0..1_000u32 {
            for number in 0..3 {
                sent[number as usize] += u32::from(budgets.takes(
                    Instant::from_millis(u64::from(step) / 2),
                    introducer(number),
                    address(step % 60),
                ));
            }
        }
        // Each network takes 40.
        assert!(sent.iter().all(|sent| *sent <= 250) && sent.iter().sum::<u32>() == 500, "{sent:?}");
        let mut budgets = Budgets::default();
        let sent = lies(&mut budgets, 64, 1, 1);
        assert_eq!(sent.iter().map(Vec::len).sum::<usize>(), 250);
        assert!(budgets.takes_proven(Instant::from_millis(999), introducer(1)));
    }

    #[test]
    fn an_introducer_names_sixty_four_networks_a_minute() {
        let mut budgets = Budgets::default();
        let sent = lies(&mut budgets, 1_000, 1, 59);
        assert_eq!(sent.iter().filter(|times| !times.is_empty()).count(), 64);
        // It does not keep another one from naming its own, and after a minute it may name others.
        assert!(budgets.takes(Instant::from_millis(59_000), introducer(2), address(2_000)));
        assert!(!budgets.takes(Instant::from_millis(59_000), introducer(0), address(2_001)));
        assert!(budgets.takes(Instant::from_millis(61_000), introducer(0), address(2_001)));
    }

    #[test]
    fn runs_against_an_address_are_ten_minutes_apart_and_few_addresses_are_tried() {
        let mut budgets = Budgets::default();
        let (now, pause) = (Instant::from_millis(5), RUN_PAUSE);
        for number in 0..MAX_RUNS as u32 {
            assert_eq!(budgets.takes_run(now, Ipv4Addr::from_bits(number)), Ok(()));
            assert_eq!(budgets.takes_run(now, Ipv4Addr::from_bits(number)), Err(now + pause));
        }
        let another = Ipv4Addr::from_bits(1_000);
        assert_eq!(budgets.takes_run(now, another), Err(now + pause));
        assert_eq!(
            (budgets.deadline(), budgets.takes_run(now + pause, another)),
            (Some(now + pause), Ok(()))
        );
        budgets.expire(now + pause);
        assert_eq!(budgets.runs.len(), 1);
        budgets.forget_runs();
        assert_eq!((budgets.deadline(), budgets.takes_run(now, another)), (None, Ok(())));
    }

    #[test]
    fn the_tables_are_bounded_and_empty_in_the_end() {
        let mut budgets = Budgets::default();
        for number in 0..100_000 {
            budgets.takes(
                Instant::from_millis(u64::from(number) / 4),
                introducer(number % 50),
                address(number),
            );
        }
        assert!(budgets.networks.len() <= NETWORKS && budgets.named.len() <= NETWORKS);
        assert!(budgets.recent.len() <= MOST);
        let at = budgets.deadline().unwrap();
        assert!(at <= Instant::from_millis(25_000 + 60_000));
        budgets.expire(at);
        assert!(budgets.networks.is_empty() && budgets.named.is_empty() && budgets.recent.is_empty());
        assert_eq!(budgets.deadline(), None);
    }
}
