//! quinn-proto: QUIC datagrams (RFC 9221) without a runtime, driven over quinn-udp with segmentation and receive
//! offload, as quinn's own driver does it.
//!
//! Options: the transport's defaults (congestion control CUBIC, MTU discovery), except that datagrams get send and
//! receive buffers as large as what a job has under way, and that there are as many connections as the job has. A
//! send that finds the buffer full says so instead of throwing older packets away.
//!
//! QUIC puts packets that are sent together into one datagram, to be encrypted, and lost, as one. `quinn-proto-apart` has
//! each packet sealed into a datagram of its own, as it is handed over; those of a batch leave in joined runs as well, as long
//! as the operating system takes them.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Endpoint, EndpointConfig, Event,
    SendDatagramError, ServerConfig, Transmit, TransportConfig,
};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};

use super::tls::{self, Identity};
use super::{End, Invitation, Load, Peer, Protocol, Take, plain};
use crate::failure::Result;

pub const PEER: Peer = Peer {
    name: "quinn-proto",
    package: Some("quinn-proto"),
    about: "QUIC datagrams: TLS 1.3, acknowledgments that its interface does not tell; clients without a key",
    protocol: || Box::new(QuinnProto { apart: false }),
    lock_step: true,
};

pub const APART: Peer = Peer {
    name: "quinn-proto-apart",
    package: Some("quinn-proto"),
    about: "quinn-proto made to send one datagram for each packet, which is what its other row does not",
    protocol: || Box::new(QuinnProto { apart: true }),
    lock_step: true,
};

/// Datagrams of one transmit at most: quinn's own figure (MAX_TRANSMIT_SEGMENTS), which keeps a run below 64 KiB.
const MAX_SEGMENTS: usize = 10;

/// The transport that both quinn-proto and quinn get.
pub fn transport(load: &Load) -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    let bytes = (load.payload * load.in_flight * 2).max(64 << 10);
    transport.datagram_send_buffer_size(bytes).datagram_receive_buffer_size(Some(bytes));
    // A relay counts what connecting takes; looking for a larger MTU is no part of that.
    if load.front.is_some() {
        transport.mtu_discovery_config(None);
    }
    Arc::new(transport)
}

/// The host's configuration and certificate.
pub fn server_config(load: &Load) -> Result<(ServerConfig, Vec<u8>)> {
    let Identity { certificate, key } = Identity::generate()?;
    let mut config = ServerConfig::with_single_cert(vec![certificate.clone()], key)?;
    config.transport_config(transport(load));
    config.max_incoming(load.connections.max(1 << 16));
    Ok((config, certificate.to_vec()))
}

/// A client's configuration.
pub fn client_config(certificate: &[u8], load: &Load) -> Result<ClientConfig> {
    let mut config = ClientConfig::with_root_certificates(tls::roots(certificate)?)?;
    config.transport_config(transport(load));
    Ok(config)
}

struct QuinnProto {
    apart: bool,
}

impl Protocol for QuinnProto {
    fn host(&self, load: &Load) -> Result<(Box<dyn End>, Invitation)> {
        let (config, key) = server_config(load)?;
        let endpoint = Endpoint::new(Arc::default(), Some(Arc::new(config)), true, None);
        let end = QuinnEnd::new(endpoint, None, self.apart)?;
        let address = plain::address_of(&end.socket)?;
        Ok((Box::new(end), Invitation { address, key }))
    }

    fn client(&self, invitation: &Invitation, load: &Load) -> Result<Box<dyn End>> {
        let config = client_config(&invitation.key, load)?;
        let endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, true, None);
        let connect = Some((invitation.address.into(), config));
        Ok(Box::new(QuinnEnd::new(endpoint, connect, self.apart)?))
    }
}

/// A connection, and what the driver knows of it.
struct Driven {
    handle: ConnectionHandle,
    connection: Connection,
    /// Its index among the established.
    index: Option<usize>,
    /// Whether it may have something to send or tell.
    active: bool,
    deadline: Option<Instant>,
}

struct QuinnEnd {
    socket: UdpSocket,
    state: UdpSocketState,
    max_segments: usize,
    endpoint: Endpoint,
    connect: Option<(SocketAddr, ClientConfig)>,
    /// By the number in the handle.
    connections: Vec<Option<Driven>>,
    /// Slots of the established connections, in that order.
    established: Vec<usize>,
    /// Slots of connections that may have something to do.
    active: Vec<usize>,
    /// When the timers have to be looked at.
    deadline: Option<Instant>,
    buffer: Vec<u8>,
    out: Vec<u8>,
    /// Where each packet gets a datagram of its own: those that leave together.
    run: Option<Run>,
    /// What has come with packets that were received while something else was wanted.
    received: Vec<(usize, Bytes)>,
}

/// Datagrams of one size, one behind the other.
#[derive(Default)]
struct Run {
    bytes: Vec<u8>,
    /// The transmit of the first, whose way all of them go.
    first: Option<Transmit>,
    /// The time of all that are handed over until the next flush.
    now: Option<Instant>,
}

impl Run {
    /// Whether a datagram may follow in the same call.
    fn takes(&self, transmit: &Transmit, most: usize) -> bool {
        self.first.as_ref().is_none_or(|first| {
            first.size == transmit.size
                && first.destination == transmit.destination
                && self.bytes.len() / first.size < most
                && self.bytes.len() + transmit.size < 1 << 16
        })
    }
}

impl QuinnEnd {
    fn new(endpoint: Endpoint, connect: Option<(SocketAddr, ClientConfig)>, apart: bool) -> Result<Self> {
        let socket = plain::bind()?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // As quinn: room for a batch of messages, each as long as what the kernel joins.
        let size = 1_480 * state.gro_segments();
        Ok(Self {
            buffer: vec![0; size * BATCH_SIZE],
            socket,
            max_segments: state.max_gso_segments().min(MAX_SEGMENTS),
            state,
            endpoint,
            connect,
            connections: Vec::new(),
            established: Vec::new(),
            active: Vec::new(),
            deadline: None,
            out: Vec::new(),
            run: apart.then(Run::default),
            received: Vec::new(),
        })
    }

    fn add(&mut self, handle: ConnectionHandle, connection: Connection) {
        if self.connections.len() <= handle.0 {
            self.connections.resize_with(handle.0 + 1, || None);
        }
        self.connections[handle.0] =
            Some(Driven { handle, connection, index: None, active: false, deadline: None });
        self.activate(handle.0);
    }

    fn activate(&mut self, slot: usize) {
        if let Some(driven) = self.connections.get_mut(slot).and_then(Option::as_mut)
            && !driven.active
        {
            driven.active = true;
            self.active.push(slot);
        }
    }

    fn transmit(&self, transmit: &Transmit, bytes: &[u8]) -> Result {
        let transmit = quinn_udp::Transmit {
            destination: transmit.destination,
            ecn: transmit.ecn.and_then(|ecn| quinn_udp::EcnCodepoint::from_bits(ecn as u8)),
            contents: bytes,
            segment_size: transmit.segment_size,
            src_ip: transmit.src_ip,
        };
        match self.state.try_send(UdpSockRef::from(&self.socket), &transmit) {
            Ok(()) => Ok(()),
            // QUIC repeats what matters.
            Err(error) => Ok(plain::unless_idle(error)?),
        }
    }

    /// Seals what a connection was just given into a datagram of its own, behind those that wait to leave.
    fn seal(&mut self, slot: usize) -> Result {
        let Some(mut run) = self.run.take() else { return Ok(()) };
        let now = *run.now.get_or_insert_with(Instant::now);
        let most = self.state.max_gso_segments();
        self.out.clear();
        while let Some(driven) = &mut self.connections[slot]
            && let Some(transmit) = driven.connection.poll_transmit(now, 1, &mut self.out)
        {
            if !run.takes(&transmit, most) {
                self.leave(&mut run)?;
            }
            run.bytes.extend_from_slice(&self.out);
            run.first.get_or_insert(transmit);
            self.out.clear();
        }
        self.run = Some(run);
        Ok(())
    }

    /// Sends the datagrams that wait to leave.
    fn leave(&self, run: &mut Run) -> Result {
        if let Some(mut first) = run.first.take() {
            first.segment_size = (run.bytes.len() > first.size).then_some(first.size);
            self.transmit(&first, &run.bytes)?;
        }
        run.bytes.clear();
        Ok(())
    }

    /// Lets each connection that has something to do send, tell and set its timer.
    fn drive(&mut self, now: Instant) -> Result {
        let mut next = 0;
        while next < self.active.len() {
            let slot = self.active[next];
            next += 1;
            let Some(mut driven) = self.connections[slot].take() else { continue };
            driven.active = false;
            let outcome = self.drive_one(&mut driven, now);
            self.connections[slot] = Some(driven);
            outcome?;
        }
        self.active.clear();
        Ok(())
    }

    fn drive_one(&mut self, driven: &mut Driven, now: Instant) -> Result {
        loop {
            let mut out = std::mem::take(&mut self.out);
            while let Some(transmit) = driven.connection.poll_transmit(now, self.max_segments, &mut out) {
                self.transmit(&transmit, &out[..transmit.size])?;
                out.clear();
            }
            self.out = out;
            let mut more = false;
            while let Some(event) = driven.connection.poll_endpoint_events() {
                more = true;
                if let Some(event) = self.endpoint.handle_event(driven.handle, event) {
                    driven.connection.handle_event(event);
                }
            }
            while let Some(event) = driven.connection.poll() {
                match event {
                    Event::Connected => {
                        driven.index = Some(self.established.len());
                        self.established.push(driven.handle.0);
                    }
                    Event::ConnectionLost { reason } => return Err(reason.into()),
                    _ => {}
                }
            }
            if let Some(index) = driven.index {
                while let Some(bytes) = driven.connection.datagrams().recv() {
                    self.received.push((index, bytes));
                }
            }
            if !more {
                break;
            }
        }
        driven.deadline = driven.connection.poll_timeout();
        if let Some(deadline) = driven.deadline {
            self.deadline = Some(self.deadline.map_or(deadline, |earliest| earliest.min(deadline)));
        }
        Ok(())
    }

    fn run_timers(&mut self, now: Instant) -> Result {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return Ok(());
        }
        self.deadline = None;
        for slot in 0..self.connections.len() {
            let Some(driven) = &mut self.connections[slot] else { continue };
            match driven.deadline {
                Some(deadline) if deadline <= now => {
                    driven.connection.handle_timeout(now);
                    self.activate(slot);
                }
                Some(deadline) => {
                    self.deadline = Some(self.deadline.map_or(deadline, |earliest| earliest.min(deadline)));
                }
                None => {}
            }
        }
        self.drive(now)
    }

    /// One receive call; whether there may be more.
    fn receive_once(&mut self, now: Instant) -> Result<bool> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let size = self.buffer.len() / BATCH_SIZE;
        let mut chunks = self.buffer.chunks_exact_mut(size);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let count = match self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut metas) {
            Ok(count) => count,
            Err(error) => {
                plain::unless_idle(error)?;
                return Ok(false);
            }
        };
        for (index, meta) in metas.iter().enumerate().take(count) {
            let start = index * size;
            let mut joined = BytesMut::from(&self.buffer[start..start + meta.len]);
            while !joined.is_empty() {
                let datagram = joined.split_to(meta.stride.min(joined.len()));
                self.handle(now, meta, datagram)?;
            }
        }
        Ok(count == BATCH_SIZE)
    }

    fn handle(&mut self, now: Instant, meta: &RecvMeta, datagram: BytesMut) -> Result {
        let mut out = std::mem::take(&mut self.out);
        let ecn = meta.ecn.and_then(|ecn| quinn_proto::EcnCodepoint::from_bits(ecn as u8));
        match self.endpoint.handle(now, meta.addr, meta.dst_ip, ecn, datagram, &mut out) {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                if let Some(driven) = self.connections.get_mut(handle.0).and_then(Option::as_mut) {
                    driven.connection.handle_event(event);
                }
                self.activate(handle.0);
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                let (handle, connection) = self
                    .endpoint
                    .accept(incoming, now, &mut out, None)
                    .map_err(|error| format!("a client was not accepted: {}", error.cause))?;
                self.add(handle, connection);
            }
            Some(DatagramEvent::Response(transmit)) => self.transmit(&transmit, &out[..transmit.size])?,
            None => {}
        }
        out.clear();
        self.out = out;
        Ok(())
    }
}

impl End for QuinnEnd {
    fn start(&mut self) -> Result {
        if let Some((address, config)) = self.connect.take() {
            let now = Instant::now();
            let (handle, connection) = self.endpoint.connect(now, config, address, tls::NAME)?;
            self.add(handle, connection);
            self.drive(now)?;
        }
        Ok(())
    }

    fn established(&self) -> usize {
        self.established.len()
    }

    fn send(&mut self, connection: usize, payload: &[u8]) -> Result<bool> {
        let slot = self.established[connection];
        let driven = self.connections[slot].as_mut().ok_or("the connection is gone")?;
        match driven.connection.datagrams().send(Bytes::copy_from_slice(payload), false) {
            Ok(()) => {
                self.seal(slot)?;
                self.activate(slot);
                Ok(true)
            }
            Err(SendDatagramError::Blocked(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn flush(&mut self) -> Result {
        let Some(mut run) = self.run.take() else { return self.drive(Instant::now()) };
        self.leave(&mut run)?;
        let now = run.now.take();
        self.run = Some(run);
        self.drive(now.unwrap_or_else(Instant::now))
    }

    fn receive(&mut self, _: usize, take: Take<'_>) -> Result {
        let now = Instant::now();
        while self.receive_once(now)? {}
        self.run_timers(now)?;
        self.drive(now)?;
        for (index, bytes) in self.received.drain(..) {
            take(index, &bytes);
        }
        Ok(())
    }

    fn wait(&mut self) -> Result {
        let now = Instant::now();
        let own = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
        plain::wait_readable(&self.socket, own.unwrap_or(plain::WAIT).min(plain::WAIT))?;
        Ok(())
    }
}
