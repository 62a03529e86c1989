//! What a core is begun with, option by option.

use std::time::Duration;

use torque_proto::{Cipher, Config, KeyPair, PublicKey, Setup};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::read;

/// Figures of a socket; what is not set keeps its default (API.md 8).
#[wasm_bindgen]
#[derive(Default)]
pub struct CoreOptions {
    config: Config,
    key_pair: Option<KeyPair>,
}

#[wasm_bindgen]
impl CoreOptions {
    /// All defaults.
    #[wasm_bindgen(constructor)]
    pub fn new() -> CoreOptions {
        CoreOptions::default()
    }

    /// At most 32 bytes that both programs must share.
    pub fn application_id(&mut self, id: Vec<u8>) {
        self.config.application_id = id;
    }

    /// The identity, `ts1…`; without one a pair is generated.
    pub fn key_pair(&mut self, secret_text: &str) -> Result<(), String> {
        let key_pair = KeyPair::from_secret_text(secret_text)
            .map_err(|error| format!("invalid_argument: key pair: {error}"))?;
        self.key_pair = Some(key_pair);
        Ok(())
    }

    /// Wishes for every connection: `window=128;tag=8;ack_delay=50;max_packet=1150`.
    pub fn settings(&mut self, text: &str) -> Result<(), String> {
        self.config.settings = read("settings", text)?;
        self.config.min_tag_bytes = self.config.min_tag_bytes.min(self.config.settings.tag_bytes);
        Ok(())
    }

    /// Ciphers to offer and allow, the best first, separated by commas.
    pub fn ciphers(&mut self, names: &str) -> Result<(), String> {
        self.config.ciphers =
            names.split(',').map(|name| read::<Cipher>("ciphers", name)).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Whether others may connect to this socket.
    pub fn accept_incoming(&mut self, accept: bool) {
        self.config.accept_incoming = accept;
    }

    /// A gateway whose word on origins is believed (GATEWAY.md 5).
    pub fn trust_gateway(&mut self, key: &str) -> Result<(), String> {
        self.config.origins.trusted_gateways.push(read::<PublicKey>("trusted gateway", key)?);
        Ok(())
    }

    /// An origin whose pages may connect; with at least one, others are refused.
    pub fn allow_origin(&mut self, origin: String) {
        self.config.origins.allowed_origins.push(origin);
    }

    /// Whether requests without an origin are admitted beside those of allowed origins.
    pub fn allow_native(&mut self, allow: bool) {
        self.config.origins.allow_native = allow;
    }

    /// Silence before a ping, in milliseconds, and how many pings may stay unanswered.
    pub fn liveness(&mut self, ping_interval: f64, ping_limit: u8) {
        self.config.ping_interval = Duration::from_secs_f64(ping_interval.clamp(1.0, 1e9) / 1_000.0);
        self.config.ping_limit = ping_limit;
    }

    /// Bits of client puzzle: what this host asks at least and at most, and the most that this initiator solves.
    pub fn puzzle(&mut self, min: u8, max: u8, limit: u8) {
        self.config.puzzle.difficulty_min = min;
        self.config.puzzle.difficulty_max = max;
        self.config.puzzle.difficulty_limit = limit;
    }

    pub(crate) fn setup(self, seed: [u8; 32], unix_millis: u64) -> Setup {
        Setup { config: self.config, key_pair: self.key_pair, seed, unix_millis }
    }
}
