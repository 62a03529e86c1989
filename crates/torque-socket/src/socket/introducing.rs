//! Introductions: by this socket, and of it.

use torque_proto::{
    CallError, ConnectionId, IntroducedOptions, IntroducerStats, IntroductionId, PartyStats, PathSearch,
    Relay,
};

use super::Socket;

impl Socket {
    /// Introduces two sockets that are connected to this one: each is told the other's key, addresses and a fresh secret, and they
    /// connect to each other, through NATs too. Both have to ask for one another, before or after this, with
    /// [`connect_introduced`](Self::connect_introduced). [`Event::Introduced`](torque_proto::Event::Introduced) tells what became of it.
    ///
    /// With `relay` they may use this socket as a relay while no direct path works. It cannot read what it passes on.
    ///
    /// Set [`introduction.introduces`](torque_proto::IntroductionConfig::introduces) before the socket is bound: otherwise this fails, and requests of
    /// others stay without an answer.
    ///
    /// # Errors
    /// The configuration does not allow it, one of the two is no open connection, they belong to different shards, or too many introductions are under way.
    pub fn introduce(
        &mut self,
        initiator: ConnectionId,
        host: ConnectionId,
        relay: impl Into<Option<Relay>>,
    ) -> Result<IntroductionId, CallError> {
        self.endpoint.introduce(self.clock.now(), initiator, host, relay.into())
    }

    /// Refuses what an [`Event::IntroductionRequested`](torque_proto::Event::IntroductionRequested) asks: the attempt of the party that
    /// asked ends with `introduction_refused`.
    ///
    /// # Errors
    /// Nothing was asked.
    pub fn refuse_introduction(&mut self, from: ConnectionId, to: ConnectionId) -> Result<(), CallError> {
        self.endpoint.refuse_introduction(self.clock.now(), from, to)
    }

    /// Asks the other side of an open connection, the introducer, for a connection with another socket that is connected to it.
    /// `remote` is the number of that connection at the introducer ([`ConnectionId::get`]), which its application tells. The other
    /// party asks for this one, and one of the two is host.
    ///
    /// The id of the connection to come is returned at once. Events tell what follows, as after [`connect`](Self::connect); at the host
    /// [`Event::ConnectRequest`](torque_proto::Event::ConnectRequest) has this id. [`close`](Self::close) withdraws.
    ///
    /// # Errors
    /// The introducer is no open connection, nothing says whose key counts, this pair is being introduced already, too many
    /// introductions or connections are under way, or this is one of several shards ([`CallError::OtherShard`]).
    pub fn connect_introduced(
        &mut self,
        introducer: ConnectionId,
        remote: u32,
        options: IntroducedOptions,
    ) -> Result<ConnectionId, CallError> {
        if self.shard.is_some() {
            return Err(CallError::OtherShard);
        }
        let now = self.clock.now();
        if options.direct {
            self.find_own_addresses(now);
        }
        self.endpoint.connect_introduced(now, introducer, remote, options)
    }

    /// The search for paths of a connection that begins, or began, with an introduction, as it stands: for programs that show it to a
    /// person. They call this after each turn of their loop. `None` for other connections.
    ///
    /// ```
    /// use torque_socket::{ConnectionId, Socket};
    ///
    /// /// Prints a line whenever there is something new.
    /// fn watch(socket: &Socket, connection: ConnectionId, shown: &mut String) {
    ///     let Some(search) = socket.path_search(connection) else { return };
    ///     let punches = socket.party_stats();
    ///     let (sent, received) = (punches.punches_sent, punches.punches_received);
    ///     let line = format!("{:?}: {sent} punches sent, {received} received; works: {:?}", search.candidates, search.working);
    ///     if *shown != line {
    ///         println!("{line}");
    ///         *shown = line;
    ///     }
    /// }
    /// ```
    pub fn path_search(&self, connection: ConnectionId) -> Option<PathSearch> {
        self.endpoint.path_search(connection)
    }

    /// Asks the other side of an open connection, an introducer, how the NAT between it and this socket behaves.
    /// [`Event::NatFound`](torque_proto::Event::NatFound) answers, after 4 s at most: also if it cannot say, or is no introducer.
    ///
    /// The socket opens four more UDP ports for a second, as far as
    /// [`introduction.further_ports`](torque_proto::IntroductionConfig::further_ports) allows.
    ///
    /// # Errors
    /// `introducer` is no open connection, or this is one of several shards ([`CallError::OtherShard`]).
    pub fn look_at_nat(&mut self, introducer: ConnectionId) -> Result<(), CallError> {
        if self.shard.is_some() {
            return Err(CallError::OtherShard);
        }
        #[cfg(feature = "port-mapping")]
        self.ask_router();
        self.endpoint.look_at_nat(self.clock.now(), introducer)
    }

    /// Counters of this socket as introducer.
    pub fn introducer_stats(&self) -> &IntroducerStats {
        self.endpoint.introducer_stats()
    }

    /// Counters of this socket as a party of introductions.
    pub fn party_stats(&self) -> PartyStats {
        self.endpoint.party_stats()
    }
}
