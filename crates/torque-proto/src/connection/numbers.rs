//! From carried low bits to full numbers (PROTOCOL.md 6.3, 6.4, 7.3). Everything is written as
//! differences, so that nothing can overflow.

use crate::wire::header::HeaderSize;

/// The full number of a sequenced packet, or `None` if it is late or a duplicate (6.3).
pub(crate) fn expand_new(size: HeaderSize, window: u16, known: u64, low: u64) -> Option<u64> {
    let offset = low.wrapping_sub(known).wrapping_sub(1) & (size.modulus() - 1);
    (offset < u64::from(window)).then(|| known + 1 + offset)
}

/// The full sequence that an ack or control packet carries, or `None` if it would be negative (6.3).
pub(crate) fn expand_carried(size: HeaderSize, window: u16, known: u64, low: u64) -> Option<u64> {
    let offset = low.wrapping_sub(known) & (size.modulus() - 1);
    if offset <= u64::from(window) {
        Some(known + offset)
    } else {
        (known + offset).checked_sub(size.modulus())
    }
}

/// The full ack, or `None` if it is out of reach on both sides (7.3).
pub(crate) fn expand_ack(size: HeaderSize, window: u16, settled: u64, low: u64) -> Option<u64> {
    let offset = low.wrapping_sub(settled) & (size.modulus() - 1);
    if offset <= u64::from(window) {
        Some(settled + offset)
    } else if offset >= size.modulus() - u64::from(window) {
        (settled + offset).checked_sub(size.modulus())
    } else {
        None
    }
}

/// The full control counter, or `None` if it is late or a duplicate (6.4).
pub(crate) fn expand_counter(last: u64, low: u16) -> Option<u64> {
    let offset = low.wrapping_sub(last as u16);
    (1..1 << 15).contains(&offset).then(|| last + u64::from(offset))
}

#[cfg(test)]
mod tests;
