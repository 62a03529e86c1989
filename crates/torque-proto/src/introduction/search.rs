//! The search for paths of a connection that begins with an introduction, as programs show it.

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::address::Address;

/// The search for paths of a connection that begins with an introduction, as it stands
/// ([`Endpoint::path_search`](crate::Endpoint::path_search)).
///
/// It is for people who watch. Programs need none of it: events tell what happens to the connection.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PathSearch {
    /// How far the introduction is.
    pub stage: SearchStage,
    /// The addresses where the other party may be reachable, in the order in which they are punched. The introducer names them. At most
    /// 12; none where direct paths are not taken, nor once a connection that is direct looks for no other path.
    pub candidates: Vec<SocketAddr>,
    /// Other addresses from which the other party's punches came.
    pub sources: Vec<Address>,
    /// The direct paths that work, as far as is known: a punch on each was answered. At most 4.
    pub working: Vec<Address>,
    /// Whether the introducer lends a circuit.
    pub has_circuit: bool,
}

/// How far an introduction is, as a party sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum SearchStage {
    /// The introducer was asked, and has not answered.
    Asking,
    /// The introducer has answered. The other party has not asked yet, or the introducer's application has not decided.
    Waiting,
    /// Both parties know of each other. They look for a path, or do the handshake on it.
    Meeting,
    /// The connection is established.
    Established,
}
