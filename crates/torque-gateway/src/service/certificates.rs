//! The certificates that browsers see: from files, or made by the gateway (GATEWAY.md 6).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, version};
use wtransport::tls::self_signed::time::OffsetDateTime;

use crate::config::{CertificateError, Certificates};

const DAY: Duration = Duration::from_secs(86_400);
/// Browsers accept a certificate by its hash only if it is valid for at most 14 days.
const VALID: Duration = Duration::from_secs(13 * 86_400);
/// Certificates start to be valid this long ago, for browsers whose clock is behind.
const BACKDATED: Duration = DAY;
/// The age of a certificate at which the next one is made, and its hash published.
const NEXT_AFTER: Duration = Duration::from_secs(5 * 86_400);
/// The age at which the next one is put to use. By then no page knows the old hash alone.
const SHOWN_AFTER: Duration = DAY;
/// The age up to which a certificate is used, even if there is no next one.
const SHOWN_UNTIL: Duration = Duration::from_secs(11 * 86_400);

/// The current certificate, and the source of the next.
#[derive(Debug)]
pub struct CertificateStore {
    provider: Arc<CryptoProvider>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Development { shown: Made, next: Option<Made> },
    Files { chain: PathBuf, key: PathBuf, content: Content, shown: Arc<CertifiedKey> },
}

/// A certificate that the gateway made.
#[derive(Clone, Debug)]
struct Made {
    certified: Arc<CertifiedKey>,
    hash: [u8; 32],
    made: SystemTime,
}

/// The last content of the files, to notice a change. The second one is secret.
#[derive(PartialEq, Eq)]
struct Content(Vec<u8>, Vec<u8>);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content")
    }
}

impl CertificateStore {
    /// Makes or reads the first certificate.
    pub fn new(certificates: &Certificates, now: SystemTime) -> Result<Self, CertificateError> {
        let provider = Arc::new(ring::default_provider());
        let state = match certificates {
            Certificates::Development => State::Development { shown: Made::new(&provider, now)?, next: None },
            Certificates::Files { chain, key } => {
                let content = Content::read(chain, key)?;
                let shown = content.certified(&provider, chain, key)?;
                State::Files { chain: chain.clone(), key: key.clone(), content, shown }
            }
        };
        Ok(Self { provider, state: Mutex::new(state) })
    }

    /// A TLS configuration that always uses the current certificate.
    pub fn tls(self: &Arc<Self>, protocol: &[u8]) -> Result<ServerConfig, CertificateError> {
        let mut tls = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&version::TLS13])
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        tls.alpn_protocols = vec![protocol.to_vec()];
        Ok(tls)
    }

    /// Returns whether a certificate that the gateway made cannot be used now, because the clock was set or the machine slept.
    /// Then it is time to [`renew`](Self::renew).
    pub fn is_stale(&self, now: SystemTime) -> bool {
        match &*self.state() {
            State::Development { shown, next } => {
                [Some(shown), next.as_ref()].into_iter().flatten().any(|made| !made.is_good(now))
            }
            State::Files { .. } => false,
        }
    }

    /// The hashes of the certificates that the gateway made: the current one and the next.
    pub fn hashes(&self) -> Vec<[u8; 32]> {
        match &*self.state() {
            State::Development { shown, next } => {
                [Some(shown), next.as_ref()].into_iter().flatten().map(|made| made.hash).collect()
            }
            State::Files { .. } => Vec::new(),
        }
    }

    /// Renews what is due. Returns whether the current certificate changed. May block, because it reads files.
    pub fn renew(&self, now: SystemTime) -> Result<bool, CertificateError> {
        let files = match &mut *self.state() {
            State::Development { shown, next } => return self.renew_made(shown, next, now),
            State::Files { chain, key, .. } => (chain.clone(), key.clone()),
        };
        self.read_again(&files.0, &files.1)
    }

    fn renew_made(
        &self,
        shown: &mut Made,
        next: &mut Option<Made>,
        now: SystemTime,
    ) -> Result<bool, CertificateError> {
        if !shown.is_good(now) {
            (*shown, *next) = (Made::new(&self.provider, now)?, None);
            return Ok(true);
        }
        match next.take().filter(|made| made.is_good(now)) {
            Some(made) if made.age(now) >= SHOWN_AFTER => {
                *shown = made;
                return Ok(true);
            }
            None if shown.age(now) >= NEXT_AFTER => *next = Some(Made::new(&self.provider, now)?),
            other => *next = other,
        }
        Ok(false)
    }

    /// Reads the files without the lock, because handshakes go on meanwhile.
    fn read_again(&self, chain: &Path, key: &Path) -> Result<bool, CertificateError> {
        let new = Content::read(chain, key)?;
        match &mut *self.state() {
            State::Files { content, shown, .. } if new != *content => {
                // An unusable file is reported once. Half-written files change again, and are read again.
                let certified = new.certified(&self.provider, chain, key);
                *content = new;
                *shown = certified?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for CertificateStore {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(match &*self.state() {
            State::Development { shown, .. } => &shown.certified,
            State::Files { shown, .. } => shown,
        }))
    }
}

fn unusable(error: impl ToString) -> CertificateError {
    CertificateError::Unusable(error.to_string())
}

impl Made {
    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.made).unwrap_or_default()
    }

    /// Returns whether it can be used: it is valid, also for a browser whose clock is somewhat behind, and not about to expire.
    /// A certificate made while the clock was ahead is not valid yet.
    fn is_good(&self, now: SystemTime) -> bool {
        let ahead = self.made.duration_since(now).unwrap_or_default();
        ahead <= BACKDATED / 2 && self.age(now) < SHOWN_UNTIL
    }

    fn new(provider: &CryptoProvider, now: SystemTime) -> Result<Self, CertificateError> {
        let from = OffsetDateTime::from(now - BACKDATED);
        // P-256, which browsers require.
        let identity = wtransport::Identity::self_signed_builder()
            .subject_alt_names(["localhost", "127.0.0.1", "::1"])
            .validity_period(from, from + VALID)
            .build()
            .map_err(unusable)?;
        let certificate =
            identity.certificate_chain().as_slice().first().ok_or_else(|| unusable("there is none"))?;
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivatePkcs8KeyDer::from(identity.private_key().secret_der().to_vec());
        let certified = CertifiedKey::from_der(chain, key.into(), provider).map_err(unusable)?;
        Ok(Self { certified: Arc::new(certified), hash: *certificate.hash().as_ref(), made: now })
    }
}

impl Content {
    fn read(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let read = |path: &Path| {
            std::fs::read(path)
                .map_err(|error| CertificateError::Unreadable { path: path.to_path_buf(), error })
        };
        Ok(Self(read(chain)?, read(key)?))
    }

    fn certified(
        &self,
        provider: &CryptoProvider,
        chain_path: &Path,
        key_path: &Path,
    ) -> Result<Arc<CertifiedKey>, CertificateError> {
        let content =
            |path: &Path, expected| CertificateError::Content { path: path.to_path_buf(), expected };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.0)
            .collect::<Result<_, _>>()
            .ok()
            .filter(|chain: &Vec<_>| !chain.is_empty())
            .ok_or_else(|| content(chain_path, "certificates"))?;
        let key = PrivateKeyDer::from_pem_slice(&self.1).map_err(|_| content(key_path, "a private key"))?;
        CertifiedKey::from_der(chain, key, provider).map(Arc::new).map_err(unusable)
    }
}

#[cfg(test)]
mod tests;
