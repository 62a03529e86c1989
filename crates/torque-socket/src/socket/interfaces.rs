//! The addresses of this machine that another party of an introduction may reach (INTRODUCTIONS.md 3, kind 1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::network::source_to;

/// The most addresses that a party names (INTRODUCTIONS.md 14).
const MOST: usize = 4;
/// Somewhere in the internet. Reserved for documentation: nobody has them.
const ELSEWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];
/// The end of an address that no machine of a network has (RFC 2526), in an IPv6 network of 64 bits.
const NOBODY: u64 = 0xfdff_ffff_ffff_ff80;

/// The addresses at which others may reach a socket that is bound to `bound`, at most [`MOST`], the most useful first.
/// `dual_stack`: an IPv6 socket takes IPv4 as well.
///
/// A link-local address is never among them: its zone differs on each machine. Loopback is, if there is nothing else: two
/// parties on a machine without a network find each other there. This asks the system for its list of interfaces, and from
/// where it would send; a few dozen system calls, which may take milliseconds on some systems, and nothing is sent.
pub(crate) fn interface_addresses(bound: SocketAddr, dual_stack: bool) -> Vec<SocketAddr> {
    let ip = bound.ip().to_canonical();
    let chosen = if ip.is_unspecified() {
        // Without a list there are no candidates of this kind. The introducer knows one of another kind.
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        let found: Vec<IpAddr> = interfaces
            .iter()
            .filter(|interface| interface.is_oper_up() || interface.is_loopback())
            .map(|interface| interface.ip())
            .filter(|ip| if ip.is_ipv4() { bound.is_ipv4() || dual_stack } else { bound.is_ipv6() })
            .collect();
        select(&found, |remote| source_to(SocketAddr::new(remote, 9), bound.ip())?)
    } else {
        select(&[ip], |_| Some(ip))
    };
    chosen.into_iter().map(|ip| SocketAddr::new(ip, bound.port())).collect()
}

/// Chooses among the addresses of all interfaces. `source` tells from which of them the system would send to an address.
///
/// The ones from which it sends to the internet come first, the others in the system's order. In each IPv6 network only
/// the one counts from which the system sends there: that is a temporary one (RFC 8981), if it has any and so that others
/// cannot recognise the machine, and never one that is about to expire.
fn select(found: &[IpAddr], source: impl Fn(IpAddr) -> Option<IpAddr>) -> Vec<IpAddr> {
    let usual = ELSEWHERE.map(&source);
    let mut chosen: Vec<IpAddr> = Vec::new();
    for ip in found.iter().copied().filter(is_candidate) {
        let is_preferred = match ip {
            IpAddr::V4(_) => true,
            // No way there is no reason against an address.
            IpAddr::V6(v6) => source(unused_beside(v6)).is_none_or(|source| source == ip),
        };
        if is_preferred && !chosen.contains(&ip) {
            chosen.push(ip);
        }
    }
    chosen.sort_by_key(|ip| !usual.contains(&Some(*ip)));
    if chosen.is_empty() {
        chosen.extend(found.iter().filter(|ip| ip.is_loopback()));
    }
    chosen.truncate(MOST);
    chosen
}

/// Returns whether another machine may be able to reach the address as it is written.
fn is_candidate(ip: &IpAddr) -> bool {
    let is_link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(is_link_local || ip.is_loopback() || ip.is_multicast() || ip.is_unspecified())
}

/// An address in the same network that no machine has.
fn unused_beside(ip: Ipv6Addr) -> IpAddr {
    Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64 | u128::from(NOBODY)).into()
}

#[cfg(test)]
mod tests;
