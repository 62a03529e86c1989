//! The settings that the two sides of a connection end up with (PROTOCOL.md 4.8), in one place.

use core::time::Duration;

use crate::crypto::Cipher;
use crate::settings::Settings;

/// The figures that a connection runs with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Agreed {
    /// Window and tag are common; ack_delay and max_packet_size are this side's own.
    pub(crate) settings: Settings,
    pub(crate) remote_ack_delay: Duration,
    pub(crate) remote_max_packet_size: u16,
}

impl Agreed {
    /// The largest payload that this side may send, in bytes.
    pub(crate) fn send_limit(&self) -> u16 {
        self.settings.max_packet_size.min(self.remote_max_packet_size)
    }
}

/// Settles the host's figures and the initiator's wishes, at the host.
pub(crate) fn settle(cipher: Cipher, own: &Settings, min_tag_bytes: u8, wishes: &Settings) -> Agreed {
    let longest = own.tag_bytes.max(wishes.tag_bytes).max(min_tag_bytes);
    let settings = Settings {
        packet_window: own.packet_window.min(wishes.packet_window),
        tag_bytes: cipher.tag_bytes(longest),
        ack_delay: own.ack_delay,
        max_packet_size: own.max_packet_size,
    };
    Agreed { settings, remote_ack_delay: wishes.ack_delay, remote_max_packet_size: wishes.max_packet_size }
}

/// At the initiator: checks the host's answer to its wishes. `None` if the host broke the rules: a larger
/// window, a shorter tag (ciphers with whole tags have 16 bytes), or a figure out of range.
pub(crate) fn check_answer(cipher: Cipher, wishes: &Settings, answer: &Settings) -> Option<Agreed> {
    let tag_asked = cipher.tag_bytes(wishes.tag_bytes);
    let lawful =
        answer.is_valid() && answer.packet_window <= wishes.packet_window && answer.tag_bytes >= tag_asked;
    lawful.then_some(Agreed {
        settings: Settings {
            packet_window: answer.packet_window,
            tag_bytes: answer.tag_bytes,
            ack_delay: wishes.ack_delay,
            max_packet_size: wishes.max_packet_size,
        },
        remote_ack_delay: answer.ack_delay,
        remote_max_packet_size: answer.max_packet_size,
    })
}

#[cfg(test)]
mod tests;
