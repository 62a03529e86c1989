//! A gateway as a whole: it starts, answers questions about itself, and goes away.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use torque_proto::{KeyPair, PublicKey};
use tracing::info;

use crate::config::{Certificates, Config, StartError};
use crate::metrics::Metrics;
use crate::policy::admission::Admission;
use crate::policy::pacing::TargetMeters;
use crate::policy::ports::Ports;
use crate::policy::rules::Rules;
use crate::service::certificates::CertificateStore;
use crate::service::listeners::{Listeners, tcp};
use crate::service::resolve::Resolver;
use crate::service::session_log::{self, SessionLog};
use crate::service::state::{Phase, State};
use crate::service::webtransport::Listener;
use crate::service::{http, webtransport};

/// The longest time that *draining* can tell.
const LONGEST_DRAIN: Duration = Duration::from_millis(u32::MAX as u64);
/// The time that sessions may take to end at last: a little longer than a page has to read the last message.
const LAST_WORDS: Duration = Duration::from_millis(1_500);

/// A running gateway. Dropping it ends all sessions at once; [`drain`](Self::drain) warns pages first.
pub struct Gateway {
    state: Arc<State>,
    listeners: Vec<Arc<Listener>>,
    tasks: Vec<JoinHandle<()>>,
    local_addrs: Vec<SocketAddr>,
    metrics_addr: Option<SocketAddr>,
}

impl Gateway {
    /// Starts a gateway in the caller's tokio runtime, which needs its I/O and time drivers.
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
        let state = Arc::new(State {
            rules,
            key_pair,
            resolver: Resolver::default(),
            files: config.files,
            is_tls: config.certificates != Certificates::Development,
            phase: watch::Sender::new(Phase::Open),
            log: SessionLog::default(),
            farewells: Arc::default(),
            admission: Admission::new(config.origins, config.limits),
            certificates,
            public_ips: config.public_ips,
            port,
        });
        let mut gateway = Self {
            state: Arc::clone(&state),
            listeners: Vec::new(),
            tasks: Vec::new(),
            local_addrs: listeners.addresses(),
            metrics_addr: None,
        };
        gateway.listen(listeners)?;
        if let Some(address) = config.metrics {
            gateway.listen_for_metrics(address)?;
        }
        gateway.tasks.push(tokio::spawn(renew(Arc::clone(&state), config.check_certificates_every)));
        gateway.tasks.push(tokio::spawn(summarise_log(state)));
        Ok(gateway)
    }

    fn listen(&mut self, listeners: Listeners) -> Result<(), StartError> {
        let certificates = &self.state.certificates;
        let tls = match self.state.is_tls {
            true => Some(TlsAcceptor::from(Arc::new(certificates.tls(b"http/1.1")?))),
            false => None,
        };
        for (address, tcp, udp) in listeners.sockets {
            let failed = |error| StartError::Bind { address, error };
            let quic_tls = certificates.tls(wtransport::tls::WEBTRANSPORT_ALPN)?;
            let listener = Arc::new(Listener::new(address, udp, quic_tls).map_err(failed)?);
            self.listeners.push(Arc::clone(&listener));
            self.tasks.push(tokio::spawn(webtransport::serve(Arc::clone(&self.state), listener)));
            let tcp = tokio::net::TcpListener::from_std(tcp).map_err(failed)?;
            let pages = http::pages(&self.state);
            self.tasks.push(tokio::spawn(http::serve(Arc::clone(&self.state), tcp, tls.clone(), pages)));
        }
        Ok(())
    }

    fn listen_for_metrics(&mut self, address: SocketAddr) -> Result<(), StartError> {
        let failed = |error| StartError::Bind { address, error };
        let tcp = tcp(address).map_err(failed)?;
        self.metrics_addr = Some(tcp.local_addr().map_err(failed)?);
        let tcp = tokio::net::TcpListener::from_std(tcp).map_err(failed)?;
        let metrics = http::metrics(&self.state);
        self.tasks.push(tokio::spawn(http::serve(Arc::clone(&self.state), tcp, None, metrics)));
        Ok(())
    }

    /// The first address that it listens at. If the port was 0, this has the port that was found.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addrs[0]
    }

    /// All addresses that it listens at.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// The address that serves metrics, if any.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_addr
    }

    /// Its public key, which signs origin tokens.
    pub fn public_key(&self) -> PublicKey {
        self.state.key_pair.public()
    }

    /// The description that a page of this origin receives (GATEWAY.md 6), as JSON.
    pub fn description(&self, origin: Option<&str>) -> String {
        self.state.description(origin).to_string()
    }

    /// Its counters.
    pub fn metrics(&self) -> &Metrics {
        &self.state.rules.metrics
    }

    /// Stops giving sessions, tells pages when the gateway goes away, and waits until they have left, for `patience` at
    /// most. 49 days is the longest patience.
    pub async fn drain(mut self, patience: Duration) {
        let patience = patience.min(LONGEST_DRAIN);
        info!(sessions = self.metrics().open_sessions(), seconds = patience.as_secs(), "draining");
        self.state.phase.send_replace(Phase::Draining { until: Instant::now() + patience });
        let left = async {
            while self.metrics().open_sessions() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(patience, left).await.is_err() {
            info!(sessions = self.metrics().open_sessions(), "not all pages have left in time");
        }
        self.state.phase.send_replace(Phase::Over);
        // Listeners end first, so that no new connection replaces one that closes.
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            let _ = task.await;
        }
        // Each session may take a second to deliver its last message.
        let _ = tokio::time::timeout(LAST_WORDS, self.state.phase.closed()).await;
        self.state.log.summarise();
        for listener in &self.listeners {
            listener.close().await;
        }
    }
}

#[cfg(test)]
impl Gateway {
    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.state.phase.send_replace(Phase::Over);
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

/// Renews certificates at intervals, for ever.
async fn renew(state: Arc<State>, every: Duration) {
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(10)));
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let state = Arc::clone(&state);
        let _ = tokio::task::spawn_blocking(move || state.renew_certificates()).await;
    }
}

/// Summarises the log at intervals, for ever.
async fn summarise_log(state: Arc<State>) {
    let mut ticks = tokio::time::interval(session_log::PERIOD);
    loop {
        ticks.tick().await;
        state.log.summarise();
    }
}
