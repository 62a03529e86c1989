//! The cipher on top of the crates `aes` and `polyval`.

use aes::Aes128Enc;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use polyval::Polyval;
use polyval::universal_hash::UniversalHash;
use zeroize::Zeroize;

use crate::begins_with;

type Block = aes::Block;

/// H, H2 and M: the first blocks of a packet's keystream are subkeys.
const SUBKEYS: usize = 3;
/// Blocks encrypted together at first: the subkeys, and enough for most packets of a game.
const AT_ONCE: usize = 12;
/// Blocks of text among them.
const NEAR: usize = AT_ONCE - SUBKEYS;

pub(super) struct GcmSst {
    aes: Aes128Enc,
}

impl GcmSst {
    pub(super) fn new(key: &[u8; 16]) -> Self {
        Self { aes: Aes128Enc::new(key.into()) }
    }

    /// Encrypts `text` in place and returns the full tag.
    pub(super) fn seal(&self, nonce: &[u8; 12], ad: &[u8], text: &mut [u8]) -> [u8; 16] {
        let start = self.start(nonce, text.len());
        self.apply(nonce, &start, text);
        full_tag(&start, ad, text)
    }

    /// Decrypts `text` in place if it is authentic, and returns whether it is.
    pub(super) fn open(&self, nonce: &[u8; 12], ad: &[u8], text: &mut [u8], tag: &[u8]) -> bool {
        let mut start = self.start(nonce, text.len());
        let mut expected = full_tag(&start, ad, text);
        let authentic = begins_with(expected, tag);
        if authentic {
            self.apply(nonce, &start, text);
        } else {
            start.iter_mut().for_each(|block| block.as_mut_slice().zeroize());
            expected.zeroize();
        }
        authentic
    }

    /// The subkeys and the keystream for the near part of a text.
    fn start(&self, nonce: &[u8; 12], text_bytes: usize) -> [Block; AT_ONCE] {
        let mut blocks = [Block::default(); AT_ONCE];
        let used = SUBKEYS + text_bytes.div_ceil(16).min(NEAR);
        self.counter_blocks(nonce, 0, &mut blocks[..used]);
        blocks
    }

    /// Applies the keystream to `text`.
    fn apply(&self, nonce: &[u8; 12], start: &[Block; AT_ONCE], text: &mut [u8]) {
        let (near, far) = text.split_at_mut(text.len().min(16 * NEAR));
        xor(near, &start[SUBKEYS..]);
        let mut counter = AT_ONCE as u32;
        for part in far.chunks_mut(16 * 16) {
            let mut keystream = [Block::default(); 16];
            self.counter_blocks(nonce, counter, &mut keystream[..part.len().div_ceil(16)]);
            xor(part, &keystream);
            counter += 16;
        }
    }

    /// Encrypts the counters from `first` on.
    fn counter_blocks(&self, nonce: &[u8; 12], first: u32, blocks: &mut [Block]) {
        for (counter, block) in (first..).zip(blocks.iter_mut()) {
            block[..12].copy_from_slice(nonce);
            block[12..].copy_from_slice(&counter.to_be_bytes());
        }
        self.aes.encrypt_blocks(blocks);
    }
}

fn xor(text: &mut [u8], keystream: &[Block]) {
    let (blocks, rest) = text.as_chunks_mut::<16>();
    for (block, key) in blocks.iter_mut().zip(keystream) {
        *block = (u128::from_ne_bytes(*block) ^ u128::from_ne_bytes(key.0)).to_ne_bytes();
    }
    if let Some(key) = keystream.get(blocks.len()) {
        rest.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    }
}

/// Pads less than a block with zeros.
fn padded(rest: &[u8]) -> Block {
    let mut block = Block::default();
    block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    block
}

/// `POLYVAL(H2, POLYVAL(H, ad, sealed) ^ lengths) ^ M`.
fn full_tag(start: &[Block; AT_ONCE], ad: &[u8], sealed: &[u8]) -> [u8; 16] {
    let [h, h2, m, ..] = start;
    let mut hash = Polyval::new(h);
    // What fits is hashed in one go: each call costs as much as a block.
    let mut few = [Block::default(); AT_ONCE];
    let mut used = 0;
    let (blocks, rest) = ad.as_chunks::<16>();
    for block in blocks {
        if used + 1 == few.len() {
            hash.update(&few[..used]);
            used = 0;
        }
        few[used] = Array(*block);
        used += 1;
    }
    if !rest.is_empty() {
        few[used] = padded(rest);
        used += 1;
    }
    let (blocks, rest) = sealed.as_chunks::<16>();
    if used + blocks.len() < few.len() {
        for block in blocks {
            few[used] = Array(*block);
            used += 1;
        }
    } else {
        hash.update(&few[..used]);
        hash.update(Array::cast_slice_from_core(blocks));
        used = 0;
    }
    if !rest.is_empty() {
        few[used] = padded(rest);
        used += 1;
    }
    hash.update(&few[..used]);

    let lengths = (sealed.len() as u128 * 8) | (ad.len() as u128 * 8) << 64;
    let mut last = Polyval::new(h2);
    last.update(&[Array((u128::from_le_bytes(hash.finalize().0) ^ lengths).to_le_bytes())]);
    (u128::from_le_bytes(last.finalize().0) ^ u128::from_le_bytes(m.0)).to_le_bytes()
}
