//! Ranges of addresses.

use std::net::IpAddr;

/// The addresses that share their first bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    /// An address of the range.
    pub first: IpAddr,
    /// The number of shared bits.
    pub bits: u8,
}

impl Network {
    /// The addresses whose first `bits` equal those of `first`.
    pub const fn new(first: IpAddr, bits: u8) -> Self {
        Self { first, bits }
    }

    /// This range in IPv4, if all of it is IPv4-mapped.
    #[must_use]
    pub fn to_canonical(self) -> Self {
        let bits_of_v4 = self.bits.checked_sub(full_bits(self.first) - 32);
        match (self.first.to_canonical(), bits_of_v4) {
            (IpAddr::V4(first), Some(bits)) => Self::new(first.into(), bits),
            _ => self,
        }
    }

    /// Returns whether an address is in the range. IPv4-mapped addresses count as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.first, ip.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(ip)) => {
                same_bits(first.to_bits().into(), ip.to_bits().into(), 32, self.bits)
            }
            (IpAddr::V6(first), IpAddr::V6(ip)) => same_bits(first.to_bits(), ip.to_bits(), 128, self.bits),
            _ => false,
        }
    }

    /// Returns whether every address of `other` is in the range.
    pub fn covers(&self, other: &Self) -> bool {
        self.bits <= other.bits && self.contains(other.first)
    }
}

/// The length of an address in bits.
pub const fn full_bits(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn same_bits(a: u128, b: u128, of: u32, bits: u8) -> bool {
    (a ^ b).checked_shr(of.saturating_sub(bits.into())).unwrap_or(0) == 0
}
