//! The state that all parts of a running gateway share.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::sync::watch;
use torque_proto::KeyPair;
use tracing::{info, warn};

use crate::metrics::Refusal;
use crate::policy::admission::{Admission, Admitted};
use crate::policy::rules::Rules;
use crate::service::certificates::CertificateStore;
use crate::service::farewells::Farewells;
use crate::service::resolve::Resolver;
use crate::service::session_log::SessionLog;
use crate::service::udp::{SessionSocket, local_towards};
use crate::wire::control;

/// The phase of a gateway's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It gives sessions.
    Open,
    /// It gives no more sessions, and those that are open end later.
    Draining {
        /// The time at which they end.
        until: Instant,
    },
    /// All sessions end.
    Over,
}

/// The shared state of a gateway.
pub struct State {
    pub rules: Arc<Rules>,
    pub key_pair: KeyPair,
    pub resolver: Resolver,
    pub files: Option<PathBuf>,
    /// Set if HTTP uses TLS.
    pub is_tls: bool,
    pub phase: watch::Sender<Phase>,
    pub log: SessionLog,
    pub farewells: Arc<Farewells>,
    pub admission: Admission,
    pub certificates: Arc<CertificateStore>,
    pub public_ips: Vec<IpAddr>,
    /// The port that it listens at.
    pub port: u16,
}

impl State {
    /// Gives a page a session and its UDP port. If it refuses, [`driver::refuse`](crate::service::driver::refuse) must tell the page.
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

    /// Counts a connection that is refused before its first request.
    pub fn refuse_connection(&self, client: SocketAddr, refusal: Refusal) {
        self.rules.metrics.refused(refusal);
        self.log.connection_refused(client, refusal);
    }

    /// The address by which a remote sees this gateway.
    pub fn address_towards(&self, remote: SocketAddr) -> Option<IpAddr> {
        let of_family = |ip: &&IpAddr| ip.is_ipv4() == remote.ip().to_canonical().is_ipv4();
        self.public_ips.iter().find(of_family).copied().or_else(|| local_towards(remote))
    }

    /// The description for pages without a session (GATEWAY.md 6).
    pub fn description(&self, origin: Option<&str>) -> Value {
        // The clock may have been set since the last look.
        if self.certificates.is_stale(SystemTime::now()) {
            self.renew_certificates();
        }
        let mut description = json!({
            "version": control::VERSION,
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

    /// Renews certificates that are due. May block if they are in files.
    pub fn renew_certificates(&self) {
        match self.certificates.renew(SystemTime::now()) {
            Ok(false) => {}
            Ok(true) => {
                self.rules.metrics.certificate(true);
                info!("a new certificate is in use");
            }
            Err(error) => {
                self.rules.metrics.certificate(false);
                warn!(%error, "the certificate was not renewed");
            }
        }
    }
}
