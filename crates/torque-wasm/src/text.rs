//! Texts that JavaScript leaves to the one parser that there is: URLs and keys.

use torque_proto::KeyPair;
use torque_proto::identity::{HostName, TorqueUrl};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::read;

/// The parts of a `torque://` URL.
#[wasm_bindgen(getter_with_clone)]
pub struct UrlParts {
    /// A name, or an IP address without brackets.
    pub host: String,
    /// The UDP port.
    pub port: u16,
    /// The key that is pinned, `tk1…`; empty if none is.
    pub key: String,
}

/// Reads a `torque://` URL.
#[wasm_bindgen]
pub fn parse_url(text: &str) -> Result<UrlParts, String> {
    let url: TorqueUrl = read("URL", text)?;
    let host = match &url.host {
        HostName::V6(ip) => ip.to_string(),
        other => other.to_string(),
    };
    Ok(UrlParts { host, port: url.port, key: url.key.map_or_else(String::new, |key| key.to_string()) })
}

/// A key pair from 32 bytes of randomness, as its secret text `ts1…`.
#[wasm_bindgen]
pub fn key_pair_from_seed(seed: &[u8]) -> Result<String, String> {
    let seed = <[u8; 32]>::try_from(seed).map_err(|_| "invalid_argument: the seed is 32 bytes".to_owned())?;
    Ok(KeyPair::from_seed(seed).to_secret_text().to_string())
}

/// The public key `tk1…` of a secret text `ts1…`.
#[wasm_bindgen]
pub fn public_key_of(secret_text: &str) -> Result<String, String> {
    KeyPair::from_secret_text(secret_text)
        .map(|pair| pair.public().to_string())
        .map_err(|error| format!("invalid_argument: key pair: {error}"))
}

/// The 32 bytes of a public key `tk1…`, as a gateway is given them.
#[wasm_bindgen]
pub fn public_key_bytes(text: &str) -> Result<Vec<u8>, String> {
    Ok(read::<torque_proto::PublicKey>("public key", text)?.as_bytes().to_vec())
}

/// The text form of a public key's 32 bytes.
#[wasm_bindgen]
pub fn public_key_text(bytes: &[u8]) -> Result<String, String> {
    let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| "invalid_argument: a public key is 32 bytes".to_owned())?;
    torque_proto::PublicKey::from_bytes(&bytes)
        .map(|key| key.to_string())
        .map_err(|error| format!("invalid_argument: public key: {error}"))
}
