//! Introductions: by this socket, and of it (INTRODUCTIONS.md). The module that has them is nearly half as large again, so there is one without.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use torque_proto::wire::introduction::{Candidate, CandidateKind};
use torque_proto::{
    ConnectOptions, ConnectionId, Event, IntroducedOptions, IntroductionResult, Relay, Relaying,
};

use crate::{Core, address, call_error, connection, instant, read, read_trust};

/// What a party says of the connection to come, as JavaScript hands it over.
pub struct Introduced<'a> {
    /// Whether it is host.
    pub is_host: bool,
    /// Circuits: 0 never, 1 as a fallback, 2 at once.
    pub relay: u32,
    /// Whether it takes direct paths.
    pub direct: bool,
    /// Wishes; may be empty for the socket's own.
    pub settings: &'a str,
    /// Of the initiator: `ask`, `anyone`, or the only key to take.
    pub trust: &'a str,
    /// connect_data of the initiator, introduced_data of the host.
    pub data: &'a [u8],
}

/// The limits of a circuit, as JavaScript hands them over. What is not a number is as usual.
pub struct Limits {
    /// Bytes a second, each way.
    pub bytes_per_second: f64,
    /// Datagrams a second, each way.
    pub datagrams_per_second: f64,
    /// Bytes in all, each way; infinite for no bound.
    pub bytes: f64,
    /// Milliseconds.
    pub lifetime: f64,
}

impl From<Limits> for Relay {
    fn from(limits: Limits) -> Self {
        let mut relay = Self::default();
        if !limits.bytes_per_second.is_nan() {
            relay.bytes_per_second = limits.bytes_per_second as u32;
        }
        if !limits.datagrams_per_second.is_nan() {
            relay.datagrams_per_second = limits.datagrams_per_second as u32;
        }
        relay.bytes = limits.bytes.is_finite().then_some(limits.bytes as u64);
        if !limits.lifetime.is_nan() {
            relay.lifetime = Duration::from_millis(limits.lifetime as u64);
        }
        relay
    }
}

impl Core {
    /// Asks the other side of a connection to be introduced to another socket; returns the number of the connection to come.
    pub fn connect_introduced(
        &mut self,
        now: f64,
        introducer: u32,
        remote: u32,
        wishes: &Introduced<'_>,
    ) -> Result<u32, String> {
        let mut options = if wishes.is_host {
            IntroducedOptions::host().with_introduced_data(wishes.data)
        } else {
            IntroducedOptions::initiator(
                ConnectOptions::new(read_trust(wishes.trust)?).with_data(wishes.data),
            )
        };
        if !wishes.settings.is_empty() {
            options.connect.settings = Some(read("settings", wishes.settings)?);
        }
        options.relay = match wishes.relay {
            0 => Relaying::Never,
            1 => Relaying::Fallback,
            _ => Relaying::AtOnce,
        };
        options.direct = wishes.direct;
        let introducer = connection(introducer)?;
        let id = self.endpoint.connect_introduced(instant(now), introducer, remote, options);
        id.map(ConnectionId::get).map_err(call_error)
    }

    /// Introduces two sockets, with a circuit if there are limits for one; returns the introduction's id.
    pub fn introduce(
        &mut self,
        now: f64,
        initiator: u32,
        host: u32,
        relay: Option<Limits>,
    ) -> Result<String, String> {
        let (initiator, host) = (connection(initiator)?, connection(host)?);
        let id = self.endpoint.introduce(instant(now), initiator, host, relay.map(Relay::from));
        id.map(|id| id.to_string()).map_err(call_error)
    }

    /// Refuses to introduce the two.
    pub fn refuse_introduction(&mut self, now: f64, from: u32, to: u32) -> Result<(), String> {
        self.endpoint
            .refuse_introduction(instant(now), connection(from)?, connection(to)?)
            .map_err(call_error)
    }

    /// The addresses of this machine's interfaces at which others may reach this socket, a line each.
    pub fn set_own_addresses(&mut self, now: f64, addresses: &str) -> Result<(), String> {
        let mut candidates = Vec::new();
        for line in addresses.lines() {
            let Some(address) = address(line)?.socket_addr() else { continue };
            candidates.push(Candidate { kind: CandidateKind::Interface, address });
        }
        self.endpoint.set_own_candidates(instant(now), &candidates);
        Ok(())
    }

    /// The machine's network has changed.
    pub fn network_changed(&mut self, now: f64) {
        self.endpoint.network_changed(instant(now));
    }

    /// The introduction's id, of an Introduced event.
    pub fn event_introduction(&self) -> String {
        match &self.event {
            Some(Event::Introduced { introduction, .. }) => introduction.to_string(),
            _ => String::new(),
        }
    }

    /// The data that a host gave for an introduction, of a challenge.
    pub fn event_introduced_data(&self) -> &[u8] {
        self.flat().map_or(&[], |event| event.introduced_data)
    }

    /// The parties that never asked, of an Introduced event: bit 0 the initiator, bit 1 the host.
    pub fn event_never_asked(&self) -> u32 {
        match self.event {
            Some(Event::Introduced {
                result: IntroductionResult::NeverAsked { initiator, host }, ..
            }) => u32::from(initiator) | u32::from(host) << 1,
            _ => 0,
        }
    }

    /// How long an introduction took: milliseconds.
    pub fn event_took(&self) -> f64 {
        self.flat().map_or(0.0, |event| event.round_trip.as_micros() as f64 / 1_000.0)
    }
}
