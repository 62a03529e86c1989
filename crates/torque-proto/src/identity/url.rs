//! `torque://` URLs: where a host is, and which key it should have.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use super::key::{KeyError, PublicKey};

/// The port of a URL that names none.
pub const DEFAULT_PORT: u16 = 28_000;

const SCHEME: &str = "torque://";

/// `torque://[tk1…@]host[:port]`.
///
/// ```
/// use torque_proto::identity::{HostName, TorqueUrl};
///
/// let url: TorqueUrl = "torque://[fe80::1%25eth0]:28001".parse()?;
/// assert!(matches!(&url.host, HostName::LinkLocal { zone, .. } if zone.as_str() == "eth0"));
/// # Ok::<(), torque_proto::identity::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TorqueUrl {
    /// The host.
    pub host: HostName,
    /// UDP port; [`DEFAULT_PORT`] if the text names none.
    pub port: u16,
    /// The only key to accept there, if the text pins one.
    pub key: Option<PublicKey>,
}

/// The host of a URL.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum HostName {
    /// A name to resolve, in lower case.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; in brackets in a URL.
    V6(Ipv6Addr),
    /// A link-local IPv6 address (`fe80::/10`) and the interface through which it is reached:
    /// `[fe80::1%25eth0]` (RFC 6874; a bare `%eth0` is understood too).
    LinkLocal {
        /// The address.
        ip: Ipv6Addr,
        /// The interface, as this machine calls it.
        zone: Zone,
    },
}

/// The zone of a link-local address: an interface's name or number, which means something on one machine only.
///
/// Letters, digits and `-._~`, at most 32 of them: what stands in a URL as it is (RFC 6874).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Zone(String);

impl Zone {
    /// A zone with this name; `None` if it cannot be written in a URL.
    pub fn new(name: &str) -> Option<Self> {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        ((1..=32).contains(&name.len()) && name.bytes().all(is_good)).then(|| Self(name.to_owned()))
    }

    /// Its name, or its number in decimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<u32> for Zone {
    /// The zone of the interface with this number.
    fn from(number: u32) -> Self {
        Self(number.to_string())
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(ip) => write!(f, "{ip}"),
            Self::V6(ip) => write!(f, "[{ip}]"),
            Self::LinkLocal { ip, zone } => write!(f, "[{ip}%25{}]", zone.as_str()),
        }
    }
}

impl fmt::Display for TorqueUrl {
    /// Always with the port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        if let Some(key) = &self.key {
            write!(f, "{key}@")?;
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for TorqueUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let rest = match text.split_at_checked(SCHEME.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest,
            _ => return Err(UrlError::Scheme),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(UrlError::Path);
        }
        let (key, place) = match rest.rsplit_once('@') {
            Some((key, place)) => (Some(key.parse().map_err(UrlError::Key)?), place),
            None => (None, rest),
        };
        let (host, port) = split_port(place)?;
        let port = match port {
            None => DEFAULT_PORT,
            Some(digits) => parse_port(digits)?,
        };
        Ok(Self { host: parse_host(host)?, port, key })
    }
}

/// Host and port texts. An IPv6 address keeps its brackets.
fn split_port(place: &str) -> Result<(&str, Option<&str>), UrlError> {
    if place.starts_with('[') {
        let end = place.find(']').ok_or(UrlError::Ipv6)? + 1;
        let (host, rest) = place.split_at_checked(end).ok_or(UrlError::Ipv6)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(UrlError::Port),
        };
    }
    match place.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(UrlError::Ipv6),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((place, None)),
    }
}

fn parse_port(digits: &str) -> Result<u16, UrlError> {
    // `parse` alone would take a sign.
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    number.filter(|port| *port != 0).ok_or(UrlError::Port)
}

fn parse_host(host: &str) -> Result<HostName, UrlError> {
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    if let Some(inside) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return parse_ipv6(inside);
    }
    if let Ok(ip) = host.parse() {
        return Ok(HostName::V4(ip));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let good = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits only is an IPv4 address gone wrong, not a name.
    let numeric =
        name.split('.').next_back().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    if name.len() > 253 || numeric || !name.split('.').all(good) {
        return Err(UrlError::Host);
    }
    Ok(HostName::Name(name.to_ascii_lowercase()))
}

/// Reads the text between the brackets.
fn parse_ipv6(inside: &str) -> Result<HostName, UrlError> {
    let Some((ip, zone)) = inside.split_once('%') else {
        return inside.parse().map(HostName::V6).map_err(|_| UrlError::Ipv6);
    };
    let ip: Ipv6Addr = ip.parse().map_err(|_| UrlError::Ipv6)?;
    // `%25` is a percent sign in a URL. With nothing behind it, it can only be the zone 25.
    let zone = zone.strip_prefix("25").filter(|rest| !rest.is_empty()).unwrap_or(zone);
    let zone = Zone::new(zone).filter(|_| ip.is_unicast_link_local()).ok_or(UrlError::Zone)?;
    Ok(HostName::LinkLocal { ip, zone })
}

/// The fault of a URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not begin with `torque://`.
    Scheme,
    /// Something follows the port.
    Path,
    /// There is no host in it.
    NoHost,
    /// The host is neither a name nor an address.
    Host,
    /// An IPv6 address is malformed or has no brackets.
    Ipv6,
    /// The zone behind a % is no interface's name or number, or the address before it is not link-local.
    Zone,
    /// The port is not a number from 1 to 65535.
    Port,
    /// The text before the @ is not a key.
    Key(KeyError),
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("write it as torque://host:port"),
            Self::Path => f.write_str("nothing may follow the port: write it as torque://host:port"),
            Self::NoHost => f.write_str("the host is missing: write it as torque://host:port"),
            Self::Host => f.write_str(
                "the host is no name or address: names have letters, digits, dots and hyphens (others in their xn-- form)",
            ),
            Self::Ipv6 => f.write_str("write an IPv6 address in brackets: torque://[2001:db8::1]:28000"),
            Self::Zone => f.write_str(
                "a zone is an interface's name or number behind a link-local address: torque://[fe80::1%25eth0]:28000",
            ),
            Self::Port => f.write_str("the port is a number from 1 to 65535"),
            Self::Key(error) => write!(f, "the key before the @: {error}"),
        }
    }
}

impl core::error::Error for UrlError {}

#[cfg(test)]
mod tests;
