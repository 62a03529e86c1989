//! The calls that a `Socket` has and that reach it through a lock: written once, so that they mean the same in each face.

/// Makes the calls of a face that has `with`, which calls a closure with the [`Socket`](crate::Socket), and `with_flush`,
/// after which datagrams leave soon.
macro_rules! calls_through_a_lock {
    () => {
        /// The socket's identity.
        pub fn public_key(&self) -> PublicKey {
            self.with(|socket| socket.public_key())
        }

        /// As [`Socket::set_key_pair`].
        ///
        /// # Errors
        /// [`CallError::ConnectionsExist`].
        pub fn set_key_pair(&self, key_pair: KeyPair) -> Result<(), CallError> {
            self.with(|socket| socket.set_key_pair(key_pair))
        }

        /// As [`Socket::set_challenge_response_data`].
        ///
        /// # Errors
        /// The data is too long.
        pub fn set_challenge_response_data(&self, data: &[u8]) -> Result<(), CallError> {
            self.with(|socket| socket.set_challenge_response_data(data))
        }

        /// As [`Socket::set_simulated_link`].
        pub fn set_simulated_link(&self, link: impl Into<Option<LinkConfig>>) {
            self.with(|socket| socket.set_simulated_link(link));
        }

        /// As [`Socket::connect`].
        ///
        /// # Errors
        /// Those of [`Socket::connect_with`].
        pub fn connect(
            &self,
            target: impl ToTarget,
            trust: impl Into<Option<Trust>>,
        ) -> Result<ConnectionId, ConnectError> {
            self.with_flush(|socket| socket.connect(target, trust))
        }

        /// As [`Socket::connect_with`].
        ///
        /// # Errors
        /// Those of [`Socket::connect_with`].
        pub fn connect_with(
            &self,
            target: impl ToTarget,
            options: ConnectOptions,
        ) -> Result<ConnectionId, ConnectError> {
            self.with_flush(|socket| socket.connect_with(target, options))
        }

        /// As [`Socket::accept_challenge`].
        ///
        /// # Errors
        /// The connection has ended, or does not wait for this.
        pub fn accept_challenge(&self, connection: ConnectionId) -> Result<(), CallError> {
            self.with_flush(|socket| socket.accept_challenge(connection))
        }

        /// As [`Socket::accept_connection`].
        ///
        /// # Errors
        /// The connection has ended, does not wait for this, or the data is too long.
        pub fn accept_connection(
            &self,
            connection: ConnectionId,
            accept_data: &[u8],
        ) -> Result<(), CallError> {
            self.with_flush(|socket| socket.accept_connection(connection, accept_data))
        }

        /// As [`Socket::refuse`].
        ///
        /// # Errors
        /// Those of [`Socket::refuse`].
        pub fn refuse(&self, connection: ConnectionId, reason: &[u8]) -> Result<(), CallError> {
            self.with_flush(|socket| socket.refuse(connection, reason))
        }

        /// As [`Socket::ignore`].
        ///
        /// # Errors
        /// Those of [`Socket::ignore`].
        pub fn ignore(&self, connection: ConnectionId) -> Result<(), CallError> {
            self.with(|socket| socket.ignore(connection))
        }

        /// As [`Socket::close`].
        ///
        /// # Errors
        /// The connection has ended already, or the reason is too long.
        pub fn close(&self, connection: ConnectionId, reason: &[u8]) -> Result<(), CallError> {
            self.with_flush(|socket| socket.close(connection, reason))
        }

        /// As [`Socket::close_all`].
        pub fn close_all(&self) {
            self.with_flush(Socket::close_all);
        }

        /// As [`Socket::send`]: sealed at once by the calling thread.
        ///
        /// # Errors
        /// [`SendError`]; no sequence is taken then.
        pub fn send(&self, connection: ConnectionId, payload: &[u8]) -> Result<Sequence, SendError> {
            self.with(|socket| socket.send(connection, payload))
        }

        /// As [`Socket::send_to_all`].
        pub fn send_to_all(
            &self,
            connections: impl IntoIterator<Item = ConnectionId>,
            payload: &[u8],
        ) -> Vec<(ConnectionId, Result<Sequence, SendError>)> {
            // Collected before the lock is taken, because the caller's iterator may call this socket.
            let connections: Vec<_> = connections.into_iter().collect();
            self.with(|socket| socket.send_to_all(connections, payload))
        }

        /// As [`Socket::send_info`].
        ///
        /// # Errors
        /// The packet is not an info packet, or too much is queued.
        pub fn send_info(&self, remote: impl Into<Address>, payload: &[u8]) -> Result<(), CallError> {
            self.send_info_from(None, remote, payload)
        }

        /// As [`Socket::send_info_from`].
        ///
        /// # Errors
        /// The packet is not an info packet, or too much is queued.
        pub fn send_info_from(
            &self,
            local: Option<IpAddr>,
            remote: impl Into<Address>,
            payload: &[u8],
        ) -> Result<(), CallError> {
            self.with(|socket| socket.send_info_from(local, remote, payload))
        }

        /// As [`Socket::introduce`].
        ///
        /// # Errors
        /// Those of [`Socket::introduce`].
        pub fn introduce(
            &self,
            initiator: ConnectionId,
            host: ConnectionId,
            relay: impl Into<Option<Relay>>,
        ) -> Result<IntroductionId, CallError> {
            self.with_flush(|socket| socket.introduce(initiator, host, relay))
        }

        /// As [`Socket::refuse_introduction`].
        ///
        /// # Errors
        /// Nothing was asked.
        pub fn refuse_introduction(&self, from: ConnectionId, to: ConnectionId) -> Result<(), CallError> {
            self.with_flush(|socket| socket.refuse_introduction(from, to))
        }

        /// As [`Socket::connect_introduced`].
        ///
        /// # Errors
        /// Those of [`Socket::connect_introduced`].
        pub fn connect_introduced(
            &self,
            introducer: ConnectionId,
            remote: u32,
            options: IntroducedOptions,
        ) -> Result<ConnectionId, CallError> {
            self.with_flush(|socket| socket.connect_introduced(introducer, remote, options))
        }

        /// As [`Socket::look_at_nat`].
        ///
        /// # Errors
        /// Those of [`Socket::look_at_nat`].
        pub fn look_at_nat(&self, introducer: ConnectionId) -> Result<(), CallError> {
            self.with_flush(|socket| socket.look_at_nat(introducer))
        }

        /// As [`Socket::observing_addr`].
        pub fn observing_addr(&self) -> Option<SocketAddr> {
            self.with(|socket| socket.observing_addr())
        }

        /// As [`Socket::introducer_stats`]: a copy.
        pub fn introducer_stats(&self) -> IntroducerStats {
            self.with(|socket| socket.introducer_stats().clone())
        }

        /// As [`Socket::party_stats`].
        pub fn party_stats(&self) -> PartyStats {
            self.with(|socket| socket.party_stats())
        }

        /// As [`Socket::path_search`].
        pub fn path_search(&self, connection: ConnectionId) -> Option<PathSearch> {
            self.with(|socket| socket.path_search(connection))
        }

        /// As [`Socket::network_changed`].
        pub fn network_changed(&self) {
            self.with_flush(Socket::network_changed);
        }

        /// Hands all queued datagrams to the operating system.
        pub fn flush(&self) {
            self.with(Socket::flush);
        }

        /// As [`Socket::max_packet_size`].
        pub fn max_packet_size(&self, connection: ConnectionId) -> Option<usize> {
            self.with(|socket| socket.max_packet_size(connection))
        }

        /// As [`Socket::peer`].
        pub fn peer(&self, connection: ConnectionId) -> Option<Peer> {
            self.with(|socket| socket.peer(connection))
        }

        /// As [`Socket::set_user_data`].
        ///
        /// # Errors
        /// The connection has ended.
        pub fn set_user_data(&self, connection: ConnectionId, user_data: u64) -> Result<(), CallError> {
            self.with(|socket| socket.set_user_data(connection, user_data))
        }

        /// The established connections.
        pub fn connections(&self) -> Vec<ConnectionId> {
            self.with(|socket| socket.connections().collect())
        }

        /// A copy of the counters of the protocol.
        pub fn stats(&self) -> Stats {
            self.with(|socket| socket.stats().clone())
        }

        /// A copy of the counters of the driver.
        pub fn io_stats(&self) -> IoStats {
            self.with(|socket| *socket.io_stats())
        }

        /// As [`Socket::connection_stats`].
        pub fn connection_stats(&self, connection: ConnectionId) -> Option<ConnectionStats> {
            self.with(|socket| socket.connection_stats(connection))
        }

        /// As [`Socket::attempt_problem`].
        pub fn attempt_problem(&self, connection: ConnectionId) -> Option<CloseCode> {
            self.with(|socket| socket.attempt_problem(connection))
        }

        /// As [`Socket::metrics`].
        pub fn metrics(&self) -> String {
            self.with(|socket| socket.metrics())
        }
    };
}

pub(crate) use calls_through_a_lock;
