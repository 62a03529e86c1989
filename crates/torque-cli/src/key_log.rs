//! The key log, with which `torque decode --key-log` opens the packets of a capture.
//!
//! It is a text file with one line for each connection and side. Lines that begin with `#` are remarks:
//!
//! ```text
//! torque-key v=1 role=initiator remote=192.0.2.7:28000 cipher=3 tag=8 window=128 initiator_sequence=17 host_sequence=4000 from_initiator=<64 hex digits> from_host=<64 hex digits>
//! ```
//!
//! `role` is the side that wrote the line, `remote` the other side's address, `from_initiator` and `from_host`
//! are `traffic[0, 0]` and `traffic[0, 1]` of PROTOCOL.md 3.3. Further `key=value` words may come in later versions.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use torque_proto::inspect::LoggedSecrets;
use torque_socket::{KeyLogEntry, Socket};

use crate::failure::Failure;
use crate::output::{Output, WARN};
use crate::units::{from_hex, hex};

/// The environment variable that names the file.
pub const VARIABLE: &str = "TORQUE_KEYLOG";

/// Makes the socket write the secrets of its connections into a file, if the environment asks for it.
pub fn install(socket: &mut Socket, output: &Output) -> Result<(), Failure> {
    KeyLogFile::from_environment(output)?.map_or(Ok(()), |log| log.install(socket))
}

/// The open file that the environment asks for.
pub struct KeyLogFile {
    path: PathBuf,
    file: File,
}

impl KeyLogFile {
    /// Opens it, and prints a warning. `None`: the environment names no file.
    pub fn from_environment(output: &Output) -> Result<Option<Self>, Failure> {
        let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else { return Ok(None) };
        let path = PathBuf::from(path);
        let file = open(&path)?;
        output.note(format_args!(
            "{WARN}The secrets of all connections go to {} ({VARIABLE}): anyone who can read this file can read the connections.{WARN:#}",
            path.display()
        ));
        Ok(Some(Self { path, file }))
    }

    /// Makes a socket write into it.
    pub fn install(&self, socket: &mut Socket) -> Result<(), Failure> {
        let file = self.file.try_clone();
        let mut file = file.map_err(|error| Failure::file("opening the key log", &self.path, &error))?;
        socket.set_key_log(move |entry| {
            // One write a line, so that several sockets and processes can share the file.
            let _ = file.write_all(line(&entry).as_bytes());
        });
        Ok(())
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let failed = |error| {
        Failure::file("opening the key log", path, &error)
            .next(format!("unset {VARIABLE}, or name another file"))
    };
    let file = options.open(path).map_err(failed)?;
    check_mode(path, &file)?;
    Ok(file)
}

/// An existing file is used only if nobody else can read it. Changing its mode would not help, because others may already
/// have it open.
#[cfg(unix)]
fn check_mode(path: &Path, file: &File) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|error| Failure::file("opening the key log", path, &error))?;
    let mode = metadata.permissions().mode() & 0o777;
    if !metadata.is_file() || mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Failure::failed(format!("others can read the key log {} (mode {mode:03o})", path.display())).next(
        format!(
            "name a new file in {VARIABLE}, or run `chmod 600 {}`; a program that has it open already can still read it",
            path.display()
        ),
    ))
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &File) -> Result<(), Failure> {
    Ok(())
}

fn line(entry: &KeyLogEntry<'_>) -> String {
    format!(
        "torque-key v=1 role={} remote={} cipher={} tag={} window={} initiator_sequence={} host_sequence={} from_initiator={} from_host={}\n",
        if entry.is_initiator { "initiator" } else { "host" },
        entry.remote,
        entry.cipher,
        entry.tag_bytes,
        entry.packet_window,
        entry.initiator_sequence,
        entry.host_sequence,
        hex(entry.from_initiator),
        hex(entry.from_host),
    )
}

/// A connection of a key log.
#[derive(Clone)]
pub struct LoggedConnection {
    /// The secrets that open its packets.
    pub secrets: LoggedSecrets,
    /// The initiator's address, if the host wrote a line.
    pub initiator: Option<SocketAddr>,
    /// The host's address, if the initiator wrote a line.
    pub host: Option<SocketAddr>,
}

/// The connections of a key log, each once, even if both of its sides wrote a line.
pub fn read(path: &Path) -> Result<Vec<LoggedConnection>, Failure> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::file("reading the key log", path, &error))?;
    let mut all: Vec<LoggedConnection> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = parse(line).map_err(|why| {
            Failure::failed(format!("line {} of the key log {}: {why}", index + 1, path.display()))
                .next(format!("give a file that was written with {VARIABLE}"))
        })?;
        let known = all.iter_mut().find(|known| known.secrets.from_initiator == entry.secrets.from_initiator);
        match known {
            Some(known) => {
                known.initiator = known.initiator.or(entry.initiator);
                known.host = known.host.or(entry.host);
            }
            None => all.push(entry),
        }
    }
    Ok(all)
}

fn parse(line: &str) -> Result<LoggedConnection, String> {
    let mut words = line.split_ascii_whitespace();
    if words.next() != Some("torque-key") {
        return Err("it does not begin with `torque-key`".into());
    }
    let pairs: Vec<(&str, &str)> = words.filter_map(|word| word.split_once('=')).collect();
    let text = |key: &str| {
        let found = pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        found.ok_or_else(|| format!("`{key}=` is missing"))
    };
    match text("v")? {
        "1" => {}
        other => return Err(format!("version {other} is newer than this program")),
    }
    let secrets = LoggedSecrets {
        cipher: number(&text, "cipher")?,
        tag_bytes: number(&text, "tag")?,
        packet_window: number(&text, "window")?,
        initiator_sequence: number(&text, "initiator_sequence")?,
        host_sequence: number(&text, "host_sequence")?,
        from_initiator: secret(&text, "from_initiator")?,
        from_host: secret(&text, "from_host")?,
    };
    // An address of another carrier is not a socket address, and appears in no capture.
    let remote = text("remote")?.parse().ok();
    match text("role")? {
        "initiator" => Ok(LoggedConnection { secrets, initiator: None, host: remote }),
        "host" => Ok(LoggedConnection { secrets, initiator: remote, host: None }),
        other => Err(format!("`role={other}` is neither initiator nor host")),
    }
}

fn number<'a, T: FromStr>(text: &impl Fn(&str) -> Result<&'a str, String>, key: &str) -> Result<T, String> {
    text(key)?.parse().map_err(|_| format!("`{key}=` has no number that fits"))
}

fn secret<'a>(text: &impl Fn(&str) -> Result<&'a str, String>, key: &str) -> Result<[u8; 32], String> {
    from_hex(text(key)?)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| format!("`{key}=` has no 64 hex digits"))
}
