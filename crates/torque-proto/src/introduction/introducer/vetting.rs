//! Which addresses of a party the other one is told (INTRODUCTIONS.md 4).
//!
//! An honest introducer sends nobody's punches to somebody who is not connected to it: what a party names counts only as far as the
//! introducer sees that party there, or sees both in the same place.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::address::Address;
use crate::wire::introduction::{Candidate, CandidateKind, MAX_CANDIDATES};

/// Where the introducer sees a party that takes direct paths.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Where its packets come from.
    observed: SocketAddr,
    /// The IP addresses where it has a valid path, that one's first.
    ips: Vec<IpAddr>,
}

impl Seen {
    /// `None` if the party has no IP address: it is reached by a circuit only.
    pub(super) fn new(address: &Address, others: &[Address]) -> Option<Self> {
        let observed = plain(address.socket_addr()?);
        let others = others.iter().filter_map(|other| Some(plain(other.socket_addr()?).ip()));
        let ips = core::iter::once(observed.ip()).chain(others).collect();
        Some(Self { observed, ips })
    }

    pub(super) fn observed(&self) -> SocketAddr {
        self.observed
    }
}

/// Returns what the party `to` is told of the party `of`, which names the addresses in `named`; none if one of them takes no direct
/// paths.
pub(super) fn vet(of: Option<&Seen>, named: &[Candidate], to: Option<&Seen>) -> Vec<Candidate> {
    let (Some(of), Some(to)) = (of, to) else { return Vec::new() };
    let mut told: Vec<Candidate> = Vec::new();
    if of.observed.port() != 0 && passes_observed(of, to) {
        told.push(Candidate { kind: CandidateKind::Observed, address: of.observed });
    }
    for candidate in named {
        let address = plain(candidate.address);
        let is_known = told.iter().any(|other| other.address == address);
        if told.len() < MAX_CANDIDATES && !is_known && passes(candidate.kind, address, of, to) {
            told.push(Candidate { kind: candidate.kind, address });
        }
    }
    told
}

/// What an IP address is good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    /// It is good everywhere.
    Public,
    /// It is good in one network: private, shared by a carrier's customers, or unique local.
    Private,
    /// It is good on one machine.
    Loopback,
    /// It is good on one link.
    LinkLocal,
    /// No party has it: unspecified, multicast, broadcast or reserved.
    Nowhere,
}

fn reach(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        IpAddr::V4(ip) => reach_v4(ip),
        IpAddr::V6(ip) => reach_v6(ip),
    }
}

fn reach_v4(ip: Ipv4Addr) -> Reach {
    match ip.octets() {
        // 224/4 is multicast, 240/4 reserved, with the broadcast address.
        [0 | 224.., ..] => Reach::Nowhere,
        [127, ..] => Reach::Loopback,
        [169, 254, ..] => Reach::LinkLocal,
        [100, 64..=127, ..] => Reach::Private,
        _ if ip.is_private() => Reach::Private,
        _ => Reach::Public,
    }
}

fn reach_v6(ip: Ipv6Addr) -> Reach {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Loopback,
        // Unspecified, and IPv4 addresses in a form that nothing uses any more.
        [0, 0, 0, 0, 0, 0, ..] => Reach::Nowhere,
        [0xfe80..=0xfebf, ..] => Reach::LinkLocal,
        // Site-local addresses, given up long ago, and multicast.
        [0xfec0..=0xffff, ..] => Reach::Nowhere,
        [0xfc00..=0xfdff, ..] => Reach::Private,
        _ => Reach::Public,
    }
}

/// Returns whether the observed address of one is of use to the other: a public one, or one in the same house.
fn passes_observed(of: &Seen, to: &Seen) -> bool {
    match reach(of.observed.ip()) {
        Reach::Public => true,
        Reach::Private | Reach::Loopback => are_local(of, to),
        // Without its scope an IPv6 address of a link means nothing.
        Reach::LinkLocal => of.observed.is_ipv4() && reach(to.observed.ip()) == Reach::LinkLocal,
        Reach::Nowhere => false,
    }
}

fn passes(kind: CandidateKind, address: SocketAddr, of: &Seen, to: &Seen) -> bool {
    // The other kinds are the introducer's to give.
    if !matches!(kind, CandidateKind::Interface | CandidateKind::Mapped) || address.port() == 0 {
        return false;
    }
    match reach(address.ip()) {
        Reach::Public => of.ips.iter().any(|ip| is_same_holder(*ip, address.ip())),
        Reach::Private => share_public_address(of, to) || are_local(of, to),
        Reach::Loopback => are_local(of, to),
        Reach::LinkLocal | Reach::Nowhere => false,
    }
}

fn share_public_address(one: &Seen, other: &Seen) -> bool {
    let public = one.ips.iter().filter(|ip| reach(**ip) == Reach::Public);
    public.into_iter().any(|ip| other.ips.iter().any(|seen| is_same_holder(*ip, *seen)))
}

/// Returns whether the introducer sees both on its own machine or in private networks.
fn are_local(one: &Seen, other: &Seen) -> bool {
    [one, other].iter().all(|seen| matches!(reach(seen.observed.ip()), Reach::Private | Reach::Loopback))
}

/// Returns whether two addresses belong to one holder: the same IPv4 address, or the same /64.
fn is_same_holder(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V6(one), IpAddr::V6(other)) if !is_shared(one) => {
            one.to_bits() >> 64 == other.to_bits() >> 64
        }
        _ => one == other,
    }
}

/// Returns whether a /64 holds the IPv4 addresses of the whole world: NAT64 (RFC 6052 and 8215) and Teredo (RFC 4380).
fn is_shared(ip: Ipv6Addr) -> bool {
    matches!(ip.segments(), [0x64, 0xff9b, ..] | [0x2001, 0, ..])
}

/// The address as it travels: IPv4 where it is that, without scope and flow.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests;
