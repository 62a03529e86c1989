//! AES-128 in Galois/counter mode with strong secure tags (draft-mattsson-cfrg-aes-gcm-sst, PROTOCOL.md 3.4): counter
//! mode, and a polynomial hash with two keys that are fresh for each packet, so that a tag may be cut short.
//!
//! A cipher for `torque-proto`, which keeps the rules that come with it: no nonce seals twice, none opens twice, and a key is
//! used with one length of tag only.
//!
//! On 64-bit Intel and AMD processors a packet takes one call of code that keeps all of it in vector registers
//! (`x86_64`), elsewhere and on processors that lack something the crates `aes` and `polyval` are asked (`portable`). Both give
//! the same bytes.
#![no_std]

#[cfg(test)]
extern crate std;

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use subtle::ConstantTimeEq;

/// A key. It is erased when dropped.
pub struct GcmSst(Code);

enum Code {
    #[cfg(target_arch = "x86_64")]
    X86_64(x86_64::GcmSst),
    Portable(portable::GcmSst),
}

impl GcmSst {
    /// The cipher with this key, by the fastest code for this processor.
    pub fn new(key: &[u8; 16]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(fast) = x86_64::GcmSst::new(key) {
            return Self(Code::X86_64(fast));
        }
        Self(Code::Portable(portable::GcmSst::new(key)))
    }

    /// Encrypts `text` in place and returns the full tag, of which the first bytes are a tag as well. The nonce must not have sealed before.
    pub fn seal(&self, nonce: &[u8; 12], ad: &[u8], text: &mut [u8]) -> [u8; 16] {
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Code::X86_64(fast) => fast.seal(nonce, ad, text),
            Code::Portable(portable) => portable.seal(nonce, ad, text),
        }
    }

    /// Decrypts `text` in place if it is authentic, and says whether it is; if it is not, `text` is left as it was. The length of
    /// `tag`, at most 16 bytes, is the caller's to check.
    pub fn open(&self, nonce: &[u8; 12], ad: &[u8], text: &mut [u8], tag: &[u8]) -> bool {
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Code::X86_64(fast) => fast.open(nonce, ad, text, tag),
            Code::Portable(portable) => portable.open(nonce, ad, text, tag),
        }
    }
}

/// Whether `tag` is the beginning of `full`, in constant time.
#[inline]
fn begins_with(full: [u8; 16], tag: &[u8]) -> bool {
    if !matches!(tag.len(), 1..=16) {
        return false;
    }
    let difference = u128::from_le_bytes(full) ^ number(tag);
    // Without the bytes that the tag has not.
    let difference = difference << (128 - 8 * tag.len());
    (difference as u64 | (difference >> 64) as u64).ct_eq(&0).into()
}

/// At most 16 bytes as a number, little-endian: a block that is filled up with zeros. Read in few large pieces, because one that is
/// put together in memory byte by byte would have to be waited for.
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
