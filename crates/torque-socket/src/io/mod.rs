//! Datagrams to and from the operating system, many in one call where it can.

mod failure;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod hop_limit;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod mmsg;
mod pressure;
mod segments;
mod stats;
mod system_calls;
mod udp_options;
pub(crate) mod wait;

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use torque_proto::wire::DatagramKind;
use torque_proto::{Address, Path, Transmit, Transmits};

use failure::Failure;
pub(crate) use failure::Trouble;
use pressure::Pressure;
pub use stats::IoStats;
#[cfg(any(target_os = "linux", target_os = "android"))]
use system_calls::Message;
use system_calls::{Handle, Refused, SystemCalls};
pub(crate) use udp_options::UdpOptions;

/// Bytes for one received message: the longest datagram, or as much as the kernel joins. A little more than
/// 64 KiB, so that the starts of the buffers do not share the same few cache lines.
const RECEIVE_BYTES: usize = 65_536 + 4_096 + 64;
/// Remembered addresses that could not be sent to.
const MAX_TROUBLES: usize = 32;

/// The most messages that one receive call takes: each is a datagram, or several that the kernel has joined.
const RECEIVE_BATCH: usize = 32;
/// The most datagrams that a kernel joins into one message.
pub(crate) const MAX_JOINED: usize = 64;
/// The number of messages to ask for while few come: preparing for more costs more.
const RECEIVE_FEW: usize = 2;

/// A message as it came: a datagram, or several of one source that the kernel has joined.
struct Arrived<'a> {
    from: SocketAddr,
    /// The address that it was sent to, if that was asked for.
    destination: Option<IpAddr>,
    /// Bytes of each datagram but the last.
    stride: usize,
    /// The datagrams that this socket has lost so far because its receive buffer was full, if any. The number wraps.
    lost: Option<u32>,
    bytes: &'a mut [u8],
}

/// The outcome of one receive call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Received {
    /// There may be more.
    Some,
    /// That was all.
    Last,
}

/// Room for what one receive call brings.
pub(crate) struct ReceiveBuffer(Vec<u8>);

impl Default for ReceiveBuffer {
    fn default() -> Self {
        // Zeroed memory that is never touched costs nothing.
        Self(vec![0; RECEIVE_BYTES * RECEIVE_BATCH])
    }
}

/// A bound UDP socket with its counters.
pub(crate) struct Udp {
    calls: SystemCalls,
    pressure: Pressure,
    /// The number of messages that the next receive call asks for.
    asks: usize,
    stats: IoStats,
    blocked: bool,
    troubles: Vec<Trouble>,
    /// The port from which this machine wakes a waiting socket.
    wake_port: Option<u16>,
    /// The losses that the kernel told last.
    lost: u32,
}

impl Udp {
    /// # Errors
    /// What the operating system says when the socket is set up.
    fn new(socket: UdpSocket, dual_stack: bool, port: u16) -> io::Result<Self> {
        let calls = SystemCalls::new(socket, dual_stack, port)?;
        let pressure = Pressure::new(pressure::buffer::capacity(&calls));
        Ok(Self {
            calls,
            pressure,
            asks: RECEIVE_FEW,
            stats: IoStats::default(),
            blocked: false,
            troubles: Vec::new(),
            wake_port: None,
            lost: 0,
        })
    }

    /// The port of the paths that begin here ([`Path::port`]).
    pub(crate) fn port(&self) -> u16 {
        self.calls.port
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.calls.local
    }

    /// Returns whether an IPv6 socket takes IPv4 as well.
    pub(crate) fn is_dual_stack(&self) -> bool {
        self.calls.dual_stack
    }

    pub(crate) fn stats(&self) -> &IoStats {
        &self.stats
    }

    pub(crate) fn stats_mut(&mut self) -> &mut IoStats {
        &mut self.stats
    }

    /// Returns whether datagrams wait for room in the send buffer.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Blocks it, as a send buffer does that stays full: the runtime waits for room, and there is none.
    #[cfg(all(test, feature = "tokio"))]
    pub(crate) async fn stay_blocked(&mut self) {
        if let Handle::Tokio(socket) = &self.calls.handle {
            socket.writable().await.expect("the runtime runs");
            let full = || Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock));
            let _ = socket.try_io(tokio::io::Interest::WRITABLE, full);
        }
        self.blocked = true;
    }

    pub(crate) fn set_wake_port(&mut self, port: u16) {
        self.wake_port = Some(port);
    }

    pub(crate) fn count_wake(&mut self) {
        self.stats.wakes += 1;
    }

    /// Addresses that could not be sent to since the last call, each once.
    pub(crate) fn take_troubles(&mut self) -> Vec<Trouble> {
        std::mem::take(&mut self.troubles)
    }

    /// The socket, unless a runtime owns it.
    pub(crate) fn plain(&self) -> Option<&Arc<UdpSocket>> {
        match &self.calls.handle {
            Handle::Plain(socket) => Some(socket),
            #[cfg(feature = "tokio")]
            Handle::Tokio(_) => None,
        }
    }

    /// Gives the socket to the tokio runtime of the calling task.
    #[cfg(feature = "tokio")]
    pub(crate) fn move_to_tokio(&mut self) -> io::Result<()> {
        if let Handle::Plain(socket) = &self.calls.handle {
            self.calls.handle = Handle::Tokio(tokio::net::UdpSocket::from_std(socket.try_clone()?)?);
        }
        Ok(())
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn tokio(&self) -> Option<&tokio::net::UdpSocket> {
        match &self.calls.handle {
            Handle::Plain(_) => None,
            Handle::Tokio(socket) => Some(socket),
        }
    }

    #[cfg(unix)]
    pub(crate) fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.calls.fd()
    }

    #[cfg(windows)]
    pub(crate) fn socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        self.calls.socket()
    }

    /// To be called before sending. If the send buffer is half full, nothing more is sent to the addresses that `silent`
    /// gives, until it is not.
    pub(crate) fn mind_pressure(&mut self, silent: impl FnOnce() -> HashSet<Address>) {
        if self.pressure.is_look_due_first() {
            self.pressure.looked(pressure::buffer::waiting(&self.calls));
            if self.pressure.wants_silent() {
                self.pressure.set_silent(silent());
            }
        }
    }

    /// Sends all that is queued, up to the first datagram that leaves from another port, except what the send buffer has no room for.
    pub(crate) fn send(&mut self, transmits: &mut Transmits) {
        self.blocked = false;
        while let Some(first) = transmits.get(0)
            && first.path.port == self.calls.port
        {
            if self.pressure.is_look_due() {
                self.pressure.looked(pressure::buffer::waiting(&self.calls));
            }
            if self.pressure.holds(&first.path.remote, first.bytes) {
                self.stats.held_back += 1;
                transmits.consume(1);
                continue;
            }
            self.stats.send_calls += 1;
            match self.calls.send_batch(transmits, |run| self.pressure.holds(&run.path.remote, run.bytes)) {
                Ok(sent) if sent.datagrams == 0 => return,
                Ok(sent) => {
                    self.count_sent(sent.datagrams, sent.bytes);
                    transmits.consume(sent.datagrams);
                }
                Err(Refused::NoSuchFamily) => {
                    if let Some(transmit) = transmits.get(0) {
                        self.lost(&Refused::NoSuchFamily, transmit.path.remote, transmit.bytes.len());
                    }
                    transmits.consume(1);
                }
                Err(refused @ Refused::System(_)) => {
                    let done = self.after_refusal(transmits, &refused);
                    transmits.consume(done);
                    if self.blocked {
                        return;
                    }
                }
            }
        }
    }

    /// The first run of `transmits` was refused: finds out which of its datagrams can be sent, from the same address, by
    /// themselves, counts the others, and returns how many are done with.
    fn after_refusal(&mut self, transmits: &Transmits, refused: &Refused) -> usize {
        let Some(run) = self.calls.first_run(transmits) else { return 1 };
        let failure = refused.failure();
        match failure {
            Failure::WouldBlock => {
                self.block();
                return 0;
            }
            // It was not tried.
            Failure::Refused => self.stats.refused += 1,
            Failure::NoBuffers => {
                for bytes in run.bytes.chunks(run.segment_size.max(1)) {
                    self.lost(refused, run.path.remote, bytes.len());
                }
                return run.count;
            }
            _ if run.count == 1 && !may_leave_from_any(run.path.local, run.bytes, refused) => {
                self.lost(refused, run.path.remote, run.bytes.len());
                return 1;
            }
            _ => {}
        }
        let (mut done, mut good) = (0, 0);
        for bytes in run.bytes.chunks(run.segment_size.max(1)) {
            self.stats.send_calls += 1;
            let transmit = Transmit { path: run.path, hop_limit: run.hop_limit, bytes };
            let mut sent = self.calls.send_singly(transmit);
            if let Err(refused) = &sent
                && may_leave_from_any(run.path.local, bytes, refused)
            {
                self.stats.send_calls += 1;
                let path = Path { local: None, ..run.path };
                sent = self.calls.send_singly(Transmit { path, ..transmit });
            }
            match sent {
                Ok(()) => {
                    good += 1;
                    self.stats.sent_singly += u64::from(run.count > 1);
                    self.count_sent(1, bytes.len());
                }
                Err(refused) if refused.failure() == Failure::WouldBlock => {
                    self.block();
                    break;
                }
                Err(refused) => self.lost(&refused, run.path.remote, bytes.len()),
            }
            done += 1;
        }
        if run.count > 1 && good == run.count && failure.may_be_of_a_run() {
            // Else every batch would be tried in vain first.
            self.calls.runs_refused_to(run.path.remote);
        }
        done
    }

    fn block(&mut self) {
        self.stats.would_block += 1;
        self.blocked = true;
    }

    /// Sends one datagram that does not lie in the endpoint's buffer. A full send buffer loses it.
    pub(crate) fn send_single(&mut self, transmit: Transmit<'_>) {
        self.stats.send_calls += 1;
        match self.calls.send_singly(transmit) {
            Ok(()) => self.count_sent(1, transmit.bytes.len()),
            Err(refused) => self.lost(&refused, transmit.path.remote, transmit.bytes.len()),
        }
    }

    /// One receive call of about `room` datagrams at most, but of at least one message. `take` gets each datagram and
    /// its path.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut ReceiveBuffer,
        room: usize,
        mut take: impl FnMut(Path, &mut [u8]),
    ) -> Received {
        let (wildcard, port) = (self.calls.local.ip().is_unspecified(), self.calls.port);
        let (wake_port, stats, last_lost) = (self.wake_port, &mut self.stats, &mut self.lost);
        stats.receive_calls += 1;
        let asked = self.calls.receive_at_most(self.asks.min(room / MAX_JOINED).max(1));
        let buffers = &mut buffer.0[..RECEIVE_BYTES * asked];
        let received = self.calls.receive(buffers, |Arrived { from, destination, stride, lost, bytes }| {
            if let Some(lost) = lost {
                stats.receive_buffer_full += u64::from(lost.wrapping_sub(*last_lost));
                *last_lost = lost;
            }
            if bytes.is_empty() && wake_port == Some(from.port()) {
                return;
            }
            let local = if wildcard { destination.and_then(usable_source) } else { None };
            let path = Path { remote: Address::from(from), local, port };
            let mut take = |datagram: &mut [u8]| {
                stats.datagrams_received += 1;
                stats.bytes_received += datagram.len() as u64;
                take(path, datagram);
            };
            if bytes.is_empty() {
                // It has no chunks, but it is a datagram.
                return take(bytes);
            }
            bytes.chunks_mut(stride.max(1)).for_each(take);
        });
        match received {
            Ok(count) => {
                self.asks = if count < asked { RECEIVE_FEW } else { RECEIVE_BATCH };
                if count < asked && self.calls.short_receive_is_last() {
                    Received::Last
                } else {
                    Received::Some
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.asks = RECEIVE_FEW;
                Received::Last
            }
            // An ICMP answer to an earlier datagram ends the call on some systems; what came is still there.
            Err(error) if Failure::of(&error) == Failure::Refused => {
                stats.refused += 1;
                Received::Some
            }
            Err(_) => {
                stats.receive_errors += 1;
                Received::Last
            }
        }
    }

    fn count_sent(&mut self, datagrams: usize, bytes: usize) {
        self.pressure.sent(datagrams, bytes);
        self.stats.datagrams_sent += datagrams as u64;
        self.stats.bytes_sent += bytes as u64;
    }

    /// A datagram of `length` bytes is lost.
    fn lost(&mut self, refused: &Refused, remote: Address, length: usize) {
        let failure = refused.failure();
        match failure {
            Failure::WouldBlock | Failure::NoBuffers => self.stats.no_buffers += 1,
            Failure::Refused => self.stats.refused += 1,
            Failure::TooLarge => self.stats.too_large += 1,
            Failure::Unreachable | Failure::Impossible => self.stats.unreachable += 1,
            Failure::Other => self.stats.other_send_errors += 1,
        }
        if self.troubles.len() < MAX_TROUBLES && self.troubles.iter().all(|known| known.remote != remote) {
            self.troubles.extend(Trouble::new(failure, remote, length, refused.error()));
        }
        #[cfg(feature = "tracing")]
        tracing::debug!(%remote, ?failure, "a datagram could not be sent");
    }
}

/// Returns whether a datagram that was refused may be sent without `local`: it answers a question that was broadcast, and
/// a broadcast address cannot be a source, which not every system says. Any other datagram leaves only from the address
/// that was asked.
fn may_leave_from_any(local: Option<IpAddr>, bytes: &[u8], refused: &Refused) -> bool {
    use io::ErrorKind::{AddrNotAvailable, InvalidInput};
    let is_about_source =
        refused.error().is_some_and(|error| matches!(error.kind(), InvalidInput | AddrNotAvailable));
    local.is_some() && is_about_source && DatagramKind::of(bytes) == DatagramKind::Info
}

/// The address to answer from: the one that was asked, unless that was everybody's.
fn usable_source(ip: IpAddr) -> Option<IpAddr> {
    let ip = ip.to_canonical();
    let everybody = match ip {
        IpAddr::V4(v4) => v4.is_broadcast(),
        IpAddr::V6(_) => false,
    };
    (!everybody && !ip.is_multicast() && !ip.is_unspecified()).then_some(ip)
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod hop_limit_tests;
