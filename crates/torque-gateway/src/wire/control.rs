//! Control messages to bytes and back (GATEWAY.md 3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The version that *welcome* tells.
pub const VERSION: u8 = 1;
/// No control message is longer.
pub const MAX_MESSAGE_BYTES: usize = 4_096;

/// What a page asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FromPage<'a> {
    /// Datagrams of this context are to go to this host.
    Open {
        /// The context.
        context: u32,
        /// A name, or an IP address without brackets.
        host: &'a str,
        /// UDP port.
        port: u16,
    },
    /// The page is done with a context.
    Forget {
        /// The context.
        context: u32,
    },
    /// The page wants an origin token.
    Attest {
        /// A number of the page's choice that comes back with the token.
        request: u32,
        /// The context of the host.
        context: u32,
        /// The public key of the page's socket.
        initiator: [u8; 32],
        /// The host's public key.
        host: [u8; 32],
    },
    /// When the page is gone, a farewell may come that shows this key.
    Farewell {
        /// Random, of the page's choice.
        key: [u8; 16],
    },
}

/// What a gateway tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToPage {
    /// The first message.
    Welcome {
        /// The gateway's public key.
        public_key: [u8; 32],
        /// The session's address as others see it.
        address: SocketAddr,
    },
    /// Datagrams of this context go to this address from now on.
    Opened {
        /// The context.
        context: u32,
        /// The address.
        address: SocketAddr,
    },
    /// A context that the page asked for is not to be had.
    Refused {
        /// The context.
        context: u32,
        /// Why, for programs.
        code: RefuseCode,
        /// Why, for people.
        reason: String,
    },
    /// A remote has written to this session.
    Context {
        /// The context that stands for it.
        context: u32,
        /// Its address.
        address: SocketAddr,
    },
    /// An origin token.
    Attested {
        /// The number that the page gave.
        request: u32,
        /// The token; empty if it could not be made.
        token: Vec<u8>,
    },
    /// Nothing else was said for a while.
    Alive,
    /// The session ends.
    Closing {
        /// Why, for programs.
        code: ClosingCode,
        /// Why, for people.
        reason: String,
    },
    /// A context has been idle and stands for nothing any more.
    Forgotten {
        /// The context.
        context: u32,
    },
    /// The gateway goes away.
    Draining {
        /// In as many milliseconds; `u32::MAX`: that or more.
        millis: u32,
    },
}

/// Codes of *refused*.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RefuseCode {
    /// The operator does not allow this address or port.
    TargetNotAllowed = 1,
    /// The name has no address.
    NameNotFound = 2,
    /// The session or the gateway holds as many contexts as it may, or the gateway is draining.
    TooMany = 3,
    /// The gateway has no address of that family.
    NoRoute = 4,
}

/// Codes of *closing*.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClosingCode {
    /// The gateway is going away.
    Draining = 1,
    /// The session sent far more than it may.
    Flooding = 2,
    /// The page did not keep to the protocol.
    Protocol = 3,
    /// Nothing was sent or received for as long as the operator allows.
    Idle = 4,
    /// The gateway has as many sessions as it may.
    Full = 5,
    /// This client has as many sessions as it may.
    TooManySessions = 6,
    /// The gateway has no UDP port for the session, or the port failed.
    NoPort = 7,
}

/// A control message that ends too early or too late, or has a field with a value that it cannot have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a control message is malformed")
    }
}

impl std::error::Error for Malformed {}

impl<'a> FromPage<'a> {
    /// Reads a message of a page; `None` if it is of a kind that is not known, which is ignored.
    ///
    /// # Errors
    /// [`Malformed`]: the session ends.
    pub fn parse(message: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader(message);
        let parsed = match reader.u8()? {
            0x01 => Self::Open { context: reader.u32()?, host: reader.text()?, port: reader.u16()? },
            0x02 => Self::Forget { context: reader.u32()? },
            0x03 => Self::Attest {
                request: reader.u32()?,
                context: reader.u32()?,
                initiator: reader.array()?,
                host: reader.array()?,
            },
            0x04 => Self::Farewell { key: reader.array()? },
            _ => return Ok(None),
        };
        reader.end().map(|()| Some(parsed))
    }

    /// The message's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Open { context, host, port } => {
                out.push(0x01);
                out.extend(context.to_be_bytes());
                put_text(&mut out, host);
                out.extend(port.to_be_bytes());
            }
            Self::Forget { context } => {
                out.push(0x02);
                out.extend(context.to_be_bytes());
            }
            Self::Attest { request, context, initiator, host } => {
                out.push(0x03);
                out.extend(request.to_be_bytes());
                out.extend(context.to_be_bytes());
                out.extend(initiator);
                out.extend(host);
            }
            Self::Farewell { key } => {
                out.push(0x04);
                out.extend(key);
            }
        }
        out
    }
}

impl ToPage {
    /// Reads a message of a gateway; `None` if it is of a kind that is not known, which is ignored.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(message: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader(message);
        let parsed = match reader.u8()? {
            0x80 => {
                if reader.u8()? != VERSION {
                    return Err(Malformed);
                }
                Self::Welcome { public_key: reader.array()?, address: reader.address()? }
            }
            0x81 => Self::Opened { context: reader.u32()?, address: reader.address()? },
            0x82 => Self::Refused {
                context: reader.u32()?,
                code: match reader.u8()? {
                    1 => RefuseCode::TargetNotAllowed,
                    2 => RefuseCode::NameNotFound,
                    3 => RefuseCode::TooMany,
                    4 => RefuseCode::NoRoute,
                    _ => return Err(Malformed),
                },
                reason: reader.text()?.to_owned(),
            },
            0x83 => Self::Context { context: reader.u32()?, address: reader.address()? },
            0x84 => Self::Attested { request: reader.u32()?, token: reader.counted()?.to_vec() },
            0x85 => Self::Alive,
            0x86 => Self::Closing {
                code: match reader.u8()? {
                    1 => ClosingCode::Draining,
                    2 => ClosingCode::Flooding,
                    3 => ClosingCode::Protocol,
                    4 => ClosingCode::Idle,
                    5 => ClosingCode::Full,
                    6 => ClosingCode::TooManySessions,
                    7 => ClosingCode::NoPort,
                    _ => return Err(Malformed),
                },
                reason: reader.text()?.to_owned(),
            },
            0x87 => Self::Forgotten { context: reader.u32()? },
            0x88 => Self::Draining { millis: reader.u32()? },
            _ => return Ok(None),
        };
        reader.end().map(|()| Some(parsed))
    }

    /// The message's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Welcome { public_key, address } => {
                out.extend([0x80, VERSION]);
                out.extend(public_key);
                put_address(&mut out, *address);
            }
            Self::Opened { context, address } => {
                out.push(0x81);
                out.extend(context.to_be_bytes());
                put_address(&mut out, *address);
            }
            Self::Refused { context, code, reason } => {
                out.push(0x82);
                out.extend(context.to_be_bytes());
                out.push(*code as u8);
                put_text(&mut out, reason);
            }
            Self::Context { context, address } => {
                out.push(0x83);
                out.extend(context.to_be_bytes());
                put_address(&mut out, *address);
            }
            Self::Attested { request, token } => {
                out.push(0x84);
                out.extend(request.to_be_bytes());
                put_counted(&mut out, token);
            }
            Self::Alive => out.push(0x85),
            Self::Closing { code, reason } => {
                out.extend([0x86, *code as u8]);
                put_text(&mut out, reason);
            }
            Self::Forgotten { context } => {
                out.push(0x87);
                out.extend(context.to_be_bytes());
            }
            Self::Draining { millis } => {
                out.push(0x88);
                out.extend(millis.to_be_bytes());
            }
        }
        out
    }
}

/// Takes fields off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*field)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    fn counted(&mut self) -> Result<&'a [u8], Malformed> {
        let count = usize::from(self.u16()?);
        let (field, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(field)
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.counted()?).map_err(|_| Malformed)
    }

    fn address(&mut self) -> Result<SocketAddr, Malformed> {
        let ip = match self.u8()? {
            4 => IpAddr::V4(Ipv4Addr::from(self.array::<4>()?)),
            6 => IpAddr::V6(Ipv6Addr::from(self.array::<16>()?)),
            _ => return Err(Malformed),
        };
        Ok(SocketAddr::new(ip, self.u16()?))
    }

    fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

fn put_address(out: &mut Vec<u8>, address: SocketAddr) {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            out.push(4);
            out.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(6);
            out.extend(ip.octets());
        }
    }
    out.extend(address.port().to_be_bytes());
}

/// What is too long is cut: neither names nor reasons nor tokens are.
fn put_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend(length.to_be_bytes());
    out.extend(&bytes[..usize::from(length)]);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_counted(out, text.as_bytes());
}

#[cfg(test)]
mod tests;
