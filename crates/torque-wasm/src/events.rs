//! Events, one at a time: which kind, then what it holds.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Write as _;
use core::time::Duration;

use torque_proto::{ChallengeResponse, ClosedBy, ConnectRequest, ConnectionId, Delivery, Event};

use crate::Core;

impl Core {
    /// Goes to the next event and tells its kind: 0 none, 1 challenge_response, 2 connect_request, 3 established, 4 close,
    /// 5 packet, 6 packet_delivery_notify, 7 info packet. What it holds is asked for before the next call of this.
    pub fn next_event(&mut self) -> u8 {
        self.event = self.endpoint.poll_event_held();
        match &self.event {
            None => 0,
            Some(Event::ChallengeResponse(_)) => 1,
            Some(Event::ConnectRequest(_)) => 2,
            Some(Event::Established { .. }) => 3,
            Some(Event::Close { .. }) => 4,
            Some(Event::Packet { .. }) => 5,
            Some(Event::Verdict { .. }) => 6,
            Some(Event::InfoPacket { .. }) => 7,
            // An event that this crate does not know yet tells nobody anything.
            Some(_) => 255,
        }
    }

    /// The event's connection.
    pub fn event_connection(&self) -> u32 {
        self.event.as_ref().and_then(Event::connection).map_or(0, ConnectionId::get)
    }

    /// The sequence of a packet, or of the packet that a verdict is about.
    pub fn event_sequence(&self) -> f64 {
        match &self.event {
            Some(Event::Packet { sequence, .. } | Event::Verdict { sequence, .. }) => sequence.0 as f64,
            _ => 0.0,
        }
    }

    /// A verdict: 0 dropped, 1 delivered, 2 unknown.
    pub fn event_delivery(&self) -> u8 {
        match &self.event {
            Some(Event::Verdict { delivery, .. }) => match delivery {
                Delivery::Dropped => 0,
                Delivery::Delivered => 1,
                Delivery::Unknown => 2,
            },
            _ => 0,
        }
    }

    /// The event's bytes: challenge response data, connect_data, accept_data, reason or payload.
    pub fn event_bytes(&self) -> &[u8] {
        match &self.event {
            Some(Event::ChallengeResponse(ChallengeResponse { challenge_response_data, .. })) => {
                challenge_response_data
            }
            Some(Event::ConnectRequest(ConnectRequest { connect_data, .. })) => connect_data,
            Some(Event::Established { accept_data, .. }) => accept_data,
            Some(Event::Close { reason, .. }) => reason,
            Some(Event::Packet { payload, .. } | Event::InfoPacket { payload, .. }) => payload,
            _ => &[],
        }
    }

    /// The other side's public key, of the first three kinds.
    pub fn event_public_key(&self) -> String {
        match &self.event {
            Some(
                Event::ChallengeResponse(ChallengeResponse { public_key, .. })
                | Event::ConnectRequest(ConnectRequest { public_key, .. })
                | Event::Established { public_key, .. },
            ) => public_key.to_string(),
            _ => String::new(),
        }
    }

    /// The other side's address, of a request, an establishment and an info packet.
    pub fn event_remote(&self) -> String {
        match &self.event {
            Some(
                Event::ConnectRequest(ConnectRequest { remote, .. })
                | Event::Established { remote, .. }
                | Event::InfoPacket { remote, .. },
            ) => remote.to_string(),
            _ => String::new(),
        }
    }

    /// Bits of puzzle of a challenge.
    pub fn event_difficulty(&self) -> u8 {
        match &self.event {
            Some(Event::ChallengeResponse(ChallengeResponse { difficulty, .. })) => *difficulty,
            _ => 0,
        }
    }

    /// The cipher of a challenge, the settings of an establishment, the origin of a request (empty: none), the code of a close.
    pub fn event_text(&self) -> String {
        match &self.event {
            Some(Event::ChallengeResponse(ChallengeResponse { cipher, .. })) => cipher.to_string(),
            Some(Event::ConnectRequest(ConnectRequest { origin, .. })) => origin.clone().unwrap_or_default(),
            Some(Event::Established { settings, .. }) => settings.to_string(),
            Some(Event::Close { code, .. }) => code.name().to_owned(),
            _ => String::new(),
        }
    }

    /// Who ended a connection: 0 this application, 1 the other side, 2 this socket.
    pub fn event_closed_by(&self) -> u8 {
        match &self.event {
            Some(Event::Close { by: ClosedBy::Application, .. }) => 0,
            Some(Event::Close { by: ClosedBy::Remote, .. }) => 1,
            _ => 2,
        }
    }

    /// The older connection whose place an established one takes; 0 if there is none.
    pub fn event_replaces(&self) -> u32 {
        match &self.event {
            Some(Event::Established { replaces, .. }) => replaces.map_or(0, ConnectionId::get),
            _ => 0,
        }
    }

    /// How many packets may await their verdict, of an establishment.
    pub fn event_window(&self) -> u16 {
        match &self.event {
            Some(Event::Established { settings, .. }) => settings.packet_window,
            _ => 0,
        }
    }

    /// Counters of the whole socket, as JSON.
    pub fn stats(&mut self) -> String {
        object(self.endpoint.stats().iter())
    }

    /// Figures of an established connection, as JSON; empty if it is not established. Times in microseconds.
    pub fn connection_stats(&self, number: u32) -> String {
        let stats = ConnectionId::from_u32(number).and_then(|id| self.endpoint.connection_stats(id));
        let Some(stats) = stats else { return String::new() };
        let handshake = &stats.handshake;
        format!(
            "{{\"rtt\":{},\"rtt_latest\":{},\"rtt_min\":{},\"jitter\":{},\"delivery_rate\":{},\"in_flight\":{},\"settings\":\"{}\",\"cipher\":\"{}\",\
             \"handshake\":{{\"difficulty\":{},\"puzzle_tries\":{},\"puzzle_time\":{},\"challenge_time\":{},\"total_time\":{},\
             \"restarts\":{}}},\"counters\":{}}}",
            micros(stats.rtt),
            micros(stats.rtt_latest),
            micros(stats.rtt_min),
            micros(stats.jitter),
            stats.delivery_rate,
            stats.in_flight,
            stats.settings,
            stats.cipher,
            handshake.difficulty,
            handshake.puzzle_tries,
            micros(handshake.puzzle_time),
            micros(handshake.challenge_time),
            micros(handshake.total_time),
            handshake.restarts,
            object(stats.counters.iter()),
        )
    }
}

/// Whole numbers: writing and reading those with fractions takes 20 kB of program.
fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

/// Counters as a JSON object; their names need no quoting beyond the marks.
fn object(counters: impl Iterator<Item = (&'static str, u64)>) -> String {
    let mut text = String::from("{");
    for (name, value) in counters {
        let comma = if text.len() > 1 { "," } else { "" };
        // Writing to a string does not fail.
        let _ = write!(text, "{comma}\"{name}\":{value}");
    }
    text.push('}');
    text
}
