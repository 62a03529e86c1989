//! Secret keys in files that only their owner can read.
//!
//! ```no_run
//! use torque_socket::{Socket, key_file};
//!
//! let key_pair = key_file::load_or_create("server.key")?;
//! let socket = Socket::builder().key_pair(key_pair).bind("0.0.0.0:28000")?;
//! println!("tell your friends: torque://{}@example.org:28000", socket.public_key());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use torque_proto::KeyPair;
use torque_proto::identity::KeyError;
use zeroize::Zeroizing;

use crate::generate::Generate;

/// A key file is one line; a longer file is something else.
const MAX_BYTES: u64 = 4_096;

/// Reads the key pair in a file that holds `ts1…`.
///
/// # Errors
/// [`KeyFileError`] says what to do. On Unix a file that others than its owner can read is refused.
pub fn load(path: impl AsRef<Path>) -> Result<KeyPair, KeyFileError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|error| KeyFileError::unreadable(path, error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(KeyFileError::Directory { path: path.to_path_buf() });
    }
    check_mode(path, &file)?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(|error| KeyFileError::unreadable(path, error))?;
    KeyPair::from_secret_text(text.trim())
        .map_err(|error| KeyFileError::NotAKey { path: path.to_path_buf(), error })
}

/// Reads the key pair in a file, or makes one and writes it there (mode 0600 on Unix) if there is no file.
///
/// # Errors
/// [`KeyFileError`] says what to do.
pub fn load_or_create(path: impl AsRef<Path>) -> Result<KeyPair, KeyFileError> {
    let path = path.as_ref();
    match load(path) {
        Err(KeyFileError::NotFound { .. }) => {}
        other => return other,
    }
    let key_pair = KeyPair::generate().map_err(|error| KeyFileError::unwritable(path, error))?;
    match create(path, &key_pair) {
        Ok(()) => Ok(key_pair),
        // Another process was quicker: its key counts.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => load(path),
        Err(error) => Err(KeyFileError::unwritable(path, error)),
    }
}

/// Writes the whole file under another name first, so that nobody ever reads half a key.
fn create(path: &Path, key_pair: &KeyPair) -> io::Result<()> {
    // Each draft has another name: other threads and programs may be making the same file.
    let random = getrandom::u64().map_err(io::Error::other)?;
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{random:016x}.new"));
    let draft = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let written = options.open(&draft).and_then(|mut file| {
        file.write_all(key_pair.to_secret_text().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        // Unlike a rename, a link does not replace what another process has put there meanwhile.
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.exists() => {
                fs::rename(&draft, path)
            }
            other => other,
        }
    });
    let _ = fs::remove_file(&draft);
    written
}

#[cfg(unix)]
fn check_mode(path: &Path, file: &File) -> Result<(), KeyFileError> {
    use std::os::unix::fs::PermissionsExt;
    let mode =
        file.metadata().map_err(|error| KeyFileError::unreadable(path, error))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(KeyFileError::ReadableByOthers { path: path.to_path_buf(), mode })
    }
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &File) -> Result<(), KeyFileError> {
    Ok(())
}

/// The reason why a file gave no key.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file does not exist.
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// It is a directory.
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// Others than the owner can read the file (Unix).
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file holds something else than a secret key. What it holds is not repeated here.
    NotAKey {
        /// The file.
        path: PathBuf,
        /// The fault.
        error: KeyError,
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

impl KeyFileError {
    fn unreadable(path: &Path, error: io::Error) -> Self {
        let path = path.to_path_buf();
        if error.kind() == io::ErrorKind::NotFound {
            Self::NotFound { path }
        } else {
            Self::Unreadable { path, error }
        }
    }

    fn unwritable(path: &Path, error: io::Error) -> Self {
        Self::Unwritable { path: path.to_path_buf(), error }
    }
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { path } => write!(f, "there is no key file {}", path.display()),
            Self::Directory { path } => write!(
                f,
                "{path} is a directory: name a file for the secret key, for example {example}",
                path = path.display(),
                example = path.join("torque.key").display()
            ),
            Self::ReadableByOthers { path, mode } => write!(
                f,
                "others can read the secret key in {path} (mode {mode:03o}): run `chmod 600 {path}`, and if they may \
                 have read it, delete it and have a new one made",
                path = path.display()
            ),
            Self::NotAKey { path, error } => {
                write!(f, "{} does not hold one secret key (ts1…): {error}", path.display())
            }
            Self::Unreadable { path, error } => {
                write!(f, "the key file {} cannot be read: {error}", path.display())
            }
            Self::Unwritable { path, error } => {
                write!(f, "the key file {} cannot be written: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for KeyFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } | Self::Unwritable { error, .. } => Some(error),
            Self::NotAKey { error, .. } => Some(error),
            _ => None,
        }
    }
}
