//! What programs show of the search for paths.

use alloc::vec::Vec;

use crate::address::Address;
use crate::endpoint::Endpoint;
use crate::endpoint::slot::Slot;
use crate::id::ConnectionId;
use crate::introduction::{PathSearch, SearchStage};
use crate::path::PathSet;

impl Endpoint {
    /// The search for paths of a connection that begins, or began, with an introduction, as it stands, from
    /// [`connect_introduced`](Self::connect_introduced) until its close event is taken. `None` for other connections.
    ///
    /// Programs that show the search to a person call this after each turn of their loop. [`party_stats`](Self::party_stats) counts the
    /// punches of all introductions.
    pub fn path_search(&self, connection: ConnectionId) -> Option<PathSearch> {
        self.introductions.introducer_of(connection).filter(|_| self.has_connection(connection))?;
        if let Some(search) = self.introductions.party.search(connection) {
            return Some(search);
        }
        let Slot::Connected(connected) = &self.slots.get(connection)?.slot else { return None };
        let set = connected.tracked.as_ref().map(|tracked| &tracked.set);
        let active = Some(connected.path.remote).filter(|remote| !remote.is_circuit());
        let mut working: Vec<_> = active.into_iter().chain(connected.other_addresses()).collect();
        working.retain(|address| !address.is_circuit());
        let candidates: Vec<_> = set.into_iter().flat_map(PathSet::candidates).collect();
        let mut sources: Vec<Address> =
            set.into_iter().flat_map(PathSet::sources).map(|path| path.remote).collect();
        sources.retain(|source| {
            !working.contains(source) && !candidates.iter().any(|other| Address::from(*other) == *source)
        });
        Some(PathSearch {
            stage: SearchStage::Established,
            candidates,
            sources,
            working,
            has_circuit: self.transmits.circuit_of(connection).is_some(),
        })
    }
}
