//! The failure of a command: what happened, what to do next, and the exit code.

use std::fmt;
use std::io;

use torque_socket::{BindError, CallError, CloseCode, ConnectError, SendError};

/// The exit codes, as `torque --help` lists them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// Something did not work.
    Failed,
    /// The command line cannot be used (clap exits with the same number by itself).
    Usage,
    /// Nobody answered.
    NoAnswer,
    /// One of the sides refused.
    Refused,
    /// The other side has the wrong key, or one that is not trusted.
    KeyMismatch,
}

impl Code {
    /// The number that the process exits with.
    pub const fn number(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NoAnswer => 3,
            Self::Refused => 4,
            Self::KeyMismatch => 5,
        }
    }

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NoAnswer => "no_answer",
            Self::Refused => "refused",
            Self::KeyMismatch => "key_mismatch",
        }
    }
}

/// The reason why a command failed.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// The error. Empty if the reader of the output has gone, and there is nobody to tell.
    pub what: String,
    /// The advice on what to do about it.
    pub next: Option<String>,
}

impl Failure {
    /// A failure with its exit code.
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), next: None }
    }

    /// A failure with exit code 1.
    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(Code::Failed, what)
    }

    /// A failure with exit code 2.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Code::Usage, what)
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// The failure to use a file. The operating system's message ends the sentence.
    pub fn file(doing: &str, path: &std::path::Path, error: &io::Error) -> Self {
        Self::failed(format!("{doing} {} failed: {error}", path.display()))
    }

    /// The failure that the end of a connection means.
    pub fn closed(code: CloseCode, reason: &[u8]) -> Self {
        let mut what = match code {
            // The reason says who refuses.
            CloseCode::Refused if !reason.is_empty() => code.name().to_owned(),
            _ => format!("{code} ({})", code.name()),
        };
        if !reason.is_empty() {
            what.push_str(": ");
            what.push_str(&crate::units::printable(reason));
        }
        let (exit, next) = match code {
            CloseCode::NoAnswer => (
                Code::NoAnswer,
                "check the address and port, that the host runs, and that a firewall lets UDP through",
            ),
            CloseCode::TimedOut => (Code::NoAnswer, "the network or the host went away; try again"),
            CloseCode::HostRestarted => {
                (Code::NoAnswer, "the host runs again but does not know this connection: connect again")
            }
            CloseCode::NameNotFound => (Code::NoAnswer, "check the name, or use the address itself"),
            CloseCode::Unreachable => {
                (Code::NoAnswer, "check that this machine is on a network that leads there")
            }
            CloseCode::NotConfirmed => (Code::NoAnswer, "the initiator went away; you need not do anything"),
            CloseCode::KeyMismatch => (
                Code::KeyMismatch,
                "ask the operator of the host for its key; do not send it anything before",
            ),
            CloseCode::BadSignature | CloseCode::UnknownKeyType => (
                Code::KeyMismatch,
                "somebody else may be answering in the host's place, or its program is newer",
            ),
            CloseCode::Refused if reason.is_empty() => (Code::Refused, "it gave no reason: ask its operator"),
            CloseCode::Refused => (Code::Refused, ""),
            CloseCode::OriginNotAllowed => {
                (Code::Refused, "it lets web pages in, and programs only with --allow-native")
            }
            CloseCode::Busy => (Code::Refused, "the host is full: try again later"),
            CloseCode::NoDecision => {
                (Code::Refused, "nobody answered the question whether to connect; try again")
            }
            CloseCode::ApplicationMismatch => {
                (Code::Refused, "give both sides the same --application, or update the older program")
            }
            CloseCode::VersionMismatch => (Code::Refused, "update the older of the two programs"),
            CloseCode::NoCommonCipher => (Code::Refused, "offer a cipher that the host allows with --cipher"),
            CloseCode::IntroductionRefused => (Code::Refused, "the lobby does not introduce these two"),
            CloseCode::RoleConflict => {
                (Code::Refused, "one of the two has to host, and the other one to connect")
            }
            CloseCode::RemoteNeverAsked => (
                Code::NoAnswer,
                "the other party did not answer the lobby; check that it runs, and try again",
            ),
            CloseCode::RemoteGone => (Code::NoAnswer, "the other party has left the lobby; try again later"),
            CloseCode::HardNat => (
                Code::NoAnswer,
                "a NAT gives another port for each destination: try --hard-nat always here and there, or use a lobby that relays (torque introduce --relay); torque nat tells more",
            ),
            CloseCode::NoPath => (
                Code::NoAnswer,
                "firewalls or NATs let nothing through: use a lobby that relays (torque introduce --relay), and --relay fallback here and there",
            ),
            CloseCode::IntroducerGone => {
                (Code::NoAnswer, "the lobby went away before it had introduced the two; try again")
            }
            CloseCode::DifficultyTooHigh => (Code::Refused, "the host is under load: try again later"),
            CloseCode::StaleChallenge => (Code::Refused, "the host is under load: try again later"),
            _ => (Code::Failed, ""),
        };
        let failure = Self::new(exit, what);
        if next.is_empty() { failure } else { failure.next(next) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Standard output and terminal errors. A closed pipe has nobody to tell.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::failed(String::new());
        }
        Self::failed(format!("writing the output failed: {error}"))
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        let code = match error {
            BindError::Config(_) | BindError::BadAddress { .. } => Code::Usage,
            _ => Code::Failed,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let code = match error {
            ConnectError::BadUrl(_) | ConnectError::TwoPins { .. } => Code::Usage,
            _ => Code::Failed,
        };
        Self::new(code, error.to_string())
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        Self::failed(error.to_string())
    }
}
