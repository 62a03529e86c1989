//! AES-128 in Galois/counter mode with strong secure tags (draft-mattsson-cfrg-aes-gcm-sst, PROTOCOL.md 3.4): counter
//! mode, and a polynomial hash with two keys that are fresh for each packet, so that a tag may be cut short.
//!
//! `torque-proto` uses this cipher and keeps the rules that come with it: no nonce seals twice, none opens twice, and a key is
//! used with one tag length only.
//!
//! On 64-bit Intel and AMD processors one call handles a packet and keeps all of it in vector registers (`x86_64`). Elsewhere, and
//! on processors without the instructions, the crates `aes` and `polyval` do the work (`portable`). Both make the same bytes.
#![no_std]

#[cfg(test)]
extern crate std;

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use subtle::ConstantTimeEq;

/// A key, erased when dropped.
pub struct GcmSst(Code);

enum Code {
    #[cfg(target_arch = "x86_64")]
    X86_64(x86_64::GcmSst),
    Portable(portable::GcmSst),
}

impl GcmSst {
    /// Creates the cipher with this key, using the fastest code for this processor.
    pub fn new(key: &[u8; 16]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(fast) = x86_64::GcmSst::new(key) {
            return Self(Code::X86_64(fast));
        }
        Self(Code::Portable(portable::GcmSst::new(key)))
    }

    /// Encrypts `text` in place and returns the full tag. Its first bytes are a valid shorter tag. A nonce must seal only once.
    pub fn seal(&self, nonce: &[u8; 12], ad: &[u8], text: &mut [u8]) -> [u8; 16] {
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Code::X86_64(fast) => fast.seal(nonce, ad, text),
            Code::Portable(portable) => portable.seal(nonce, ad, text),
        }
    }

    /// Decrypts `text` in place and returns `true` if it is authentic; otherwise leaves `text` as it is and returns `false`. The
    /// caller checks the length of `tag`, which is at most 16 bytes.
    pub fn open(&self, nonce: &[u8; 12], ad: &[u8], text: &mut [u8], tag: &[u8]) -> bool {
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Code::X86_64(fast) => fast.open(nonce, ad, text, tag),
            Code::Portable(portable) => portable.open(nonce, ad, text, tag),
        }
    }
}

/// Returns whether `full` begins with `tag`, in constant time.
#[inline]
fn begins_with(full: [u8; 16], tag: &[u8]) -> bool {
    if !matches!(tag.len(), 1..=16) {
        return false;
    }
    let difference = u128::from_le_bytes(full) ^ number(tag);
    // Shifts out the bytes that the tag lacks.
    let difference = difference << (128 - 8 * tag.len());
    (difference as u64 | (difference >> 64) as u64).ct_eq(&0).into()
}

/// Reads at most 16 bytes as a little-endian number: a block padded with zeros. It loads few large pieces, because the processor
/// would have to wait for a block that is put together in memory byte by byte.
#[inline]
fn number(bytes: &[u8]) -> u128 {
    // The two halves may overlap, where they agree.
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u128::from(u64::from_le_bytes(*first))
            | u128::from(u64::from_le_bytes(*last)) << (8 * (bytes.len() - 8))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u128::from(u32::from_le_bytes(*first))
            | u128::from(u32::from_le_bytes(*last)) << (8 * (bytes.len() - 4))
    } else {
        bytes.iter().rev().fold(0, |number, byte| number << 8 | u128::from(*byte))
    }
}

/// The README's example has to work.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
#[path = "tests.rs"]
mod cipher_tests;
