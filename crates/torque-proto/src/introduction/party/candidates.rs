//! The addresses of the other party that are punched, in their order (INTRODUCTIONS.md 4 and 8.2).
//!
//! An introducer vets what parties name. What is never right is left out here as well: the introducer itself may lie.

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::address::Address;
use crate::introduction::reach::{Reach, reach};
use crate::wire::introduction::{Candidate, MAX_CANDIDATES};

/// The candidates that are worth a punch, each once: private ones first, otherwise as they came.
pub(super) fn in_order(candidates: &[Candidate]) -> Vec<SocketAddr> {
    let mut usable: Vec<SocketAddr> = Vec::new();
    for candidate in candidates.iter().take(MAX_CANDIDATES) {
        // An IPv4 address has several forms.
        let Some(address) = Address::from(candidate.address).socket_addr() else { continue };
        if address.port() != 0 && reach(address.ip()) != Reach::Nowhere && !usable.contains(&address) {
            usable.push(address);
        }
    }
    usable.sort_by_key(|address| !matches!(reach(address.ip()), Reach::Private | Reach::Loopback));
    usable
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::wire::introduction::CandidateKind;

    fn candidates(addresses: &[&str]) -> Vec<Candidate> {
        let all = addresses.iter().map(|text| text.parse().unwrap());
        all.map(|address| Candidate { kind: CandidateKind::Observed, address }).collect()
    }

    #[test]
    fn addresses_that_are_no_single_socket_are_never_punched() {
        let never = [
            "224.0.0.1:5000",
            "255.255.255.255:5000",
            "0.0.0.0:5000",
            "0.1.2.3:5000",
            "169.254.1.1:5000",
            "203.0.113.1:0",
            "[ff02::1]:5000",
            "[::]:5000",
            "[fe80::1]:5000",
            "[2001:db8::1]:0",
            "240.0.0.1:5000",
            "[fec0::1]:5000",
            "[::ffff:224.0.0.1]:5000",
            "[::ffff:0.0.0.0]:5000",
            "[::ffff:169.254.1.1]:5000",
        ];
        for address in never {
            assert_eq!(in_order(&candidates(&[address])), vec![], "{address}");
        }
    }

    #[test]
    fn private_addresses_come_first_and_each_address_once() {
        let all = ["203.0.113.1:5", "10.0.0.1:5", "[2001:db8::1]:5", "100.64.0.1:5", "[fd00::1]:5"];
        let order = ["10.0.0.1:5", "100.64.0.1:5", "[fd00::1]:5", "203.0.113.1:5", "[2001:db8::1]:5"];
        let order: Vec<SocketAddr> = order.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(in_order(&candidates(&all)), order);
        assert_eq!(in_order(&candidates(&["1.2.3.4:5", "[::ffff:1.2.3.4]:5", "1.2.3.4:5"])).len(), 1);
    }
}
