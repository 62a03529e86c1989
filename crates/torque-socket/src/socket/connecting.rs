//! How connections begin, are answered, and end.

use torque_proto::{CallError, ConnectOptions, ConnectionId, Trust};

use super::Socket;
use crate::target::{ConnectError, Place, ToTarget, combine_trust};
use crate::waker::get_waker;

impl Socket {
    /// Begins a connection. Takes an address, a name and a port, or a URL (`torque://key@name:port`). Events tell what
    /// follows, under the id that is returned.
    ///
    /// A key in the URL is pinned, and `trust` may be `None`. Otherwise say whose key counts:
    ///
    /// ```
    /// use torque_socket::{ConnectError, Socket, Trust};
    ///
    /// let host = Socket::bind("127.0.0.1:0")?;
    /// let mut client = Socket::client()?;
    /// // Nobody said who the host is, so anybody could be.
    /// assert_eq!(client.connect(host.local_addr(), None), Err(ConnectError::NoTrust));
    /// client.connect(host.local_addr(), Trust::Pinned(host.public_key()))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A name is resolved in the background, and all of its addresses, of both families, are tried: the next
    /// one after 250 ms of silence, or at once if one fails.
    ///
    /// # Errors
    /// Those of [`connect_with`](Self::connect_with).
    pub fn connect(
        &mut self,
        target: impl ToTarget,
        trust: impl Into<Option<Trust>>,
    ) -> Result<ConnectionId, ConnectError> {
        self.connect_with(target, ConnectOptions::default().with_trust(trust))
    }

    /// Begins a connection as [`connect`](Self::connect) does, with data for the host's application and wishes for the
    /// connection.
    ///
    /// ```
    /// use torque_socket::{ConnectOptions, Socket};
    ///
    /// let host = Socket::bind("127.0.0.1:0")?;
    /// let url = format!("torque://{}@{}", host.public_key(), host.local_addr());
    /// let mut client = Socket::client()?;
    /// client.connect_with(url, ConnectOptions::default().with_data("Ada, team red"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Nothing says whose key counts ([`ConnectError::NoTrust`]), the text is not a URL, the address cannot be a host's
    /// ([`ConnectError::Unspecified`]) or lacks a zone of this machine ([`ConnectError::NoZone`],
    /// [`ConnectError::NoSuchZone`]), a shard has no UDP
    /// port for a name ([`ConnectError::NoPort`]), or the endpoint refuses.
    pub fn connect_with(
        &mut self,
        target: impl ToTarget,
        mut options: ConnectOptions,
    ) -> Result<ConnectionId, ConnectError> {
        let now = self.clock.now();
        let target = target.to_target()?;
        let place = target.place()?;
        options.trust = Some(combine_trust(target.key(), options.trust)?);
        let address = match place {
            Place::Address(address) => address,
            Place::Name { name, port } => {
                let from = self.port_for_names()?;
                let id = self.endpoint.connect_unresolved_from(now, from, options)?;
                let (waker, udp) = (&mut self.waker, &mut self.udp);
                self.resolver.resolve(id, name, port, || get_waker(waker, udp));
                return Ok(id);
            }
        };
        if let Some(owner) = self.shard.as_ref().and_then(|shard| shard.other_owner(address)) {
            return Err(ConnectError::OtherShard { owner });
        }
        Ok(self.endpoint.connect(now, address, options)?)
    }

    /// The local port from which names are asked, as paths count them. The addresses of a name may belong to several shards,
    /// so a shard opens a private port for them at the first one.
    fn port_for_names(&mut self) -> Result<u16, ConnectError> {
        if self.shard.is_none() {
            return Ok(0);
        }
        self.further.private().map_err(|error| ConnectError::NoPort(error.to_string()))
    }

    /// Goes on with a host that has shown its key and data ([`Event::ChallengeResponse`](torque_proto::Event::ChallengeResponse)). To give the attempt up,
    /// [`close`](Self::close) it.
    ///
    /// # Errors
    /// The connection has ended, or does not wait for this.
    pub fn accept_challenge(&mut self, connection: ConnectionId) -> Result<(), CallError> {
        self.endpoint.accept_challenge(self.clock.now(), connection)?;
        self.take_puzzles();
        Ok(())
    }

    /// Lets an initiator in ([`Event::ConnectRequest`](torque_proto::Event::ConnectRequest)). `accept_data`, at most 511 bytes, is for its application.
    ///
    /// # Errors
    /// The connection has ended, does not wait for this, or the data is too long.
    pub fn accept_connection(
        &mut self,
        connection: ConnectionId,
        accept_data: &[u8],
    ) -> Result<(), CallError> {
        self.endpoint.accept_connection(self.clock.now(), connection, accept_data)
    }

    /// Refuses a request ([`Event::ConnectRequest`](torque_proto::Event::ConnectRequest)), for a reason of at most 511 bytes that the initiator is told.
    /// [`Event::Close`](torque_proto::Event::Close) follows, with [`CloseCode::Refused`](torque_proto::CloseCode::Refused).
    ///
    /// # Errors
    /// The connection has ended, is not a request that waits for an answer, or the reason is too long.
    pub fn refuse(&mut self, connection: ConnectionId, reason: &[u8]) -> Result<(), CallError> {
        self.endpoint.refuse(self.clock.now(), connection, reason)
    }

    /// Drops a request ([`Event::ConnectRequest`](torque_proto::Event::ConnectRequest)) without an answer: the initiator hears nothing and gives up by
    /// itself. Its place is free at once, and [`Event::Close`](torque_proto::Event::Close) follows.
    ///
    /// An initiator that begins again, with another puzzle, is a new request. One that had heard that the application is
    /// thinking does so by itself, once the host's challenge is too old (after half a minute or more): the application is
    /// asked again. To end the attempt, [`refuse`](Self::refuse) it.
    ///
    /// # Errors
    /// The connection has ended, or is not a request that waits for an answer.
    pub fn ignore(&mut self, connection: ConnectionId) -> Result<(), CallError> {
        self.endpoint.ignore(connection)
    }

    /// Ends a connection in any phase, for a reason of at most 511 bytes that the other side is told.
    /// [`Event::Close`](torque_proto::Event::Close) follows, with [`CloseCode::Closed`](torque_proto::CloseCode::Closed). To say no to a request, [`refuse`](Self::refuse) it.
    ///
    /// # Errors
    /// The connection has ended already, or the reason is too long.
    pub fn close(&mut self, connection: ConnectionId, reason: &[u8]) -> Result<(), CallError> {
        let now = self.clock.now();
        self.endpoint.close(now, connection, reason)?;
        self.puzzles.cancel(connection);
        self.resolver.cancel(connection);
        Ok(())
    }

    /// Closes everything; the other sides are told that this socket is shutting down. Close events follow.
    pub fn close_all(&mut self) {
        self.endpoint.close_all(self.clock.now());
    }
}
