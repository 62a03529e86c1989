//! Making a socket.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;

use socket2::Type;
use torque_netem::LinkConfig;
use torque_proto::{Config, Endpoint, KeyPair, Setup};

use crate::clock::{self, Clock, WallClock};
use crate::error::BindError;
use crate::further_ports::{FurtherPorts, Observes};
use crate::generate::Generate;
use crate::io::UdpOptions;
use crate::resolver::{self, Lookup};
use crate::sharded::{Shard, ShardedBuilder};
use crate::socket::Socket;

/// How to make a socket. Start with [`Socket::builder`].
///
/// ```
/// use torque_socket::{Config, Socket};
///
/// let config = Config::default().with_application_id("pond 3");
/// let socket = Socket::builder().config(config).bind("127.0.0.1:0")?;
/// # Ok::<(), torque_socket::BindError>(())
/// ```
#[derive(Clone, Default)]
pub struct Builder {
    config: Config,
    key_pair: Option<KeyPair>,
    link: Option<LinkConfig>,
    seed: Option<u64>,
    single_stack: bool,
    udp: UdpOptions,
    observes: Observes,
    lookup: Option<Lookup>,
    unwatched: bool,
    #[cfg(feature = "port-mapping")]
    maps_port: bool,
    wall: Option<WallClock>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Builder {
    /// Sets figures and limits (default [`Config::default`]).
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the socket's identity. Without it a pair is made, and forgotten with the socket.
    #[must_use]
    pub fn key_pair(mut self, key_pair: KeyPair) -> Self {
        self.key_pair = Some(key_pair);
        self
    }

    /// Sends every datagram, out and in, through a simulated link, in any build: to feel what a bad network
    /// does. Links to different remotes do not share a rate limit. [`Socket::set_simulated_link`] changes it later.
    ///
    /// ```
    /// use torque_socket::{LinkConfig, Socket};
    ///
    /// let link: LinkConfig = "delay=40,jitter=10,loss=5%".parse().unwrap();
    /// let socket = Socket::builder().simulated_link(link).bind("127.0.0.1:0")?;
    /// # Ok::<(), torque_socket::BindError>(())
    /// ```
    #[must_use]
    pub fn simulated_link(mut self, link: LinkConfig) -> Self {
        self.link = Some(link);
        self
    }

    /// Sets the seed of the simulated link's chances (default: drawn from the operating system).
    #[must_use]
    pub fn simulated_link_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets how many bytes the operating system may hold for sending (default 1 MiB; it may give less).
    #[must_use]
    pub fn send_buffer_size(mut self, bytes: usize) -> Self {
        self.udp.send_buffer = Some(bytes);
        self
    }

    /// Sets how many bytes the operating system may hold for this program to receive (default 1 MiB; it may give less).
    #[must_use]
    pub fn receive_buffer_size(mut self, bytes: usize) -> Self {
        self.udp.receive_buffer = Some(bytes);
        self
    }

    /// Lets a socket for all addresses take both IPv4 and IPv6, where the machine has both (default true). With
    /// `false` it takes the family that it was bound with.
    #[must_use]
    pub fn dual_stack(mut self, both: bool) -> Self {
        self.single_stack = !both;
        self
    }

    /// Sends and receives through one network interface only, for example `eth0` (Linux, Android). Elsewhere binding
    /// fails.
    ///
    /// A program that waits for the descriptor of such a socket also polls it now and then: names that have been resolved and
    /// puzzles that have been solved do not make it readable. Every other way to wait notices them.
    #[must_use]
    pub fn bind_device(mut self, interface: impl Into<String>) -> Self {
        self.udp.device = Some(interface.into());
        self
    }

    /// Replaces how the operating system finds the addresses of names, for example by a table. `lookup` is called on a
    /// thread where it may take its time, and gives addresses best first.
    ///
    /// An attempt waits for `lookup` as long as it takes; [`close`](Socket::close) gives the attempt up. A `lookup` that
    /// panics counts as failed.
    #[must_use]
    pub fn resolve_with(
        mut self,
        lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        self.lookup = Some(Arc::new(lookup));
        self
    }

    /// Lets the socket notice by itself that this machine's network has changed, or that the machine was asleep (default true):
    /// its connections then look for a way at once, as after [`Socket::network_changed`].
    ///
    /// For that it asks the operating system from which address datagrams to some of its other sides would leave: at most every
    /// 50 ms with up to three of them, every two seconds with more, when it is driven anyway. Nothing is sent. With `false` the program calls
    /// `network_changed`, or connections notice from overdue answers. It does nothing without [`Config::roaming`].
    #[must_use]
    pub fn watch_network(mut self, watch: bool) -> Self {
        self.unwatched = !watch;
        self
    }

    /// Asks this machine's router for a port that leads to the socket (PCP, NAT-PMP or UPnP; feature `port-mapping`; default
    /// false): then others reach it by an introduction through NATs that let in nobody by themselves.
    ///
    /// The router is asked when the first [`connect_introduced`](Socket::connect_introduced) with direct paths or
    /// [`look_at_nat`](Socket::look_at_nat) begins, on another
    /// thread: nothing waits for the answer. The port is given back when the socket is dropped, which takes up to 300 ms. A router
    /// that is not asked, or refuses, costs only this possibility.
    #[cfg(feature = "port-mapping")]
    #[must_use]
    pub fn map_port(mut self, map: bool) -> Self {
        self.maps_port = map;
        self
    }

    /// Sets where the socket, as an introducer, observes how the NATs of parties behave (INTRODUCTIONS.md 9): a second UDP port, to which parties
    /// send a few datagrams of 17 bytes. Better it has another IP address of this machine, so that a NAT that looks at the address alone is
    /// seen too. Behind a router that translates addresses, leave the IP address out (unspecified) and name only a port: parties cannot
    /// reach an address of the network inside.
    ///
    /// Without this call it is the port after the bound one, if that is free. An unspecified IP address stands for the one that the socket
    /// is bound to. `None`: nowhere, and all NATs stay unknown, as they do if a firewall lets nothing in. Then introductions work as well as without:
    /// against NATs that depend on the destination more is tried, later, and ports that follow each other are not foreseen. Does nothing without
    /// [`introduction.introduces`](torque_proto::IntroductionConfig::introduces), and for [`shards`](Self::shards).
    ///
    /// ```
    /// use std::net::{Ipv4Addr, SocketAddr};
    /// use torque_socket::{Config, Socket};
    ///
    /// let config = Config::default().with(|config| config.introduction.introduces = true);
    /// let observed = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    /// let introducer = Socket::builder().config(config).observe_at(observed).bind("127.0.0.1:0")?;
    /// println!("open UDP {} and {:?}", introducer.local_addr(), introducer.observing_addr());
    /// # Ok::<(), torque_socket::BindError>(())
    /// ```
    ///
    /// Binding fails if an address that is given here cannot be bound.
    #[must_use]
    pub fn observe_at(mut self, address: impl Into<Option<SocketAddr>>) -> Self {
        self.observes = address.into().map_or(Observes::Nowhere, Observes::At);
        self
    }

    /// Another wall clock than the machine's.
    #[cfg(test)]
    pub(crate) fn wall_clock(mut self, wall: WallClock) -> Self {
        self.wall = Some(wall);
        self
    }

    /// Makes a socket that others may connect to. `0.0.0.0` and `[::]` stand for all addresses of this machine,
    /// IPv4 and IPv6.
    ///
    /// # Errors
    /// [`BindError`] says what to do.
    pub fn bind(self, address: impl ToSocketAddrs + fmt::Debug) -> Result<Socket, BindError> {
        let (udp, dual_stack) = self.open_first(address)?;
        self.finish(udp, dual_stack, None)
    }

    /// Makes a socket of one that exists: bound by another part of the program, in another network namespace, or with
    /// other options. It must be a bound UDP socket that is not connected. Buffer sizes are set as for others. If it is in
    /// another namespace, or shares its port, its descriptor alone does not tell everything, as with
    /// [`bind_device`](Self::bind_device). Further ports of introductions are opened in the namespace of the thread that drives the socket.
    ///
    /// ```
    /// use torque_socket::Socket;
    ///
    /// let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    /// let socket = Socket::builder().adopt(udp)?;
    /// # Ok::<(), torque_socket::BindError>(())
    /// ```
    ///
    /// # Errors
    /// [`BindError::NotAdopted`].
    pub fn adopt(self, udp: UdpSocket) -> Result<Socket, BindError> {
        let dual_stack = examine(&udp).map_err(|error| BindError::NotAdopted { error })?;
        self.finish(udp, dual_stack, None)
    }

    /// Makes a socket of the first UDP socket that a service manager has opened for this program (systemd's socket
    /// activation, `ListenDatagram=`), so that a port below 1024 needs no privileges, and a restart loses no datagram. `None`
    /// if none was passed, or it was taken before: then bind as usual.
    ///
    /// ```
    /// use torque_socket::Socket;
    ///
    /// let socket = match Socket::builder().activated()? {
    ///     Some(socket) => socket,
    ///     None => Socket::bind("127.0.0.1:0")?,
    /// };
    /// # Ok::<(), torque_socket::BindError>(())
    /// ```
    ///
    /// # Errors
    /// [`BindError::NotAdopted`].
    pub fn activated(self) -> Result<Option<Socket>, BindError> {
        #[cfg(unix)]
        let passed = crate::activation::passed_udp();
        #[cfg(not(unix))]
        let passed = None;
        passed.map(|udp| self.adopt(udp)).transpose()
    }

    /// Makes a host of several sockets at one address, each with its own endpoint, for several cores: see
    /// [`ShardedSocket`](crate::ShardedSocket). There are 1 to
    /// [`ConnectionId::MAX_SHARDS`](crate::ConnectionId::MAX_SHARDS) shards: 0 makes one, and binding refuses more.
    #[must_use]
    pub fn shards(self, shards: usize) -> ShardedBuilder {
        ShardedBuilder::new(self, shards)
    }

    /// A bound socket at the first of the addresses where there can be one, and whether it takes both families.
    pub(crate) fn open_first(
        &self,
        address: impl ToSocketAddrs + fmt::Debug,
    ) -> Result<(UdpSocket, bool), BindError> {
        let bad = |error| BindError::BadAddress { text: format!("{address:?}").replace('"', ""), error };
        let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(bad)?.collect();
        let mut last = bad(io::ErrorKind::NotFound.into());
        for address in addresses {
            match self.open(address) {
                Ok(opened) => return Ok(opened),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Makes a socket that only connects to others, at a free port. It may be introduced, also as host.
    ///
    /// # Errors
    /// [`BindError`] says what to do.
    pub fn client(mut self) -> Result<Socket, BindError> {
        self.config.accept_incoming = false;
        self.bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0))
    }

    /// A bound socket, and whether it takes both families.
    fn open(&self, address: SocketAddr) -> Result<(UdpSocket, bool), BindError> {
        if address.ip().is_unspecified() && !self.single_stack {
            let both = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port());
            match self.udp.open(both, true, false) {
                Ok(udp) => return Ok((udp, true)),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Err(self.bind_error(address, error));
                }
                // No IPv6 here, or none that takes IPv4 too.
                Err(_) => {}
            }
        }
        let opened = self.udp.open(address, false, false).map(|udp| (udp, false));
        opened.map_err(|error| self.bind_error(address, error))
    }

    fn bind_error(&self, address: SocketAddr, error: io::Error) -> BindError {
        #[cfg(unix)]
        if let Some(interface) = &self.udp.device
            && error.raw_os_error() == Some(libc::ENODEV)
        {
            return BindError::NoSuchDevice { interface: interface.clone() };
        }
        BindError::from_bind(address, error)
    }

    /// The builder of one shard of several.
    pub(crate) fn for_shard(&self, number: u8, count: u8, key_pair: &KeyPair) -> Self {
        let mut builder = self.clone().key_pair(key_pair.clone());
        builder.config.shard = number;
        // What comes from a new address may reach another shard than that of its connection (PATHS.md 7, 8).
        builder.config.roaming &= count == 1;
        builder.config.sole_identity &= count == 1;
        // A shard is no party, and has one further port, for names.
        builder.config.introduction.further_ports = 0;
        // Links of different shards draw different chances.
        builder.seed = self.seed.map(|seed| seed.wrapping_add(u64::from(number) << 32));
        builder
    }

    /// The key pair that was given, or one from fresh randomness.
    pub(crate) fn key_pair_or_fresh(&self) -> Result<KeyPair, BindError> {
        match &self.key_pair {
            Some(key_pair) => Ok(key_pair.clone()),
            None => KeyPair::generate().map_err(BindError::Randomness),
        }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn udp_options(&self) -> &UdpOptions {
        &self.udp
    }

    pub(crate) fn finish(
        self,
        udp: UdpSocket,
        dual_stack: bool,
        shard: Option<Box<Shard>>,
    ) -> Result<Socket, BindError> {
        let address = udp.local_addr().unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        let further = FurtherPorts::new(self.udp.clone(), address, dual_stack);
        let udp = self.udp.set_up(udp, dual_stack, 0).map_err(|error| BindError::System {
            doing: "setting up",
            address,
            error,
        })?;
        let mut random = [0; 40];
        getrandom::fill(&mut random).map_err(|error| BindError::Randomness(error.into()))?;
        let (seed, link_seed) = random.split_at(32);
        let clock = Clock::new(self.wall.unwrap_or(clock::unix_millis));
        let endpoint = Endpoint::new(
            clock.now(),
            Setup {
                config: self.config,
                key_pair: self.key_pair,
                seed: seed.try_into().unwrap_or([0; 32]),
                unix_millis: clock.unix_millis(),
            },
        )?;
        let link_seed = self.seed.unwrap_or(u64::from_le_bytes(link_seed.try_into().unwrap_or([0; 8])));
        #[cfg(feature = "tracing")]
        tracing::debug!(address = %udp.local_addr(), "bound");
        let lookup = self.lookup.unwrap_or_else(resolver::system);
        let mut socket = Socket::from_parts(endpoint, udp, further, clock, link_seed, lookup, shard);
        socket.set_simulated_link(self.link);
        socket.observe(self.observes)?;
        if !self.unwatched {
            socket.watch_network();
        }
        #[cfg(feature = "port-mapping")]
        if self.maps_port {
            socket.map_port();
        }
        Ok(socket)
    }
}

/// Makes a socket fit to be adopted, and tells whether it takes both families.
fn examine(udp: &UdpSocket) -> io::Result<bool> {
    let refuse = |why: &'static str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let options = socket2::SockRef::from(udp);
    if options.r#type()? != Type::DGRAM {
        return refuse("it is no UDP socket");
    }
    let address = udp.local_addr()?;
    if address.port() == 0 {
        return refuse("it is not bound");
    }
    if udp.peer_addr().is_ok() {
        return refuse("it is connected to one address");
    }
    udp.set_nonblocking(true)?;
    Ok(address.is_ipv6() && !options.only_v6()?)
}
