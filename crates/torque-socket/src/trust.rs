//! Deciding whether a host's key is the right one. Helpers only: nothing here is done unasked.
//!
//! Three ways, which may be mixed:
//!
//! - a **pinned** key, in the URL (`torque://tk1…@host:port`) or in [`Trust::Pinned`](crate::Trust::Pinned):
//!   the socket checks it by itself;
//! - **known hosts**: the key of the first visit is kept in a file and expected ever after;
//! - an **authority** whose public key the program carries, and whose [`Credential`] the host shows in its
//!   challenge response data.
//!
//! The last two are asked with [`Trust::Ask`](crate::Trust::Ask). With a key in the URL as well, both decide: hosts
//! with other keys are not shown.
//!
//! ```no_run
//! # use torque_socket::{Event, Socket, Trust, trust::{Judge, Judgement, KnownHosts}};
//! # fn player_agrees() -> bool { true }
//! let host = "example.org:28000";
//! let mut known = KnownHosts::load("known_hosts")?;
//! let mut socket = Socket::client()?;
//! socket.connect(host, Trust::Ask)?;
//! let shown = loop {
//!     match socket.wait_event(None) {
//!         Some(Event::ChallengeResponse(shown)) => break shown,
//!         Some(Event::Close { code, .. }) => return Err(code.to_string().into()),
//!         _ => {}
//!     }
//! };
//! let judge = Judge { known_hosts: Some(&known), ..Judge::default() };
//! match judge.judge_response(host, &shown) {
//!     Judgement::Trusted(_) => socket.accept_challenge(shown.connection)?,
//!     Judgement::Unknown if player_agrees() => {
//!         known.remember(host, shown.public_key)?;
//!         socket.accept_challenge(shown.connection)?;
//!     }
//!     Judgement::Unknown => socket.close(shown.connection, b"")?,
//!     Judgement::Mismatch { expected } => {
//!         eprintln!("{host} has another key than before ({expected}): somebody may be in between");
//!         socket.close(shown.connection, b"")?;
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use torque_proto::identity::{Credential, KeyError};
use torque_proto::{ChallengeResponse, PublicKey};

use crate::clock;

/// The evidence about a host's key. Fill in what you have.
#[derive(Clone, Copy, Default, Debug)]
pub struct Judge<'a> {
    /// The only key to take, if it is known.
    pub pinned: Option<PublicKey>,
    /// Keys of earlier visits.
    pub known_hosts: Option<&'a KnownHosts>,
    /// Keys whose signature is enough.
    pub authorities: &'a [PublicKey],
}

/// Why a key is trusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// It is the pinned key.
    Pinned,
    /// It is the key of earlier visits.
    Known,
    /// A trusted authority signed it, for a host of this name. Whether the name is the one that was meant is
    /// for the application to say.
    Signed {
        /// The name in the credential.
        name: String,
        /// The signer.
        authority: PublicKey,
    },
}

/// The judgement on a host's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// It is the right one.
    Trusted(Reason),
    /// Nothing speaks for it or against it: ask somebody.
    Unknown,
    /// Another key was expected, and no authority vouches for this one.
    Mismatch {
        /// The key that was expected.
        expected: PublicKey,
    },
}

impl Judge<'_> {
    /// Judges the key and data that a host has shown.
    ///
    /// `host` is the name that the known-hosts file uses, best with the port: `example.org:28000`.
    pub fn judge(&self, host: &str, public_key: PublicKey, challenge_response_data: &[u8]) -> Judgement {
        if let Some(expected) = self.pinned {
            return if expected == public_key {
                Judgement::Trusted(Reason::Pinned)
            } else {
                Judgement::Mismatch { expected }
            };
        }
        let known = self.known_hosts.and_then(|known| known.get(host));
        if known == Some(public_key) {
            return Judgement::Trusted(Reason::Known);
        }
        // An authority may have signed a new key for a host that is known by its old one.
        if let Some(reason) = self.signed(public_key, challenge_response_data) {
            return Judgement::Trusted(reason);
        }
        known.map_or(Judgement::Unknown, |expected| Judgement::Mismatch { expected })
    }

    /// Judges the key and data of an [`Event::ChallengeResponse`](torque_proto::Event::ChallengeResponse), as
    /// [`judge`](Self::judge) does.
    pub fn judge_response(&self, host: &str, response: &ChallengeResponse) -> Judgement {
        self.judge(host, response.public_key, &response.challenge_response_data)
    }

    fn signed(&self, public_key: PublicKey, data: &[u8]) -> Option<Reason> {
        if self.authorities.is_empty() {
            return None;
        }
        let (credential, _) = Credential::parse_prefix(data).ok()?;
        credential.verify(public_key, self.authorities, clock::unix_millis() / 1_000).ok()?;
        Some(Reason::Signed { name: credential.name().to_owned(), authority: credential.authority() })
    }
}

/// Keys of hosts that were visited before: a text file with a line `host key` for each, and comments (`#`).
///
/// The file is replaced as a whole, so that a crash leaves the old one or the new one. Before each change it is read again,
/// under a lock on a file beside it (`known_hosts.lock`), so that threads and programs that share it keep each other's hosts;
/// of two keys of the same host the later one stays. Where the system cannot lock files, programs that change it at the same
/// moment may lose a change.
#[derive(Clone, Debug, Default)]
pub struct KnownHosts {
    path: Option<PathBuf>,
    keys: BTreeMap<String, PublicKey>,
}

impl KnownHosts {
    /// Hosts that are forgotten with the program.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Reads a file; one that does not exist is empty.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is not `host key`: half of a file is worse than none.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, KnownHostsError> {
        let path = path.into();
        let keys = parse(&read(&path)?, &path)?;
        Ok(Self { path: Some(path), keys })
    }

    /// The key of a host.
    pub fn get(&self, host: &str) -> Option<PublicKey> {
        self.keys.get(&host.to_lowercase()).copied()
    }

    /// All hosts with their keys, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, PublicKey)> {
        self.keys.iter().map(|(host, key)| (host.as_str(), *key))
    }

    /// Keeps the key of a host, in place of an earlier one.
    ///
    /// # Errors
    /// The name has white space or begins with `#`, or the file cannot be written.
    pub fn remember(&mut self, host: &str, key: PublicKey) -> Result<(), KnownHostsError> {
        if host.is_empty()
            || host.starts_with('#')
            || host.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            return Err(KnownHostsError::BadHost(host.to_owned()));
        }
        self.change(host, Some(key))
    }

    /// Forgets a host.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget(&mut self, host: &str) -> Result<(), KnownHostsError> {
        self.change(host, None)
    }

    fn change(&mut self, host: &str, key: Option<PublicKey>) -> Result<(), KnownHostsError> {
        let host = host.to_lowercase();
        if let Some(path) = &self.path {
            let _lock =
                lock(path).map_err(|error| KnownHostsError::Unwritable { path: path.clone(), error })?;
            let before = read(path)?;
            self.keys = parse(&before, path)?;
            let mut text: String = before
                .lines()
                .filter(|line| {
                    line.split_whitespace().next().map(str::to_lowercase).as_deref() != Some(&host)
                })
                .flat_map(|line| [line, "\n"])
                .collect();
            if let Some(key) = key {
                text.push_str(&format!("{host} {key}\n"));
            }
            replace(path, text.as_bytes())
                .map_err(|error| KnownHostsError::Unwritable { path: path.clone(), error })?;
        }
        match key {
            Some(key) => self.keys.insert(host, key),
            None => self.keys.remove(&host),
        };
        Ok(())
    }
}

/// Keeps other threads and programs from changing the file until the result is dropped. The lock is on a file beside it,
/// because the file itself is replaced.
fn lock(path: &Path) -> io::Result<(MutexGuard<'static, ()>, fs::File)> {
    // Where the system cannot lock files, at least the threads of this program take turns.
    static THREADS: Mutex<()> = Mutex::new(());
    let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".lock");
    let file = fs::File::create(path.with_file_name(name))?;
    match file.lock() {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok((threads, file)),
    }
}

fn read(path: &Path) -> Result<String, KnownHostsError> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other.map_err(|error| KnownHostsError::Unreadable { path: path.to_path_buf(), error }),
    }
}

fn parse(text: &str, path: &Path) -> Result<BTreeMap<String, PublicKey>, KnownHostsError> {
    let mut keys = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |error| KnownHostsError::BadLine { path: path.to_path_buf(), line: index + 1, error };
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(host), Some(key), None) => {
                keys.insert(host.to_lowercase(), key.parse().map_err(|error| bad(Some(error)))?);
            }
            _ => return Err(bad(None)),
        }
    }
    Ok(keys)
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let draft = path.with_file_name(name);
    let written = fs::File::create(&draft).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Why a known-hosts file cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum KnownHostsError {
    /// The name of a host must be one word.
    BadHost(String),
    /// A line is not `host key`.
    BadLine {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The fault of its key, if it has one.
        error: Option<KeyError>,
    },
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// The file cannot be written.
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
}

impl fmt::Display for KnownHostsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadHost(host) => {
                write!(f, "`{host}` is no name for a host: one word, not beginning with `#`")
            }
            Self::BadLine { path, line, error: Some(error) } => {
                write!(f, "{}, line {line}: {error}; correct the line or remove it", path.display())
            }
            Self::BadLine { path, line, error: None } => {
                write!(f, "{}, line {line} is not `host key`; correct the line or remove it", path.display())
            }
            Self::Unreadable { path, error } => {
                write!(f, "the known hosts in {} cannot be read: {error}", path.display())
            }
            Self::Unwritable { path, error } => {
                write!(f, "the known hosts in {} cannot be written: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for KnownHostsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } | Self::Unwritable { error, .. } => Some(error),
            Self::BadLine { error: Some(error), .. } => Some(error),
            _ => None,
        }
    }
}
