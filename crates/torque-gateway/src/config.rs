//! What an operator decides.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use torque_proto::KeyPair;

use crate::policy::origins::Origins;
use crate::policy::rules::{Limits, Strangers};
use crate::policy::targets::Targets;

/// The port that a gateway has if none is named.
pub const DEFAULT_PORT: u16 = 4_433;

/// How a gateway is to be. Closed by default: no origin may use it, and no target may be reached.
#[derive(Clone)]
pub struct Config {
    /// Where to listen; all with one port number, for UDP and TCP. Port 0 takes one that is free for both. Addresses of a
    /// family that this machine has not are passed over, if another is left.
    pub listen: Vec<SocketAddr>,
    /// The gateway's identity, which signs origin tokens. Without one it has a new one each time.
    pub key_pair: Option<KeyPair>,
    /// What browsers are shown.
    pub certificates: Certificates,
    /// How often certificate files are looked at, and certificates for development renewed if it is time to.
    pub check_certificates_every: Duration,
    /// By which addresses remotes see the gateway, one of each family at most, if it is not by its own (address translation).
    pub public_ips: Vec<IpAddr>,
    /// Whose pages may use the gateway.
    pub origins: Origins,
    /// What pages may reach.
    pub targets: Targets,
    /// Whether pages may talk to pages through this gateway. Default: no.
    pub allow_sessions: bool,
    /// Which remotes that are not on the list of targets may write to a page first, and be answered, so that pages can be
    /// hosts. Default: none, as whoever helps a page is reached through the gateway then (SECURITY.md); in development all, as
    /// everything is on this machine.
    pub strangers: Strangers,
    /// How much.
    pub limits: Limits,
    /// A directory of static files to serve at the same TCP port.
    pub files: Option<PathBuf>,
    /// Where to serve Prometheus metrics over HTTP, at `/metrics`. It is not protected: keep it inside.
    pub metrics: Option<SocketAddr>,
}

/// What browsers are shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Certificates {
    /// Certificates of the gateway's own making, which the page takes by their hash. HTTP and WebSocket are then without TLS,
    /// which browsers allow from pages of `http://localhost` only.
    Development,
    /// Files in PEM form, as from Let's Encrypt. They are read again when they change.
    Files {
        /// The certificate and those that it was signed with.
        chain: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

impl Config {
    /// For development: on this machine only, at a port, for pages of this machine.
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

    /// For everybody: at all addresses, at [`DEFAULT_PORT`], with these certificates.
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

/// Why a gateway cannot start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration names no address to listen at, or addresses with different ports.
    Listen,
    /// An address cannot be listened at.
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// No port is free for UDP and TCP at all addresses.
    NoPort,
    /// A certificate cannot be used.
    Certificate(CertificateError),
    /// The directory of static files is none.
    Files(PathBuf),
    /// The operating system gave no random bytes.
    Random(getrandom::Error),
    /// No thread or runtime could be made.
    Runtime(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen => f.write_str("name one or more addresses to listen at, all with the same port"),
            Self::Bind { address, error } => {
                write!(
                    f,
                    "listening at {address} failed: {error}; name another port, or 0 for one that is free"
                )
            }
            Self::NoPort => f.write_str(
                "no port was found that is free for UDP and TCP at all addresses: name one yourself",
            ),
            Self::Certificate(error) => write!(f, "{error}"),
            Self::Files(path) => write!(f, "{} is no directory that can be read", path.display()),
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

/// Why a certificate cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// A file does not hold what it should. What it holds is not repeated here.
    Content {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
    },
    /// Certificate and key cannot be used together.
    Unusable(String),
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => write!(f, "{} cannot be read: {error}", path.display()),
            Self::Content { path, expected } => {
                write!(f, "{} does not hold {expected}, in PEM form", path.display())
            }
            Self::Unusable(why) => {
                write!(f, "the certificate cannot be used: {why}; do certificate and key belong together?")
            }
        }
    }
}

impl std::error::Error for CertificateError {}
