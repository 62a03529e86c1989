//! Which connection of a key log a datagram belongs to.

use std::collections::HashMap;
use std::net::SocketAddr;

use torque_proto::inspect::{InspectedPacket, Inspector};

use crate::key_log::LoggedConnection;

/// Datagrams of one pair of addresses that are tried with all connections before the pair is left alone.
const MAX_FAILURES: u32 = 64;

/// From where to where a datagram went.
pub type Path = (SocketAddr, SocketAddr);

/// The connections of a key log.
pub struct Keys {
    connections: Vec<Connection>,
    /// The number of datagrams on each path that no key opened.
    failures: HashMap<Path, u32>,
}

struct Connection {
    logged: LoggedConnection,
    inspector: Inspector,
}

impl Keys {
    /// Connections with ciphers that this version does not know are left out.
    pub fn new(log: Vec<LoggedConnection>) -> Self {
        let connections = log
            .into_iter()
            .filter_map(|logged| Some(Connection { inspector: Inspector::new(&logged.secrets)?, logged }))
            .collect();
        Self { connections, failures: HashMap::new() }
    }

    /// Opens a packet, and tells whether the initiator sent it. Without a path every connection is tried.
    pub fn open(&mut self, path: Option<Path>, datagram: &[u8]) -> Option<(InspectedPacket, bool)> {
        if path.is_some_and(|path| self.failures.get(&path).is_some_and(|count| *count >= MAX_FAILURES)) {
            return None;
        }
        // Those whose addresses are the datagram's come first; addresses may have been translated on the way.
        for wanted in [Fit::Exact, Fit::Possible, Fit::None] {
            for connection in &mut self.connections {
                for from_initiator in [true, false] {
                    let fit = path.map_or(Fit::Possible, |path| connection.fit(path, from_initiator));
                    if fit != wanted {
                        continue;
                    }
                    if let Some(packet) = connection.inspector.open(from_initiator, datagram) {
                        if let Some((from, to)) = path {
                            let (initiator, host) = if from_initiator { (from, to) } else { (to, from) };
                            connection.logged.initiator = Some(initiator);
                            connection.logged.host = Some(host);
                        }
                        return Some((packet, from_initiator));
                    }
                }
            }
        }
        if let Some(path) = path {
            *self.failures.entry(path).or_default() += 1;
        }
        None
    }
}

/// A measure of how well a path fits the addresses of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Exact,
    Possible,
    None,
}

impl Connection {
    fn fit(&self, (from, to): Path, from_initiator: bool) -> Fit {
        let (initiator, host) = if from_initiator { (from, to) } else { (to, from) };
        let fits = [(self.logged.initiator, initiator), (self.logged.host, host)]
            .map(|(known, seen)| known.map(|known| known == seen));
        match fits {
            [Some(true), Some(true)] => Fit::Exact,
            [Some(false), _] | [_, Some(false)] => Fit::None,
            _ => Fit::Possible,
        }
    }
}
