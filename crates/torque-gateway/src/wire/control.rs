//! The control messages between page and gateway, and their bytes (GATEWAY.md 3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The protocol version in *welcome*.
pub const VERSION: u8 = 1;
/// The longest control message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4_096;

/// A message from a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FromPage<'a> {
    /// Asks for datagrams of this context to go to this host.
    Open {
        /// The context.
        context: u32,
        /// A name, or an IP address without brackets.
        host: &'a str,
        /// UDP port.
        port: u16,
    },
    /// Gives a context back.
    Forget {
        /// The context.
        context: u32,
    },
    /// Asks for an origin token.
    Attest {
        /// A number that the page chooses, and that comes back with the token.
        request: u32,
        /// The context of the host.
        context: u32,
        /// The public key of the page's socket.
        initiator: [u8; 32],
        /// The host's public key.
        host: [u8; 32],
    },
    /// Announces the key of the farewell that may follow when the page is gone.
    Farewell {
        /// A random key that the page chooses.
        key: [u8; 16],
    },
}

/// A message from a gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToPage {
    /// The first message.
    Welcome {
        /// The gateway's public key.
        public_key: [u8; 32],
        /// The session's address as others see it.
        address: SocketAddr,
    },
    /// Datagrams of this context now go to this address.
    Opened {
        /// The context.
        context: u32,
        /// The address.
        address: SocketAddr,
    },
    /// The requested context was refused.
    Refused {
        /// The context.
        context: u32,
        /// The reason, for programs.
        code: RefuseCode,
        /// The reason, for people.
        reason: String,
    },
    /// A remote wrote to this session first.
    Context {
        /// The context that stands for it.
        context: u32,
        /// Its address.
        address: SocketAddr,
    },
    /// An origin token.
    Attested {
        /// The number from the page's request.
        request: u32,
        /// The token, or nothing if it could not be made.
        token: Vec<u8>,
    },
    /// The gateway is there, and has nothing else to tell.
    Alive,
    /// The session ends.
    Closing {
        /// The reason, for programs.
        code: ClosingCode,
        /// The reason, for people.
        reason: String,
    },
    /// An idle context was given up.
    Forgotten {
        /// The context.
        context: u32,
    },
    /// The gateway is about to go away.
    Draining {
        /// The time until then in milliseconds; `u32::MAX` means that or more.
        millis: u32,
    },
}

/// An enumeration of codes. Each has its number on the wire and its name in GATEWAY.md.
macro_rules! codes {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal $text:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name { $($(#[$doc])* $variant = $number),+ }

        impl $name {
            /// All codes, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code with this number.
            ///
            /// # Errors
            /// [`Malformed`]: there is none.
            pub const fn from_number(number: u8) -> Result<Self, Malformed> {
                match number {
                    $($number => Ok(Self::$variant),)+
                    _ => Err(Malformed),
                }
            }

            /// The number on the wire.
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// The name in GATEWAY.md and in metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

codes! {
    /// The codes of *refused*.
    RefuseCode {
        /// The operator does not allow this address or port.
        TargetNotAllowed = 1 "target_not_allowed",
        /// The name has no address.
        NameNotFound = 2 "name_not_found",
        /// The session or the gateway uses all of its contexts, or the gateway is draining.
        TooMany = 3 "too_many",
        /// The gateway has no address of that family.
        NoRoute = 4 "no_route",
    }
}

codes! {
    /// The codes of *closing*.
    ClosingCode {
        /// The gateway is going away.
        Draining = 1 "draining",
        /// The session sent far more than its rate.
        Flooding = 2 "flooding",
        /// The page broke the protocol.
        Protocol = 3 "protocol",
        /// The session was idle for as long as the operator allows.
        Idle = 4 "idle",
        /// All sessions of the gateway are in use.
        Full = 5 "full",
        /// This client uses all of its sessions.
        TooManySessions = 6 "too_many_sessions",
        /// The gateway has no UDP port for the session, or the port failed.
        NoPort = 7 "no_port",
    }
}

/// A control message has the wrong length, or a field with an impossible value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a control message is malformed")
    }
}

impl std::error::Error for Malformed {}

impl<'a> FromPage<'a> {
    /// Reads a message from a page. `None`: its kind is unknown, and it is ignored.
    ///
    /// # Errors
    /// [`Malformed`] ends the session.
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
    /// Reads a message from a gateway. `None`: its kind is unknown, and it is ignored.
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
                code: RefuseCode::from_number(reader.u8()?)?,
                reason: reader.text()?.to_owned(),
            },
            0x83 => Self::Context { context: reader.u32()?, address: reader.address()? },
            0x84 => Self::Attested { request: reader.u32()?, token: reader.counted()?.to_vec() },
            0x85 => Self::Alive,
            0x86 => Self::Closing {
                code: ClosingCode::from_number(reader.u8()?)?,
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
                out.push(code.number());
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
                out.extend([0x86, code.number()]);
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

/// Takes fields off the front of a message.
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

/// Cuts what is too long; names, reasons and tokens never are.
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
