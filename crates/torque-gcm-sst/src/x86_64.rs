//! The cipher with one call for each packet, for processors with AES and carry-less multiplication.
//!
//! A packet's hash keys, their powers and the keystream live in registers, or where the compiler spills them; nothing is
//! kept. The only `unsafe` is calling functions for these processors: the instructions themselves touch no memory.
//!
//! The code does not use AVX, although its encodings of these instructions take one more register: each change to the plain
//! encodings of all other code can cost a hundred cycles, whenever something has left the upper halves of the registers in use.

use core::arch::x86_64::*;
use core::array;

use zeroize::ZeroizeOnDrop;

use crate::{begins_with, number};

cpufeatures::new!(processor, "aes", "pclmulqdq", "sse4.1");

/// H, H2 and M: the first blocks of a packet's keystream are subkeys.
const SUBKEYS: usize = 3;
/// Blocks encrypted together: as many as fit into the registers.
const AT_ONCE: usize = 8;
/// Blocks of text encrypted together with the subkeys.
const NEAR: usize = AT_ONCE - SUBKEYS;

/// A key. It exists only if the processor has the instructions that all functions here need.
#[derive(ZeroizeOnDrop)]
pub(crate) struct GcmSst {
    round_keys: [[u8; 16]; 11],
}

impl GcmSst {
    /// Returns `None` if the processor lacks an instruction.
    pub(crate) fn new(key: &[u8; 16]) -> Option<Self> {
        processor::get().then(|| {
            // SAFETY: the processor was just asked.
            let round_keys = unsafe { expand(key) };
            Self { round_keys }
        })
    }

    /// Encrypts `text` in place and returns the full tag.
    pub(crate) fn seal(&self, nonce: &[u8; 12], ad: &[u8], text: &mut [u8]) -> [u8; 16] {
        // SAFETY: `new` has asked the processor.
        unsafe { self.seal_here(nonce, ad, text) }
    }

    /// Decrypts `text` in place if it is authentic, and returns whether it is.
    pub(crate) fn open(&self, nonce: &[u8; 12], ad: &[u8], text: &mut [u8], tag: &[u8]) -> bool {
        // SAFETY: `new` has asked the processor.
        unsafe { self.open_here(nonce, ad, text, tag) }
    }

    #[target_feature(enable = "aes,pclmulqdq,sse4.1")]
    fn seal_here(&self, nonce: &[u8; 12], ad: &[u8], text: &mut [u8]) -> [u8; 16] {
        let nonce = block(nonce);
        let [h, h2, m, near @ ..] = self.keystream::<AT_ONCE>(nonce, 0);
        self.apply(nonce, near, text);
        bytes(_mm_xor_si128(hash(h, h2, ad, text), m))
    }

    #[target_feature(enable = "aes,pclmulqdq,sse4.1")]
    fn open_here(&self, nonce: &[u8; 12], ad: &[u8], text: &mut [u8], tag: &[u8]) -> bool {
        let nonce = block(nonce);
        let [h, h2, m, near @ ..] = self.keystream::<AT_ONCE>(nonce, 0);
        let authentic = begins_with(bytes(_mm_xor_si128(hash(h, h2, ad, text), m)), tag);
        if authentic {
            self.apply(nonce, near, text);
        }
        authentic
    }

    /// Applies the keystream to `text`: first `near`, then as much more as it needs.
    #[inline]
    #[target_feature(enable = "aes,sse4.1")]
    fn apply(&self, nonce: __m128i, near: [__m128i; NEAR], text: &mut [u8]) {
        let (first, rest) = text.split_at_mut(text.len().min(16 * NEAR));
        xor(first, near);
        let mut counter = AT_ONCE as u32;
        for part in rest.chunks_mut(16 * AT_ONCE) {
            if part.len() > 16 * AT_ONCE / 2 {
                xor(part, self.keystream::<AT_ONCE>(nonce, counter));
            } else {
                xor(part, self.keystream::<{ AT_ONCE / 2 }>(nonce, counter));
            }
            counter += AT_ONCE as u32;
        }
    }

    /// Encrypts the counters from `first` on.
    #[inline]
    #[target_feature(enable = "aes,sse4.1")]
    fn keystream<const N: usize>(&self, nonce: __m128i, first: u32) -> [__m128i; N] {
        let [start, middle @ .., end] = &self.round_keys;
        let start = _mm_xor_si128(nonce, block(start));
        let mut blocks: [__m128i; N] = array::from_fn(|at| {
            let counter = first + at as u32;
            _mm_xor_si128(start, _mm_set_epi32(counter.swap_bytes() as i32, 0, 0, 0))
        });
        for key in middle {
            let key = block(key);
            blocks.iter_mut().for_each(|block| *block = _mm_aesenc_si128(*block, key));
        }
        let key = block(end);
        blocks.map(|block| _mm_aesenclast_si128(block, key))
    }
}

/// Expands the key (FIPS 197, section 5.2).
#[target_feature(enable = "aes,sse4.1")]
fn expand(key: &[u8; 16]) -> [[u8; 16]; 11] {
    #[inline]
    #[target_feature(enable = "aes,sse4.1")]
    fn next<const RCON: i32>(key: __m128i) -> __m128i {
        let last = _mm_shuffle_epi32::<0xff>(_mm_aeskeygenassist_si128::<RCON>(key));
        let two = _mm_xor_si128(key, _mm_slli_si128::<4>(key));
        _mm_xor_si128(_mm_xor_si128(two, _mm_slli_si128::<8>(two)), last)
    }
    let k0 = block(key);
    let k1 = next::<0x01>(k0);
    let k2 = next::<0x02>(k1);
    let k3 = next::<0x04>(k2);
    let k4 = next::<0x08>(k3);
    let k5 = next::<0x10>(k4);
    let k6 = next::<0x20>(k5);
    let k7 = next::<0x40>(k6);
    let k8 = next::<0x80>(k7);
    let k9 = next::<0x1b>(k8);
    let k10 = next::<0x36>(k9);
    [k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10].map(|key| bytes(key))
}

/// `POLYVAL(H2, POLYVAL(H, ad, sealed) ^ lengths)`.
#[inline]
#[target_feature(enable = "pclmulqdq,sse4.1")]
fn hash(h: __m128i, h2: __m128i, ad: &[u8], sealed: &[u8]) -> __m128i {
    let first = Power::new(h);
    let second = Power::new(first.times(h).reduced());
    let third = Power::new(first.times(second.h).reduced());
    let fourth = Power::new(second.times(second.h).reduced());
    let powers = [fourth, third, second, first];

    let mut sum = _mm_setzero_si128();
    for part in [ad, sealed] {
        let (blocks, rest) = part.as_chunks();
        let (fours, few) = blocks.as_chunks::<4>();
        for four in fours {
            sum = absorb(&powers, sum, four, &[]);
        }
        sum = absorb(&powers, sum, few, rest);
    }
    let lengths = _mm_set_epi64x(8 * ad.len() as i64, 8 * sealed.len() as i64);
    Power::new(h2).times(_mm_xor_si128(sum, lengths)).reduced()
}

/// Adds blocks and the remainder of a part to the hash, together at most as many as there are powers.
#[inline]
#[target_feature(enable = "pclmulqdq,sse4.1")]
fn absorb(powers: &[Power; 4], mut sum: __m128i, blocks: &[[u8; 16]], rest: &[u8]) -> __m128i {
    let count = blocks.len() + usize::from(!rest.is_empty());
    if count == 0 {
        return sum;
    }
    let mut powers = powers[powers.len() - count..].iter();
    let mut product = Product { r: _mm_setzero_si128(), f: _mm_setzero_si128() };
    for (bytes, power) in blocks.iter().zip(&mut powers) {
        product = product.plus(power.times(_mm_xor_si128(sum, block(bytes))));
        sum = _mm_setzero_si128();
    }
    if let Some(power) = powers.next() {
        product = product.plus(power.times(_mm_xor_si128(sum, block(rest))));
    }
    product.reduced()
}

/// x^63 + x^62 + x^57, the upper half of POLYVAL's polynomial without its highest term.
const POLYNOMIAL: i64 = 0xc200_0000_0000_0000_u64 as i64;

/// A factor, prepared so that multiplying by it is cheap (<https://eprint.iacr.org/2025/2171>): *D* is the factor with its halves
/// swapped, plus its lower half times the polynomial.
struct Power {
    h: __m128i,
    d: __m128i,
}

impl Power {
    #[inline]
    #[target_feature(enable = "pclmulqdq,sse4.1")]
    fn new(h: __m128i) -> Self {
        let low = _mm_clmulepi64_si128::<0x00>(h, _mm_set_epi64x(0, POLYNOMIAL));
        Self { h, d: _mm_xor_si128(_mm_shuffle_epi32::<0x4e>(h), low) }
    }

    #[inline]
    #[target_feature(enable = "pclmulqdq,sse4.1")]
    fn times(&self, block: __m128i) -> Product {
        let (h, d) = (self.h, self.d);
        Product {
            r: _mm_xor_si128(_mm_clmulepi64_si128::<0x10>(block, d), _mm_clmulepi64_si128::<0x11>(block, h)),
            f: _mm_xor_si128(_mm_clmulepi64_si128::<0x00>(block, d), _mm_clmulepi64_si128::<0x01>(block, h)),
        }
    }
}

/// An unreduced product: products are added first and then reduced together.
struct Product {
    r: __m128i,
    f: __m128i,
}

impl Product {
    #[inline]
    #[target_feature(enable = "sse4.1")]
    fn plus(self, other: Self) -> Self {
        Self { r: _mm_xor_si128(self.r, other.r), f: _mm_xor_si128(self.f, other.f) }
    }

    #[inline]
    #[target_feature(enable = "pclmulqdq,sse4.1")]
    fn reduced(self) -> __m128i {
        let shifted = _mm_xor_si128(_mm_srli_si128::<8>(self.f), _mm_slli_si128::<8>(self.f));
        let low = _mm_clmulepi64_si128::<0x00>(self.f, _mm_set_epi64x(0, POLYNOMIAL));
        _mm_xor_si128(_mm_xor_si128(self.r, shifted), low)
    }
}

#[inline]
#[target_feature(enable = "sse4.1")]
fn xor<const N: usize>(text: &mut [u8], keystream: [__m128i; N]) {
    let (blocks, rest) = text.as_chunks_mut::<16>();
    let last = keystream.get(blocks.len());
    for (text, key) in blocks.iter_mut().zip(keystream) {
        *text = bytes(_mm_xor_si128(block(text), key));
    }
    if let Some(key) = last {
        rest.iter_mut().zip(bytes(*key)).for_each(|(byte, key)| *byte ^= key);
    }
}

/// Pads at most 16 bytes with zeros.
#[inline]
#[target_feature(enable = "sse4.1")]
fn block(bytes: &[u8]) -> __m128i {
    let number = bytes.first_chunk().map_or_else(|| number(bytes), |whole| u128::from_le_bytes(*whole));
    _mm_set_epi64x((number >> 64) as i64, number as i64)
}

#[inline]
#[target_feature(enable = "sse4.1")]
fn bytes(block: __m128i) -> [u8; 16] {
    let (low, high) = (_mm_cvtsi128_si64(block), _mm_cvtsi128_si64(_mm_unpackhi_epi64(block, block)));
    (u128::from(low as u64) | u128::from(high as u64) << 64).to_le_bytes()
}
