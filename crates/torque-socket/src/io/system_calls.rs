//! The system calls themselves: what this operating system has for many datagrams at once.
//!
//! Another carrier than UDP is a crate beside this one, over `torque-proto`.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::sync::Arc;

use quinn_udp::{UdpSockRef, UdpSocketState};
use torque_proto::{Address, Run, Transmit, Transmits};

use super::Arrived;
use super::failure::Failure;
use super::segments::Segments;

/// The most bytes of one run: a little less than the longest UDP datagram, which is what the kernel cuts.
const MAX_RUN_BYTES: usize = 65_000;

/// One piece for the kernel: a datagram, or a run of them on one path.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) destination: SocketAddr,
    pub(crate) source: Option<IpAddr>,
    /// Set for a run: the size of each datagram but the last, which may be shorter.
    pub(crate) segment_size: Option<u16>,
    pub(crate) hop_limit: Option<u8>,
    pub(crate) bytes: &'a [u8],
}

/// The owner of the socket.
pub(crate) enum Handle {
    /// Shared with a thread that waits for it.
    Plain(Arc<UdpSocket>),
    #[cfg(feature = "tokio")]
    Tokio(tokio::net::UdpSocket),
}

/// The datagrams that one call sent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Sent {
    pub(crate) datagrams: usize,
    pub(crate) bytes: usize,
}

impl Sent {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn add(&mut self, run: &Run<'_>) {
        self.datagrams += run.count;
        self.bytes += run.bytes.len();
    }
}

/// Why a call sent nothing.
pub(crate) enum Refused {
    /// The next datagram is for an address that this socket can never reach.
    NoSuchFamily,
    /// What the operating system said.
    System(io::Error),
}

impl Refused {
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::NoSuchFamily => Failure::Impossible,
            Self::System(error) => Failure::of(error),
        }
    }

    pub(crate) fn error(&self) -> Option<&io::Error> {
        match self {
            Self::NoSuchFamily => None,
            Self::System(error) => Some(error),
        }
    }
}

/// A socket and what is known about it.
pub(crate) struct SystemCalls {
    pub(crate) handle: Handle,
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    state: UdpSocketState,
    pub(crate) local: SocketAddr,
    /// The port of the paths that begin here: 0 at the bound port ([`Path::port`]).
    pub(crate) port: u16,
    /// True if an IPv6 socket takes IPv4 as well.
    pub(super) dual_stack: bool,
    segments: Segments,
}

impl SystemCalls {
    pub(crate) fn new(socket: UdpSocket, dual_stack: bool, port: u16) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let local = socket.local_addr()?;
        let segments = Segments::new(state.max_gso_segments());
        #[cfg(any(target_os = "linux", target_os = "android"))]
        super::mmsg::ask_for(std::os::fd::AsFd::as_fd(&socket), local.ip().is_unspecified());
        Ok(Self {
            handle: Handle::Plain(Arc::new(socket)),
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            state,
            local,
            port,
            dual_stack,
            segments,
        })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn sock_ref(&self) -> UdpSockRef<'_> {
        match &self.handle {
            Handle::Plain(socket) => UdpSockRef::from(&**socket),
            #[cfg(feature = "tokio")]
            Handle::Tokio(socket) => UdpSockRef::from(socket),
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn option_ref(&self) -> socket2::SockRef<'_> {
        match &self.handle {
            Handle::Plain(socket) => socket2::SockRef::from(&**socket),
            #[cfg(feature = "tokio")]
            Handle::Tokio(socket) => socket2::SockRef::from(socket),
        }
    }

    #[cfg(unix)]
    pub(crate) fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        use std::os::fd::AsFd;
        match &self.handle {
            Handle::Plain(socket) => socket.as_fd(),
            #[cfg(feature = "tokio")]
            Handle::Tokio(socket) => socket.as_fd(),
        }
    }

    #[cfg(windows)]
    pub(crate) fn socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        use std::os::windows::io::AsSocket;
        match &self.handle {
            Handle::Plain(socket) => socket.as_socket(),
            #[cfg(feature = "tokio")]
            Handle::Tokio(socket) => socket.as_socket(),
        }
    }

    /// The destination for a datagram to `remote`; `None` if this socket has no address of that family.
    fn destination(&self, remote: Address) -> Option<SocketAddr> {
        match (remote.socket_addr()?, self.local.is_ipv6()) {
            (SocketAddr::V4(v4), true) => {
                self.dual_stack.then(|| SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into())
            }
            (SocketAddr::V6(_), false) => None,
            (same, _) => Some(same),
        }
    }

    fn message<'a>(&self, run: &Run<'a>) -> Option<Message<'a>> {
        Some(Message {
            destination: self.destination(run.path.remote)?,
            source: run.path.local,
            segment_size: if run.count > 1 { u16::try_from(run.segment_size).ok() } else { None },
            hop_limit: run.hop_limit,
            bytes: run.bytes,
        })
    }

    /// The run that begins at `index`; `None` if it leaves from another port.
    fn run<'a>(&self, transmits: &'a Transmits, index: usize) -> Option<Run<'a>> {
        let path = transmits.get(index)?.path;
        if path.port != self.port {
            return None;
        }
        let most = self.segments.at_most(&path.remote);
        transmits.run(index, most, MAX_RUN_BYTES)
    }

    /// A run to `remote` was refused, but its datagrams were taken: from now on they go one by one.
    pub(crate) fn runs_refused_to(&mut self, remote: Address) {
        self.segments.refused_to(remote);
    }

    /// One system call for as much as it takes, up to the first datagram that is held back.
    ///
    /// # Errors
    /// What the first datagram met; nothing was sent then.
    pub(crate) fn send_batch(
        &self,
        transmits: &Transmits,
        holds: impl Fn(&Run<'_>) -> bool,
    ) -> Result<Sent, Refused> {
        let sent = self.send_batch_now(transmits, &holds);
        // A runtime tells of room in the send buffer only if it has seen a call fail for want of it.
        #[cfg(feature = "tokio")]
        if let (Err(Refused::System(error)), Handle::Tokio(socket)) = (&sent, &self.handle)
            && error.kind() == io::ErrorKind::WouldBlock
        {
            let mut again = Ok(Sent::default());
            let seen = socket.try_io(tokio::io::Interest::WRITABLE, || {
                again = self.send_batch_now(transmits, &holds);
                match &again {
                    Err(Refused::System(error)) => Err(io::Error::from(error.kind())),
                    _ => Ok(()),
                }
            });
            return match seen {
                // The runtime knows already that there is no room, so it did not try.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Refused::System(error)),
                _ => again,
            };
        }
        sent
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn send_batch_now(
        &self,
        transmits: &Transmits,
        holds: &impl Fn(&Run<'_>) -> bool,
    ) -> Result<Sent, Refused> {
        use super::mmsg;

        let (mut given, mut runs) = (Sent::default(), 0);
        let taken = mmsg::send(self.fd(), || {
            let run = self.run(transmits, given.datagrams).filter(|run| !holds(run))?;
            let message = self.message(&run)?;
            given.add(&run);
            runs += 1;
            Some(message)
        })
        .map_err(Refused::System)?;
        if taken == 0 {
            return if transmits.is_empty() { Ok(Sent::default()) } else { Err(Refused::NoSuchFamily) };
        }
        if taken < runs {
            given = Sent::default();
            for _ in 0..taken {
                let Some(run) = self.run(transmits, given.datagrams) else { break };
                given.add(&run);
            }
        }
        Ok(given)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn send_batch_now(&self, transmits: &Transmits, _: &impl Fn(&Run<'_>) -> bool) -> Result<Sent, Refused> {
        let Some(run) = self.run(transmits, 0) else { return Ok(Sent::default()) };
        let message = self.message(&run).ok_or(Refused::NoSuchFamily)?;
        self.send_message(&message).map_err(Refused::System)?;
        Ok(Sent { datagrams: run.count, bytes: run.bytes.len() })
    }

    /// Sends one datagram.
    pub(crate) fn send_singly(
        &self,
        Transmit { path, hop_limit, bytes }: Transmit<'_>,
    ) -> Result<(), Refused> {
        let destination = self.destination(path.remote).ok_or(Refused::NoSuchFamily)?;
        let message = Message { destination, source: path.local, segment_size: None, hop_limit, bytes };
        self.send_message(&message).map_err(Refused::System)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn send_message(&self, message: &Message<'_>) -> io::Result<()> {
        super::mmsg::send_one(self.fd(), message)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn send_message(&self, message: &Message<'_>) -> io::Result<()> {
        let transmit = quinn_udp::Transmit {
            destination: message.destination,
            ecn: None,
            contents: message.bytes,
            segment_size: message.segment_size.map(usize::from),
            src_ip: message.source,
        };
        let send = || self.state.try_send(self.sock_ref(), &transmit);
        match message.hop_limit {
            None => send(),
            Some(limit) => super::hop_limit::with(&self.option_ref(), message.destination.ip(), limit, send),
        }
    }

    /// The first run of `transmits`.
    pub(crate) fn first_run<'a>(&self, transmits: &'a Transmits) -> Option<Run<'a>> {
        self.run(transmits, 0)
    }

    /// One receive call of at most one message for each [`RECEIVE_BYTES`](super::RECEIVE_BYTES) of `buffers`. Returns how many came.
    ///
    /// # Errors
    /// What the operating system says; `WouldBlock` if nothing is there.
    pub(crate) fn receive(&self, buffers: &mut [u8], take: impl FnMut(Arrived<'_>)) -> io::Result<usize> {
        match &self.handle {
            Handle::Plain(_) => self.receive_now(buffers, take),
            #[cfg(feature = "tokio")]
            Handle::Tokio(socket) => {
                socket.try_io(tokio::io::Interest::READABLE, || self.receive_now(buffers, take))
            }
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn receive_now(&self, buffers: &mut [u8], take: impl FnMut(Arrived<'_>)) -> io::Result<usize> {
        super::mmsg::receive(self.fd(), buffers, take)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn receive_now(&self, buffers: &mut [u8], mut take: impl FnMut(Arrived<'_>)) -> io::Result<usize> {
        use super::RECEIVE_BYTES;
        use quinn_udp::{BATCH_SIZE, RecvMeta};
        use std::io::IoSliceMut;

        let mut buffers = buffers.chunks_exact_mut(RECEIVE_BYTES);
        let mut heads = [RecvMeta::default(); BATCH_SIZE];
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
        let count = self.state.recv(self.sock_ref(), &mut slices, &mut heads)?;
        for (head, slice) in heads.iter().zip(&mut slices).take(count) {
            let len = head.len.min(slice.len());
            let (from, destination, stride) = (head.addr, head.dst_ip, head.stride);
            take(Arrived { from, destination, stride, lost: None, bytes: &mut slice[..len] });
        }
        Ok(count)
    }

    /// The number of messages that one call receives when asked for `wanted`.
    pub(crate) fn receive_at_most(&self, wanted: usize) -> usize {
        if cfg!(any(target_os = "linux", target_os = "android")) { wanted } else { quinn_udp::BATCH_SIZE }
    }

    /// Returns whether a receive call that did not fill its buffers found all there was. A runtime has to see a call
    /// fail before it waits, so there the last call has to be one that finds nothing.
    pub(crate) fn short_receive_is_last(&self) -> bool {
        match &self.handle {
            Handle::Plain(_) => self.receive_at_most(super::RECEIVE_BATCH) > 1,
            #[cfg(feature = "tokio")]
            Handle::Tokio(_) => false,
        }
    }
}
