//! For the golden vectors: the keys of each generation, and the sealing of one packet.

use alloc::vec::Vec;

use super::super::packet_cipher::vectors as packet;
use super::*;

/// Key and salt of data packets and of control packets, and the secret of the generation after.
pub(crate) struct GenerationKeys {
    pub(crate) data: (Vec<u8>, [u8; 12]),
    pub(crate) control: (Vec<u8>, [u8; 12]),
    pub(crate) next: TrafficSecret,
}

pub(crate) fn generation(traffic: &TrafficSecret, cipher: Cipher) -> GenerationKeys {
    let key = |purpose| packet::key_and_salt(&PacketKey::derive(traffic, purpose, cipher), cipher);
    GenerationKeys { data: key(Purpose::Data), control: key(Purpose::Control), next: traffic.next() }
}

/// The nonce of a data packet or report.
pub(crate) fn data_nonce(salt: &[u8; 12], sequence: u64) -> [u8; 12] {
    *Nonce::data(salt, sequence).as_bytes()
}

/// The nonce of an ack or control packet.
pub(crate) fn control_nonce(salt: &[u8; 12], counter: u64) -> [u8; 12] {
    *Nonce::control(salt, counter).as_bytes()
}

/// Ciphertext and tag under the nonce of a data packet.
pub(crate) fn seal(
    cipher: Cipher,
    (key, salt): (&[u8], &[u8; 12]),
    sequence: u64,
    ad: &[u8],
    text: &[u8],
    tag_bytes: u8,
) -> Vec<u8> {
    let cipher = packet::from_key(cipher, key, salt);
    let mut sealed = text.to_vec();
    let tag = cipher.seal(Nonce::data(salt, sequence), ad, &mut sealed).unwrap();
    let tag = &tag[..usize::from(tag_bytes)];
    let mut opened = sealed.clone();
    assert!(cipher.open(Nonce::data(salt, sequence), ad, &mut opened, tag) && opened == text);
    sealed.extend_from_slice(tag);
    sealed
}

/// Both ends' keys of one direction, as they are when `sequence` was the last one sent.
pub(crate) fn pair_at(
    traffic: impl Fn() -> TrafficSecret,
    cipher: Cipher,
    tag_bytes: u8,
    sequence: u64,
) -> (SendKeys, ReceiveKeys) {
    let mut send = SendKeys::new(traffic(), cipher, tag_bytes);
    let mut receive = ReceiveKeys::new(traffic(), cipher, tag_bytes);
    for generation in 1..=generation_of(sequence) {
        let sequence = generation << 16;
        let tag = send.seal_data(sequence, &[], &mut []).unwrap();
        receive.open_data(sequence, &[], &mut [], &tag).unwrap();
    }
    (send, receive)
}
