//! What the peers with TLS share: a self-signed certificate of the host that clients trust. Clients have no
//! key, so the host does not know whom it talks to, which is less than TorqueSocket does.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::failure::Result;

/// The name in the certificate.
pub const NAME: &str = "localhost";

/// A certificate and its key: ECDSA P-256, the default of rcgen and of quinn's examples.
pub struct Identity {
    pub certificate: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    pub fn generate() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()])?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        Ok(Self { certificate: made.cert.into(), key: key.into() })
    }
}

/// A store that trusts this certificate.
pub fn roots(certificate: &[u8]) -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(certificate.to_vec()))?;
    Ok(Arc::new(roots))
}
