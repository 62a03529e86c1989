//! What packets carry: their index, and filler that depends on it, so that a receiver can tell that it got what was sent.

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Makes `payload`, of at least 16 bytes, that of packet `index`.
pub fn fill(payload: &mut [u8], index: u64) {
    let end = payload.len() - 8;
    payload[..8].copy_from_slice(&index.to_le_bytes());
    payload[end..].copy_from_slice(&index.wrapping_mul(FACTOR).to_le_bytes());
}

/// The index of a payload of `bytes` bytes; `None` if it is not one that was sent.
pub fn check(payload: &[u8], bytes: usize) -> Option<u64> {
    if payload.len() != bytes {
        return None;
    }
    let index = u64::from_le_bytes(payload.first_chunk().copied()?);
    let last = u64::from_le_bytes(payload.last_chunk().copied()?);
    (last == index.wrapping_mul(FACTOR)).then_some(index)
}

#[cfg(test)]
mod tests;
