//! Counters of introductions.

/// Counters of an introducer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IntroducerStats {
    /// Requests taken.
    pub requests: u64,
    /// Introductions of which both parties were told.
    pub completed: u64,
    /// Requests that the application refused.
    pub refused: u64,
    /// Introductions that ended because a party did not ask in time.
    pub never_asked: u64,
    /// Introductions that ended because the application did not answer in time.
    pub undecided: u64,
    /// Introductions that ended because both parties were host or both initiator, or not what the application had said.
    pub role_conflicts: u64,
    /// Attempts that parties withdrew.
    pub withdrawn: u64,
    /// Introductions that the application had not approved, and that gave way to newer ones.
    pub gave_way: u64,
    /// Introductions that found no room.
    pub too_many: u64,
    /// Requests, and messages that ask for tokens, above the rate of a connection.
    pub too_many_requests: u64,
    /// Requests of an attempt that was answered, or that is about another party.
    pub stale_requests: u64,
    /// Messages of an attempt that is not known, or no longer.
    pub unknown_attempt: u64,
    /// Messages of a wrong shape.
    pub malformed: u64,
    /// Messages that nobody asked for, such as those that are the introducer's to send.
    pub unwanted: u64,
    /// Candidates of parties that were not passed on.
    pub vetted_away: u64,
    /// Changed candidates that were passed on.
    pub candidates_passed: u64,
    /// Changes of candidates that had to wait, because a connection had more than it may.
    pub candidates_delayed: u64,
    /// Looks at the NATs of parties.
    pub looks: u64,
    /// Looks that came to no conclusion: tokens were missing.
    pub nats_unknown: u64,
    /// NATs found whose port does not depend on the destination.
    pub nats_independent: u64,
    /// NATs found whose ports rise with each destination.
    pub nats_sequential: u64,
    /// NATs found whose ports cannot be foreseen.
    pub nats_unpredictable: u64,
    /// Tokens given to parties.
    pub tokens: u64,
    /// Messages that asked for tokens where none are given.
    pub tokens_refused: u64,
    /// Datagrams that showed where a token comes from.
    pub observes: u64,
    /// Copies of them.
    pub observes_repeated: u64,
    /// Datagrams with a token that is not known, or from or to an address that is not the token's.
    pub observes_refused: u64,
    /// Circuits granted.
    pub circuits: u64,
    /// Circuits that were not granted because there were too many.
    pub too_many_circuits: u64,
    /// Datagrams passed on.
    pub relayed: u64,
    /// Bytes of them.
    pub relayed_bytes: u64,
    /// Datagrams for a circuit that does not exist.
    pub unknown_circuit: u64,
    /// Datagrams of a size or kind that no circuit carries.
    pub not_relayable: u64,
    /// Datagrams above the rate of their circuit.
    pub throttled: u64,
    /// Datagrams of a circuit that had carried all that it may.
    pub used_up: u64,
    /// Datagrams above the budget of all circuits.
    pub over_budget: u64,
}

/// Counters of a socket as a party of introductions.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct PartyStats {
    /// Attempts begun.
    pub begun: u64,
    /// Other parties that were made known.
    pub introduced: u64,
    /// Attempts that ended without a connection.
    pub ended: u64,
    /// Messages of no attempt, or that are not laid out as they should be, or out of place.
    pub messages_ignored: u64,
    /// Introductions that cannot be true.
    pub introductions_refused: u64,
    /// Word that a circuit carried more than it may.
    pub circuits_throttled: u64,
    /// Punches sent.
    pub punches_sent: u64,
    /// Authentic punches.
    pub punches_received: u64,
    /// Answers left out: too many were asked for.
    pub answers_not_sent: u64,
    /// Runs begun against NATs that depend on the destination (INTRODUCTIONS.md 9.2).
    pub runs: u64,
    /// Runs that ended because a direct path was found.
    pub runs_met: u64,
    /// Punches of runs. Those in attempts are among `punches_sent`.
    pub run_punches: u64,
    /// Further ports opened for runs.
    pub ports_opened: u64,
    /// Punches left out by budgets.
    pub punches_not_sent: PunchesLeftOut,
}

/// Punches left out, by the budget that was spent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct PunchesLeftOut {
    /// Too many in a second.
    pub in_all: u64,
    /// Too many in a second because of one introducer.
    pub of_introducer: u64,
    /// Too many to one network.
    pub to_network: u64,
    /// To too many networks.
    pub networks: u64,
}
