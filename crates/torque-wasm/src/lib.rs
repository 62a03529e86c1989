//! The protocol core for JavaScript: `torque_proto::Endpoint` behind an interface of numbers, strings and one stretch of
//! memory. Thin on purpose: clock, randomness, carriers and everything that a program sees are TypeScript (`js/`).
//!
//! - **Time** is `performance.now()`: milliseconds, with fractions.
//! - **Bytes** go in through [`Core::scratch_pointer`]: the caller writes them there, and says how many. They come out as
//!   pointer and length, valid until the next call.
//! - **Remotes** are numbers of the carrier's choice, below 2^53.
//! - **Errors** are thrown as strings, `code: what happened and what to do`.
//! - After any call: [`Core::next_transmit`] until 0, then [`Core::next_event`] until 0, then [`Core::deadline`].

mod events;
mod options;
mod text;
mod transmits;

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

const EXTENSION_ORIGIN: u8 = 1;
use torque_proto::{
    Address, CallError, ConnectOptions, ConnectionId, Datagram, Endpoint, Event, Extension, Instant, KeyPair,
    PublicKey, SendError, Trust,
};
use torque_sim::{LinkConfig, SimulatedPaths};
use wasm_bindgen::prelude::wasm_bindgen;

pub use options::CoreOptions;
pub use text::{UrlParts, parse_url, public_key_of};
use transmits::Outgoing;

/// Longer datagrams exist on no carrier.
const SCRATCH_BYTES: usize = 65_536;

/// One socket's worth of protocol.
#[wasm_bindgen]
pub struct Core {
    endpoint: Endpoint,
    scratch: Box<[u8]>,
    outgoing: Outgoing,
    paths: Option<SimulatedPaths>,
    event: Option<Event>,
}

/// A time as JavaScript tells it.
fn instant(millis: f64) -> Instant {
    Instant::from_micros((millis.max(0.0) * 1_000.0) as u64)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn connection(number: u32) -> Result<ConnectionId, String> {
    ConnectionId::from_u32(number).ok_or_else(|| call_error(CallError::Closed))
}

fn call_error(error: CallError) -> String {
    let code = match error {
        CallError::Closed => "closed",
        CallError::NotWaiting => "not_waiting",
        CallError::TooLarge { .. } => "too_large",
        CallError::TooManyConnections => "too_many_connections",
        CallError::AddressInUse => "address_in_use",
        CallError::NotAnInfoPacket => "not_an_info_packet",
        CallError::Blocked => "blocked",
        CallError::InvalidSettings => "invalid_settings",
        CallError::ConnectionsExist => "connections_exist",
        _ => "failed",
    };
    format!("{code}: {error}")
}

fn send_error(error: SendError) -> String {
    let code = match error {
        SendError::WindowFull => "window_full",
        SendError::TooLarge { .. } => "too_large",
        SendError::NotEstablished => "not_established",
        SendError::Closed => "closed",
        SendError::Blocked => "blocked",
        _ => "failed",
    };
    format!("{code}: {error}")
}

/// Reads a text of an option or argument.
fn read<T: FromStr>(what: &str, text: &str) -> Result<T, String>
where
    T::Err: Display,
{
    text.parse().map_err(|error| format!("invalid_argument: {what}: {error}"))
}

#[wasm_bindgen]
impl Core {
    /// A core that begins at `now`. `seed` is 32 bytes of the host environment's randomness, never used twice;
    /// `unix_millis` is `Date.now()` at that moment.
    #[wasm_bindgen(constructor)]
    pub fn new(options: CoreOptions, seed: &[u8], unix_millis: f64, now: f64) -> Result<Core, String> {
        let seed = <[u8; 32]>::try_from(seed).map_err(|_| "invalid_argument: the seed is 32 bytes".to_owned())?;
        let endpoint = Endpoint::new(instant(now), options.setup(seed, unix_millis as u64))
            .map_err(|error| format!("invalid_argument: {error}"))?;
        Ok(Core {
            endpoint,
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            outgoing: Outgoing::default(),
            paths: None,
            event: None,
        })
    }

    /// Where in memory the caller writes what it hands in: [`Core::scratch_bytes`] bytes.
    pub fn scratch_pointer(&self) -> usize {
        self.scratch.as_ptr() as usize
    }

    /// How many bytes there are.
    pub fn scratch_bytes(&self) -> usize {
        self.scratch.len()
    }

    /// This socket's public key, as text.
    pub fn public_key(&self) -> String {
        self.endpoint.public_key().to_string()
    }

    /// Changes the identity; only while there are no connections.
    pub fn set_key_pair(&mut self, secret_text: &str) -> Result<(), String> {
        let key_pair = KeyPair::from_secret_text(secret_text)
            .map_err(|error| format!("invalid_argument: key pair: {error}"))?;
        self.endpoint.set_key_pair(key_pair).map_err(call_error)
    }

    /// Sets what this host shows everybody who asks: the first `length` bytes of the scratch, at most 511.
    pub fn set_challenge_response(&mut self, length: usize) -> Result<(), String> {
        let data = self.scratch.get(..length).unwrap_or_default();
        self.endpoint.set_challenge_response_data(data).map_err(call_error)
    }

    /// Makes all datagrams, out and in, pass a simulated link: `delay=40,jitter=10,loss=5%`, or `perfect` for none.
    /// What is under way arrives as it would have.
    pub fn set_simulated_link(&mut self, text: &str, seed: f64) -> Result<(), String> {
        let config: LinkConfig = read("simulated link", text)?;
        match &mut self.paths {
            Some(paths) => paths.set_config(config),
            None if config == LinkConfig::perfect() => {}
            None => self.paths = Some(SimulatedPaths::new(config, seed as u64)),
        }
        Ok(())
    }

    /// A datagram has come from `remote`: the first `length` bytes of the scratch.
    pub fn receive(&mut self, now: f64, remote: f64, length: usize) {
        let (now, remote) = (instant(now), Address::from_virtual(remote as u64));
        let Some(bytes) = self.scratch.get_mut(..length) else { return };
        match &mut self.paths {
            None => self.endpoint.handle_datagram(now, Datagram { remote, local: None, bytes }),
            Some(paths) => paths.take_received(now, remote, None, bytes),
        }
    }

    /// Runs what is due by `now`, arrivals over a simulated link included.
    pub fn run(&mut self, now: f64) {
        let now = instant(now);
        if let Some(paths) = &mut self.paths {
            paths.arrivals(now, |remote, local, bytes| {
                self.endpoint.handle_datagram(now, Datagram { remote, local, bytes });
            });
        }
        if self.endpoint.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.endpoint.handle_timeout(now);
        }
    }

    /// When to call [`Core::run`] next, on the same clock; infinity for never. It may lie in the past.
    pub fn deadline(&self) -> f64 {
        let endpoint = self.endpoint.poll_timeout().map(|(at, _)| at);
        let paths = self.paths.as_ref().and_then(|paths| paths.deadline());
        let next = [endpoint, paths].into_iter().flatten().min();
        next.map_or(f64::INFINITY, |at| at.as_micros() as f64 / 1_000.0)
    }

    /// Begins to connect to `remote`. The first `length` bytes of the scratch are connect_data. `trust` is `ask`,
    /// `anyone`, or the public key that is the only one to take; `settings` may be empty for the socket's own.
    pub fn connect(
        &mut self,
        now: f64,
        remote: f64,
        length: usize,
        settings: &str,
        trust: &str,
        origin_token: Option<Vec<u8>>,
    ) -> Result<u32, String> {
        let trust = match trust {
            "ask" => Trust::Ask,
            "anyone" => Trust::Anyone,
            key => Trust::Pinned(read::<PublicKey>("trust", key)?),
        };
        let options = ConnectOptions {
            connect_data: self.scratch.get(..length).unwrap_or_default().to_vec(),
            extensions: origin_extension(origin_token),
            trust,
            settings: if settings.is_empty() { None } else { Some(read("settings", settings)?) },
        };
        let remote = Address::from_virtual(remote as u64);
        self.endpoint.connect(instant(now), remote, options).map(ConnectionId::get).map_err(call_error)
    }

    /// Accepts the key and data that a challenge_response event showed; the request carries the origin token, if there is one.
    pub fn accept_challenge(
        &mut self,
        now: f64,
        number: u32,
        origin_token: Option<Vec<u8>>,
    ) -> Result<(), String> {
        let extensions = origin_extension(origin_token);
        self.endpoint
            .accept_challenge_with(instant(now), connection(number)?, extensions)
            .map_err(call_error)
    }

    /// Accepts a connect request; the first `length` bytes of the scratch are accept_data, at most 511.
    pub fn accept_connection(&mut self, now: f64, number: u32, length: usize) -> Result<(), String> {
        let data = self.scratch.get(..length).unwrap_or_default();
        self.endpoint.accept_connection(instant(now), connection(number)?, data).map_err(call_error)
    }

    /// Closes or refuses a connection; the first `length` bytes of the scratch are the reason, at most 511.
    pub fn close(&mut self, now: f64, number: u32, length: usize) -> Result<(), String> {
        let reason = self.scratch.get(..length).unwrap_or_default();
        self.endpoint.close(instant(now), connection(number)?, reason).map_err(call_error)
    }

    /// Closes every connection, telling the other sides that the socket goes away.
    pub fn close_all(&mut self, now: f64) {
        self.endpoint.close_all(instant(now));
    }

    /// Sends a packet, the first `length` bytes of the scratch, and returns its sequence.
    pub fn send(&mut self, now: f64, number: u32, length: usize) -> Result<f64, String> {
        let id = ConnectionId::from_u32(number).ok_or_else(|| send_error(SendError::Closed))?;
        let payload = self.scratch.get(..length).unwrap_or_default();
        self.endpoint
            .send(instant(now), id, payload)
            .map(|sequence| sequence.0 as f64)
            .map_err(send_error)
    }

    /// Sends a datagram outside any connection: the first `length` bytes of the scratch.
    pub fn send_info(&mut self, remote: f64, length: usize) -> Result<(), String> {
        let payload = self.scratch.get(..length).unwrap_or_default();
        self.endpoint.send_info(Address::from_virtual(remote as u64), payload).map_err(call_error)
    }

    /// The largest payload that a connection takes, in bytes; 0 if it is not established.
    pub fn max_packet_size(&self, number: u32) -> usize {
        ConnectionId::from_u32(number).and_then(|id| self.endpoint.max_packet_size(id)).unwrap_or(0)
    }

    /// Connections that are still there: pending, established, or with events that nobody took.
    pub fn connections(&self) -> usize {
        self.endpoint.slots_used()
    }

    /// The other side of a connection, as the carrier's number; 0 if there is none.
    pub fn remote_of(&self, number: u32) -> f64 {
        ConnectionId::from_u32(number)
            .and_then(|id| self.endpoint.remote_address(id))
            .and_then(|address| address.virtual_number())
            .unwrap_or(0) as f64
    }
}

fn origin_extension(token: Option<Vec<u8>>) -> Vec<Extension> {
    token.map(|data| Extension { kind: EXTENSION_ORIGIN, data }).into_iter().collect()
}
