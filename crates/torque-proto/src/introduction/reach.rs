//! How far an IP address leads (INTRODUCTIONS.md 4 and 8).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The use of an IP address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// It is good everywhere.
    Public,
    /// It is good in one network: private, shared by a carrier's customers, or unique local.
    Private,
    /// It is good on one machine.
    Loopback,
    /// No party is punched there: link-local, unspecified, multicast, broadcast or reserved.
    Nowhere,
}

/// Tells how far an address leads.
pub(super) fn reach(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        IpAddr::V4(ip) => reach_v4(ip),
        IpAddr::V6(ip) => reach_v6(ip),
    }
}

fn reach_v4(ip: Ipv4Addr) -> Reach {
    match ip.octets() {
        // 224/4 is multicast, 240/4 reserved, with the broadcast address.
        [0 | 224.., ..] | [169, 254, ..] => Reach::Nowhere,
        [127, ..] => Reach::Loopback,
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
        // Link-local addresses, site-local ones, given up long ago, and multicast.
        [0xfe80..=0xffff, ..] => Reach::Nowhere,
        [0xfc00..=0xfdff, ..] => Reach::Private,
        _ => Reach::Public,
    }
}
