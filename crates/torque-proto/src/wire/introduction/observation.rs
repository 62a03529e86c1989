//! What shows how a party's NAT behaves (INTRODUCTIONS.md 9.1).

use alloc::vec::Vec;

use super::bytes::{read_address, read_optional_address, write_address, write_optional_address};
use super::{MAX_TOKENS, Nat, Nats, ObserveToken, Observed, Tokens};
use crate::wire::{ParseError, Reader};

const OBSERVE: u8 = 0x0d;
/// Bytes of an *observe*.
pub const OBSERVE_BYTES: usize = 17;

/// The datagram *observe* with this token.
pub fn observe(token: &ObserveToken) -> [u8; OBSERVE_BYTES] {
    let mut bytes = [OBSERVE; OBSERVE_BYTES];
    bytes[1..].copy_from_slice(token);
    bytes
}

/// Reads the token of an *observe*.
///
/// # Errors
/// [`ParseError::Kind`]; [`ParseError::Length`].
pub fn parse_observe(bytes: &[u8]) -> Result<ObserveToken, ParseError> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != OBSERVE {
        return Err(ParseError::Kind);
    }
    let token = reader.array()?;
    reader.end()?;
    Ok(token)
}

/// Reads the body of a party's *tokens*: how many it wants, or 0 for a look at its NAT. The body is that one byte.
///
/// # Errors
/// [`ParseError::Length`]; [`ParseError::TooMany`] for more than [`MAX_TOKENS`].
pub fn parse_tokens_wanted(body: &[u8]) -> Result<u8, ParseError> {
    let mut reader = Reader::new(body);
    let wanted = reader.u8()?;
    reader.end()?;
    if usize::from(wanted) > MAX_TOKENS { Err(ParseError::TooMany) } else { Ok(wanted) }
}

impl Tokens {
    /// Reads the body of an introducer's *tokens*.
    ///
    /// # Errors
    /// [`ParseError::Length`]; [`ParseError::Zero`] for none; [`ParseError::TooMany`] for more than [`MAX_TOKENS`];
    /// [`ParseError::Unknown`] for a family of addresses that this version does not know.
    pub fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body);
        let second = read_optional_address(&mut reader)?;
        let count = usize::from(reader.u8()?);
        if count == 0 {
            return Err(ParseError::Zero);
        }
        if count > MAX_TOKENS {
            return Err(ParseError::TooMany);
        }
        let tokens = (0..count).map(|_| reader.array()).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self { second, tokens })
    }

    /// Appends the body. Tokens beyond [`MAX_TOKENS`] are left out.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_optional_address(self.second, out);
        let tokens = &self.tokens[..self.tokens.len().min(MAX_TOKENS)];
        out.push(tokens.len() as u8);
        tokens.iter().for_each(|token| out.extend_from_slice(token));
    }
}

impl Observed {
    /// Reads the body of an *observed*.
    ///
    /// # Errors
    /// [`ParseError::Length`]; [`ParseError::Unknown`] for another party, round or family of addresses than there is.
    pub fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body);
        let (whose, round, family) = (reader.u8()?, reader.u8()?, reader.u8()?);
        if whose > 1 || usize::from(round) >= MAX_TOKENS {
            return Err(ParseError::Unknown);
        }
        let address = read_address(family, &mut reader)?;
        reader.end()?;
        Ok(Self { is_other: whose == 1, round, address })
    }

    /// Appends the body.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[u8::from(self.is_other), self.round]);
        write_address(self.address, out);
    }
}

impl Nats {
    /// Reads the body of a *nats*. A stride is ignored unless the NAT has one.
    ///
    /// # Errors
    /// [`ParseError::Length`]; [`ParseError::Unknown`] for a NAT or family of addresses that this version does not know.
    pub fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body);
        let other = Nat::read_with_stride(&mut reader)?;
        let own = Nat::from_number(reader.u8()?, 0)?;
        let observed = read_optional_address(&mut reader)?;
        reader.end()?;
        Ok(Self { other, own, observed })
    }

    /// Appends the body.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.other.number(), self.other.stride(), self.own.number()]);
        write_optional_address(self.observed, out);
    }
}

#[cfg(test)]
mod tests;
