//! Sessions over WebTransport (GATEWAY.md 1, 2).

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::time::timeout;
use tracing::{debug, error, info, warn};
use wtransport::config::{QuicTransportConfig, TlsServerConfig};
use wtransport::endpoint::{IncomingSessionFuture, SessionRequest};
use wtransport::error::SendDatagramError;
use wtransport::quinn::{Endpoint, IdleTimeout, Incoming, TokioRuntime, VarInt as QuicVarInt};
use wtransport::{Connection, RecvStream, SendStream, ServerConfig, VarInt};

use crate::metrics::{CarrierKind, DropReason, Ending, Metrics, Refusal};
use crate::policy::quota::Quota;
use crate::service::carrier::{Carrier, MAX_WAITING_BYTES, Received, TOO_LONG};
use crate::service::driver;
use crate::service::listeners::udp;
use crate::service::state::{Phase, State};
use crate::wire::control::MAX_MESSAGE_BYTES;

/// A page that is silent for this long is gone: its browser answers keep-alives by itself.
const IDLE: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// The time that a page may take from its first packet until it opens the control stream.
const BEGIN: Duration = Duration::from_secs(10);
/// The time in which a page must read the last messages.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The most connections without a session: in all, and of one client. Above half of either, addresses must be proven first.
const BEGINNING: usize = 256;
const BEGINNING_OF_CLIENT: usize = 64;
/// The most first packets that wait, the most bytes of each, and of all. They wait for one turn of `serve` at most.
const INCOMING: usize = 1_024;
const INCOMING_BYTES: u64 = 16 * 1_024;
const ALL_INCOMING_BYTES: u64 = 4 * 1_024 * 1_024;
/// The interval at which a failed port is tried again.
const REOPEN_EVERY: Duration = Duration::from_secs(1);
/// The most bytes of datagrams that wait for a page or for the gateway. The oldest make room.
const DATAGRAM_BUFFER: usize = 64 * 1_024;
/// A packet of 1,232 bytes passes every IPv6 network, and fits the largest datagram of the default settings.
const PACKET_BYTES: u16 = 1_232;

/// A UDP port at which pages begin sessions.
pub struct Listener {
    address: SocketAddr,
    tls: TlsServerConfig,
    /// `None` while the port is lost.
    endpoint: Mutex<Option<Endpoint>>,
}

impl Listener {
    /// Starts to listen at a port.
    pub fn new(address: SocketAddr, socket: UdpSocket, tls: TlsServerConfig) -> io::Result<Self> {
        let endpoint = listen(socket, tls.clone())?;
        Ok(Self { address, tls, endpoint: Mutex::new(Some(endpoint)) })
    }

    fn endpoint(&self) -> MutexGuard<'_, Option<Endpoint>> {
        self.endpoint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces an endpoint that has ended, which only a fault in the system can cause, by another at the same port.
    async fn reopen(&self, metrics: &Metrics) {
        metrics.listener_failed();
        error!(address = %self.address, "the QUIC endpoint and its sessions have ended; opening it again");
        drop(self.endpoint().take());
        let mut last_error = None;
        loop {
            // The port is free once the last connection has noticed.
            match udp(self.address).and_then(|socket| listen(socket, self.tls.clone())) {
                Ok(endpoint) => {
                    *self.endpoint() = Some(endpoint);
                    info!(address = %self.address, "the QUIC endpoint is open again");
                    return;
                }
                Err(error) if last_error != Some(error.kind()) => {
                    last_error = Some(error.kind());
                    warn!(address = %self.address, %error, "the QUIC endpoint cannot be opened at present");
                }
                Err(_) => {}
            }
            tokio::time::sleep(REOPEN_EVERY).await;
        }
    }

    /// Closes all of its connections.
    pub async fn close(&self) {
        let endpoint = self.endpoint().take();
        if let Some(endpoint) = endpoint {
            endpoint.close(QuicVarInt::from_u32(0), b"");
            let _ = timeout(LAST_WORDS, endpoint.wait_idle()).await;
        }
    }
}

fn listen(socket: UdpSocket, tls: TlsServerConfig) -> io::Result<Endpoint> {
    let mut transport = QuicTransportConfig::default();
    transport
        .max_idle_timeout(IdleTimeout::try_from(IDLE).ok())
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_mtu(PACKET_BYTES)
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
        .datagram_send_buffer_size(DATAGRAM_BUFFER)
        // One for the session and one for control, three for HTTP/3, and some for streams without meaning.
        .max_concurrent_bidi_streams(QuicVarInt::from_u32(4))
        .max_concurrent_uni_streams(QuicVarInt::from_u32(8))
        .stream_receive_window(QuicVarInt::from_u32(64 * 1_024))
        .receive_window(QuicVarInt::from_u32(256 * 1_024))
        .send_window(256 * 1_024);
    // quinn's endpoint instead of wtransport's: when it ends, quinn's reports it, and wtransport's panics.
    let mut config =
        ServerConfig::builder().with_bind_default(0).with_custom_tls_and_transport(tls, transport).build();
    config
        .quic_config_mut()
        .max_incoming(INCOMING)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(ALL_INCOMING_BYTES);
    let (endpoint, quic) = (config.quic_endpoint_config().clone(), config.quic_config().clone());
    Endpoint::new(endpoint, Some(quic), socket, Arc::new(TokioRuntime))
}

/// Gives sessions to pages until the gateway goes away.
pub async fn serve(state: Arc<State>, listener: Arc<Listener>) {
    let mut phase = state.phase.subscribe();
    tokio::select! {
        _ = phase.wait_for(|phase| *phase == Phase::Over) => {}
        never = async {
            loop {
                let endpoint = listener.endpoint().clone();
                if let Some(endpoint) = endpoint {
                    begin_sessions(&state, endpoint).await;
                }
                listener.reopen(&state.rules.metrics).await;
            }
        } => never,
    }
}

/// Begins sessions until the endpoint ends.
async fn begin_sessions(state: &Arc<State>, endpoint: Endpoint) {
    let beginning = Quota::new(BEGINNING, BEGINNING_OF_CLIENT);
    while let Some(incoming) = endpoint.accept().await {
        let client = incoming.remote_address();
        if !incoming.remote_address_validated() && beginning.is_crowded(client.ip()) {
            // This fails only for proven addresses.
            let _ = incoming.retry();
            continue;
        }
        let permit = match beginning.take(client.ip()) {
            Ok(permit) => permit,
            Err(why) => {
                state.refuse_connection(client, why.into());
                incoming.refuse();
                continue;
            }
        };
        let state = Arc::clone(state);
        tokio::spawn(async move {
            let begun = timeout(BEGIN, begin(&state, client, incoming)).await;
            drop(permit);
            if let Ok(Some((carrier, socket, admitted))) = begun {
                driver::run(state, carrier, socket, admitted).await;
            }
        });
    }
}

type Begun = (WebTransport, crate::service::udp::SessionSocket, crate::policy::admission::Admitted);

/// Leads a connection from its first packet to the control stream. `None`: no session came of it. `client` is the address of the
/// handshake, because an address to which a connection moved since then is not proven yet.
async fn begin(state: &Arc<State>, client: SocketAddr, incoming: Incoming) -> Option<Begun> {
    let request = match IncomingSessionFuture::with_quic_incoming(incoming).await {
        Ok(request) => request,
        Err(error) => {
            debug!(%error, "a QUIC connection did not become a session");
            return None;
        }
    };
    match state.admit(client, request.origin()) {
        Ok((socket, admitted)) => Some((accept(request).await?, socket, admitted)),
        Err(Refusal::Origin) => {
            request.forbidden().await;
            None
        }
        Err(refusal) => {
            driver::refuse(accept(request).await?, refusal).await;
            None
        }
    }
}

/// Accepts a session, and waits until the page opens the control stream.
async fn accept(request: SessionRequest) -> Option<WebTransport> {
    let connection = request.accept().await.ok()?;
    let (writer, reader) = connection.accept_bi().await.ok()?;
    Some(WebTransport { connection, reader, writer, incoming: BytesMut::new(), outgoing: BytesMut::new() })
}

/// One page's WebTransport session.
pub struct WebTransport {
    connection: Connection,
    reader: RecvStream,
    writer: SendStream,
    /// Received bytes of control messages.
    incoming: BytesMut,
    /// Control messages that wait, each after its length.
    outgoing: BytesMut,
}

impl WebTransport {
    /// The next complete control message.
    fn message(&mut self) -> Option<Received> {
        let length = usize::from(u16::from_be_bytes(*self.incoming.first_chunk()?));
        if length > MAX_MESSAGE_BYTES {
            return Some(Received::Malformed(TOO_LONG));
        }
        if self.incoming.len() < 2 + length {
            return None;
        }
        self.incoming.advance(2);
        Some(Received::Control(self.incoming.split_to(length).freeze()))
    }
}

impl Carrier for WebTransport {
    const KIND: CarrierKind = CarrierKind::WebTransport;

    async fn receive(&mut self) -> Result<Received, Ending> {
        let mut chunk = [0; 512];
        loop {
            if let Some(message) = self.message() {
                return Ok(message);
            }
            tokio::select! {
                datagram = self.connection.receive_datagram() => {
                    return datagram.map(|datagram| Received::Datagram(datagram.payload())).map_err(|_| Ending::Left);
                }
                read = self.reader.read(&mut chunk) => match read {
                    Ok(Some(count)) => self.incoming.extend_from_slice(&chunk[..count]),
                    Ok(None) | Err(_) => return Err(Ending::Left),
                },
                written = self.writer.write(&self.outgoing), if !self.outgoing.is_empty() => match written {
                    Ok(count) => self.outgoing.advance(count),
                    Err(_) => return Err(Ending::Left),
                },
            }
        }
    }

    fn send_control(&mut self, message: &[u8]) -> Result<(), Ending> {
        if self.outgoing.len() + message.len() > MAX_WAITING_BYTES {
            return Err(Ending::Stuck);
        }
        let length = u16::try_from(message.len()).map_err(|_| Ending::Stuck)?;
        self.outgoing.extend_from_slice(&length.to_be_bytes());
        self.outgoing.extend_from_slice(message);
        Ok(())
    }

    fn send_datagram(&mut self, frame: &[u8]) -> Result<(), DropReason> {
        // Old datagrams make room for this one. The space that is left tells whether they have to.
        let is_full = self.connection.quic_connection().datagram_send_buffer_space() < frame.len();
        match self.connection.send_datagram(frame) {
            Ok(()) if is_full => Err(DropReason::SlowPage),
            Ok(()) => Ok(()),
            Err(SendDatagramError::TooLarge | SendDatagramError::UnsupportedByPeer) => {
                Err(DropReason::TooLarge)
            }
            Err(SendDatagramError::NotConnected) => Err(DropReason::SlowPage),
        }
    }

    async fn finish(mut self) {
        let last_words = async {
            if self.writer.write_all(&self.outgoing).await.is_ok() && self.writer.finish().await.is_ok() {
                // The browser has them now, and the page soon.
                self.connection.closed().await;
            }
        };
        // After that they are lost.
        let _ = timeout(LAST_WORDS, last_words).await;
        self.connection.close(VarInt::from_u32(0), b"");
    }
}

#[cfg(test)]
mod tests;
