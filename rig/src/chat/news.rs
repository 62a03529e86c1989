//! What the three of a chat say of themselves: lines of JSON from their processes, and lines for people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the three.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The introducer.
    Lobby,
    /// The initiator.
    Ann,
    /// The host.
    Ben,
}

impl Who {
    pub const PARTIES: [Self; 2] = [Self::Ann, Self::Ben];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Lobby => "lobby",
            Self::Ann => "ann",
            Self::Ben => "ben",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        [Self::Lobby, Self::Ann, Self::Ben].into_iter().find(|who| who.name() == name)
    }
}

/// A way that packets take.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Way {
    /// By the lobby.
    pub is_relayed: bool,
    pub remote: String,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_relayed {
            f.write_str("relayed by the lobby")
        } else {
            write!(f, "direct, to {}", self.remote)
        }
    }
}

/// Something that happened to one of them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum News {
    /// Of the lobby: it can be reached.
    Listening {
        key: String,
    },
    /// Of the lobby: a party is connected, and the lobby sees it at this address.
    Joined {
        party: Who,
        seen_at: String,
    },
    /// Of the lobby: it introduces the two.
    Introduces,
    /// Of the lobby: what the parties say came of it.
    Outcome {
        result: String,
    },
    /// The lobby has told the other party's key.
    Told {
        key: String,
    },
    /// Where the other party may be reachable.
    Candidates {
        addresses: Vec<String>,
    },
    /// The lobby would relay.
    Circuit,
    /// All punches until now.
    Punches {
        sent: u64,
        received: u64,
    },
    /// The other party's punches come from there, too.
    Source {
        address: String,
    },
    /// A punch to there was answered.
    Works {
        address: String,
    },
    Established {
        way: Way,
        after_ms: f64,
        round_trip_ms: Option<f64>,
    },
    PathChanged {
        way: Way,
        round_trip_ms: f64,
    },
    Says {
        text: String,
    },
    Hears {
        text: String,
        way: Way,
    },
    /// The other party's application has a line.
    Delivered {
        text: String,
        after_ms: f64,
    },
    /// It has not.
    Lost {
        text: String,
    },
    /// A connection has ended, with the lobby or with the other party.
    Closed {
        with: Who,
        code: String,
    },
}

fn round(ms: f64) -> String {
    format!("{ms:.1} ms")
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { key } => write!(f, "introduces whom it knows; its key is {key}"),
            Self::Joined { party, seen_at } => write!(f, "{} is here, seen at {seen_at}", party.name()),
            Self::Introduces => f.write_str("introduces the two"),
            Self::Outcome { result } => write!(f, "hears from them: {result}"),
            Self::Told { key } => write!(f, "is told the other's key, {key}"),
            Self::Candidates { addresses } => write!(f, "may find the other at {}", addresses.join(", ")),
            Self::Circuit => f.write_str("may use the lobby as a relay"),
            Self::Punches { sent, received } => write!(f, "punches: {sent} sent, {received} received"),
            Self::Source { address } => write!(f, "gets punches from {address}, too"),
            Self::Works { address } => write!(f, "has a direct path that works: {address}"),
            Self::Established { way, after_ms, round_trip_ms } => {
                write!(f, "is connected after {}, {way}", round(*after_ms))?;
                round_trip_ms.map_or(Ok(()), |ms| write!(f, " (round trip {})", round(ms)))
            }
            Self::PathChanged { way, round_trip_ms } => {
                write!(f, "takes another path: {way} (round trip {})", round(*round_trip_ms))
            }
            Self::Says { text } => write!(f, "says: {text}"),
            Self::Hears { text, way } => {
                write!(f, "hears: {text}  [{}]", if way.is_relayed { "relayed" } else { "direct" })
            }
            Self::Delivered { after_ms, .. } => {
                write!(f, "knows that it was heard, after {}", round(*after_ms))
            }
            Self::Lost { text } => write!(f, "knows that this was not heard: {text}"),
            Self::Closed { with, code } => {
                write!(f, "has no connection with {} any more: {code}", with.name())
            }
        }
    }
}
