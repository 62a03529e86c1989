//! The addresses that a page cannot reach by a name, unless the operator lists the address itself (GATEWAY.md 4.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::policy::network::{Network, full_bits};

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Network {
    Network::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits)
}

const fn v6(segments: [u16; 8], bits: u8) -> Network {
    let [a, b, c, d, e, f, g, h] = segments;
    Network::new(IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), bits)
}

/// The ranges in IANA's registries of special-purpose addresses that are not global, plus multicast and reserved ranges.
const FORBIDDEN: &[Network] = &[
    v4(0, 0, 0, 0, 8),       // this network, unspecified
    v4(10, 0, 0, 0, 8),      // private
    v4(100, 64, 0, 0, 10),   // shared
    v4(127, 0, 0, 0, 8),     // loopback
    v4(169, 254, 0, 0, 16),  // link-local, metadata of clouds
    v4(172, 16, 0, 0, 12),   // private
    v4(192, 0, 0, 0, 24),    // protocol assignments
    v4(192, 0, 2, 0, 24),    // documentation
    v4(192, 88, 99, 0, 24),  // 6to4 relays
    v4(192, 168, 0, 0, 16),  // private
    v4(198, 18, 0, 0, 15),   // benchmarking
    v4(198, 51, 100, 0, 24), // documentation
    v4(203, 0, 113, 0, 24),  // documentation
    v4(224, 0, 0, 0, 4),     // multicast
    v4(240, 0, 0, 0, 4),     // reserved, broadcast
    v6([0; 8], 128),         // unspecified
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128),
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),  // NAT64 for local use
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64),      // discard
    v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64),      // dummy prefix
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),     // protocol assignments, Teredo with them
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),     // documentation
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16),     // segment routing
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),      // unique local
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),     // link-local
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),     // site-local
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),      // multicast
];

/// Returns whether an address is closed to pages. An IPv6 address that carries an IPv4 address is judged by both.
pub fn is_forbidden(ip: IpAddr) -> bool {
    let within = |ip: IpAddr| FORBIDDEN.iter().any(|network| network.contains(ip));
    let ip = ip.to_canonical();
    within(ip) || matches!(ip, IpAddr::V6(v6) if carried(v6).is_some_and(|v4| within(v4.into())))
}

/// Returns whether a range lies inside one forbidden range, so that listing it is a deliberate exception.
pub fn is_exception(network: &Network) -> bool {
    // A single address that carries a forbidden IPv4 address is one too.
    FORBIDDEN.iter().any(|forbidden| forbidden.covers(network))
        || (network.bits == full_bits(network.first) && is_forbidden(network.first))
}

/// The IPv4 address inside an IPv6 address: IPv4-compatible, translated (SIIT, NAT64) or 6to4. IPv4-mapped addresses are
/// IPv4 already.
fn carried(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = |bits: u128| Ipv4Addr::from_bits(bits as u32);
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => {
            Some(last(ip.to_bits()))
        }
        [0x2002, ..] => Some(last(ip.to_bits() >> 80)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_private_address_is_forbidden() {
        let forbidden = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "::10.1.2.3",
            "::ffff:0:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::5",
            "2002:c0a8:101::1",
            "100::1",
            "100:0:0:1::1",
            "2001::1",
            "2001:0:4136:e378::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
        ];
        for text in forbidden {
            assert!(is_forbidden(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_not_forbidden() {
        let public = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::1.1.1.1",
            "::ffff:1.1.1.1",
            "2002:101:101::1",
            "fbff::1",
        ];
        for text in public {
            assert!(!is_forbidden(text.parse().unwrap()), "{text}");
        }
    }
}
