//! Texts that JavaScript leaves to the one parser that there is: URLs and keys.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use torque_proto::identity::{HostName, TorqueUrl};
use torque_proto::{KeyPair, PublicKey};

use crate::{invalid, read, read_key_pair};

/// The parts of a `torque://` URL to connect to, a line each: host (an IPv6 address without brackets), port, key (may be empty).
pub(crate) fn parse_url(text: &str) -> Result<String, String> {
    let url: TorqueUrl = read("URL", text)?;
    let (host, is_nobody) = match &url.host {
        HostName::V4(ip) => (ip.to_string(), ip.is_unspecified()),
        HostName::V6(ip) => (ip.to_string(), ip.to_canonical().is_unspecified()),
        HostName::LinkLocal { ip, zone } => (format!("{ip}%{}", zone.as_str()), false),
        HostName::Name(name) => (name.clone(), false),
    };
    if is_nobody {
        return Err(format!(
            "invalid_argument: {host} is where a host listens at every address of its machine, and nobody's address: connect to \
             one of them, which the host's `url` names, or to localhost on the same machine"
        ));
    }
    let key = url.key.map_or_else(String::new, |key| key.to_string());
    Ok(format!("{host}\n{}\n{key}", url.port))
}

/// A key pair from 32 bytes of randomness, as its secret text `ts1…`.
pub(crate) fn key_pair_from_seed(seed: &[u8]) -> Result<String, String> {
    let seed = <[u8; 32]>::try_from(seed).map_err(|_| "invalid_argument: the seed is 32 bytes".to_owned())?;
    Ok(KeyPair::from_seed(seed).to_secret_text().to_string())
}

/// The public key `tk1…` of a secret text `ts1…`.
pub(crate) fn public_key_of(secret_text: &str) -> Result<String, String> {
    Ok(read_key_pair(secret_text)?.public().to_string())
}

/// The 32 bytes of a public key `tk1…`, as a gateway is given them.
pub(crate) fn public_key_bytes(text: &str) -> Result<Vec<u8>, String> {
    Ok(read::<PublicKey>("public key", text)?.as_bytes().to_vec())
}

/// The text form of a public key's 32 bytes.
pub(crate) fn public_key_text(bytes: &[u8]) -> Result<String, String> {
    let bytes =
        <[u8; 32]>::try_from(bytes).map_err(|_| "invalid_argument: a public key is 32 bytes".to_owned())?;
    let key = PublicKey::from_bytes(&bytes);
    key.map(|key| key.to_string()).map_err(|error| invalid("public key", &error))
}
