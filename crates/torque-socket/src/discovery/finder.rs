//! The seeker's part of discovery.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use if_addrs::{IfAddr, Ifv4Addr};
use torque_proto::identity::{HostName, TorqueUrl};
use torque_proto::{Address, PublicKey};

use super::source::Source;
use super::wire::{Answer, DiscoveryError, HostInfo, QUESTION_BYTES, Question, check_service};
use crate::io::wait::{self, Watch};
use crate::zones;

/// Questions whose answers are still taken.
const MAX_QUESTIONS: usize = 16;
/// Answers that are told for one question.
const MAX_TOLD: usize = 1_024;
/// Answers from one source that are told for one question. Several keys at one address may be several programs, or
/// somebody who makes hosts up.
const MAX_TOLD_OF_SOURCE: usize = 16;
/// How many datagrams that are not answers are looked through when there is no time left.
const MAX_NOISE: usize = 1_024;
/// All nodes on a link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// A host that has answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundHost {
    /// Where it answers.
    pub address: SocketAddr,
    /// The key that it says it has.
    pub public_key: PublicKey,
    /// Its description of itself.
    pub info: HostInfo,
    /// How long the answer took.
    pub time: Duration,
}

impl FoundHost {
    /// A URL that leads there and pins the key. With a link-local IPv6 address it names the interface as well, and
    /// works on this machine only.
    pub fn url(&self) -> TorqueUrl {
        let host = match self.address {
            SocketAddr::V4(v4) => HostName::V4(*v4.ip()),
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() != 0 => {
                HostName::LinkLocal { ip: *v6.ip(), zone: zones::zone_of(v6.scope_id()) }
            }
            SocketAddr::V6(v6) => HostName::V6(*v6.ip()),
        };
        TorqueUrl { host, port: self.address.port(), key: Some(self.public_key) }
    }
}

/// Looks for hosts, on the networks of this machine or at known addresses.
pub struct Finder {
    service: String,
    v4: UdpSocket,
    v6: Option<UdpSocket>,
    questions: Vec<Asked>,
}

/// A question, and what was told of its answers.
struct Asked {
    id: [u8; 8],
    at: Instant,
    told: HashSet<(Source, PublicKey)>,
    told_of: HashMap<Source, usize>,
}

impl Asked {
    fn new(id: [u8; 8]) -> Self {
        Self { id, at: Instant::now(), told: HashSet::new(), told_of: HashMap::new() }
    }

    /// Returns whether a host that answers from `source` is new, and there is room to remember it.
    fn tells(&mut self, source: Source, host: PublicKey) -> bool {
        let of_source = self.told_of.get(&source).copied().unwrap_or(0);
        let has_room = self.told.len() < MAX_TOLD && of_source < MAX_TOLD_OF_SOURCE;
        let is_news = has_room && self.told.insert((source, host));
        if is_news {
            self.told_of.insert(source, of_source + 1);
        }
        is_news
    }
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finder").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Finder {
    /// Looks for hosts of `service`: the name that this game's hosts and seekers share, 1 to 32 bytes.
    ///
    /// # Errors
    /// The name's length, or the operating system gives no socket.
    pub fn new(service: &str) -> Result<Self, DiscoveryError> {
        check_service(service)?;
        let v4 = open(Ipv4Addr::UNSPECIFIED.into())
            .and_then(|socket| {
                socket.set_broadcast(true)?;
                Ok(socket)
            })
            .map_err(|error| DiscoveryError::System { doing: "opening a socket", error })?;
        // A machine without IPv6 looks on IPv4 alone.
        let v6 = open(Ipv6Addr::UNSPECIFIED.into()).ok();
        Ok(Self { service: service.to_owned(), v4, v6, questions: Vec::new() })
    }

    /// Asks every host that listens at `port` on this machine and on the networks that it is connected to, IPv4
    /// and IPv6. Datagrams get lost: ask again after a second or two. Returns how many questions were sent.
    ///
    /// # Errors
    /// There are no networks to ask on, or no random bytes.
    pub fn ask(&mut self, port: u16) -> Result<usize, DiscoveryError> {
        let question = self.question()?;
        let interfaces = if_addrs::get_if_addrs()
            .map_err(|error| DiscoveryError::System { doing: "listing the network interfaces", error })?;
        let mut targets: HashSet<SocketAddr> = HashSet::new();
        targets.insert((Ipv4Addr::LOCALHOST, port).into());
        for interface in interfaces {
            match &interface.addr {
                IfAddr::V4(v4) if !v4.ip.is_loopback() => {
                    targets.insert((broadcast_of(v4), port).into());
                }
                IfAddr::V6(v6) if v6.ip.is_loopback() => {
                    targets.insert((v6.ip, port).into());
                }
                IfAddr::V6(_) => {
                    if let Some(index) = interface.index {
                        targets.insert(SocketAddrV6::new(ALL_NODES, port, 0, index).into());
                    }
                }
                IfAddr::V4(_) => {}
            }
        }
        let mut last = None;
        let mut sent = 0;
        for target in targets {
            match self.send(target, &question) {
                Ok(()) => sent += 1,
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) if sent == 0 => Err(DiscoveryError::System { doing: "asking the network", error }),
            _ => Ok(sent),
        }
    }

    /// Asks one host, anywhere: the query of a list of servers.
    ///
    /// # Errors
    /// The address is not a host's address, the operating system cannot send there, or has no random bytes.
    pub fn ask_at(&mut self, address: SocketAddr) -> Result<(), DiscoveryError> {
        if address.ip().is_unspecified() {
            return Err(DiscoveryError::Unspecified);
        }
        let question = self.question()?;
        self.send(address, &question)
            .map_err(|error| DiscoveryError::System { doing: "asking a host", error })
    }

    fn question(&mut self) -> Result<[u8; QUESTION_BYTES], DiscoveryError> {
        let mut id = [0; 8];
        getrandom::fill(&mut id)
            .map_err(|error| DiscoveryError::System { doing: "drawing random bytes", error: error.into() })?;
        if self.questions.len() == MAX_QUESTIONS {
            self.questions.remove(0);
        }
        self.questions.push(Asked::new(id));
        Ok(Question { id, service: self.service.clone() }.write())
    }

    fn send(&self, target: SocketAddr, question: &[u8]) -> io::Result<()> {
        let socket = match target {
            SocketAddr::V4(_) => &self.v4,
            SocketAddr::V6(_) => self.v6.as_ref().ok_or(io::ErrorKind::Unsupported)?,
        };
        socket.send_to(question, target).map(|_| ())
    }

    /// The next host that answers, for which it waits up to `timeout`. Each question gets at most one answer
    /// from each key at each source (an IPv4 address, or an IPv6 /64): a host with several addresses may answer from
    /// each, and which of them is good for the seeker's purpose is for the seeker to say. No more than 16 are told of
    /// each source, and 1,024 in all: more are somebody's invention.
    pub fn next_answer(&mut self, timeout: Duration) -> Option<FoundHost> {
        let end = Instant::now().checked_add(timeout);
        let mut noise = 0;
        loop {
            let sockets: Vec<&UdpSocket> = std::iter::once(&self.v4).chain(&self.v6).collect();
            let mut came = None;
            for socket in &sockets {
                let mut bytes = [0; QUESTION_BYTES + 1];
                if let Ok((length, address)) = socket.recv_from(&mut bytes) {
                    came = Some((bytes, length, address));
                    break;
                }
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let is_over = left.is_some_and(|left| left.is_zero());
            match came {
                Some((bytes, length, address)) => {
                    if let Some(found) = self.take(address, &bytes[..length]) {
                        return Some(found);
                    }
                    // Noise must not hold the caller up.
                    noise += 1;
                    if is_over && noise >= MAX_NOISE {
                        return None;
                    }
                }
                None => {
                    let watches: Vec<_> = sockets.iter().map(|socket| Watch::readable(socket)).collect();
                    if is_over || wait::wait(&watches, left).is_err() {
                        return None;
                    }
                }
            }
        }
    }

    fn take(&mut self, address: SocketAddr, bytes: &[u8]) -> Option<FoundHost> {
        let answer = Answer::parse(bytes)?;
        let asked = self.questions.iter_mut().find(|asked| asked.id == answer.id)?;
        let time = asked.at.elapsed();
        let remote = Address::from(address);
        if !asked.tells(Source::of(remote), answer.public_key) {
            return None;
        }
        let address = remote.socket_addr()?;
        Some(FoundHost { address, public_key: answer.public_key, info: answer.info, time })
    }
}

/// Where all machines of an interface's network hear. Where none was set, Linux has the interface's own address there.
fn broadcast_of(interface: &Ifv4Addr) -> Ipv4Addr {
    let Ifv4Addr { ip, netmask, broadcast, .. } = interface;
    broadcast
        .filter(|broadcast| broadcast != ip && !broadcast.is_unspecified())
        .unwrap_or_else(|| (u32::from(*ip) | !u32::from(*netmask)).into())
}

fn open(ip: IpAddr) -> io::Result<UdpSocket> {
    let domain = socket2::Domain::for_address((ip, 0).into());
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
    if ip.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((ip, 0)).into())?;
    Ok(socket.into())
}
