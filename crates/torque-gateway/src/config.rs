//! The operator's settings.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use torque_proto::KeyPair;

use crate::policy::origins::Origins;
use crate::policy::rules::{Limits, Strangers};
use crate::policy::targets::Targets;

/// The default port of a gateway.
pub const DEFAULT_PORT: u16 = 4_433;

/// The settings of a gateway. By default it is closed: no origin may use it, and no target may be reached.
#[derive(Clone)]
pub struct Config {
    /// The addresses to listen at, for UDP and TCP, all with the same port. Port 0 finds one that is free for both. An address
    /// of a family that this machine lacks is skipped if another remains.
    pub listen: Vec<SocketAddr>,
    /// The gateway's identity, which signs origin tokens. `None` makes a new one at each start.
    pub key_pair: Option<KeyPair>,
    /// The certificates that browsers see.
    pub certificates: Certificates,
    /// The interval at which certificate files are read again, and development certificates renewed when they are due.
    pub check_certificates_every: Duration,
    /// The addresses by which remotes see the gateway, at most one per family. Needed behind address translation.
    pub public_ips: Vec<IpAddr>,
    /// The origins whose pages may use the gateway.
    pub origins: Origins,
    /// The targets that pages may reach.
    pub targets: Targets,
    /// Set to let pages talk to pages through this gateway. Default: no.
    pub allow_sessions: bool,
    /// The remotes beyond the list of targets that may write to a page first and be answered, so that pages can be hosts.
    /// Default: none, because a page could then reach any machine that cooperates with it (SECURITY.md). In development: all,
    /// because everything is on this machine.
    pub strangers: Strangers,
    /// The limits of sessions.
    pub limits: Limits,
    /// A directory of static files to serve at the same TCP port.
    pub files: Option<PathBuf>,
    /// The address that serves Prometheus metrics, at `/metrics`. It is not protected: keep it on a private network.
    pub metrics: Option<SocketAddr>,
}

/// The certificates that browsers see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Certificates {
    /// Certificates that the gateway makes, and that pages accept by their hash. HTTP and WebSocket then have no TLS, which
    /// browsers allow only for pages of `http://localhost`.
    Development,
    /// Files in PEM form, such as Let's Encrypt writes. They are read again when they change.
    Files {
        /// The certificate and its chain.
        chain: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

impl Config {
    /// Settings for development: listens on this machine only, at `port`, and serves pages of this machine.
    pub fn development(port: u16) -> Self {
        Self {
            listen: vec![
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
                SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
            ],
            origins: Origins::localhost(),
            strangers: Strangers::Local,
            ..Self::with_certificates(Certificates::Development)
        }
    }

    /// Settings for the public: listens at all addresses, at [`DEFAULT_PORT`], with these certificates.
    pub fn with_certificates(certificates: Certificates) -> Self {
        Self {
            listen: vec![SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), DEFAULT_PORT)],
            key_pair: None,
            certificates,
            check_certificates_every: Duration::from_secs(30),
            public_ips: Vec::new(),
            origins: Origins::default(),
            targets: Targets::default(),
            allow_sessions: false,
            strangers: Strangers::Refused,
            limits: Limits::default(),
            files: None,
            metrics: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("public_key", &self.key_pair.as_ref().map(KeyPair::public))
            .field("certificates", &self.certificates)
            .field("origins", &self.origins)
            .field("targets", &self.targets)
            .finish_non_exhaustive()
    }
}

/// The reason why a gateway cannot start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration names no address to listen at, or addresses with different ports.
    Listen,
    /// Listening at an address failed.
    Bind {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        error: io::Error,
    },
    /// No port was free for UDP and TCP at all addresses.
    NoPort,
    /// A certificate cannot be used.
    Certificate(CertificateError),
    /// The path of static files is not a directory.
    Files(PathBuf),
    /// The operating system gave no random bytes.
    Random(getrandom::Error),
    /// Starting a thread or the runtime failed.
    Runtime(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen => f.write_str("give one or more addresses to listen at, all with the same port"),
            Self::Bind { address, error } => {
                write!(f, "listening at {address} failed: {error}; choose another port, or 0 for a free one")
            }
            Self::NoPort => f.write_str(
                "found no port that is free for UDP and TCP at all addresses: choose one yourself",
            ),
            Self::Certificate(error) => write!(f, "{error}"),
            Self::Files(path) => write!(f, "{} is not a readable directory", path.display()),
            Self::Random(error) => write!(f, "the operating system gave no random bytes: {error}"),
            Self::Runtime(error) => write!(f, "no thread could be started for the gateway: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { error, .. } | Self::Runtime(error) => Some(error),
            Self::Certificate(error) => Some(error),
            _ => None,
        }
    }
}

impl From<CertificateError> for StartError {
    fn from(error: CertificateError) -> Self {
        Self::Certificate(error)
    }
}

/// The reason why a certificate cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        error: io::Error,
    },
    /// A file has the wrong content. The content is not repeated here.
    Content {
        /// The file.
        path: PathBuf,
        /// The expected content.
        expected: &'static str,
    },
    /// The certificate and the key do not work together.
    Unusable(String),
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => write!(f, "{} cannot be read: {error}", path.display()),
            Self::Content { path, expected } => {
                write!(f, "{} does not hold {expected} in PEM form", path.display())
            }
            Self::Unusable(why) => {
                write!(f, "the certificate cannot be used: {why}; do certificate and key belong together?")
            }
        }
    }
}

impl std::error::Error for CertificateError {}
