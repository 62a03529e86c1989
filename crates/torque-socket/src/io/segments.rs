//! Which destinations take runs of datagrams that the kernel cuts.

use std::collections::HashSet;

use torque_proto::Address;

/// The most destinations that are remembered for having refused a run. More than that are no exception any more.
const MAX_REFUSED: usize = 64;

/// The longest run of datagrams.
///
/// A kernel may refuse a run, and take its datagrams one by one: for lack of checksums in the network card, on a route
/// through IPsec, or by a rule of a firewall about lengths. Most of these concern some destinations only.
pub(super) struct Segments {
    most: usize,
    refused: HashSet<Address>,
}

impl Segments {
    /// `most`: the longest run that the kernel cuts; 1 where it does not.
    pub(super) fn new(most: usize) -> Self {
        Self { most, refused: HashSet::new() }
    }

    /// Datagrams of one run to `remote`.
    pub(super) fn at_most(&self, remote: &Address) -> usize {
        if self.refused.is_empty() || !self.refused.contains(remote) { self.most } else { 1 }
    }

    /// A run to `remote` was refused, and its datagrams were taken.
    pub(super) fn refused_to(&mut self, remote: Address) {
        self.refused.insert(remote);
        if self.refused.len() > MAX_REFUSED {
            self.most = 1;
            self.refused = HashSet::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_concerns_its_destination_until_there_are_many() {
        let address = Address::from_virtual;
        let mut segments = Segments::new(64);
        segments.refused_to(address(1));
        assert_eq!((segments.at_most(&address(1)), segments.at_most(&address(2))), (1, 64));
        for number in 2..=MAX_REFUSED as u64 {
            segments.refused_to(address(number));
        }
        assert_eq!(segments.at_most(&address(1_000)), 64);
        segments.refused_to(address(MAX_REFUSED as u64 + 1));
        assert_eq!(segments.at_most(&address(1_000)), 1, "a socket for which this is the rule");
        assert!(segments.refused.is_empty());
    }
}
