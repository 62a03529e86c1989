//! The protocol between a lobby (`torque introduce`) and its clients (`torque host --via`, `torque connect --via`,
//! `torque nat`).
//!
//! A client connects to the lobby as to any host. All of them have the same application id (`--application`), because a client talks to
//! the lobby and to the other party with one socket. Its connect data is one line of ASCII with one space between words:
//!
//! | connect data | meaning |
//! | --- | --- |
//! | `torque lobby 1 host NAME` | Others may ask for this client by NAME, until its connection with the lobby ends. |
//! | `torque lobby 1 ask NAME` | Introduce me to the client with this name: I am the initiator, it is the host. |
//! | `torque lobby 1 look` | Look at my NAT, and nothing else. |
//!
//! A NAME has 1 to 64 ASCII letters, digits, `.`, `_` or `-`. Capitals are taken as small letters.
//!
//! 1. The lobby refuses the connection with a reason that people can read, or accepts it. Its accept data is `torque lobby 1` for `host` and `look`. For `ask`
//!    it is `NUMBER KEY`: the number of the connection between the lobby and the host, in decimal, and the host's public key (`tk1…`).
//! 2. When the connection of a host is established at the lobby, it has the name, and the lobby sends it the packet `registered`.
//! 3. When the connection of one that asks is established at the lobby, the lobby sends the host the packet `asked NUMBER KEY`, with the number of
//!    that connection and the key of the one that asks.
//! 4. The lobby calls `introduce`, and both clients call `connect_introduced` with the numbers that they were told.
//!
//! The lobby sends a packet again when the verdict is *dropped*, eight times at most.
//!
//! A name belongs to the key that registered it first, for as long as a connection with that key holds it. A later connection with the same key takes
//! the name over: the lobby closes the earlier one with the reason `taken over`, and that client does not come back by itself. A connection registers
//! one name, asks once, or looks.
//!
//! Other packets are ignored in both directions. A later version of the protocol has another number in place of 1, and a lobby refuses a
//! version that it does not know.
//!
//! The keys are the lobby's word. A client compares them with what it knows from elsewhere, or asks the person.

use std::fmt;
use std::str::FromStr;

use torque_socket::PublicKey;

/// The first words of every connect data.
const HEAD: &str = "torque lobby";
/// The version of the protocol.
const VERSION: &str = "1";
/// The first word of the packet to a host.
const ASKED: &str = "asked";

/// The word of one that has its NAT looked at.
const LOOK: &str = "look";

/// The accept data for a host, and for one that has its NAT looked at: this is a lobby.
pub const ACCEPTED: &str = "torque lobby 1";
/// The packet to a host that has the name now.
pub const REGISTERED: &str = "registered";
/// The reason with which the connection of a host is closed when another one with the same key has registered its name.
pub const TAKEN_OVER: &str = "taken over";

/// A name at a lobby.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Name(String);

impl Name {
    /// The most characters.
    pub const MAX: usize = 64;

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if text.is_empty() || text.len() > Self::MAX || !text.bytes().all(is_good) {
            return Err("a name has 1 to 64 letters (a to z), digits, dots, dashes or underscores".into());
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client wants of a lobby: its connect data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// To be found by this name.
    Host(Name),
    /// To be introduced to the client with this name.
    Ask(Name),
    /// To have its NAT looked at.
    Look,
}

impl Request {
    /// Reads connect data.
    ///
    /// # Errors
    /// The reason for the refusal.
    pub fn parse(connect_data: &[u8]) -> Result<Self, String> {
        let strange = || "this is a lobby: use `torque host --via` or `torque connect --via`".to_owned();
        let text = str::from_utf8(connect_data).map_err(|_| strange())?;
        let rest = text.strip_prefix(HEAD).and_then(|rest| rest.strip_prefix(' ')).ok_or_else(strange)?;
        let (version, rest) = rest.split_once(' ').ok_or_else(strange)?;
        if version != VERSION {
            return Err(format!(
                "this lobby speaks version {VERSION} of the lobby protocol only: update the older of the two programs"
            ));
        }
        match rest.split_once(' ') {
            Some(("host", name)) => Ok(Self::Host(name.parse()?)),
            Some(("ask", name)) => Ok(Self::Ask(name.parse()?)),
            None if rest == LOOK => Ok(Self::Look),
            _ => Err(strange()),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => write!(f, "{HEAD} {VERSION} host {name}"),
            Self::Ask(name) => write!(f, "{HEAD} {VERSION} ask {name}"),
            Self::Look => write!(f, "{HEAD} {VERSION} {LOOK}"),
        }
    }
}

/// The other party of an introduction, as a lobby names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Other {
    /// The number of its connection with the lobby, at the lobby.
    pub number: u32,
    /// Its key, by the lobby's word.
    pub key: PublicKey,
}

impl Other {
    /// Reads the accept data for `ask`. `None`: this is no answer of a lobby.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (number, key) = str::from_utf8(text).ok()?.split_once(' ')?;
        // `parse` alone would take a sign.
        let number = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())??;
        Some(Self { number, key: key.parse().ok()? })
    }

    /// Reads the packet to a host. `None`: it is another packet.
    pub fn parse_packet(payload: &[u8]) -> Option<Self> {
        Self::parse(payload.strip_prefix(ASKED.as_bytes())?.strip_prefix(b" ")?)
    }

    /// Returns the packet to a host.
    pub fn to_packet(self) -> String {
        format!("{ASKED} {self}")
    }
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use torque_socket::KeyPair;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let name: Name = "Pond-1".parse().unwrap();
        assert_eq!(name.as_str(), "pond-1");
        for request in [Request::Host(name.clone()), Request::Ask(name), Request::Look] {
            assert_eq!(Request::parse(request.to_string().as_bytes()), Ok(request));
        }
        let other = Other { number: u32::MAX, key: KeyPair::from_seed([1; 32]).public() };
        assert_eq!(Other::parse(other.to_string().as_bytes()), Some(other));
        assert_eq!(Other::parse_packet(other.to_packet().as_bytes()), Some(other));
    }

    #[test]
    fn names_are_short_printable_and_without_tricks() {
        let longest = "n".repeat(Name::MAX);
        for good in ["a", "POND", "1.2_3-", longest.as_str()] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        let too_long = "n".repeat(Name::MAX + 1);
        for bad in [
            "",
            " ",
            "a b",
            "a\n",
            "tk1@pond",
            "torque://pond",
            "#1",
            "böse",
            "a\u{202e}b",
            too_long.as_str(),
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn other_connect_data_is_refused_with_a_reason() {
        for (data, reason) in [
            (&b""[..], "this is a lobby"),
            (b"hello", "this is a lobby"),
            (b"torque lobby 1", "this is a lobby"),
            (b"torque lobby 1 own pond", "this is a lobby"),
            (b"torque lobby 1 look pond", "this is a lobby"),
            (b"torque lobby 2 host pond", "version 1"),
            (b"torque lobby 1 host", "this is a lobby"),
            (b"torque lobby 1 host ", "1 to 64"),
            (b"torque lobby 1 host a b", "1 to 64"),
            (b"torque lobby 1 ask \xff", "this is a lobby"),
        ] {
            let refused = Request::parse(data).unwrap_err();
            assert!(refused.contains(reason), "{data:?}: {refused}");
        }
    }

    #[test]
    fn answers_that_no_lobby_gives_are_not_taken() {
        let key = KeyPair::from_seed([1; 32]).public();
        for text in [String::new(), "1".into(), format!("+1 {key}"), format!(" {key}"), "1 tk1".into()] {
            assert_eq!(Other::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Other::parse_packet(format!("1 {key}").as_bytes()), None);
        assert_eq!(Other::parse_packet(format!("asked1 {key}").as_bytes()), None);
    }
}
