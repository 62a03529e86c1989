//! The order in which the addresses of a name are asked.

use alloc::vec::Vec;

use crate::address::Address;

/// The addresses in the order in which they are asked: each once, and the families in turns, beginning with that of the
/// first, so that a family that leads nowhere costs one step. Unspecified addresses, with which some name servers answer
/// instead of not at all, are left out.
pub(super) fn interleaved(addresses: &[Address]) -> Vec<Address> {
    let mut families = [Vec::new(), Vec::new()];
    let mut first = None;
    for address in addresses {
        let ip = address.socket_addr().map(|address| address.ip());
        if ip.is_some_and(|ip| ip.is_unspecified()) {
            continue;
        }
        let is_v6 = ip.is_some_and(|ip| ip.is_ipv6());
        let family = &mut families[usize::from(is_v6 != *first.get_or_insert(is_v6))];
        if !family.contains(address) {
            family.push(*address);
        }
    }
    let mut turns = Vec::new();
    for turn in 0..addresses.len() {
        for family in &families {
            turns.extend(family.get(turn));
        }
    }
    turns
}

#[cfg(test)]
mod tests;
