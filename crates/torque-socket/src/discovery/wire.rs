//! Questions and answers as bytes (PROTOCOL.md, B.1 and B.2).

use std::fmt;
use std::io;

use torque_proto::PublicKey;

/// Bytes of a question. No answer is longer, so nobody can have a host flood a third party.
pub(super) const QUESTION_BYTES: usize = 512;
const QUESTION: &[u8; 8] = b"?TqFind1";
const ANSWER: &[u8; 8] = b"!TqHere1";
const SERVICE_BYTES: usize = 32;
const KEY_TYPE_ED25519: u8 = 1;

/// A host's description of itself.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct HostInfo {
    /// Its name, at most 64 bytes.
    pub name: String,
    /// Players that are there.
    pub players: u16,
    /// Players that there is room for.
    pub max_players: u16,
    /// Anything else, at most 300 bytes.
    pub data: Vec<u8>,
}

impl HostInfo {
    /// The longest name, in bytes.
    pub const MAX_NAME: usize = 64;
    /// The longest data.
    pub const MAX_DATA: usize = 300;

    pub(super) fn check(&self) -> Result<(), DiscoveryError> {
        if self.name.len() > Self::MAX_NAME || self.name.contains(char::is_control) {
            return Err(DiscoveryError::BadName);
        }
        if self.data.len() > Self::MAX_DATA { Err(DiscoveryError::TooMuchData) } else { Ok(()) }
    }
}

/// A question, as written by [`Question::write`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Question {
    pub(super) id: [u8; 8],
    pub(super) service: String,
}

pub(super) fn check_service(service: &str) -> Result<(), DiscoveryError> {
    if (1..=SERVICE_BYTES).contains(&service.len()) { Ok(()) } else { Err(DiscoveryError::BadService) }
}

impl Question {
    pub(super) fn write(&self) -> [u8; QUESTION_BYTES] {
        let mut bytes = [0; QUESTION_BYTES];
        bytes[..8].copy_from_slice(QUESTION);
        bytes[8..16].copy_from_slice(&self.id);
        let length = self.service.len().min(SERVICE_BYTES);
        bytes[16] = length as u8;
        bytes[17..17 + length].copy_from_slice(&self.service.as_bytes()[..length]);
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; QUESTION_BYTES] = bytes.try_into().ok()?;
        let length = usize::from(bytes[16]);
        if bytes[..8] != *QUESTION || !(1..=SERVICE_BYTES).contains(&length) {
            return None;
        }
        // The zeros are checked, so that nobody can have this parsed as another protocol's message.
        if bytes[17 + length..].iter().any(|byte| *byte != 0) {
            return None;
        }
        let service = std::str::from_utf8(&bytes[17..17 + length]).ok()?.to_owned();
        Some(Self { id: bytes[8..16].try_into().ok()?, service })
    }
}

/// An answer, as written by [`Answer::write`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub(super) id: [u8; 8],
    pub(super) public_key: PublicKey,
    pub(super) info: HostInfo,
}

impl Answer {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(QUESTION_BYTES);
        bytes.extend_from_slice(ANSWER);
        bytes.extend_from_slice(&self.id);
        bytes.push(KEY_TYPE_ED25519);
        bytes.extend_from_slice(self.public_key.as_bytes());
        bytes.extend_from_slice(&self.info.players.to_be_bytes());
        bytes.extend_from_slice(&self.info.max_players.to_be_bytes());
        bytes.push(self.info.name.len() as u8);
        bytes.extend_from_slice(self.info.name.as_bytes());
        bytes.extend_from_slice(&(self.info.data.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&self.info.data);
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (id, rest) = rest.split_first_chunk::<8>()?;
        let (key_type, rest) = rest.split_first()?;
        let (key, rest) = rest.split_first_chunk::<32>()?;
        let (players, rest) = rest.split_first_chunk::<2>()?;
        let (max_players, rest) = rest.split_first_chunk::<2>()?;
        let (name_length, rest) = rest.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*name_length))?;
        let (data_length, data) = rest.split_first_chunk::<2>()?;
        if magic != ANSWER
            || *key_type != KEY_TYPE_ED25519
            || data.len() != usize::from(u16::from_be_bytes(*data_length))
        {
            return None;
        }
        let info = HostInfo {
            name: std::str::from_utf8(name).ok()?.to_owned(),
            players: u16::from_be_bytes(*players),
            max_players: u16::from_be_bytes(*max_players),
            data: data.to_vec(),
        };
        info.check().ok()?;
        Some(Self { id: *id, public_key: PublicKey::from_bytes(key).ok()?, info })
    }
}

/// Why discovery does not work.
#[derive(Debug)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The name of the service is empty or longer than 32 bytes.
    BadService,
    /// The host's name is longer than 64 bytes or has control characters.
    BadName,
    /// The data is longer than 300 bytes.
    TooMuchData,
    /// `0.0.0.0` or `[::]`: where a host listens, and no host's address.
    Unspecified,
    /// The operating system refused something.
    System {
        /// The step that failed.
        doing: &'static str,
        /// The operating system's error.
        error: io::Error,
    },
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadService => f.write_str("the name of a service is 1 to 32 bytes long"),
            Self::BadName => {
                f.write_str("the name of a host is at most 64 bytes long and has no control characters")
            }
            Self::TooMuchData => f.write_str("the data of a host is at most 300 bytes long"),
            Self::Unspecified => f.write_str(
                "0.0.0.0 and [::] are no host's address: use 127.0.0.1 or [::1] for a host on this machine",
            ),
            Self::System { doing, error } => write!(f, "{doing} failed: {error}"),
        }
    }
}

impl std::error::Error for DiscoveryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { error, .. } => Some(error),
            _ => None,
        }
    }
}
