//! Which addresses of a party the other one is told (INTRODUCTIONS.md 4).
//!
//! An honest introducer sends nobody's punches to somebody who is not connected to it: what a party names counts only as far as the
//! introducer sees that party there, or sees both in the same place.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::address::Address;
use crate::introduction::reach::{Reach, reach};
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

/// Returns whether the observed address of one is of use to the other: a public one, or one in the same house.
pub(super) fn passes_observed(of: &Seen, to: &Seen) -> bool {
    match reach(of.observed.ip()) {
        Reach::Public => true,
        Reach::Private | Reach::Loopback => are_local(of, to),
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
        Reach::Nowhere => false,
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
pub(super) fn is_same_holder(one: IpAddr, other: IpAddr) -> bool {
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
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests;
