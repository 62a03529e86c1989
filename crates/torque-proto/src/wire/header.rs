//! The header of packets (PROTOCOL.md 6.1).

/// The kind of a connection's packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PacketKind {
    /// Application data; takes a sequence.
    Data,
    /// A report of what was received, too long for an ack; takes a sequence.
    Report,
    /// A report of what was received.
    Ack,
    /// Control messages.
    Control,
}

impl PacketKind {
    const fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::Data,
            1 => Self::Report,
            2 => Self::Ack,
            _ => Self::Control,
        }
    }

    /// Returns whether packets of this kind take a sequence (the others take a control counter).
    pub const fn is_sequenced(self) -> bool {
        matches!(self, Self::Data | Self::Report)
    }

    /// Bytes of control counter after the header.
    pub const fn counter_bytes(self) -> usize {
        if self.is_sequenced() { 0 } else { 2 }
    }
}

/// The three sizes of headers, chosen by the packet window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderSize {
    /// 3 bytes, 9 bits of sequence, windows up to 128.
    Three,
    /// 4 bytes, 13 bits of sequence, windows up to 2,048.
    Four,
    /// 5 bytes, 17 bits of sequence, windows up to 32,768.
    Five,
}

impl HeaderSize {
    /// The size for a packet window.
    pub const fn for_window(window: u16) -> Self {
        match window {
            0..=128 => Self::Three,
            129..=2_048 => Self::Four,
            _ => Self::Five,
        }
    }

    /// Bytes of the header, without a control counter.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Three => 3,
            Self::Four => 4,
            Self::Five => 5,
        }
    }

    /// *S*: bits of sequence and of ack that are carried.
    pub const fn sequence_bits(self) -> u32 {
        match self {
            Self::Three => 9,
            Self::Four => 13,
            Self::Five => 17,
        }
    }

    /// 2^S.
    pub const fn modulus(self) -> u64 {
        1 << self.sequence_bits()
    }
}

/// A header as carried: low bits only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The kind of the packet.
    pub kind: PacketKind,
    /// The low S bits of the sequence.
    pub sequence_low: u64,
    /// The low S bits of the ack.
    pub ack_low: u64,
    /// How the report is written, 0 to 7.
    pub form: u8,
}

impl Header {
    /// Bytes of the longest header with its control counter.
    pub const MAX_BYTES: usize = 7;

    /// Reads a header; `None` if there are too few bytes or the first bit is not 1.
    pub fn parse(size: HeaderSize, bytes: &[u8]) -> Option<Self> {
        let mut raw = 0u64;
        for byte in bytes.get(..size.bytes())? {
            raw = raw << 8 | u64::from(*byte);
        }
        let s = size.sequence_bits();
        let mask = size.modulus() - 1;
        (raw >> (2 * s + 5) == 1).then_some(Self {
            kind: PacketKind::from_bits(raw >> (2 * s + 3)),
            sequence_low: raw >> (s + 3) & mask,
            ack_low: raw >> 3 & mask,
            form: (raw & 7) as u8,
        })
    }

    /// Bytes before the sealed part: the header, and the control counter where there is one.
    pub const fn head_bytes(&self, size: HeaderSize) -> usize {
        size.bytes() + self.kind.counter_bytes()
    }

    /// The low 16 bits of the control counter in a datagram with this header; `None` if packets of its kind have none,
    /// or it is cut off.
    pub fn counter_low(&self, size: HeaderSize, datagram: &[u8]) -> Option<u16> {
        if self.kind.is_sequenced() {
            return None;
        }
        datagram.get(size.bytes()..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// Writes the header, taking the low bits of what it holds.
    pub fn write(&self, size: HeaderSize, out: &mut alloc::vec::Vec<u8>) {
        let s = size.sequence_bits();
        let mask = size.modulus() - 1;
        let raw = 1 << (2 * s + 5)
            | (self.kind as u64) << (2 * s + 3)
            | (self.sequence_low & mask) << (s + 3)
            | (self.ack_low & mask) << 3
            | u64::from(self.form & 7);
        out.extend_from_slice(&raw.to_be_bytes()[8 - size.bytes()..]);
    }
}
