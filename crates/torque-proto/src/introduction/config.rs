//! What an introducer allows, and what a party does.

use core::time::Duration;

/// When a party tries many ports against NATs that depend on the destination (INTRODUCTIONS.md 9.2): up to 4,096 punches to one address.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum HardNat {
    /// In an established connection over a circuit, if the other side's key was pinned or accepted by the application.
    /// The address is still the introducer's word: one that lies can do what is said at `Always` to those that it keeps on its circuits.
    #[default]
    Verified,
    /// As soon as nothing else has helped, on the introducer's word. One that lies can have this socket send 512 datagrams a second to an
    /// address of its choice, 4,096 of them in 10 minutes.
    Always,
    /// Never.
    Never,
}

/// Figures and limits of introductions (INTRODUCTIONS.md).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IntroductionConfig {
    /// Lets connected sockets ask to be introduced to one another (default false).
    pub introduces: bool,
    /// How long an introducer waits for the second party, and for its application (default 30 s, at most 10 minutes).
    pub wait: Duration,
    /// Introductions at an introducer that are under way, or kept for a while after (default 4,096).
    pub records: usize,
    /// How many of them one connection may have asked for (default 32).
    pub records_per_connection: usize,
    /// Circuits of an introducer at a time (default 1,024).
    pub circuits: usize,
    /// Bytes a second that all its circuits carry together (default 12,500,000).
    pub circuits_rate: u64,
    /// How long a party tries direct paths before it takes a circuit (default 2 s).
    pub circuit_after: Duration,
    /// How long a party looks for a path (default 25 s).
    pub path_wait: Duration,
    /// Tells introducers the addresses of this machine's interfaces (default true). They pass them on only to parties with the same
    /// public address.
    pub local_addresses: bool,
    /// When a party tries many ports, because the NATs depend on the destination (default: [`HardNat::Verified`]).
    pub hard_nat: HardNat,
    /// Further ports that a party may open for that, and to have its NAT looked at (default 256). 0 for drivers that cannot open any.
    /// Each takes a descriptor for up to 35 s, in an attempt as long as that lasts, and the one that is used as long as its connection;
    /// some systems give a process 256 of them unless it asks for more.
    pub further_ports: usize,
    /// Punches nobody first, and only answers the punches that come (default false): for a socket behind a gateway, which opens the
    /// way only to where something has come from (INTRODUCTIONS.md 11). Two such parties need a circuit.
    pub answers_only: bool,
    /// Attempts of a party that are under way at a time, and how many it may begin in a minute (default 64).
    pub attempts: usize,
}

impl Default for IntroductionConfig {
    fn default() -> Self {
        Self {
            introduces: false,
            wait: Duration::from_secs(30),
            records: 4_096,
            records_per_connection: 32,
            circuits: 1_024,
            circuits_rate: 12_500_000,
            circuit_after: Duration::from_secs(2),
            path_wait: Duration::from_secs(25),
            local_addresses: true,
            hard_nat: HardNat::default(),
            further_ports: 256,
            answers_only: false,
            attempts: 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn an_introducer_waits_ten_minutes_at_most() {
        let waits = |seconds| {
            Config::default().with(|config| config.introduction.wait = Duration::from_secs(seconds))
        };
        assert!(waits(600).validate().is_ok() && waits(601).validate().is_err());
    }
}
