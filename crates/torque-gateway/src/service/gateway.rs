//! A gateway as a whole: listening, being asked, going away.

use std::fmt;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use socket2::Type;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use torque_proto::{KeyPair, PublicKey};
use tracing::{info, warn};

use crate::config::{Certificates, Config, StartError};
use crate::metrics::{Metrics, Refusal};
use crate::policy::admission::{Admission, Admitted};
use crate::policy::pacing::TargetMeters;
use crate::policy::ports::Ports;
use crate::policy::rules::Rules;
use crate::service::certificates::CertificateStore;
use crate::service::farewells::Farewells;
use crate::service::resolve::Resolver;
use crate::service::session_log::{self, SessionLog};
use crate::service::udp::{SessionSocket, bind, local_towards};
use crate::service::webtransport::Listener;
use crate::service::{http, webtransport};

/// What pages can be told of the time until a gateway goes away.
const LONGEST_DRAIN: Duration = Duration::from_millis(u32::MAX as u64);
/// How long sessions may take to end once they have to: a little more than a page has to take the last words.
const LAST_WORDS: Duration = Duration::from_millis(1_500);
/// What the system keeps for the UDP port that all pages share, each way: a page that sends in bursts is not to lose the others'
/// datagrams before the gateway has looked at them. Linux gives at most `net.core.rmem_max` and `wmem_max`.
const ALL_PAGES_BUFFER: usize = 4 * 1_024 * 1_024;
/// How often a free port is looked for.
const PORT_TRIES: usize = 64;

/// How far a gateway is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// It gives sessions.
    Open,
    /// It gives none any more, and those that there are end then.
    Draining {
        /// When.
        until: Instant,
    },
    /// All sessions end.
    Over,
}

/// What all parts of a gateway share.
pub(crate) struct Shared {
    pub rules: Arc<Rules>,
    pub key_pair: KeyPair,
    pub resolver: Resolver,
    pub files: Option<PathBuf>,
    /// Whether HTTP is with TLS.
    pub is_tls: bool,
    pub phase: watch::Sender<Phase>,
    pub log: SessionLog,
    pub farewells: Arc<Farewells>,
    admission: Admission,
    certificates: Arc<CertificateStore>,
    public_ips: Vec<IpAddr>,
    port: u16,
}

impl Shared {
    /// Gives a page a session, and its UDP port. Whom it gives none has to be [told](crate::service::driver::refuse).
    pub fn admit(
        &self,
        client: SocketAddr,
        origin: Option<&str>,
    ) -> Result<(SessionSocket, Admitted), Refusal> {
        let admitted = match *self.phase.borrow() {
            Phase::Open => self.admission.admit(client, origin),
            _ => Err(Refusal::Draining),
        };
        let mut error = None;
        let with_port = admitted.and_then(|admitted| match SessionSocket::bind() {
            Ok(socket) => Ok((socket, admitted)),
            Err(failure) => {
                error = Some(failure);
                Err(Refusal::NoPort)
            }
        });
        with_port.inspect_err(|refusal| {
            self.rules.metrics.refused(*refusal);
            self.log.refused(client, origin, *refusal, error.as_ref());
        })
    }

    /// Counts a connection that is refused before there is anything to look at.
    pub fn refuse_connection(&self, client: SocketAddr, refusal: Refusal) {
        self.rules.metrics.refused(refusal);
        self.log.connection_refused(client, refusal);
    }

    /// By which address a remote sees this gateway.
    pub fn address_towards(&self, remote: SocketAddr) -> Option<IpAddr> {
        let of_family = |ip: &&IpAddr| ip.is_ipv4() == remote.ip().to_canonical().is_ipv4();
        self.public_ips.iter().find(of_family).copied().or_else(|| local_towards(remote))
    }

    /// What pages are told before they have a session (GATEWAY.md 6).
    pub fn description(&self, origin: Option<&str>) -> Value {
        // The clock may have been set since it was looked at last.
        if self.certificates.is_stale(SystemTime::now()) {
            self.renew_certificates();
        }
        let mut description = json!({
            "version": crate::wire::control::VERSION,
            "public_key": self.key_pair.public().to_string(),
            "origin_allowed": self.admission.allows(origin),
            "webtransport_port": self.port,
        });
        let hashes: Vec<_> = self.certificates.hashes().iter().map(|hash| BASE64.encode(hash)).collect();
        if !hashes.is_empty() {
            description["certificate_hashes"] = json!(hashes);
        }
        description
    }

    /// Renews certificates if it is time to. May block, if they are in files.
    fn renew_certificates(&self) {
        match self.certificates.renew(SystemTime::now()) {
            Ok(false) => {}
            Ok(true) => {
                self.rules.metrics.certificate(true);
                info!("another certificate is shown from now on");
            }
            Err(error) => {
                self.rules.metrics.certificate(false);
                warn!(%error, "the certificate stays what it was");
            }
        }
    }
}

/// A running gateway. Dropping it ends all sessions at once; [`drain`](Self::drain) does so politely.
pub struct Gateway {
    shared: Arc<Shared>,
    listeners: Vec<Arc<Listener>>,
    tasks: Vec<JoinHandle<()>>,
    local_addrs: Vec<SocketAddr>,
    metrics_addr: Option<SocketAddr>,
}

impl Gateway {
    /// Starts a gateway in the tokio runtime of the caller, which needs its I/O and time drivers.
    ///
    /// # Errors
    /// [`StartError`] says what to change.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let listeners = Listeners::bind(&config.listen)?;
        let port = listeners.port;
        if let Some(files) = config.files.as_ref().filter(|files| !files.is_dir()) {
            return Err(StartError::Files(files.clone()));
        }
        let certificates = Arc::new(CertificateStore::new(&config.certificates, SystemTime::now())?);
        let key_pair = config.key_pair.map_or_else(new_key_pair, Ok)?;
        let rules = Arc::new(Rules {
            targets: config.targets,
            allow_sessions: config.allow_sessions,
            strangers: config.strangers,
            limits: config.limits,
            ports: Arc::new(Ports::new(vec![port], config.public_ips.clone())),
            target_meters: TargetMeters::new(config.limits.target_rate, config.limits.target_rate_of_client),
            metrics: Arc::new(Metrics::default()),
        });
        let shared = Arc::new(Shared {
            rules,
            key_pair,
            resolver: Resolver::default(),
            files: config.files,
            is_tls: config.certificates != Certificates::Development,
            phase: watch::Sender::new(Phase::Open),
            log: SessionLog::default(),
            farewells: Arc::default(),
            admission: Admission::new(config.origins, config.limits),
            certificates: Arc::clone(&certificates),
            public_ips: config.public_ips,
            port,
        });
        let mut gateway = Self {
            shared: Arc::clone(&shared),
            listeners: Vec::new(),
            tasks: Vec::new(),
            local_addrs: listeners.addresses(),
            metrics_addr: None,
        };
        gateway.listen(listeners)?;
        if let Some(address) = config.metrics {
            gateway.listen_for_metrics(address)?;
        }
        gateway.tasks.push(tokio::spawn(renew(Arc::clone(&shared), config.check_certificates_every)));
        gateway.tasks.push(tokio::spawn(summarise_log(shared)));
        Ok(gateway)
    }

    fn listen(&mut self, listeners: Listeners) -> Result<(), StartError> {
        let certificates = &self.shared.certificates;
        let tls = match self.shared.is_tls {
            true => Some(TlsAcceptor::from(Arc::new(certificates.tls(b"http/1.1")?))),
            false => None,
        };
        for (address, tcp, udp) in listeners.sockets {
            let failed = |error| StartError::Bind { address, error };
            let quic_tls = certificates.tls(wtransport::tls::WEBTRANSPORT_ALPN)?;
            let listener = Arc::new(Listener::new(address, udp, quic_tls).map_err(failed)?);
            self.listeners.push(Arc::clone(&listener));
            self.tasks.push(tokio::spawn(webtransport::serve(Arc::clone(&self.shared), listener)));
            let tcp = tokio::net::TcpListener::from_std(tcp).map_err(failed)?;
            let pages = http::pages(&self.shared);
            self.tasks.push(tokio::spawn(http::serve(Arc::clone(&self.shared), tcp, tls.clone(), pages)));
        }
        Ok(())
    }

    fn listen_for_metrics(&mut self, address: SocketAddr) -> Result<(), StartError> {
        let failed = |error| StartError::Bind { address, error };
        let tcp = tcp(address).map_err(failed)?;
        self.metrics_addr = Some(tcp.local_addr().map_err(failed)?);
        let tcp = tokio::net::TcpListener::from_std(tcp).map_err(failed)?;
        let metrics = http::metrics(&self.shared);
        self.tasks.push(tokio::spawn(http::serve(Arc::clone(&self.shared), tcp, None, metrics)));
        Ok(())
    }

    /// The first address that it listens at, with the port that was found.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addrs[0]
    }

    /// All of them.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// Where metrics are served.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_addr
    }

    /// Its public key, which signs origin tokens.
    pub fn public_key(&self) -> PublicKey {
        self.shared.key_pair.public()
    }

    /// What a page of this origin is told before it has a session (GATEWAY.md 6), as JSON.
    pub fn description(&self, origin: Option<&str>) -> String {
        self.shared.description(origin).to_string()
    }

    /// What has been counted.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.rules.metrics
    }

    /// Gives no sessions any more, tells pages that it goes away and when, and waits until they have left, but no longer than
    /// this, nor than 49 days.
    pub async fn drain(mut self, patience: Duration) {
        let patience = patience.min(LONGEST_DRAIN);
        info!(sessions = self.metrics().open_sessions(), seconds = patience.as_secs(), "draining");
        self.shared.phase.send_replace(Phase::Draining { until: Instant::now() + patience });
        let left = async {
            while self.metrics().open_sessions() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(patience, left).await.is_err() {
            info!(sessions = self.metrics().open_sessions(), "not all pages have left in time");
        }
        self.shared.phase.send_replace(Phase::Over);
        // First those that listen: what closes is not to be opened again.
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            let _ = task.await;
        }
        // Sessions have last words to say, for no longer than a second each.
        let _ = tokio::time::timeout(LAST_WORDS, self.shared.phase.closed()).await;
        self.shared.log.summarise();
        for listener in &self.listeners {
            listener.close().await;
        }
    }
}

#[cfg(test)]
impl Gateway {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

#[cfg(test)]
impl Shared {
    pub(crate) fn certificates(&self) -> &Arc<CertificateStore> {
        &self.certificates
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shared.phase.send_replace(Phase::Over);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("local_addrs", &self.local_addrs)
            .field("public_key", &self.public_key())
            .finish_non_exhaustive()
    }
}

fn new_key_pair() -> Result<KeyPair, StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(StartError::Random)?;
    Ok(KeyPair::from_seed(seed))
}

/// Has certificates renewed, for ever.
async fn renew(shared: Arc<Shared>, every: Duration) {
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(10)));
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let shared = Arc::clone(&shared);
        let _ = tokio::task::spawn_blocking(move || shared.renew_certificates()).await;
    }
}

/// Has the log tell what had no lines, for ever.
async fn summarise_log(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(session_log::PERIOD);
    loop {
        ticks.tick().await;
        shared.log.summarise();
    }
}

/// Sockets at all addresses, with one port.
struct Listeners {
    port: u16,
    sockets: Vec<(SocketAddr, TcpListener, UdpSocket)>,
}

impl Listeners {
    fn bind(addresses: &[SocketAddr]) -> Result<Self, StartError> {
        let port = addresses.first().ok_or(StartError::Listen)?.port();
        if addresses.iter().any(|address| address.port() != port) {
            return Err(StartError::Listen);
        }
        if port != 0 {
            return Self::at(addresses, port);
        }
        for _ in 0..PORT_TRIES {
            // TCP's choice, which UDP may find taken.
            let free = tcp(addresses[0]).and_then(|tcp| tcp.local_addr());
            let free = free.map_err(|error| StartError::Bind { address: addresses[0], error })?;
            if let Ok(listeners) = Self::at(addresses, free.port()) {
                return Ok(listeners);
            }
        }
        Err(StartError::NoPort)
    }

    fn at(addresses: &[SocketAddr], port: u16) -> Result<Self, StartError> {
        let mut sockets = Vec::new();
        let mut missing = None;
        for address in addresses {
            let address = SocketAddr::new(address.ip(), port);
            let both = tcp(address).and_then(|tcp| Ok((address, tcp, udp(address)?)));
            match both {
                Ok(both) => sockets.push(both),
                Err(error) if is_missing_family(&error) => {
                    missing = Some(StartError::Bind { address, error })
                }
                Err(error) => return Err(StartError::Bind { address, error }),
            }
        }
        match missing {
            Some(error) if sockets.is_empty() => Err(error),
            _ => Ok(Self { port, sockets }),
        }
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|(address, ..)| *address).collect()
    }
}

fn tcp(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = bind(address, Type::STREAM)?;
    socket.listen(1_024)?;
    Ok(socket.into())
}

pub(crate) fn udp(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = bind(address, Type::DGRAM)?;
    // What the system does not give is done without.
    let _ = socket.set_recv_buffer_size(ALL_PAGES_BUFFER);
    let _ = socket.set_send_buffer_size(ALL_PAGES_BUFFER);
    Ok(socket.into())
}

/// Whether an address cannot be had because the machine lacks the family, not because somebody else has it.
fn is_missing_family(error: &std::io::Error) -> bool {
    // EAFNOSUPPORT has no kind of its own.
    error.kind() == std::io::ErrorKind::AddrNotAvailable
        || matches!(error.raw_os_error(), Some(47 | 97 | 10_047))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_all_pages_keeps_as_much_as_the_system_gives() {
        let most: usize =
            std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse().unwrap();
        let socket = udp("127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(socket2::SockRef::from(&socket).recv_buffer_size().unwrap() >= most.min(ALL_PAGES_BUFFER));
    }
}
