//! From the first datagram to a connection's keys (PROTOCOL.md 4 and 5).
//!
//! Nothing here sends, waits or draws randomness: time, randomness and bytes are handed in, bytes to
//! send are appended to a `Vec<u8>`, and each wait names its deadline. Routing, tables and events are the
//! endpoint's. [`Host`] answers what needs no state and admits requests; an admitted request goes
//! [`Asking`] → [`Confirming`] | [`Refused`]. An [`Attempt`] is the initiator's side, from `connect` to keys.

mod attempt;
mod challenge;
mod epoch;
mod host;
mod host_pending;
mod initiator;
pub(crate) mod introduced;
mod load;
mod puzzle;
mod settle;
mod token;
mod transcript;

use core::time::Duration;

pub use self::challenge::Trust;
pub use self::epoch::EpochSecrets;
pub use self::puzzle::{PuzzleJob, PuzzleProgress};

pub(crate) use self::attempt::{
    Attempt, AttemptOptions, AttemptOutcome, Ended as AttemptEnded, Established, check_room,
};
pub(crate) use self::host::{Admission, Admitted, Host, NoChallenge, Occupancy, reject};
pub(crate) use self::host_pending::{Asking, Confirming, Refused};
pub(crate) use self::settle::Agreed;

use crate::config::Config;
use crate::connection;
use crate::crypto::Cipher;
use crate::crypto::keys::{ReceiveKeys, SendKeys};
use crate::crypto::rng::Rng;
use crate::crypto::secret::{ConnectionSecret, Direction};
use crate::error::CallError;
use crate::identity::{KeyPair, PublicKey};
use crate::instant::Instant;
use crate::stats::HandshakeStats;
use crate::wire::{MAX_INITIAL_SEQUENCE, MAX_SHORT_DATA};

/// The things that the endpoint lends to each call.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) config: &'a Config,
    pub(crate) key_pair: &'a KeyPair,
    pub(crate) rng: &'a mut Rng,
}

impl Context<'_> {
    fn initial_sequence(&mut self) -> u16 {
        self.rng.below(u64::from(MAX_INITIAL_SEQUENCE) + 1) as u16
    }
}

/// Why a handshake datagram came to nothing; each has a counter in [`Stats`](crate::Stats).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DropReason {
    /// The identity token is not ours for this address and these fields.
    FalseToken,
    /// The solution does not solve the puzzle.
    FalseSolution,
    /// The token was used before.
    ReplayedToken,
    /// Diffie-Hellman, a tag, an identity or the sealed payload is not right.
    HandshakeRejected,
    /// The introduction is not known.
    UnknownIntroduction,
    /// A request with the nonce of a pending one, but other content.
    ChangedRequest,
    /// A repeat that came within 50 ms of the last answer.
    TooSoon,
    /// Not for any attempt, or not for the state that it is in.
    Stray,
    /// A challenge_response that the attempt does not go on with.
    BadChallenge,
    /// A sealed answer that does not open.
    Forged,
}

/// At most 511 bytes: challenge response data, accept data, or the reason of a refusal or close.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ShortData<'a>(&'a [u8]);

impl<'a> ShortData<'a> {
    pub(crate) const EMPTY: ShortData<'static> = ShortData(&[]);

    /// # Errors
    /// `TooLarge` above 511 bytes.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, CallError> {
        if bytes.len() > MAX_SHORT_DATA {
            return Err(CallError::TooLarge { max: MAX_SHORT_DATA });
        }
        Ok(Self(bytes))
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0
    }
}

/// Which side of a connection this socket is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    Initiator,
    Host,
}

impl Role {
    /// The direction of what this side sends.
    pub(crate) fn sends(self) -> Direction {
        match self {
            Self::Initiator => Direction::FromInitiator,
            Self::Host => Direction::FromHost,
        }
    }

    /// The direction of what this side receives.
    pub(crate) fn receives(self) -> Direction {
        match self {
            Self::Initiator => Direction::FromHost,
            Self::Host => Direction::FromInitiator,
        }
    }
}

/// The result of a handshake, for the connection.
pub(crate) struct ConnectionParts {
    pub(crate) role: Role,
    pub(crate) secret: ConnectionSecret,
    pub(crate) cipher: Cipher,
    pub(crate) agreed: Agreed,
    /// Our initial_sequence, 0 to 4,095; the first packet has the next one.
    pub(crate) send_sequence: u16,
    /// The other side's initial_sequence.
    pub(crate) receive_sequence: u16,
    /// Names the connection in punches (PATHS.md 3); drawn by the host.
    pub(crate) connection_number: u64,
    /// PROTOCOL.md 5.8.
    pub(crate) reset_token: [u8; 16],
    /// The other side's identity.
    pub(crate) public_key: PublicKey,
    /// The figures of the handshake; at the host only what it can know.
    pub(crate) stats: HandshakeStats,
}

impl ConnectionParts {
    /// The parts of the connection. `rtt` is the first round-trip time; `unheard` is for the initiator.
    pub(crate) fn connection(
        &self,
        rtt: Option<Duration>,
        unheard: Option<connection::Unheard>,
    ) -> connection::Parts {
        let mut settings = self.agreed.settings;
        settings.max_packet_size = self.agreed.send_limit();
        let traffic = |direction| self.secret.traffic(direction);
        connection::Parts {
            send_keys: SendKeys::new(traffic(self.role.sends()), self.cipher, settings.tag_bytes),
            receive_keys: ReceiveKeys::new(traffic(self.role.receives()), self.cipher, settings.tag_bytes),
            cipher: self.cipher,
            settings,
            peer_ack_delay: self.agreed.remote_ack_delay,
            send_initial: u64::from(self.send_sequence),
            receive_initial: u64::from(self.receive_sequence),
            rtt,
            handshake: self.stats,
            unheard,
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod internals {
    //! For the golden vectors.
    pub(crate) use super::puzzle::{is_solution, puzzle_digest};
    pub(crate) use super::token::TokenClaims;
    pub(crate) use super::transcript::application_tag;
}
