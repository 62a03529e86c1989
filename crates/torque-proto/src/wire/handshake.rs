//! The messages of the handshake (PROTOCOL.md 4).

use alloc::vec::Vec;

use super::{AcceptPayload, PROTOCOL_VERSION, ParseError, Reader, RefusePayload, RequestPayload};
use crate::codes::RejectCode;
use crate::crypto::Cipher;

/// Bytes of a challenge_request.
pub const CHALLENGE_REQUEST_BYTES: usize = 768;
/// No handshake datagram is longer.
pub const MAX_HANDSHAKE_BYTES: usize = 1_200;
/// The most bytes of challenge_response_data, accept_data and close reasons.
pub const MAX_SHORT_DATA: usize = 511;
/// The most bytes of introduced data, before they are sealed.
pub const MAX_INTRODUCED_DATA: usize = 480;
/// The most bytes of connect_data and extensions together, three for the head of each extension included.
pub const MAX_CONNECT_DATA: usize = 1_000;
/// The highest initial sequence.
pub const MAX_INITIAL_SEQUENCE: u16 = 4_095;
/// Bytes of a connect_refuse or connect_pending before what is sealed.
pub const REPLY_HEADER_BYTES: usize = 33;
/// Bytes of a connect_accept before what is sealed.
pub const ACCEPT_HEADER_BYTES: usize = REPLY_HEADER_BYTES + 32;
/// The key type of Ed25519 identities.
pub const KEY_TYPE_ED25519: u8 = 1;

const MAGIC: &[u8; 8] = b"TorqueSk";
const TAG: usize = 16;

fn check_kind(reader: &mut Reader<'_>, first: u8) -> Result<(), ParseError> {
    if reader.u8()? == first { Ok(()) } else { Err(ParseError::Kind) }
}

pub(super) fn check_length(bytes: &[u8], least: usize, most: usize) -> Result<(), ParseError> {
    if (least..=most).contains(&bytes.len()) { Ok(()) } else { Err(ParseError::Length) }
}

/// Version and nonce of a message, which stand in this order in every version.
fn check_version(version: u8, initiator_nonce: [u8; 16]) -> Result<(), ParseError> {
    if version == PROTOCOL_VERSION { Ok(()) } else { Err(ParseError::Version { version, initiator_nonce }) }
}

/// The ciphers that an initiator offers, best first: one to four distinct numbers, of which some may be
/// unknown to this version (they are kept, as the transcript covers them).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Offers([u8; 4]);

impl Offers {
    /// All ciphers, in the order of [`Cipher::DEFAULT_OFFER`].
    pub const DEFAULT: Self = {
        let [first, second, third] = Cipher::DEFAULT_OFFER;
        Self([first.number(), second.number(), third.number(), 0])
    };

    /// The offer of these ciphers; `None` if there are none, more than four, or one twice.
    pub fn new(ciphers: &[Cipher]) -> Option<Self> {
        let mut numbers = [0; 4];
        for (number, cipher) in numbers.iter_mut().zip(ciphers) {
            *number = cipher.number();
        }
        (ciphers.len() <= numbers.len()).then(|| Self::from_bytes(numbers).ok()).flatten()
    }

    /// Reads the four bytes.
    ///
    /// # Errors
    /// [`ParseError::Offers`].
    pub fn from_bytes(bytes: [u8; 4]) -> Result<Self, ParseError> {
        let count = bytes.iter().take_while(|number| **number != 0).count();
        let (offered, padding) = bytes.split_at(count);
        let distinct = offered.iter().enumerate().all(|(i, number)| !offered[..i].contains(number));
        if count > 0 && distinct && padding.iter().all(|byte| *byte == 0) {
            Ok(Self(bytes))
        } else {
            Err(ParseError::Offers)
        }
    }

    /// The four bytes.
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0
    }

    /// The numbers, best first.
    pub fn numbers(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().copied().take_while(|number| *number != 0)
    }

    /// The first offered cipher that is among `allowed`.
    pub fn choose(&self, allowed: &[Cipher]) -> Option<Cipher> {
        self.numbers().filter_map(Cipher::from_number).find(|cipher| allowed.contains(cipher))
    }

    /// Returns whether this number is offered.
    pub fn contains(&self, number: u8) -> bool {
        self.numbers().any(|offered| offered == number)
    }
}

/// 4.1: an initiator asks for a challenge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChallengeRequest {
    /// Random, fresh for each attempt.
    pub initiator_nonce: [u8; 16],
    /// Stands for the application id (3.2).
    pub application_tag: [u8; 8],
    /// The ciphers offered.
    pub offers: Offers,
    /// 0 if there was no introduction.
    pub introduction_id: u64,
}

impl ChallengeRequest {
    /// Reads a challenge_request; its size, magic and zeros are checked.
    ///
    /// # Errors
    /// [`ParseError::Version`] names another version, of which only size, magic and nonce were looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(bytes);
        check_kind(&mut reader, 0x01)?;
        check_length(bytes, CHALLENGE_REQUEST_BYTES, CHALLENGE_REQUEST_BYTES)?;
        if reader.array()? != *MAGIC {
            return Err(ParseError::Magic);
        }
        let version = reader.u8()?;
        let initiator_nonce = reader.array()?;
        check_version(version, initiator_nonce)?;
        let application_tag = reader.array()?;
        let offers = reader.array()?;
        let introduction_id = reader.u64()?;
        // Without an early exit, which would cost one step for each byte.
        if reader.rest().iter().fold(0, |all, byte| all | byte) != 0 {
            return Err(ParseError::Padding);
        }
        let offers = Offers::from_bytes(offers)?;
        Ok(Self { initiator_nonce, application_tag, offers, introduction_id })
    }

    /// Appends the datagram.
    pub fn write(&self, out: &mut Vec<u8>) {
        let end = out.len() + CHALLENGE_REQUEST_BYTES;
        out.push(0x01);
        out.extend_from_slice(MAGIC);
        out.push(PROTOCOL_VERSION);
        out.extend_from_slice(&self.initiator_nonce);
        out.extend_from_slice(&self.application_tag);
        out.extend_from_slice(&self.offers.to_bytes());
        out.extend_from_slice(&self.introduction_id.to_be_bytes());
        out.resize(end, 0);
    }
}

/// 4.2: the host shows its key, its data and the puzzle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChallengeResponse<'a> {
    /// Echoed.
    pub initiator_nonce: [u8; 16],
    /// When the epoch began, milliseconds since 1970-01-01 by the host's clock.
    pub epoch_start: u64,
    /// X25519 public key of the epoch.
    pub epoch_key: [u8; 32],
    /// The signature of the host's identity over the fields that 5.2 lists.
    pub signature: [u8; 64],
    /// To be sent back.
    pub identity_token: [u8; 16],
    /// Bits of puzzle.
    pub difficulty: u8,
    /// Number of the cipher chosen, as it came.
    pub cipher: u8,
    /// The host's Ed25519 key, as it came (3.1 has not been checked).
    pub host_key: [u8; 32],
    /// challenge_response_data, at most [`MAX_SHORT_DATA`] bytes.
    pub data: &'a [u8],
    /// In an introduced handshake (INTRODUCTIONS.md 7): the introduced data, sealed, 16 to 496 bytes.
    pub introduced_data: Option<&'a [u8]>,
}

impl<'a> ChallengeResponse<'a> {
    /// Bytes without the data.
    pub const HEAD_BYTES: usize = 175;
    /// The longest datagram, which has introduced data.
    pub const MAX_BYTES: usize =
        Self::HEAD_BYTES + MAX_SHORT_DATA + size_of::<u16>() + MAX_INTRODUCED_DATA + TAG;

    /// Reads a challenge_response.
    ///
    /// # Errors
    /// [`ParseError::Version`] and [`ParseError::KeyType`] tell the attempt that the datagram belongs to.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(bytes);
        check_kind(&mut reader, 0x02)?;
        let version = reader.u8()?;
        let initiator_nonce = reader.array()?;
        check_version(version, initiator_nonce)?;
        let epoch_start = reader.u64()?;
        let epoch_key = reader.array()?;
        let signature = reader.array()?;
        let identity_token = reader.array()?;
        let difficulty = reader.u8()?;
        let cipher = reader.u8()?;
        let key_type = reader.u8()?;
        if key_type != KEY_TYPE_ED25519 {
            return Err(ParseError::KeyType { key_type, initiator_nonce });
        }
        let host_key = reader.array()?;
        let data = reader.counted()?;
        check_length(data, 0, MAX_SHORT_DATA)?;
        let introduced_data = if reader.is_empty() { None } else { Some(reader.counted()?) };
        if let Some(sealed) = introduced_data {
            check_length(sealed, TAG, MAX_INTRODUCED_DATA + TAG)?;
        }
        reader.end()?;
        Ok(Self {
            initiator_nonce,
            epoch_start,
            epoch_key,
            signature,
            identity_token,
            difficulty,
            cipher,
            host_key,
            data,
            introduced_data,
        })
    }

    /// Appends the datagram. Data beyond their limits are cut off: callers check.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(0x02);
        out.push(PROTOCOL_VERSION);
        out.extend_from_slice(&self.initiator_nonce);
        out.extend_from_slice(&self.epoch_start.to_be_bytes());
        out.extend_from_slice(&self.epoch_key);
        out.extend_from_slice(&self.signature);
        out.extend_from_slice(&self.identity_token);
        out.push(self.difficulty);
        out.push(self.cipher);
        out.push(KEY_TYPE_ED25519);
        out.extend_from_slice(&self.host_key);
        write_counted(out, self.data, MAX_SHORT_DATA);
        if let Some(sealed) = self.introduced_data {
            write_counted(out, sealed, MAX_INTRODUCED_DATA + TAG);
        }
    }
}

/// 4.3: an initiator asks to connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectRequest<'a> {
    /// The attempt's nonce.
    pub initiator_nonce: [u8; 16],
    /// The first four bytes of the epoch key.
    pub epoch_tag: [u8; 4],
    /// As received.
    pub identity_token: [u8; 16],
    /// As received.
    pub difficulty: u8,
    /// As received.
    pub cipher: u8,
    /// As in the challenge_request.
    pub offers: Offers,
    /// 0 if there was no introduction.
    pub introduction_id: u64,
    /// `e ‖ sealed_s ‖ sealed_p` (3.2), at least [`Self::MIN_NOISE`], at most [`Self::MAX_NOISE`] bytes.
    pub noise: &'a [u8],
    /// The puzzle's solution X (5.3).
    pub solution: [u8; 8],
}

impl<'a> ConnectRequest<'a> {
    /// Where the Noise message begins.
    pub const NOISE_OFFSET: usize = 52;
    /// Bytes of the solution, which is the end of the datagram.
    pub const SOLUTION_BYTES: usize = 8;
    /// The shortest Noise message.
    pub const MIN_NOISE: usize = 32 + 48 + RequestPayload::HEAD_BYTES + TAG;
    /// The longest Noise message.
    pub const MAX_NOISE: usize = Self::MIN_NOISE + MAX_CONNECT_DATA;
    /// The shortest datagram.
    pub const MIN_BYTES: usize = Self::NOISE_OFFSET + Self::MIN_NOISE + Self::SOLUTION_BYTES;
    /// The longest datagram.
    pub const MAX_BYTES: usize = Self::NOISE_OFFSET + Self::MAX_NOISE + Self::SOLUTION_BYTES;

    /// Reads a connect_request.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(bytes);
        check_kind(&mut reader, 0x03)?;
        let version = reader.u8()?;
        let initiator_nonce = reader.array()?;
        check_version(version, initiator_nonce)?;
        check_length(bytes, Self::MIN_BYTES, Self::MAX_BYTES)?;
        let epoch_tag = reader.array()?;
        let identity_token = reader.array()?;
        let difficulty = reader.u8()?;
        let cipher = reader.u8()?;
        let offers = Offers::from_bytes(reader.array()?)?;
        let introduction_id = reader.u64()?;
        let (noise, solution) = reader.rest().split_last_chunk().ok_or(ParseError::Length)?;
        Ok(Self {
            initiator_nonce,
            epoch_tag,
            identity_token,
            difficulty,
            cipher,
            offers,
            introduction_id,
            noise,
            solution: *solution,
        })
    }

    /// Appends the datagram. A Noise message beyond [`Self::MAX_NOISE`] is cut off: callers check.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(0x03);
        out.push(PROTOCOL_VERSION);
        out.extend_from_slice(&self.initiator_nonce);
        out.extend_from_slice(&self.epoch_tag);
        out.extend_from_slice(&self.identity_token);
        out.push(self.difficulty);
        out.push(self.cipher);
        out.extend_from_slice(&self.offers.to_bytes());
        out.extend_from_slice(&self.introduction_id.to_be_bytes());
        out.extend_from_slice(&self.noise[..self.noise.len().min(Self::MAX_NOISE)]);
        out.extend_from_slice(&self.solution);
    }
}

/// 4.4: the host accepts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectAccept<'a> {
    /// The attempt's nonce.
    pub initiator_nonce: [u8; 16],
    /// Drawn by the host for this request.
    pub host_salt: [u8; 16],
    /// E2: the host's X25519 key for this connection (3.3).
    pub e2: [u8; 32],
    /// The sealed text with its tag.
    pub sealed: &'a [u8],
}

impl<'a> ConnectAccept<'a> {
    /// The shortest datagram.
    pub const MIN_BYTES: usize = ACCEPT_HEADER_BYTES + AcceptPayload::HEAD_BYTES + TAG;
    /// The longest datagram.
    pub const MAX_BYTES: usize = Self::MIN_BYTES + MAX_SHORT_DATA;

    /// Reads a connect_accept.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(bytes);
        check_kind(&mut reader, 0x04)?;
        check_length(bytes, Self::MIN_BYTES, Self::MAX_BYTES)?;
        Ok(Self {
            initiator_nonce: reader.array()?,
            host_salt: reader.array()?,
            e2: reader.array()?,
            sealed: reader.rest(),
        })
    }

    /// Offsets 0 to 64: the associated data of what is sealed.
    pub fn header(&self) -> [u8; ACCEPT_HEADER_BYTES] {
        let mut header = [0; ACCEPT_HEADER_BYTES];
        header[0] = 0x04;
        header[1..17].copy_from_slice(&self.initiator_nonce);
        header[17..33].copy_from_slice(&self.host_salt);
        header[33..].copy_from_slice(&self.e2);
        header
    }

    /// Appends the datagram.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.header());
        out.extend_from_slice(self.sealed);
    }
}

/// Which of the replies without a connection it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReplyKind {
    /// 4.5
    Refuse,
    /// 4.6
    Pending,
}

impl ReplyKind {
    const fn from_first_byte(first: u8) -> Option<Self> {
        match first {
            0x05 => Some(Self::Refuse),
            0x06 => Some(Self::Pending),
            _ => None,
        }
    }

    const fn first_byte(self) -> u8 {
        match self {
            Self::Refuse => 0x05,
            Self::Pending => 0x06,
        }
    }

    /// The least and the most bytes of what is sealed, tag included.
    pub(super) const fn sealed_bytes(self) -> (usize, usize) {
        let (head, data) = match self {
            Self::Refuse => (RefusePayload::HEAD_BYTES, MAX_SHORT_DATA),
            Self::Pending => (0, 0),
        };
        (head + TAG, head + data + TAG)
    }
}

/// 4.5 and 4.6: connect_refuse and connect_pending.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedReply<'a> {
    /// Which of the two.
    pub kind: ReplyKind,
    /// The attempt's nonce.
    pub initiator_nonce: [u8; 16],
    /// Drawn by the host for this request.
    pub host_salt: [u8; 16],
    /// The sealed text with its tag.
    pub sealed: &'a [u8],
}

impl<'a> SealedReply<'a> {
    /// Reads one of the two.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(bytes);
        let kind = ReplyKind::from_first_byte(reader.u8()?).ok_or(ParseError::Kind)?;
        let initiator_nonce = reader.array()?;
        let host_salt = reader.array()?;
        let sealed = reader.rest();
        let (least, most) = kind.sealed_bytes();
        check_length(sealed, least, most)?;
        Ok(Self { kind, initiator_nonce, host_salt, sealed })
    }

    /// Offsets 0 to 32: the associated data of what is sealed.
    pub fn header(&self) -> [u8; REPLY_HEADER_BYTES] {
        let mut header = [0; REPLY_HEADER_BYTES];
        header[0] = self.kind.first_byte();
        header[1..17].copy_from_slice(&self.initiator_nonce);
        header[17..].copy_from_slice(&self.host_salt);
        header
    }

    /// Appends the datagram.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.header());
        out.extend_from_slice(self.sealed);
    }
}

/// 4.7: a hint that is not authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reject {
    /// The newest version that the sender speaks.
    pub version: u8,
    /// Echoed.
    pub initiator_nonce: [u8; 16],
    /// Why.
    pub code: RejectCode,
}

impl Reject {
    /// Bytes of a reject.
    pub const BYTES: usize = 19;

    /// Reads a reject, of whatever version.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(bytes);
        check_kind(&mut reader, 0x07)?;
        let version = reader.u8()?;
        let initiator_nonce = reader.array()?;
        let code = RejectCode::from_number(reader.u8()?).ok_or(ParseError::RejectCode)?;
        reader.end()?;
        Ok(Self { version, initiator_nonce, code })
    }

    /// Appends the datagram.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(0x07);
        out.push(self.version);
        out.extend_from_slice(&self.initiator_nonce);
        out.push(self.code.number());
    }
}

/// A byte string with its length, two bytes, before it.
pub(super) fn write_counted(out: &mut Vec<u8>, bytes: &[u8], most: usize) {
    debug_assert!(bytes.len() <= most, "{} bytes where {most} have room", bytes.len());
    let bytes = &bytes[..bytes.len().min(most)];
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
