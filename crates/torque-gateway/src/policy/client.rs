//! The addresses that count as one client (GATEWAY.md 4.3).

use std::net::{IpAddr, Ipv6Addr};

/// The network that a client certainly has: one IPv4 address, or the IPv6 addresses that share 64 bits.
pub fn network(ip: IpAddr) -> IpAddr {
    first_bits(ip, 64)
}

/// The largest network that one client may well have: one IPv4 address, or 48 bits of IPv6, which hold 65,536
/// [networks](network).
pub fn site(ip: IpAddr) -> IpAddr {
    first_bits(ip, 48)
}

fn first_bits(ip: IpAddr, bits_of_v6: u32) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !(u128::MAX >> bits_of_v6)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_has_a_network_and_a_site_an_ipv4_client_one_address() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let v6 = ip("2001:db8:1:2:3:4:5:6");
        assert_eq!((network(v6), site(v6)), (ip("2001:db8:1:2::"), ip("2001:db8:1::")));
        for v4 in ["192.0.2.1", "::ffff:192.0.2.1"] {
            assert_eq!((network(ip(v4)), site(ip(v4))), (ip("192.0.2.1"), ip("192.0.2.1")));
        }
    }
}
