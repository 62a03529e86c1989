//! The protocol core for JavaScript: `torque_proto::Endpoint` behind functions that take and return numbers, and two
//! stretches of memory. Thin on purpose: clock, randomness, carriers and everything that a program sees are TypeScript (`js/`).
//!
//! - One module instance is one socket: [`exports`] keeps the only [`Core`].
//! - **Time** is `performance.now()`: milliseconds, with fractions.
//! - **Bytes and texts** go in through the *scratch*: the caller writes them there, one after another, and tells their
//!   lengths. They come out as pointer and length, valid until the next call.
//! - **Remotes** are IP addresses and ports as text, `192.0.2.1:28000` or `[2001:db8::1%3]:28000`: what gateways attest and tokens
//!   cover is the address itself, whatever carries the datagrams.
//! - **Errors** are a negative result; the text is `code: what happened and what to do`.
//! - After any call: `next_transmit` until 0, then `next_event` until 0, then `deadline`.
//!
//! There is no glue made by a tool: it would weigh a tenth of the package, and this interface needs none.
//!
//! Without the standard library, so that every compiler builds about the same bytes: a panic traps, and nothing of
//! what would print it is linked.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod events;
pub mod exports;
#[cfg(feature = "introductions")]
pub mod introductions;
mod options;
#[cfg(target_family = "wasm")]
mod runtime;
mod text;
mod transmits;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;
use core::time::Duration;

use torque_netem::{LinkConfig, SimulatedPaths};
use torque_proto::identity::origin::EXTENSION_ORIGIN;
use torque_proto::{
    Address, CallCode, CallError, ConnectOptions, ConnectionId, Datagram, Endpoint, Event, Extension,
    Instant, KeyPair, Path, PublicKey, SendError, Trust,
};

use events::EventNumbers;
use transmits::Outgoing;

/// One socket's worth of protocol.
pub struct Core {
    endpoint: Endpoint,
    outgoing: Outgoing,
    paths: Option<SimulatedPaths>,
    event: Option<Event>,
    numbers: EventNumbers,
}

/// A time as JavaScript tells it.
fn instant(millis: f64) -> Instant {
    Instant::from_micros((millis.max(0.0) * 1_000.0) as u64)
}

/// A span of time as JavaScript tells it; at most a day.
fn duration(millis: f64) -> Duration {
    Duration::from_micros((millis.clamp(0.0, 86_400_000.0) * 1_000.0) as u64)
}

fn connection(number: u32) -> Result<ConnectionId, String> {
    ConnectionId::from_u32(number).ok_or_else(|| call_error(CallError::Closed))
}

/// An error as JavaScript reads it: its code's name, then what happened and what to do.
fn coded(code: CallCode, error: &dyn Display) -> String {
    format!("{}: {error}", code.name())
}

fn call_error(error: CallError) -> String {
    coded(error.code(), &error)
}

fn send_error(error: SendError) -> String {
    coded(error.code(), &error)
}

/// Reads a text of an option or argument.
fn read<T: FromStr>(what: &str, text: &str) -> Result<T, String>
where
    T::Err: Display,
{
    text.parse().map_err(|error| invalid(what, &error))
}

/// Not a part of [`read`], so that it is compiled once for all types.
#[inline(never)]
fn invalid(what: &str, error: &dyn Display) -> String {
    format!("invalid_argument: {what}: {error}")
}

/// An address of a carrier.
fn address(text: &str) -> Result<Address, String> {
    read::<SocketAddr>("address", text).map(Address::from)
}

fn parse<T: FromStr>(text: &[u8]) -> Result<T, ()> {
    core::str::from_utf8(text).map_err(|_| ())?.parse().map_err(|_| ())
}

fn read_key_pair(secret_text: &str) -> Result<KeyPair, String> {
    KeyPair::from_secret_text(secret_text).map_err(|error| invalid("key pair", &error))
}

fn read_trust(text: &str) -> Result<Trust, String> {
    Ok(match text {
        "ask" => Trust::Ask,
        "anyone" => Trust::Anyone,
        key => Trust::Pinned(read::<PublicKey>("trust", key)?),
    })
}

impl Core {
    /// A core that begins at `now`. `seed` is 32 bytes of the host environment's randomness, never used twice;
    /// `unix_millis` is `Date.now()` at that moment. The options are lines of `name=value` (`options.rs`).
    pub fn new(options: &str, seed: [u8; 32], unix_millis: f64, now: f64) -> Result<Self, String> {
        let setup = options::setup(options, seed, unix_millis as u64)?;
        let endpoint =
            Endpoint::new(instant(now), setup).map_err(|error| format!("invalid_argument: {error}"))?;
        Ok(Self {
            endpoint,
            outgoing: Outgoing::default(),
            paths: None,
            event: None,
            numbers: EventNumbers::default(),
        })
    }

    /// This socket's public key, as text.
    pub fn public_key(&self) -> String {
        self.endpoint.public_key().to_string()
    }

    /// Changes the identity; only while there are no connections.
    pub fn set_key_pair(&mut self, secret_text: &str) -> Result<(), String> {
        self.endpoint.set_key_pair(read_key_pair(secret_text)?).map_err(call_error)
    }

    /// Sets what this host shows everybody who asks, at most 511 bytes.
    pub fn set_challenge_response(&mut self, data: &[u8]) -> Result<(), String> {
        self.endpoint.set_challenge_response_data(data).map_err(call_error)
    }

    /// Makes all datagrams, out and in, pass a simulated link. What is under way arrives as it would have.
    pub fn set_simulated_link(&mut self, config: LinkConfig, seed: u64) {
        match &mut self.paths {
            Some(paths) => paths.set_config(config),
            None if config == LinkConfig::perfect() => {}
            None => self.paths = Some(SimulatedPaths::new(config, seed)),
        }
    }

    /// A datagram has come from a remote to a local IP address, which may be empty; `unix_millis` is `Date.now()`. One from what
    /// is no address is dropped.
    pub fn receive(&mut self, now: f64, unix_millis: f64, path: (&[u8], &[u8]), bytes: &mut [u8]) {
        let (Ok(remote), local) = (parse::<SocketAddr>(path.0), parse::<IpAddr>(path.1).ok()) else { return };
        let (now, path) = (instant(now), Path { local, ..Path::to(Address::from(remote)) });
        self.endpoint.set_unix_millis(now, unix_millis as u64);
        match &mut self.paths {
            None => self.endpoint.handle_datagram(now, Datagram { path, bytes }),
            Some(paths) => paths.take_received(now, path, bytes),
        }
    }

    /// Runs what is due by `now`, arrivals over a simulated link included.
    pub fn run(&mut self, now: f64) {
        let now = instant(now);
        if let Some(paths) = &mut self.paths {
            paths.arrivals(now, |path, bytes| {
                self.endpoint.handle_datagram(now, Datagram { path, bytes });
            });
        }
        if self.endpoint.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.endpoint.handle_timeout(now);
        }
    }

    /// When to call [`run`](Self::run) next, on the same clock; infinity for never. It may lie in the past.
    pub fn deadline(&self) -> f64 {
        let endpoint = self.endpoint.poll_timeout().map(|(at, _)| at);
        let paths = self.paths.as_ref().and_then(|paths| paths.deadline());
        let next = [endpoint, paths].into_iter().flatten().min();
        next.map_or(f64::INFINITY, |at| at.as_micros() as f64 / 1_000.0)
    }

    /// Begins to connect to the host at `remotes`, an address a line and best first, which one attempt asks in turn. `trust`
    /// is `ask`, `anyone`, or the public key that is the only one to take;
    /// `settings` may be empty for the socket's own, and so may the origin token.
    pub fn connect(
        &mut self,
        now: f64,
        remotes: &str,
        (settings, trust): (&str, &str),
        connect_data: &[u8],
        origin_token: &[u8],
    ) -> Result<u32, String> {
        let mut options = ConnectOptions::new(read_trust(trust)?).with_data(connect_data);
        options.extensions = origin_extension(origin_token);
        if !settings.is_empty() {
            options.settings = Some(read("settings", settings)?);
        }
        let mut addresses = Vec::new();
        for remote in remotes.split('\n') {
            addresses.push(address(remote)?);
        }
        self.endpoint.connect_to(instant(now), &addresses, options).map(ConnectionId::get).map_err(call_error)
    }

    /// Accepts the key and data that a challenge_response event showed; the request carries the origin token, if it
    /// is not empty.
    pub fn accept_challenge(&mut self, now: f64, number: u32, origin_token: &[u8]) -> Result<(), String> {
        let extensions = origin_extension(origin_token);
        self.endpoint.accept_challenge_with(instant(now), connection(number)?, extensions).map_err(call_error)
    }

    /// Accepts a connect request, with at most 511 bytes of accept_data.
    pub fn accept_connection(&mut self, now: f64, number: u32, data: &[u8]) -> Result<(), String> {
        self.endpoint.accept_connection(instant(now), connection(number)?, data).map_err(call_error)
    }

    /// Refuses a request that waits for an answer, with a reason of at most 511 bytes.
    pub fn refuse(&mut self, now: f64, number: u32, reason: &[u8]) -> Result<(), String> {
        self.endpoint.refuse(instant(now), connection(number)?, reason).map_err(call_error)
    }

    /// Closes a connection, or gives it up, with a reason of at most 511 bytes.
    pub fn close(&mut self, now: f64, number: u32, reason: &[u8]) -> Result<(), String> {
        self.endpoint.close(instant(now), connection(number)?, reason).map_err(call_error)
    }

    /// Drops a request that waits for an answer, and says nothing to the initiator.
    pub fn ignore(&mut self, number: u32) -> Result<(), String> {
        self.endpoint.ignore(connection(number)?).map_err(call_error)
    }

    /// Closes every connection, telling the other sides that the socket goes away.
    pub fn close_all(&mut self, now: f64) {
        self.endpoint.close_all(instant(now));
    }

    /// Sends a packet and returns its sequence.
    pub fn send(&mut self, now: f64, number: u32, payload: &[u8]) -> Result<f64, String> {
        let id = ConnectionId::from_u32(number).ok_or_else(|| send_error(SendError::Closed))?;
        let sequence = self.endpoint.send(instant(now), id, payload).map_err(send_error)?;
        Ok(sequence.0 as f64)
    }

    /// Sends a datagram outside any connection.
    pub fn send_info(&mut self, remote: &str, payload: &[u8]) -> Result<(), String> {
        self.endpoint.send_info(address(remote)?, payload).map_err(call_error)
    }

    /// The largest payload that a connection takes, in bytes; 0 if it is not established.
    pub fn max_packet_size(&self, number: u32) -> usize {
        ConnectionId::from_u32(number).and_then(|id| self.endpoint.max_packet_size(id)).unwrap_or(0)
    }

    /// The application has taken `count` packets of a connection: only now they leave its bound (API.md 7).
    pub fn release_packets(&mut self, number: u32, count: usize) {
        if let Some(id) = ConnectionId::from_u32(number) {
            self.endpoint.release_packets(id, count);
        }
    }
}

fn origin_extension(token: &[u8]) -> Vec<Extension> {
    let is_there = !token.is_empty();
    is_there.then(|| Extension { kind: EXTENSION_ORIGIN, data: token.to_vec() }).into_iter().collect()
}

#[cfg(test)]
mod tests;
