//! Origin tokens: a gateway's word which web page an initiator is (GATEWAY.md 5).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use super::key::{KeyPair, PublicKey};
use crate::wire::{ParseError, Reader};

/// The type of the extension of a connect_request that an origin token travels as (PROTOCOL.md 4.3).
pub const EXTENSION_ORIGIN: u8 = 1;
/// The most bytes of an origin.
pub const MAX_ORIGIN: usize = 255;
/// The most bytes of an origin token.
pub const MAX_ORIGIN_TOKEN: usize = 1 + 32 + 8 + 19 + 1 + MAX_ORIGIN + 64;

const VERSION: u8 = 1;
const LABEL: &[u8] = b"TorqueSocket origin v1";
/// No token is taken that expires more seconds from now: a gateway's clock may differ, but not by hours.
const MAX_AHEAD: u64 = 120;

/// The statement of a gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OriginClaims<'a> {
    /// The page's origin as the browser told it, for example `https://game.example`.
    pub origin: &'a str,
    /// The page's socket.
    pub initiator: &'a PublicKey,
    /// The host that the token is for.
    pub host: &'a PublicKey,
    /// The page's address as the host sees it: the gateway's, at the session's port.
    pub address: SocketAddr,
    /// The second since 1970-01-01 from which the token is void; at most 60 from now.
    pub expires: u64,
}

/// Signs claims with the gateway's key. The token is for connect requests of that initiator to that host.
///
/// # Errors
/// [`OriginError::Origin`] if the origin cannot be attested.
pub fn sign_origin(gateway: &KeyPair, claims: &OriginClaims<'_>) -> Result<Vec<u8>, OriginError> {
    check_origin(claims.origin)?;
    let mut token = Vec::with_capacity(MAX_ORIGIN_TOKEN);
    token.push(VERSION);
    token.extend_from_slice(gateway.public().as_bytes());
    token.extend_from_slice(&claims.expires.to_be_bytes());
    write_address(claims.address, &mut token);
    token.push(claims.origin.len() as u8);
    token.extend_from_slice(claims.origin.as_bytes());
    let message = [LABEL, &token, claims.initiator.as_bytes(), claims.host.as_bytes()].concat();
    token.extend_from_slice(&gateway.sign(&message));
    Ok(token)
}

/// A gateway's word that an initiator is a page of some origin. It is worth nothing before it was
/// [verified](Self::verify), and no more than its [gateway](Self::gateway) is trusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OriginToken {
    gateway: PublicKey,
    expires: u64,
    address: SocketAddr,
    origin: String,
    /// All of it but the signature.
    signed: Vec<u8>,
    signature: [u8; 64],
}

impl OriginToken {
    /// Reads a token that is all of `bytes`. It is not verified yet.
    ///
    /// # Errors
    /// [`OriginError`] says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, OriginError> {
        let (signed, signature) = bytes.split_last_chunk().ok_or(OriginError::Malformed)?;
        let mut reader = Reader::new(signed);
        match reader.u8()? {
            VERSION => {}
            other => return Err(OriginError::UnknownVersion(other)),
        }
        let gateway = PublicKey::from_bytes(&reader.array()?).map_err(|_| OriginError::Malformed)?;
        let expires = reader.u64()?;
        let address = read_address(&mut reader)?;
        let length = reader.u8()?;
        let origin = str::from_utf8(reader.bytes(length.into())?).map_err(|_| OriginError::Origin)?;
        reader.end()?;
        check_origin(origin)?;
        let (origin, signed) = (origin.to_owned(), signed.to_vec());
        Ok(Self { gateway, expires, address, origin, signed, signature: *signature })
    }

    /// The gateway that signed, or claims to.
    pub fn gateway(&self) -> PublicKey {
        self.gateway
    }

    /// The page's origin: visible ASCII characters, at most 255 of them, and never `null`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Checks everything but whether the gateway is one to trust: that the token was made for this initiator, this
    /// host and the address that the request came from, that it has not expired at `unix_seconds`, and that the
    /// gateway signed it.
    ///
    /// # Errors
    /// The first of these that does not hold, those that cost little first.
    pub fn verify(
        &self,
        initiator: &PublicKey,
        host: &PublicKey,
        remote: SocketAddr,
        unix_seconds: u64,
    ) -> Result<(), OriginError> {
        if place(self.address) != place(remote) {
            return Err(OriginError::OtherAddress(self.address));
        }
        if unix_seconds >= self.expires {
            return Err(OriginError::Expired { since_unix_seconds: self.expires });
        }
        if self.expires - unix_seconds > MAX_AHEAD {
            return Err(OriginError::TooFarAhead { until_unix_seconds: self.expires });
        }
        let message = [LABEL, &self.signed, initiator.as_bytes(), host.as_bytes()];
        if !self.gateway.verify(&message, &self.signature) {
            return Err(OriginError::BadSignature);
        }
        Ok(())
    }
}

/// Checks whether a gateway may attest this: it is shown to people, and `null` is what browsers call a page without an origin.
pub(crate) fn check_origin(origin: &str) -> Result<(), OriginError> {
    let good = (1..=MAX_ORIGIN).contains(&origin.len())
        && origin.bytes().all(|byte| byte.is_ascii_graphic())
        && origin != "null";
    if good { Ok(()) } else { Err(OriginError::Origin) }
}

/// The part of an address that counts: an IPv4-mapped one is IPv4, and a scope means nothing on another machine.
fn place(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}

fn write_address(address: SocketAddr, out: &mut Vec<u8>) {
    let (ip, port) = place(address);
    match ip {
        IpAddr::V4(ip) => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(6);
            out.extend_from_slice(&ip.octets());
        }
    }
    out.extend_from_slice(&port.to_be_bytes());
}

fn read_address(reader: &mut Reader<'_>) -> Result<SocketAddr, OriginError> {
    let ip = match reader.u8()? {
        4 => IpAddr::from(reader.array::<4>()?),
        6 => IpAddr::from(reader.array::<16>()?),
        _ => return Err(OriginError::Malformed),
    };
    // One address has one form.
    if ip != ip.to_canonical() {
        return Err(OriginError::Malformed);
    }
    Ok(SocketAddr::new(ip, reader.u16()?))
}

/// Why an origin token is worth nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OriginError {
    /// It is cut off, has something after it, or holds bytes that are not a key or not an address.
    Malformed,
    /// A version of tokens that this program does not know.
    UnknownVersion(u8),
    /// The origin is empty, too long, `null`, or has other than visible ASCII characters.
    Origin,
    /// It was made for this address, and the request came from another one.
    OtherAddress(SocketAddr),
    /// It was good until some time.
    Expired {
        /// When that was, in seconds since 1970-01-01.
        since_unix_seconds: u64,
    },
    /// It would be good for longer than a token may be.
    TooFarAhead {
        /// Until when, in seconds since 1970-01-01.
        until_unix_seconds: u64,
    },
    /// The gateway did not sign it, or for another initiator or host.
    BadSignature,
}

impl From<ParseError> for OriginError {
    fn from(_: ParseError) -> Self {
        Self::Malformed
    }
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the origin token is damaged"),
            Self::UnknownVersion(version) => {
                write!(f, "origin tokens of version {version} are newer than this program: update it")
            }
            Self::Origin => f.write_str("an origin is 1 to 255 visible ASCII characters, and not `null`"),
            Self::OtherAddress(address) => {
                write!(f, "the origin token was made for {address}: tell the gateway its public address")
            }
            Self::Expired { since_unix_seconds } => write!(
                f,
                "the origin token expired at {since_unix_seconds} (seconds since 1970): ask the gateway for a new \
                 one, and compare its clock with the host's"
            ),
            Self::TooFarAhead { until_unix_seconds } => write!(
                f,
                "the origin token is good until {until_unix_seconds} (seconds since 1970), which is too long: \
                 compare the gateway's clock with the host's"
            ),
            Self::BadSignature => f.write_str(
                "the origin token's signature is false, or was made for another initiator or host",
            ),
        }
    }
}

impl core::error::Error for OriginError {}

#[cfg(test)]
mod tests;
