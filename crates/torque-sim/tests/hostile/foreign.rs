//! A hand-written initiator and a hand-written host after PROTOCOL.md, byte by byte: they share no code with the library
//! (but for Ed25519), know only cipher 2 (ChaCha20-Poly1305), and can be told to say what honest ones would not.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::AeadInOut;
use curve25519_dalek::montgomery::MontgomeryPoint;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac: Hmac<Sha256> = KeyInit::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HKDF-Expand for up to 32 bytes.
fn expand(prk: &[u8; 32], info: &[u8], len: usize) -> Vec<u8> {
    hmac(prk, &[info, &[1]])[..len].to_vec()
}

/// Noise's HKDF with two outputs.
fn hkdf2(ck: &[u8; 32], input: &[u8]) -> ([u8; 32], [u8; 32]) {
    let temp = hmac(ck, &[input]);
    let first = hmac(&temp, &[&[1]]);
    (first, hmac(&temp, &[&first, &[2]]))
}

fn dh(secret: [u8; 32], public: [u8; 32]) -> [u8; 32] {
    MontgomeryPoint(public).mul_clamped(secret).to_bytes()
}

pub fn dh_public(secret: [u8; 32]) -> [u8; 32] {
    MontgomeryPoint::mul_base_clamped(secret).to_bytes()
}

fn seal(key: &[u8; 32], nonce: [u8; 12], ad: &[u8], text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    let cipher = ChaCha20Poly1305::new(key.into());
    let tag = cipher.encrypt_inout_detached((&nonce).into(), ad, text.as_mut_slice().into()).unwrap();
    text.extend_from_slice(&tag);
    text
}

fn open(key: &[u8; 32], nonce: [u8; 12], ad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (text, tag) = sealed.split_last_chunk::<16>()?;
    let mut text = text.to_vec();
    ChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached((&nonce).into(), ad, text.as_mut_slice().into(), tag.into())
        .ok()?;
    Some(text)
}

/// Finds the X of 5.3 for a request whose last eight bytes are to be it, and writes it there.
pub fn solve(request: &mut [u8]) {
    let difficulty = u32::from(request[38]);
    let (body, solution) = request.split_last_chunk_mut::<8>().unwrap();
    let digest = sha256(&[body]);
    let x = (0u64..).find(|x| leading_zeros(&sha256(&[&digest, &x.to_be_bytes()])) >= difficulty).unwrap();
    *solution = x.to_be_bytes();
}

fn leading_zeros(hash: &[u8; 32]) -> u32 {
    match hash.iter().position(|byte| *byte != 0) {
        Some(at) => at as u32 * 8 + hash[at].leading_zeros(),
        None => 256,
    }
}

/// 4.1, with cipher 2 offered.
pub fn challenge_request(nonce: [u8; 16]) -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend(b"TorqueSk");
    bytes.push(1);
    bytes.extend(nonce);
    bytes.extend(&sha256(&[b"TorqueSocket application", b""])[..8]);
    bytes.extend([2, 0, 0, 0]);
    bytes.resize(768, 0);
    bytes
}

/// 4.7.
pub fn reject(nonce: &[u8], code: u8) -> Vec<u8> {
    let mut bytes = vec![7, 1];
    bytes.extend(nonce);
    bytes.push(code);
    bytes
}

/// An initiator's long-term key. The public part need not belong to the secret one.
#[derive(Clone, Copy)]
pub struct Identity {
    pub secret: [u8; 32],
    pub public: [u8; 32],
    pub sign: u8,
}

impl Identity {
    pub fn honest(secret: [u8; 32]) -> Self {
        Self { secret, public: dh_public(secret), sign: 0 }
    }
}

/// An attempt whose connect_request is made.
pub struct Requested {
    pub bytes: Vec<u8>,
    ck: [u8; 32],
    h: [u8; 32],
    nonce: [u8; 16],
    pub window: u16,
}

/// 4.3, for a challenge_response and any payload.
pub fn connect_request(response: &[u8], ephemeral: [u8; 32], identity: Identity, window: u16) -> Requested {
    let mut payload = vec![0, 0];
    payload.extend(window.to_be_bytes());
    payload.extend([16, 0, 0, 50, 0x04, 0x7e, identity.sign, 0, 0]);
    connect_request_with(response, ephemeral, identity, &payload)
}

pub fn connect_request_with(
    response: &[u8],
    ephemeral: [u8; 32],
    identity: Identity,
    payload: &[u8],
) -> Requested {
    let nonce: [u8; 16] = response[2..18].try_into().unwrap();
    let epoch_key: [u8; 32] = response[26..58].try_into().unwrap();
    let host: [u8; 32] = response[141..173].try_into().unwrap();
    let host_dh = curve25519_dalek::edwards::CompressedEdwardsY(host).decompress().unwrap().to_montgomery().0;
    let offers = [2, 0, 0, 0];
    let mut prologue = b"TorqueSocket v1".to_vec();
    prologue.extend([1, 0]);
    prologue.extend(nonce);
    prologue.extend(offers);
    prologue.extend(&response[18..138]);
    prologue.extend(&response[138..173]);
    prologue.extend(sha256(&[&response[175..]]));
    prologue.extend([0; 8]);

    let mut h = *b"Noise_IX_25519_ChaChaPoly_SHA256";
    let mut ck = h;
    h = sha256(&[&h, &prologue]);
    h = sha256(&[&h, &epoch_key]);
    h = sha256(&[&h, &host_dh]);
    h = sha256(&[&h]);
    let e = dh_public(ephemeral);
    h = sha256(&[&h, &e]);
    (ck, _) = hkdf2(&ck, &dh(ephemeral, epoch_key));
    let (next, key) = hkdf2(&ck, &dh(ephemeral, host_dh));
    ck = next;
    let sealed_s = seal(&key, [0; 12], &h, &identity.public);
    h = sha256(&[&h, &sealed_s]);
    let (next, key) = hkdf2(&ck, &dh(identity.secret, epoch_key));
    ck = next;
    let sealed_p = seal(&key, [0; 12], &h, payload);
    h = sha256(&[&h, &sealed_p]);

    let mut bytes = vec![3, 1];
    bytes.extend(nonce);
    bytes.extend(&epoch_key[..4]);
    bytes.extend(&response[122..138]);
    bytes.extend([response[138], response[139]]);
    bytes.extend(offers);
    bytes.extend([0; 8]);
    bytes.extend(e);
    bytes.extend(sealed_s);
    bytes.extend(sealed_p);
    bytes.extend([0; 8]);
    solve(&mut bytes);
    let window = payload.get(2..4).map_or(0, |window| u16::from_be_bytes(window.try_into().unwrap()));
    Requested { bytes, ck, h, nonce, window }
}

/// The initiator's end of a connection.
pub struct Guest {
    key: [Vec<u8>; 4],
    pub window: u16,
    pub sequence: u64,
    pub counter: u64,
    /// The highest sequence known from the host.
    pub known: u64,
}

impl Requested {
    /// Opens a connect_accept. `None` if it is none, or not authentic.
    pub fn accepted(&self, accept: &[u8]) -> Option<Guest> {
        if accept.first() != Some(&4) || accept.get(1..17)? != self.nonce {
            return None;
        }
        let salt = accept.get(17..33)?;
        let prk = hmac(&[salt, &self.h].concat(), &[&self.ck]);
        let accept_key: [u8; 32] = expand(&prk, b"TorqueSocket accept", 32).try_into().ok()?;
        let text = open(&accept_key, [0; 12], &accept[..33], &accept[33..])?;
        let traffic: [u8; 32] = expand(&prk, b"TorqueSocket traffic\0", 32).try_into().ok()?;
        let key = [(&b"data key"[..], 32), (b"data salt", 12), (b"control key", 32), (b"control salt", 12)]
            .map(|(info, len)| expand(&traffic, info, len));
        let known = u64::from(u16::from_be_bytes([text[0], text[1]]));
        let window = u16::from_be_bytes([text[2], text[3]]);
        Some(Guest { key, window, sequence: 0, counter: 0, known })
    }
}

/// 8: a ping whose sender has no verdict on anything yet.
pub fn ping(id: u8) -> [u8; 15] {
    [1, 0, 12, 0, 0, 0, id, 0, 0, 0, 0, 0, 0, 0, 0]
}

impl Guest {
    /// 6.1 to 6.4: a packet with any ack, ack form, ack bytes and body. Type 0 data, 1 report, 2 ack, 3 control.
    pub fn packet(&mut self, kind: u8, ack: u64, form: u8, ack_bytes: &[u8], body: &[u8]) -> Vec<u8> {
        let (bits, len) = match self.window {
            0..=128 => (9, 3),
            129..=2_048 => (13, 4),
            _ => (17, 5),
        };
        let is_control = kind >= 2;
        if is_control {
            self.counter += 1;
        } else {
            self.sequence += 1;
        }
        let mask = (1u64 << bits) - 1;
        let number = (((4 | u64::from(kind)) << bits | self.sequence & mask) << bits | ack & mask) << 3
            | u64::from(form);
        let mut header = number.to_be_bytes()[8 - len..].to_vec();
        if is_control {
            header.extend((self.counter as u16).to_be_bytes());
        }
        let ad = [&header[..], &self.sequence.to_be_bytes(), &ack.to_be_bytes()].concat();
        let (domain, counter, key, salt) = if is_control {
            (2u32, self.counter, &self.key[2], &self.key[3])
        } else {
            (1, self.sequence, &self.key[0], &self.key[1])
        };
        let plain: Vec<u8> = domain.to_be_bytes().into_iter().chain(counter.to_be_bytes()).collect();
        let mut nonce = [0; 12];
        for (at, byte) in nonce.iter_mut().enumerate() {
            *byte = salt[at] ^ plain[at];
        }
        let sealed = seal(key.as_slice().try_into().unwrap(), nonce, &ad, &[ack_bytes, body].concat());
        [header, sealed].concat()
    }

    /// A data packet with an honest, empty report.
    pub fn data(&mut self, body: &[u8]) -> Vec<u8> {
        self.packet(0, self.known, 0, &[], body)
    }

    /// A control packet with an honest, empty report.
    pub fn control(&mut self, messages: &[u8]) -> Vec<u8> {
        self.packet(3, self.known, 0, &[], messages)
    }

    /// A control packet with a ping.
    pub fn ping(&mut self) -> Vec<u8> {
        self.control(&ping(7))
    }
}

/// A host, with one epoch for ever.
pub struct Host {
    key_pair: torque_proto::KeyPair,
    dh_secret: [u8; 32],
    pub epoch_secret: [u8; 32],
    /// Usually that of the secret.
    pub epoch_key: [u8; 32],
}

/// A connect_request that the host has opened.
pub struct Opened {
    ck: [u8; 32],
    h: [u8; 32],
    nonce: [u8; 16],
    pub payload: Vec<u8>,
    /// The initiator's identity in its X25519 form.
    pub initiator: [u8; 32],
}

impl Host {
    pub fn new(seed: [u8; 32]) -> Self {
        let hash = Sha512::digest(seed);
        let epoch_secret = [0x42; 32];
        Self {
            key_pair: torque_proto::KeyPair::from_seed(seed),
            dh_secret: hash[..32].try_into().unwrap(),
            epoch_secret,
            epoch_key: dh_public(epoch_secret),
        }
    }

    /// 4.2, with any token: only the host reads it.
    pub fn challenge_response(&self, request: &[u8], difficulty: u8, data: &[u8]) -> Vec<u8> {
        let epoch_start = 1_800_000_000_000u64.to_be_bytes();
        let signed =
            [b"TorqueSocket epoch v1", &[1, 1][..], &epoch_start, &self.epoch_key, &sha256(&[data])].concat();
        let mut bytes = vec![2, 1];
        bytes.extend(&request[10..26]);
        bytes.extend(epoch_start);
        bytes.extend(self.epoch_key);
        bytes.extend(self.key_pair.sign(&signed));
        bytes.extend([0x17; 16]);
        bytes.extend([difficulty, 2, 1]);
        bytes.extend(self.key_pair.public().as_bytes());
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
        bytes
    }

    /// Opens a connect_request that answers `response` and carries those `offers`.
    pub fn open(&self, response: &[u8], request: &[u8]) -> Option<Opened> {
        let (body, x) = request.split_last_chunk::<8>()?;
        if leading_zeros(&sha256(&[&sha256(&[body]), x])) < u32::from(response[138]) {
            return None;
        }
        let nonce: [u8; 16] = request[2..18].try_into().ok()?;
        let mut prologue = b"TorqueSocket v1".to_vec();
        prologue.extend([1, 0]);
        prologue.extend(nonce);
        prologue.extend(&request[40..44]);
        prologue.extend(&response[18..173]);
        prologue.extend(sha256(&[&response[175..]]));
        prologue.extend(&request[44..52]);
        let mut h = *b"Noise_IX_25519_ChaChaPoly_SHA256";
        let mut ck = h;
        for part in [&prologue[..], &self.epoch_key, &dh_public(self.dh_secret), &[], &body[52..84]] {
            h = sha256(&[&h, part]);
        }
        let e: [u8; 32] = body[52..84].try_into().ok()?;
        (ck, _) = hkdf2(&ck, &dh(self.epoch_secret, e));
        let (next, key) = hkdf2(&ck, &dh(self.dh_secret, e));
        ck = next;
        let initiator: [u8; 32] = open(&key, [0; 12], &h, &body[84..132])?.try_into().ok()?;
        h = sha256(&[&h, &body[84..132]]);
        let (next, key) = hkdf2(&ck, &dh(self.epoch_secret, initiator));
        ck = next;
        let payload = open(&key, [0; 12], &h, &body[132..])?;
        h = sha256(&[&h, &body[132..]]);
        Some(Opened { ck, h, nonce, payload, initiator })
    }
}

impl Opened {
    /// 4.4 to 4.6: an accept (4), refusal (5) or pending (6) with any text.
    pub fn reply(&self, kind: u8, text: &[u8]) -> Vec<u8> {
        let salt = [0x5a; 16];
        let label: &[u8] = match kind {
            4 => b"TorqueSocket accept",
            5 => b"TorqueSocket refuse",
            _ => b"TorqueSocket pending",
        };
        let prk = hmac(&[&salt[..], &self.h].concat(), &[&self.ck]);
        let key: [u8; 32] = expand(&prk, label, 32).try_into().unwrap();
        let mut bytes = vec![kind];
        bytes.extend(self.nonce);
        bytes.extend(salt);
        let sealed = seal(&key, [0; 12], &bytes, text);
        bytes.extend(sealed);
        bytes
    }

    /// 4.4, with any settings.
    pub fn accept(&self, settings: [u8; 8], data: &[u8]) -> Vec<u8> {
        let mut text = vec![0, 9];
        text.extend(settings);
        text.extend([0x33; 8 + 16]);
        text.extend((data.len() as u16).to_be_bytes());
        text.extend(data);
        self.reply(4, &text)
    }
}
