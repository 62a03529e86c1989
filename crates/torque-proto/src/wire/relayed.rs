//! Datagrams on a circuit (INTRODUCTIONS.md 2 and 10).

use super::{ParseError, Reader};

/// Bytes of a *relayed* before the datagram inside.
pub const RELAYED_HEAD_BYTES: usize = 5;
/// The longest datagram inside a *relayed*, in bytes.
pub const MAX_RELAYED: usize = 1_227;

const RELAYED: u8 = 0x0e;

/// The bytes before the datagram inside: this circuit carries it. The number is the one that the party has for it, not 0.
pub fn relayed_head(circuit: u32) -> [u8; RELAYED_HEAD_BYTES] {
    let mut head = [RELAYED; RELAYED_HEAD_BYTES];
    head[1..].copy_from_slice(&circuit.to_be_bytes());
    head
}

/// Reads a *relayed*: the number of its circuit, and the datagram inside. That one is not judged here.
///
/// # Errors
/// [`ParseError::Kind`]; [`ParseError::Length`] unless 1 to [`MAX_RELAYED`] bytes are inside; [`ParseError::Zero`] for circuit 0.
pub fn parse_relayed(bytes: &[u8]) -> Result<(u32, &[u8]), ParseError> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != RELAYED {
        return Err(ParseError::Kind);
    }
    let circuit = reader.u32()?;
    let inner = reader.rest();
    if inner.is_empty() || inner.len() > MAX_RELAYED {
        return Err(ParseError::Length);
    }
    if circuit == 0 { Err(ParseError::Zero) } else { Ok((circuit, inner)) }
}

/// Returns whether an introducer passes on a datagram that begins with this byte: those of the handshake, punches and packets.
pub const fn is_relayable(first: u8) -> bool {
    matches!(first, 0x01..=0x08 | 0x80..)
}

#[cfg(test)]
mod tests;
