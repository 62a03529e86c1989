//! Which shard owns a datagram.

use std::net::{IpAddr, SocketAddr};

use torque_proto::Address;

/// Constants of a well-known mixing function of 32 bits ("lowbias32"), in the order of their use.
pub(super) const MIX: [Mix; 5] =
    [Mix::Shift(16), Mix::Multiply(0x7feb_352d), Mix::Shift(15), Mix::Multiply(0x846c_a68b), Mix::Shift(16)];

/// One step of the mixing: every step is one that the kernel's packet filter can do as well.
#[derive(Clone, Copy)]
pub(super) enum Mix {
    /// `x ^= x >> n`
    Shift(u32),
    /// `x *= n`
    Multiply(u32),
}

/// The rule of one host: a datagram belongs to the shard that its source address and port name, and to nothing
/// else. So all datagrams of one remote meet one endpoint: its connections, its pending requests and the table of
/// its used tokens are in one place (PROTOCOL.md 5.2).
///
/// The rule spreads load; it protects nothing. Its multiplier is drawn for each host all the same, so that nobody
/// can choose, from the documentation, ports that all fall to one shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rule {
    shards: u32,
    multiplier: u32,
}

impl Rule {
    /// `random`: any number.
    pub(super) fn new(shards: u8, random: u32) -> Self {
        // Odd, so that multiplying loses nothing.
        Self { shards: u32::from(shards).max(1), multiplier: random | 1 }
    }

    pub(super) fn shards(&self) -> u32 {
        self.shards
    }

    #[cfg(any(target_os = "linux", test))]
    pub(super) fn multiplier(&self) -> u32 {
        self.multiplier
    }

    /// The number of the shard that owns datagrams from `remote`, below the number of shards. An IPv4 address
    /// written as IPv6 counts as IPv4, and a scope does not count, as for tokens (PROTOCOL.md 5.1).
    pub(crate) fn owner(&self, remote: Address) -> usize {
        let hash = match remote.socket_addr() {
            Some(SocketAddr::V4(v4)) => self.hash(&[v4.ip().to_bits()], v4.port()),
            Some(SocketAddr::V6(v6)) => match IpAddr::V6(*v6.ip()).to_canonical() {
                IpAddr::V4(ip) => self.hash(&[ip.to_bits()], v6.port()),
                IpAddr::V6(ip) => {
                    let bits = ip.to_bits();
                    let words = [96, 64, 32, 0].map(|shift| (bits >> shift) as u32);
                    self.hash(&words, v6.port())
                }
            },
            // Shards have UDP sockets, so this does not occur; any answer is a consistent one.
            None => 0,
        };
        (hash % self.shards) as usize
    }

    fn hash(&self, words: &[u32], port: u16) -> u32 {
        let sum = words.iter().fold(0_u32, |sum, word| sum.wrapping_add(*word).wrapping_mul(self.multiplier));
        MIX.iter().fold(sum.wrapping_add(port.into()), |x, step| match step {
            Mix::Shift(bits) => x ^ x >> bits,
            Mix::Multiply(factor) => x.wrapping_mul(*factor),
        })
    }
}

#[cfg(test)]
mod tests;
