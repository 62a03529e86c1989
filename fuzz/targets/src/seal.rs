//! Keys and sealing of packets (PROTOCOL.md 3.3, 6.1, 6.2) for ChaCha20-Poly1305, written from the document. They
//! make packets that authenticate but may break every other rule.

use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use torque_proto::wire::header::{Header, HeaderSize};

/// The keys of one direction, for every generation.
pub struct Sealer {
    generation: u64,
    secret: [u8; 32],
}

impl Sealer {
    pub fn new(secret: [u8; 32]) -> Self {
        Self { generation: 0, secret }
    }

    /// A whole packet. `counter` is given for ack and control packets; `text` is ack bytes and body.
    pub fn packet(
        &mut self,
        size: HeaderSize,
        header: &Header,
        sequence: u64,
        ack: u64,
        counter: Option<u64>,
        text: &[u8],
    ) -> Vec<u8> {
        let secret = self.secret_of(sequence >> 16);
        let mut packet = Vec::new();
        header.write(size, &mut packet);
        let (name, domain, number) = match counter {
            None => ("data", 1u32, sequence),
            Some(counter) => {
                packet.extend_from_slice(&(counter as u16).to_be_bytes());
                ("control", 2, counter)
            }
        };
        let mut associated = packet.clone();
        associated.extend_from_slice(&sequence.to_be_bytes());
        associated.extend_from_slice(&ack.to_be_bytes());
        let key = expand(&secret, &format!("{name} key"));
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&domain.to_be_bytes());
        nonce[4..].copy_from_slice(&number.to_be_bytes());
        let salt = expand(&secret, &format!("{name} salt"));
        nonce.iter_mut().zip(salt).for_each(|(byte, salt)| *byte ^= salt);
        let mut sealed = text.to_vec();
        let tag = ChaCha20Poly1305::new(&key.into())
            .encrypt_inout_detached(&nonce.into(), &associated, sealed.as_mut_slice().into())
            .expect("short texts can be sealed");
        packet.extend_from_slice(&sealed);
        packet.extend_from_slice(&tag);
        packet
    }

    /// The secret of a generation, which only rises; an older one is sealed with keys that fit nothing.
    fn secret_of(&mut self, generation: u64) -> [u8; 32] {
        while self.generation < generation {
            self.secret = expand(&self.secret, "next");
            self.generation += 1;
        }
        self.secret
    }
}

/// The first block of HKDF-Expand.
fn expand(secret: &[u8; 32], info: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any key");
    mac.update(info.as_bytes());
    mac.update(&[1]);
    mac.finalize().into_bytes().into()
}
