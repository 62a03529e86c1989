//! Events, one at a time: which kind, then what it holds.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Write as _;
use core::time::Duration;

use torque_proto::{ConnectionId, Event, FlatEvent};

use crate::Core;

/// The numbers of the event that was taken last; zero where its kind has none.
#[derive(Clone, Copy, Default)]
pub(crate) struct EventNumbers {
    pub kind: u8,
    /// 0 for info packets.
    pub connection: u32,
    /// Of a packet, or of the packet that a verdict is about.
    pub sequence: f64,
    /// Of a verdict.
    pub delivery: u8,
    /// Bits of puzzle of a challenge.
    pub difficulty: u8,
    /// The side that ended a connection.
    pub closed_by: u8,
    /// The older connection whose place an established one takes; 0 if there is none.
    pub replaces: u32,
    /// How many packets may await their verdict, of an establishment.
    pub window: u16,
    /// The other party of an introduction.
    #[cfg(feature = "introductions")]
    pub other: u32,
    /// Whether the party that asks to be introduced wants to be host.
    #[cfg(feature = "introductions")]
    pub is_host: bool,
    /// What became of an introduction.
    #[cfg(feature = "introductions")]
    pub result: u8,
}

impl From<FlatEvent<'_>> for EventNumbers {
    fn from(event: FlatEvent<'_>) -> Self {
        Self {
            kind: event.kind.number(),
            connection: event.connection,
            sequence: event.sequence as f64,
            delivery: event.delivery,
            difficulty: event.difficulty,
            closed_by: event.closed_by,
            replaces: event.replaces,
            window: event.settings.map_or(0, |settings| settings.packet_window),
            #[cfg(feature = "introductions")]
            other: event.other,
            #[cfg(feature = "introductions")]
            is_host: event.is_host,
            #[cfg(feature = "introductions")]
            result: event.result,
        }
    }
}

impl Core {
    /// Goes to the next event and tells its kind, as `spec/codes.csv` numbers them; 0 if there is none. What the event holds
    /// is asked for before the next call of this.
    pub fn next_event(&mut self) -> u8 {
        self.event = self.endpoint.poll_event_held();
        self.numbers = self.flat().map_or_else(EventNumbers::default, EventNumbers::from);
        self.numbers.kind
    }

    pub(crate) fn flat(&self) -> Option<FlatEvent<'_>> {
        self.event.as_ref().map(Event::flat)
    }

    /// The event's bytes: challenge response data, connect_data, accept_data, reason or payload.
    pub fn event_bytes(&self) -> &[u8] {
        self.flat().map_or(&[], |event| event.data)
    }

    /// The other side's public key, of the first three kinds.
    pub fn event_public_key(&self) -> String {
        self.flat().and_then(|event| event.public_key).map_or_else(String::new, ToString::to_string)
    }

    /// The other side's address, of a request, an establishment, a new path and an info packet.
    pub fn event_remote(&self) -> String {
        self.flat().and_then(|event| event.remote).map_or_else(String::new, ToString::to_string)
    }

    /// The cipher of a challenge, the settings of an establishment, the origin of a request (empty: none), the code of a close or of an
    /// introduction that failed.
    pub fn event_text(&self) -> String {
        let Some(event) = self.flat() else { return String::new() };
        #[cfg(feature = "introductions")]
        if let Some(Event::Introduced { result, .. }) = &self.event {
            return result.code().map_or_else(String::new, |code| code.name().to_owned());
        }
        match (event.cipher, event.settings, event.close_code()) {
            (Some(cipher), ..) => cipher.name().to_owned(),
            (_, Some(settings), _) => settings.to_string(),
            (_, _, Some(code)) => code.name().to_owned(),
            _ => event.origin.to_owned(),
        }
    }

    /// Counters of the whole socket, as JSON; those as a party of introductions begin with `party_`.
    pub fn stats(&mut self) -> String {
        #[cfg(feature = "introductions")]
        let party = {
            let party = self.endpoint.party_stats();
            [
                ("party_begun", party.begun),
                ("party_introduced", party.introduced),
                ("party_ended", party.ended),
                ("party_punches_sent", party.punches_sent),
                ("party_punches_received", party.punches_received),
            ]
        };
        #[cfg(not(feature = "introductions"))]
        let party = [];
        object(self.endpoint.stats().iter().chain(party))
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
