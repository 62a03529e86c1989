//! The addresses of this machine that others can use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The reach of an address, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reach {
    /// Other machines can reach it: an address of the internet or of a private network.
    Network,
    /// Only this machine can reach it.
    ThisMachine,
    /// Machines on the same link can reach it. Each must add a zone, the name of its own interface.
    ThisLink,
}

impl Reach {
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() => Self::ThisMachine,
            IpAddr::V4(v4) if v4.is_link_local() => Self::ThisLink,
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Self::ThisLink,
            _ => Self::Network,
        }
    }
}

/// The addresses of a socket that is bound to `local`, the most useful first. Never `0.0.0.0`, `[::]` or a link-local
/// address, because its zone differs elsewhere.
pub fn reachable(local: SocketAddr) -> Vec<SocketAddr> {
    if !local.ip().is_unspecified() {
        return vec![local];
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut found: Vec<IpAddr> = interfaces
        .iter()
        .map(|interface| interface.ip())
        // A socket that is bound to `[::]` receives both families.
        .filter(|ip| (ip.is_ipv4() || local.is_ipv6()) && Reach::of(*ip) != Reach::ThisLink)
        .collect();
    let usual = [usual_source(Ipv4Addr::UNSPECIFIED.into()), usual_source(Ipv6Addr::UNSPECIFIED.into())];
    found.sort_by_key(|ip| (Reach::of(*ip), !usual.contains(&Some(*ip)), ip.is_ipv6(), *ip));
    found.dedup();
    if found.first().is_some_and(|ip| Reach::of(*ip) == Reach::Network) {
        found.retain(|ip| Reach::of(*ip) == Reach::Network);
    }
    if found.is_empty() {
        found.push(Ipv4Addr::LOCALHOST.into());
    }
    found.into_iter().map(|ip| SocketAddr::new(ip, local.port())).collect()
}

/// The address from which this machine would send to the internet, if it has a route. Sends nothing.
fn usual_source(family: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((family, 0)).ok()?;
    // Reserved for documentation: nobody has it.
    let somewhere: IpAddr = match family {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    socket.connect((somewhere, 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_addresses_come_first_and_link_local_ones_last() {
        let mut all = ["fe80::1", "127.0.0.1", "192.168.1.7", "::1", "169.254.3.4", "fd00::1", "2001:db8::5"]
            .map(|text| text.parse::<IpAddr>().unwrap());
        all.sort_by_key(|ip| Reach::of(*ip));
        let reaches = all.map(Reach::of);
        assert_eq!(reaches[..3], [Reach::Network; 3]);
        assert_eq!(reaches[3..5], [Reach::ThisMachine; 2]);
        assert_eq!(reaches[5..], [Reach::ThisLink; 2]);
    }

    #[test]
    fn a_socket_for_all_addresses_is_reached_at_one_that_can_be_connected_to() {
        for local in ["0.0.0.0:7", "[::]:7"] {
            let reachable = reachable(local.parse().unwrap());
            assert!(!reachable.is_empty());
            for address in reachable {
                assert!(!address.ip().is_unspecified() && address.port() == 7, "{address}");
                assert_ne!(Reach::of(address.ip()), Reach::ThisLink);
            }
        }
        let bound: SocketAddr = "127.0.0.1:9".parse().unwrap();
        assert_eq!(reachable(bound), [bound]);
    }
}
