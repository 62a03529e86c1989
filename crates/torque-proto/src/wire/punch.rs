//! The datagrams that look after paths: punch, who_are_you and reset; and the message path_id (PATHS.md 2 and 3).

use super::{ParseError, Reader};

/// A datagram that opens, checks or keeps a path. Its tag is not judged here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Punch {
    /// Whether the connection's host sent it, and not its initiator.
    pub is_from_host: bool,
    /// Whether it belongs to a connection, and not to an introduction.
    pub is_of_connection: bool,
    /// The id of the connection or introduction, not 0.
    pub id: u64,
    /// What is to be echoed; 0 if nothing is asked.
    pub number: u64,
    /// The number of the punch that this one answers, or 0.
    pub echo: u64,
}

impl Punch {
    /// Bytes of the datagram.
    pub const BYTES: usize = Self::HEAD_BYTES + Self::TAG_BYTES;
    /// Bytes that the tag is over.
    pub const HEAD_BYTES: usize = 26;
    /// Bytes of the tag.
    pub const TAG_BYTES: usize = 16;

    const FIRST: u8 = 0x08;
    const FROM_HOST: u8 = 1;
    const OF_CONNECTION: u8 = 2;

    /// What the tag is over.
    pub fn head(&self) -> [u8; Self::HEAD_BYTES] {
        let mut head = [0; Self::HEAD_BYTES];
        head[0] = Self::FIRST;
        head[1] = u8::from(self.is_from_host) * Self::FROM_HOST
            + u8::from(self.is_of_connection) * Self::OF_CONNECTION;
        head[2..10].copy_from_slice(&self.id.to_be_bytes());
        head[10..18].copy_from_slice(&self.number.to_be_bytes());
        head[18..].copy_from_slice(&self.echo.to_be_bytes());
        head
    }

    /// The whole datagram.
    pub fn with_tag(&self, tag: [u8; Self::TAG_BYTES]) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..Self::HEAD_BYTES].copy_from_slice(&self.head());
        bytes[Self::HEAD_BYTES..].copy_from_slice(&tag);
        bytes
    }

    /// Reads a punch and its tag.
    ///
    /// # Errors
    /// [`ParseError::Kind`] or [`ParseError::Length`]; [`ParseError::Padding`] for an undefined flag; [`ParseError::Zero`] for
    /// an id of 0, or if it neither asks nor answers.
    pub fn parse(bytes: &[u8]) -> Result<(Self, [u8; Self::TAG_BYTES]), ParseError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != Self::FIRST {
            return Err(ParseError::Kind);
        }
        let flags = reader.u8()?;
        let (id, number, echo) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let tag = reader.array()?;
        reader.end()?;
        if flags & !(Self::FROM_HOST | Self::OF_CONNECTION) != 0 {
            return Err(ParseError::Padding);
        }
        if id == 0 || (number, echo) == (0, 0) {
            return Err(ParseError::Zero);
        }
        let (is_from_host, is_of_connection) =
            (flags & Self::FROM_HOST != 0, flags & Self::OF_CONNECTION != 0);
        Ok((Self { is_from_host, is_of_connection, id, number, echo }, tag))
    }
}

/// Asks who sends packets from an address where there is no connection.
pub const WHO_ARE_YOU: [u8; 1] = [0x09];

/// Bytes of a reset.
pub const RESET_BYTES: usize = 17;

const RESET: u8 = 0x0a;

/// Says that the host has lost a connection, by its reset token.
pub fn reset(token: [u8; 16]) -> [u8; RESET_BYTES] {
    let mut bytes = [RESET; RESET_BYTES];
    bytes[1..].copy_from_slice(&token);
    bytes
}

/// Reads a reset, and returns its token.
///
/// # Errors
/// [`ParseError::Kind`] or [`ParseError::Length`].
pub fn parse_reset(bytes: &[u8]) -> Result<[u8; 16], ParseError> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != RESET {
        return Err(ParseError::Kind);
    }
    let token = reader.array()?;
    reader.end()?;
    Ok(token)
}

/// Bytes of the body of a path_id.
pub const PATH_ID_BYTES: usize = 24;

/// The body of a path_id, which gives the connection another id, with its reset token.
pub fn path_id(id: u64, token: [u8; 16]) -> [u8; PATH_ID_BYTES] {
    let mut bytes = [0; PATH_ID_BYTES];
    bytes[..8].copy_from_slice(&id.to_be_bytes());
    bytes[8..].copy_from_slice(&token);
    bytes
}

/// Reads the body of a path_id, and returns the id and its reset token.
///
/// # Errors
/// [`ParseError::Length`]; [`ParseError::Zero`] for an id of 0.
pub fn parse_path_id(body: &[u8]) -> Result<(u64, [u8; 16]), ParseError> {
    let mut reader = Reader::new(body);
    let (id, token) = (reader.u64()?, reader.array()?);
    reader.end()?;
    if id == 0 { Err(ParseError::Zero) } else { Ok((id, token)) }
}

#[cfg(test)]
mod tests;
