//! Probes, which ask whether a socket receives at an address, and their echoes (PROTOCOL.md 4.9).

use super::{ParseError, Reader};

/// Bytes of a probe, and of its echo.
pub const PROBE_BYTES: usize = 17;

const PROBE: u8 = 0x0b;
const PROBE_ECHO: u8 = 0x0c;

/// Makes a probe. Its nonce is random, so only the sender and those who receive the probe know it.
pub fn probe(nonce: [u8; 16]) -> [u8; PROBE_BYTES] {
    write(PROBE, nonce)
}

/// The answer to a probe with this nonce.
pub fn probe_echo(nonce: [u8; 16]) -> [u8; PROBE_BYTES] {
    write(PROBE_ECHO, nonce)
}

/// Reads a probe, and returns its nonce.
///
/// # Errors
/// [`ParseError::Kind`] or [`ParseError::Length`].
pub fn parse_probe(bytes: &[u8]) -> Result<[u8; 16], ParseError> {
    parse(PROBE, bytes)
}

/// Reads the echo of a probe, and returns its nonce.
///
/// # Errors
/// [`ParseError::Kind`] or [`ParseError::Length`].
pub fn parse_probe_echo(bytes: &[u8]) -> Result<[u8; 16], ParseError> {
    parse(PROBE_ECHO, bytes)
}

fn write(first: u8, nonce: [u8; 16]) -> [u8; PROBE_BYTES] {
    let mut bytes = [first; PROBE_BYTES];
    bytes[1..].copy_from_slice(&nonce);
    bytes
}

fn parse(first: u8, bytes: &[u8]) -> Result<[u8; 16], ParseError> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != first {
        return Err(ParseError::Kind);
    }
    let nonce = reader.array()?;
    reader.end()?;
    Ok(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_and_its_echo_are_their_byte_and_the_nonce_and_nothing_else() {
        let nonce: [u8; 16] = core::array::from_fn(|i| 0xf0 + i as u8);
        let (ask, echo) = (probe(nonce), probe_echo(nonce));
        assert_eq!((ask[0], echo[0], &ask[1..], &echo[1..]), (0x0b, 0x0c, &nonce[..], &nonce[..]));
        assert_eq!((parse_probe(&ask), parse_probe_echo(&echo)), (Ok(nonce), Ok(nonce)));
        assert_eq!(
            (parse_probe(&echo), parse_probe_echo(&ask)),
            (Err(ParseError::Kind), Err(ParseError::Kind))
        );
        for length in 0..PROBE_BYTES {
            assert_eq!(parse_probe(&ask[..length]), Err(ParseError::Length));
        }
        assert_eq!(parse_probe(&[&ask[..], &[0]].concat()), Err(ParseError::Length));
    }
}
