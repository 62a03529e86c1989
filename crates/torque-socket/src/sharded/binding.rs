//! Making the sockets of a sharded host.

use std::fmt;
use std::io;
use std::net::{ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex};

use torque_proto::Config;

use super::ShardedSocket;
use super::inbox::Inbox;
use super::rule::Rule;
use super::shard::{Group, Shard};
use crate::builder::Builder;
use crate::error::BindError;
use crate::socket::Socket;
use crate::waker::Waker;

/// How many datagrams may wait to be taken over by a shard from others.
const INBOX_DATAGRAMS: usize = 4_096;

/// How datagrams get to the shard that owns them. The result is the same with each; the price is not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Steering {
    /// One socket receives for all shards and hands on what belongs to others. Where a port cannot be shared so
    /// that the system spreads datagrams: everywhere but on Linux.
    OneSocket,
    /// Each shard has a socket at the same port (`SO_REUSEPORT`). The system spreads remotes among them by another rule than
    /// the shards', so with *n* shards all but one in *n* datagrams are handed on. The fallback where the system refuses
    /// [`Kernel`](Self::Kernel). A broadcast to the port, which the system copies to every socket, is seen once for each of
    /// them.
    HandOn,
    /// The same, and the system follows the shards' own rule: nothing is handed on. Linux.
    Kernel,
}

/// How to make a sharded host. From [`Builder::shards`].
///
/// ```no_run
/// use torque_socket::Socket;
///
/// // One background thread for each core, and one address and key for all.
/// let shards = std::thread::available_parallelism()?.get().min(8);
/// let host = Socket::builder().shards(shards).bind("0.0.0.0:28000")?;
/// println!("torque://{}@MY-ADDRESS:28000", host.public_key());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ShardedBuilder {
    builder: Builder,
    shards: usize,
    steering: Steering,
    inbox_datagrams: usize,
}

/// The sockets of the shards, in the order of their numbers.
struct Sockets {
    udp: Vec<UdpSocket>,
    steering: Steering,
}

impl ShardedBuilder {
    pub(crate) fn new(builder: Builder, shards: usize) -> Self {
        Self { builder, shards, steering: Steering::Kernel, inbox_datagrams: INBOX_DATAGRAMS }
    }

    /// The most that the system is asked for (default [`Steering::Kernel`]); it may have less to give. To measure
    /// and test the others.
    #[must_use]
    pub fn steering(mut self, at_most: Steering) -> Self {
        self.steering = at_most;
        self
    }

    /// How many datagrams that reached another shard may wait for the one that owns them (default 4,096). Further
    /// ones are lost, as on the way, and counted in [`IoStats::inbox_full`](crate::IoStats::inbox_full).
    #[must_use]
    pub fn inbox_datagrams(mut self, datagrams: usize) -> Self {
        self.inbox_datagrams = datagrams;
        self
    }

    /// Makes the host, with one thread for each shard.
    ///
    /// Several shards have neither [`Config::roaming`] nor [`Config::sole_identity`], whatever the configuration says: what
    /// comes from another address may reach another shard than that of its connection.
    ///
    /// # Errors
    /// [`BindError`] says what to do.
    pub fn bind(self, address: impl ToSocketAddrs + fmt::Debug) -> Result<ShardedSocket, BindError> {
        let (shards, rule, steering) = self.make(address)?;
        ShardedSocket::from_shards(shards, rule, steering)
    }

    /// Makes the host as one [`Socket`] for each shard, in the order of their numbers, each to be driven by a
    /// thread of the caller's: receiving, the application's work and sending then need no lock at all.
    ///
    /// Drive them with [`Socket::wait`], or poll them every frame; their descriptors alone do not tell what other
    /// shards leave for them. All of them have to be driven, or what they own is lost. Their connections do not follow other
    /// sides that move, as with [`bind`](Self::bind).
    ///
    /// ```no_run
    /// use torque_socket::{Event, Socket};
    ///
    /// let threads = Socket::builder().shards(4).bind_each("0.0.0.0:28000")?.into_iter().map(|mut shard| {
    ///     std::thread::spawn(move || {
    ///         loop {
    ///             match shard.wait_event(None) {
    ///                 // These calls fail if the client has gone meanwhile, which `Close` tells.
    ///                 Some(Event::ConnectRequest(request)) => {
    ///                     let _ = shard.accept_connection(request.connection, b"welcome");
    ///                 }
    ///                 Some(Event::Packet { connection, payload, .. }) => {
    ///                     let _ = shard.send(connection, &payload);
    ///                 }
    ///                 _ => {}
    ///             }
    ///         }
    ///     })
    /// });
    /// for thread in threads.collect::<Vec<_>>() {
    ///     thread.join().unwrap();
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`BindError`] says what to do.
    pub fn bind_each(self, address: impl ToSocketAddrs + fmt::Debug) -> Result<Vec<Socket>, BindError> {
        Ok(self.make(address)?.0)
    }

    fn make(
        self,
        address: impl ToSocketAddrs + fmt::Debug,
    ) -> Result<(Vec<Socket>, Rule, Steering), BindError> {
        // The configuration's own check says what a shard's number may be.
        let mut config = Config::default();
        config.shard = u8::try_from(self.shards.saturating_sub(1)).unwrap_or(u8::MAX);
        config.validate()?;
        let count = config.shard + 1;

        let (first, dual_stack) = self.builder.open_first(address)?;
        let local = first.local_addr().map_err(|error| BindError::System {
            doing: "looking up the port of",
            address: (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
            error,
        })?;
        let failed = |doing| move |error| BindError::System { doing, address: local, error };
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(|error| BindError::Randomness(error.into()))?;
        let rule = Rule::new(count, u32::from_ne_bytes(random));
        let Sockets { udp, steering } =
            self.open_others(first, dual_stack, &rule).map_err(failed("sharing the port of"))?;

        let wakers: Vec<(Waker, UdpSocket)> =
            udp.iter().map(|_| Waker::with_bell()).collect::<io::Result<_>>().map_err(failed("waking"))?;
        let (wakers, wake_sockets): (Vec<_>, Vec<_>) = wakers.into_iter().unzip();
        let group = Arc::new(Group {
            rule,
            inboxes: wakers.into_iter().map(|waker| Inbox::new(waker, self.inbox_datagrams)).collect(),
            is_steered: steering == Steering::Kernel,
            epoch_turn: Mutex::new(()),
        });
        let key_pair = self.builder.key_pair_or_fresh()?;
        let sockets = (0..count).zip(udp).zip(wake_sockets).map(|((number, udp), wake_socket)| {
            let receives = steering != Steering::OneSocket || number == 0;
            let shard = Shard::new(Arc::clone(&group), number.into(), receives, wake_socket);
            self.builder.for_shard(number, count, &key_pair).finish(udp, dual_stack, Some(Box::new(shard)))
        });
        Ok((sockets.collect::<Result<_, _>>()?, rule, steering))
    }

    /// The other shards' sockets: at the same port if the system spreads datagrams among them, else the same one.
    fn open_others(&self, first: UdpSocket, dual_stack: bool, rule: &Rule) -> io::Result<Sockets> {
        #[cfg(target_os = "linux")]
        if self.steering >= Steering::HandOn
            && let Ok(udp) = share_port(&self.builder, &first, dual_stack, rule.shards())
        {
            let steered = self.steering == Steering::Kernel && super::steering::steer(&udp[0], rule).is_ok();
            let steering = if steered { Steering::Kernel } else { Steering::HandOn };
            return Ok(Sockets { udp, steering });
        }
        #[cfg(not(target_os = "linux"))]
        let _ = dual_stack;
        let mut udp = Vec::new();
        for _ in 1..rule.shards() {
            udp.push(first.try_clone()?);
        }
        udp.insert(0, first);
        Ok(Sockets { udp, steering: Steering::OneSocket })
    }
}

/// Sockets at the port of `first`, which comes first among them.
///
/// `first` was bound without sharing, so that a port that another program has, shared or not, is refused as ever.
/// It shares from now on, with programs of the same user only (`SO_REUSEPORT`, Linux).
#[cfg(target_os = "linux")]
fn share_port(
    builder: &Builder,
    first: &UdpSocket,
    dual_stack: bool,
    shards: u32,
) -> io::Result<Vec<UdpSocket>> {
    let address = first.local_addr()?;
    socket2::SockRef::from(first).set_reuse_port(true)?;
    let mut udp = vec![first.try_clone()?];
    for _ in 1..shards {
        udp.push(builder.udp_options().open(address, dual_stack, true)?);
    }
    Ok(udp)
}
