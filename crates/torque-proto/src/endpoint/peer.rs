//! The other side of a connection, as an application asks for it.

use alloc::borrow::ToOwned;
use alloc::string::String;

use super::Endpoint;
use super::slot::Other;
use crate::address::Address;
use crate::error::CallError;
use crate::id::ConnectionId;
use crate::identity::PublicKey;

/// The other side of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// Its address.
    pub address: Address,
    /// Its identity. Before the connection is established it is proven only as far as
    /// [`Event::ConnectRequest`](crate::Event::ConnectRequest) says.
    pub public_key: PublicKey,
    /// The web page that it is, attested by a gateway that this host trusts; `None` for a program, and at the
    /// initiator.
    pub origin: Option<String>,
    /// What [`set_user_data`](Endpoint::set_user_data) noted, 0 before that.
    pub user_data: u64,
}

impl Endpoint {
    /// Returns whether this id names a connection, from the call or the request that began it until its close event is taken. After
    /// that it may name another one some time.
    pub fn has_connection(&self, connection: ConnectionId) -> bool {
        self.slots.get(connection).is_some_and(|entry| !entry.close_taken)
    }

    /// The other side of a connection, from its request or its establishment until its close event is taken, however
    /// it ended.
    pub fn peer(&self, connection: ConnectionId) -> Option<Peer> {
        let entry = self.slots.get(connection).filter(|entry| !entry.close_taken)?;
        let Other { address, public_key } = entry.slot.other()?;
        let origin = entry.origin.as_deref().map(str::to_owned);
        Some(Peer { address, public_key, origin, user_data: entry.user_data })
    }

    /// Notes a number with a connection, for example an index of the application's own tables. [`peer`](Self::peer)
    /// tells it.
    ///
    /// # Errors
    /// `Closed`: there is no such connection, or its close event was taken.
    pub fn set_user_data(&mut self, connection: ConnectionId, user_data: u64) -> Result<(), CallError> {
        let entry = self.slots.get_mut(connection).filter(|entry| !entry.close_taken);
        entry.ok_or(CallError::Closed)?.user_data = user_data;
        Ok(())
    }
}
