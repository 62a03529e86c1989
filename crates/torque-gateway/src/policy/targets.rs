//! The operator's list of targets that pages may reach (GATEWAY.md 4.1).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::policy::forbidden::{is_exception, is_forbidden};
use crate::policy::network::{Network, full_bits};

/// An entry of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    place: Place,
    ports: RangeInclusive<u16>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    /// A name, in lower case and without a dot at the end.
    Name(String),
    Network(Network),
}

/// The targets that pages may reach. The empty default allows none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Targets(Vec<Target>);

impl Targets {
    /// Makes a list of these entries.
    pub fn new(targets: impl IntoIterator<Item = Target>) -> Self {
        Self(targets.into_iter().collect())
    }

    /// Adds the entries of another list.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Returns whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether this name, in lower case, is listed with this port. Its addresses are judged later.
    pub fn names(&self, name: &str, port: u16) -> bool {
        self.0.iter().any(|target| {
            matches!(&target.place, Place::Name(n) if n == name) && target.ports.contains(&port)
        })
    }

    /// Returns whether any address may be reached at this port, by any name.
    pub fn has_addresses(&self, port: u16) -> bool {
        self.0.iter().any(|target| matches!(target.place, Place::Network(_)) && target.ports.contains(&port))
    }

    /// Returns whether an address may be reached. `is_named` says that it belongs to a [listed name](Self::names).
    pub fn allow(&self, address: SocketAddr, is_named: bool) -> bool {
        let is_forbidden = is_forbidden(address.ip());
        let by_address = self.0.iter().any(|target| match &target.place {
            Place::Network(network) => {
                target.ports.contains(&address.port())
                    && network.contains(address.ip())
                    && (!is_forbidden || is_exception(network))
            }
            Place::Name(_) => false,
        });
        by_address || (is_named && !is_forbidden)
    }
}

impl FromIterator<Target> for Targets {
    fn from_iter<T: IntoIterator<Item = Target>>(targets: T) -> Self {
        Self::new(targets)
    }
}

/// The name of a host in lower case, without a dot at its end; `None` if the text is not such a name.
pub fn normal_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A numeric last label would make it an IPv4 address in an unusual form.
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_hexadecimal = last.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    let is_numeric = is_hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit());
    (name.len() <= 253 && !is_numeric && name.split('.').all(is_label)).then(|| name.to_ascii_lowercase())
}

impl Target {
    /// Reads an entry of the list. `localhost` becomes two entries, one for each of its addresses.
    ///
    /// # Errors
    /// [`TargetError`] says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Vec<Self>, TargetError> {
        let error = |why| TargetError { text: text.to_owned(), why };
        let (host, ports) = split_ports(text.trim()).ok_or(error(Why::NoPort))?;
        let ports = parse_ports(ports).ok_or(error(Why::Ports))?;
        let entry = |place| Self { place, ports: ports.clone() };
        let network = |first, bits| entry(Place::Network(Network::new(first, bits)));
        if let Some((first, bits)) = host.split_once('/') {
            let first: IpAddr = unbracketed(first).parse().map_err(|_| error(Why::Network))?;
            let bits =
                bits.parse().ok().filter(|bits| *bits <= full_bits(first)).ok_or(error(Why::Network))?;
            return Ok(vec![entry(Place::Network(Network::new(first, bits).to_canonical()))]);
        }
        if let Ok(ip) = unbracketed(host).parse::<IpAddr>() {
            let ip = ip.to_canonical();
            return Ok(vec![network(ip, full_bits(ip))]);
        }
        match normal_name(host) {
            Some(name) if name == "localhost" => {
                Ok(vec![network(Ipv4Addr::LOCALHOST.into(), 32), network(Ipv6Addr::LOCALHOST.into(), 128)])
            }
            Some(name) => Ok(vec![entry(Place::Name(name))]),
            None => Err(error(Why::Host)),
        }
    }
}

/// Splits host and ports. An IPv6 address needs brackets, unless a prefix length follows it.
fn split_ports(text: &str) -> Option<(&str, &str)> {
    let (host, ports) = text.rsplit_once(':')?;
    let is_bare_v6 = host.contains(':') && !host.starts_with('[') && !host.contains('/');
    (!is_bare_v6).then_some((host, ports))
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

fn parse_ports(text: &str) -> Option<RangeInclusive<u16>> {
    // `parse` alone would take a sign.
    let port = |digits: &str| {
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten().filter(|port: &u16| *port != 0)
    };
    if text == "*" {
        return Some(1..=u16::MAX);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let ports = port(first)?..=port(last)?;
    (!ports.is_empty()).then_some(ports)
}

/// The reason why a text is not a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetError {
    text: String,
    why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    NoPort,
    Ports,
    Network,
    Host,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, why } = self;
        match why {
            Why::NoPort => write!(
                f,
                "`{text}` has no ports: write HOST:PORT, HOST:FIRST-LAST or HOST:*, IPv6 as [ADDRESS]:PORT"
            ),
            Why::Ports => {
                write!(
                    f,
                    "the ports of `{text}` are neither a number from 1 to 65535, nor a range of them, nor `*`"
                )
            }
            Why::Network => {
                write!(f, "`{text}` is not a network: write 198.51.100.0/24:PORTS or [2001:db8::]/32:PORTS")
            }
            Why::Host => {
                write!(f, "the host of `{text}` is neither a name, nor an IP address, nor a network")
            }
        }
    }
}

impl std::error::Error for TargetError {}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Name(name) => f.write_str(name)?,
            Place::Network(Network { first, bits }) => {
                match first {
                    IpAddr::V4(ip) => write!(f, "{ip}")?,
                    IpAddr::V6(ip) => write!(f, "[{ip}]")?,
                }
                if *bits != full_bits(*first) {
                    write!(f, "/{bits}")?;
                }
            }
        }
        match (*self.ports.start(), *self.ports.end()) {
            (1, u16::MAX) => f.write_str(":*"),
            (first, last) if first == last => write!(f, ":{first}"),
            (first, last) => write!(f, ":{first}-{last}"),
        }
    }
}

impl fmt::Display for Targets {
    /// Separates the entries by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, target) in self.0.iter().enumerate() {
            write!(f, "{}{target}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl FromStr for Targets {
    type Err = TargetError;

    /// Reads entries separated by commas.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let mut targets = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            targets.0.extend(Target::parse(part)?);
        }
        Ok(targets)
    }
}

#[cfg(test)]
mod tests;
