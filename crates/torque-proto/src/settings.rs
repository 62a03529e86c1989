//! The settings that the two sides of a connection agree on (PROTOCOL.md 4.8).

use alloc::string::String;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

/// Settings of a connection: wishes before the handshake, the outcome after it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Settings {
    /// How many packets may await their verdict, 8 to 32,768 (default 128). The smaller wish wins.
    /// Up to 128 the header takes 3 bytes, up to 2,048 it takes 4, above 5.
    pub packet_window: u16,
    /// Bytes of authentication tag on each packet, 4 to 16 (default 8). The longer wish wins; ciphers
    /// other than the short-tag one always use 16.
    pub tag_bytes: u8,
    /// How long this side may hold an acknowledgment back, 0 to 1,000 ms (default 50 ms).
    pub ack_delay: Duration,
    /// The largest payload that this side takes, in bytes, at least 1,150 (the default, which fits every path).
    pub max_packet_size: u16,
}

impl Settings {
    /// Payload bytes that fit every path and carrier.
    pub const MIN_MAX_PACKET_SIZE: u16 = 1_150;
    /// The smallest packet window.
    pub const MIN_WINDOW: u16 = 8;
    /// The largest packet window.
    pub const MAX_WINDOW: u16 = 32_768;
    /// The shortest tag on data packets, in bytes (PROTOCOL.md 3.4).
    pub const MIN_TAG_BYTES: u8 = 4;
    /// The longest tag, in bytes.
    pub const MAX_TAG_BYTES: u8 = 16;
    /// Bytes of the settings in handshake messages.
    pub(crate) const WIRE_BYTES: usize = 8;

    /// Returns whether every figure is in its range.
    pub fn is_valid(&self) -> bool {
        (Self::MIN_WINDOW..=Self::MAX_WINDOW).contains(&self.packet_window)
            && (Self::MIN_TAG_BYTES..=Self::MAX_TAG_BYTES).contains(&self.tag_bytes)
            && self.ack_delay <= Duration::from_secs(1)
            && self.max_packet_size >= Self::MIN_MAX_PACKET_SIZE
    }

    pub(crate) fn to_wire(self) -> [u8; Self::WIRE_BYTES] {
        let window = self.packet_window.to_be_bytes();
        let delay = (self.ack_delay.as_millis() as u16).to_be_bytes();
        let size = self.max_packet_size.to_be_bytes();
        [window[0], window[1], self.tag_bytes, 0, delay[0], delay[1], size[0], size[1]]
    }

    /// `None` if a figure is out of range.
    pub(crate) fn from_wire(bytes: [u8; Self::WIRE_BYTES]) -> Option<Self> {
        let settings = Self {
            packet_window: u16::from_be_bytes([bytes[0], bytes[1]]),
            tag_bytes: bytes[2],
            ack_delay: Duration::from_millis(u64::from(u16::from_be_bytes([bytes[4], bytes[5]]))),
            max_packet_size: u16::from_be_bytes([bytes[6], bytes[7]]),
        };
        settings.is_valid().then_some(settings)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            packet_window: 128,
            tag_bytes: 8,
            ack_delay: Duration::from_millis(50),
            max_packet_size: Self::MIN_MAX_PACKET_SIZE,
        }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "window={};tag={};ack_delay={};max_packet={}",
            self.packet_window,
            self.tag_bytes,
            self.ack_delay.as_millis(),
            self.max_packet_size
        )
    }
}

/// A settings text that cannot be used, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingsError(String);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for SettingsError {}

impl FromStr for Settings {
    type Err = SettingsError;

    /// Reads `window=128;tag=8;ack_delay=50;max_packet=1150`; absent keys keep their default.
    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| {
                SettingsError(alloc::format!("`{part}`: write settings as key=value, separated by `;`"))
            })?;
            // `parse` alone would take a sign.
            let digits = Some(value.trim()).filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
            let number: u16 = digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
                SettingsError(alloc::format!("`{part}`: the value is a whole number from 0 to 65535"))
            })?;
            match key.trim() {
                "window" => settings.packet_window = number,
                "tag" => settings.tag_bytes = u8::try_from(number).unwrap_or(u8::MAX),
                "ack_delay" => settings.ack_delay = Duration::from_millis(u64::from(number)),
                "max_packet" => settings.max_packet_size = number,
                other => {
                    return Err(SettingsError(alloc::format!(
                        "`{other}` is no setting; there are window, tag, ack_delay and max_packet"
                    )));
                }
            }
            if !settings.is_valid() {
                return Err(SettingsError(alloc::format!(
                    "`{part}`: window is 8 to 32768, tag 4 to 16, ack_delay 0 to 1000, max_packet 1150 or more"
                )));
            }
        }
        Ok(settings)
    }
}
