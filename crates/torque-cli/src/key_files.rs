//! Files with keys and credentials.
//!
//! A key file holds one secret key in its text form (`ts1…`) on one line, as `torque_socket::key_file` has it. That of
//! an authority begins with the line `# authority`, so that no socket takes it.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use torque_socket::key_file::{self, KeyFileError};
use torque_socket::{Credential, CredentialError, Generate, KeyPair, PublicKey};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::units::{from_hex, hex};

const AUTHORITY: &str = "# authority";

/// A secret key and what it is for.
pub struct KeyFile {
    /// The pair.
    pub pair: KeyPair,
    /// Set if it is an authority's.
    pub is_authority: bool,
}

/// A new pair from the operating system's randomness.
pub fn generate() -> Result<KeyPair, Failure> {
    KeyPair::generate()
        .map_err(|error| Failure::failed(format!("the operating system gave no random bytes: {error}")))
}

/// The text of a key file.
pub fn text(key: &KeyFile) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    if key.is_authority {
        text.push_str(AUTHORITY);
        text.push('\n');
    }
    text.push_str(&key.pair.to_secret_text());
    text.push('\n');
    text
}

/// Writes a file that only its owner can read. An existing file is left alone.
pub fn write(path: &Path, key: &KeyFile) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| {
        let failure = Failure::file("making the key file", path, &error);
        match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                failure.next("name another file; delete the old one yourself if you do not need its key")
            }
            _ => failure,
        }
    })?;
    file.write_all(text(key).as_bytes()).map_err(|error| Failure::file("writing the key file", path, &error))
}

/// Reads a key file; `-` is standard input.
pub fn read(path: &Path) -> Result<KeyFile, Failure> {
    let mut content = Zeroizing::new(String::new());
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().read_to_string(&mut content),
        false => std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut content)),
    };
    read.map_err(|error| {
        let failure = Failure::file("reading the key file", path, &error);
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                failure.next(format!("make one with: torque keygen --out {}", path.display()))
            }
            _ => failure,
        }
    })?;
    parse(&content).map_err(|why| {
        Failure::usage(format!("{} holds no secret key: {why}", path.display()))
            .next("a key file has one line with ts1…, as `torque keygen` writes it")
    })
}

/// Reads the text of a key file.
pub fn parse(content: &str) -> Result<KeyFile, String> {
    let is_authority = content.lines().any(|line| line.trim() == AUTHORITY);
    let mut keys = content.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let key = keys.next().ok_or("it is empty")?;
    if keys.next().is_some() {
        return Err("it has more than one line that is no remark".into());
    }
    let pair = KeyPair::from_secret_text(key).map_err(|error| error.to_string())?;
    Ok(KeyFile { pair, is_authority })
}

/// The key of a socket, which must not be an authority's. A file that does not exist is made.
pub fn for_socket(path: &Path) -> Result<KeyPair, Failure> {
    key_file::load_or_create(path).map_err(|error| {
        let is_authority = matches!(error, KeyFileError::NotAKey { .. })
            && read(path).is_ok_and(|key| key.is_authority);
        if is_authority {
            return Failure::usage(format!("{} is the key of an authority", path.display())).next(
                "keep it off the network: make a key for this socket with `torque keygen`, and sign it with `torque sign`",
            );
        }
        Failure::usage(error.to_string())
    })
}

/// A credential's text: a remark and hex.
pub fn credential_text(credential: &Credential) -> String {
    format!("# TorqueSocket credential for {}\n{}\n", credential.subject(), hex(&credential.to_bytes()))
}

/// Reads a credential; says nothing about whether it is good.
pub fn read_credential(path: &Path) -> Result<Credential, Failure> {
    let content = std::fs::read_to_string(path)
        .map_err(|error| Failure::file("reading the credential", path, &error))?;
    parse_credential(&content).map_err(|why| {
        Failure::usage(format!("{} holds no credential: {why}", path.display()))
            .next("make one with: torque sign --authority FILE KEY")
    })
}

/// Reads a credential that is to be shown together with `key`, and checks that it is good for that now.
pub fn credential_for(path: &Path, key: PublicKey) -> Result<Credential, Failure> {
    let credential = read_credential(path)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // Whom to trust is for the other side to say; everything else can be seen from here.
    credential.verify(key, &[credential.authority()], now).map_err(|error| {
        let failure = Failure::usage(format!("the credential {} is of no use here: {error}", path.display()));
        match error {
            CredentialError::OtherSubject => failure.next(format!(
                "it was signed for {}, and this socket has the key {key}: name the file with the right key with --key",
                credential.subject()
            )),
            _ => failure.next("have a new one made: torque sign --authority FILE KEY"),
        }
    })?;
    Ok(credential)
}

/// Reads the text of a credential.
pub fn parse_credential(content: &str) -> Result<Credential, String> {
    let text: String =
        content.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().concat();
    let bytes = from_hex(&text).ok_or("it is no hex")?;
    Credential::parse(&bytes).map_err(|error| error.to_string())
}

/// A public key from its text, or from a file with a secret key.
pub fn public_from(text: &str) -> Result<PublicKey, Failure> {
    if text.get(..3).is_some_and(|prefix| prefix.eq_ignore_ascii_case("tk1")) {
        return text.parse().map_err(|error| Failure::usage(format!("`{text}` is no public key: {error}")));
    }
    Ok(read(Path::new(text))?.pair.public())
}
