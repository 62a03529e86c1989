//! The context in front of each datagram, a variable-length integer of QUIC (GATEWAY.md 2).

/// All contexts are below this number.
pub const CONTEXT_LIMIT: u32 = 1 << 30;
/// The length of the longest context, in bytes.
pub const MAX_CONTEXT_BYTES: usize = 4;

/// Splits a frame into its context and its datagram. `None`: it has no context, or not in its shortest form.
pub fn split(frame: &[u8]) -> Option<(u32, &[u8])> {
    let first = *frame.first()?;
    let (number, least, rest) = match first >> 6 {
        0 => (u32::from(first), 0, &frame[1..]),
        1 => {
            let (bytes, rest) = frame.split_first_chunk()?;
            (u32::from(u16::from_be_bytes(*bytes) & 0x3fff), 1 << 6, rest)
        }
        2 => {
            let (bytes, rest) = frame.split_first_chunk()?;
            (u32::from_be_bytes(*bytes) & 0x3fff_ffff, 1 << 14, rest)
        }
        _ => return None,
    };
    (number >= least).then_some((number, rest))
}

/// The bytes of a context. Numbers from [`CONTEXT_LIMIT`] on become the highest context.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    bytes: [u8; MAX_CONTEXT_BYTES],
    length: u8,
}

impl Prefix {
    /// Writes a context in its shortest form.
    pub fn new(context: u32) -> Self {
        let context = context.min(CONTEXT_LIMIT - 1);
        let (number, length) = match context {
            0..0x40 => (context << 24, 1),
            0x40..0x4000 => ((context | 0x4000) << 16, 2),
            _ => (context | 0x8000_0000, 4),
        };
        Self { bytes: number.to_be_bytes(), length }
    }

    /// The one, two or four bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_has_the_bytes_of_rfc_9000_and_reads_back() {
        let table: [(u32, &[u8]); 7] = [
            (0, &[0]),
            (37, &[0x25]),
            (63, &[0x3f]),
            (64, &[0x40, 0x40]),
            (15_293, &[0x7b, 0xbd]),
            (16_384, &[0x80, 0, 0x40, 0]),
            (494_878_333, &[0x9d, 0x7f, 0x3e, 0x7d]),
        ];
        for (context, bytes) in table {
            assert_eq!(Prefix::new(context).as_bytes(), bytes);
            let frame = [bytes, b"datagram"].concat();
            assert_eq!(split(&frame), Some((context, &b"datagram"[..])));
        }
        assert_eq!(split(Prefix::new(CONTEXT_LIMIT - 1).as_bytes()), Some((CONTEXT_LIMIT - 1, &[][..])));
    }

    #[test]
    fn long_forms_and_truncated_ones_are_not_contexts() {
        let long: [&[u8]; 3] = [&[0x40, 0x3f, 1], &[0x80, 0, 0x3f, 0xff, 1], &[0xc0, 0, 0, 0, 0, 0, 0, 0, 1]];
        let cut: [&[u8]; 4] = [&[], &[0x40], &[0x80, 0, 0x40], &[0xff]];
        for frame in long.into_iter().chain(cut) {
            assert_eq!(split(frame), None, "{frame:02x?}");
        }
    }
}
