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

pub fn dh(secret: [u8; 32], public: [u8; 32]) -> [u8; 32] {
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

    /// Somebody's, of whom the public key alone is known.
    pub fn of(key: &torque_proto::PublicKey) -> Self {
        Self { secret: [0; 32], public: to_x25519(key.as_bytes()), sign: key.as_bytes()[31] >> 7 }
    }
}

pub fn to_x25519(key: &[u8; 32]) -> [u8; 32] {
    curve25519_dalek::edwards::CompressedEdwardsY(*key).decompress().unwrap().to_montgomery().0
}

/// 3.3: the secret of a host's answers.
pub fn first_secret(salt: &[u8], h: &[u8; 32], ck: &[u8; 32]) -> [u8; 32] {
    hmac(&[salt, h].concat(), &[ck])
}

/// 3.3: the secret of the connection, from DH(e, E2) and DH(s, E2).
pub fn second_secret(prk0: &[u8; 32], e2: &[u8], with_e: &[u8; 32], with_s: &[u8; 32]) -> [u8; 32] {
    hmac(e2, &[&expand(prk0, b"TorqueSocket second", 32), with_e, with_s])
}

/// 4.4: the text of a connect_accept.
pub fn open_accept(prk: &[u8; 32], accept: &[u8]) -> Option<Vec<u8>> {
    let key: [u8; 32] = expand(prk, b"TorqueSocket accept", 32).try_into().ok()?;
    open(&key, [0; 12], accept.get(..65)?, &accept[65..])
}

/// The traffic secret of generation 0. `d` is 0 for what the initiator sends, 1 for the host.
pub fn traffic(prk: &[u8; 32], d: u8) -> [u8; 32] {
    expand(prk, &[b"TorqueSocket traffic", &[d][..]].concat(), 32).try_into().unwrap()
}

/// Opens a recorded data packet of a connection with a window of 128. The full numbers are tried.
pub fn open_data(traffic: &[u8; 32], packet: &[u8]) -> Option<Vec<u8>> {
    let key: [u8; 32] = expand(traffic, b"data key", 32).try_into().ok()?;
    let salt = expand(traffic, b"data salt", 12);
    let (header, sealed) = packet.split_first_chunk::<3>()?;
    let [a, b, c] = header.map(u64::from);
    let number = a << 16 | b << 8 | c;
    let all = |low: u64| (0..10).map(move |high| high << 9 | low & 0x1ff);
    let numbers = all(number >> 12).flat_map(|sequence| all(number >> 3).map(move |ack| (sequence, ack)));
    numbers.into_iter().find_map(|(sequence, ack)| {
        let ad = [&header[..], &sequence.to_be_bytes(), &ack.to_be_bytes()].concat();
        open(&key, nonce(&salt, 1, sequence), &ad, sealed)
    })
}

/// 3.3.
fn nonce(salt: &[u8], domain: u32, counter: u64) -> [u8; 12] {
    let plain: Vec<u8> = domain.to_be_bytes().into_iter().chain(counter.to_be_bytes()).collect();
    std::array::from_fn(|at| salt[at] ^ plain[at])
}

/// An attempt whose connect_request is made.
pub struct Requested {
    pub bytes: Vec<u8>,
    ck: [u8; 32],
    h: [u8; 32],
    nonce: [u8; 16],
    ephemeral: [u8; 32],
    identity: [u8; 32],
    pub window: u16,
}

/// 4.3, for a challenge_response and any payload.
pub fn connect_request(response: &[u8], ephemeral: [u8; 32], identity: Identity, window: u16) -> Requested {
    connect_request_with(response, ephemeral, identity, &request_payload(identity, window))
}

fn request_payload(identity: Identity, window: u16) -> Vec<u8> {
    let mut payload = vec![0, 0];
    payload.extend(window.to_be_bytes());
    payload.extend([16, 0, 0, 50, 0x04, 0x7e, identity.sign, 0, 0]);
    payload
}

pub fn connect_request_with(
    response: &[u8],
    ephemeral: [u8; 32],
    identity: Identity,
    payload: &[u8],
) -> Requested {
    let epoch_key: [u8; 32] = response[26..58].try_into().unwrap();
    let es = dh(identity.secret, epoch_key);
    request_from(response, ephemeral, identity, es, payload)
}

/// A request in somebody's name, made with the epoch's private key in place of theirs.
pub fn forged_request(
    response: &[u8],
    ephemeral: [u8; 32],
    somebody: Identity,
    epoch: [u8; 32],
) -> Requested {
    let es = dh(epoch, somebody.public);
    request_from(response, ephemeral, somebody, es, &request_payload(somebody, 128))
}

fn request_from(
    response: &[u8],
    ephemeral: [u8; 32],
    identity: Identity,
    es: [u8; 32],
    payload: &[u8],
) -> Requested {
    let nonce: [u8; 16] = response[2..18].try_into().unwrap();
    let epoch_key: [u8; 32] = response[26..58].try_into().unwrap();
    let host: [u8; 32] = response[141..173].try_into().unwrap();
    let host_dh = to_x25519(&host);
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
    let (next, key) = hkdf2(&ck, &es);
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
    Requested { bytes, ck, h, nonce, ephemeral, identity: identity.secret, window }
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
        let e2 = accept.get(33..65)?;
        let [e, s] = [self.ephemeral, self.identity].map(|secret| dh(secret, e2.try_into().unwrap()));
        Guest::new(&second_secret(&self.first_secret(accept)?, e2, &e, &s), accept)
    }

    /// The secret of the host's answers, if this is one to this request.
    pub fn first_secret(&self, answer: &[u8]) -> Option<[u8; 32]> {
        let is_mine = answer.get(1..17)? == self.nonce;
        is_mine.then(|| first_secret(&answer[17..33], &self.h, &self.ck))
    }
}

impl Guest {
    /// With the connection's secret, if it opens the connect_accept.
    pub fn new(prk: &[u8; 32], accept: &[u8]) -> Option<Self> {
        if accept.first() != Some(&4) {
            return None;
        }
        let text = open_accept(prk, accept)?;
        let traffic = traffic(prk, 0);
        let key = [(&b"data key"[..], 32), (b"data salt", 12), (b"control key", 32), (b"control salt", 12)]
            .map(|(info, len)| expand(&traffic, info, len));
        let known = u64::from(u16::from_be_bytes([text[0], text[1]]));
        let window = u16::from_be_bytes([text[2], text[3]]);
        Some(Self { key, window, sequence: 0, counter: 0, known })
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
        let nonce = nonce(salt, domain, counter);
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
    pub dh_secret: [u8; 32],
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
    /// The initiator's ephemeral key.
    pub e: [u8; 32],
    /// The initiator's identity in its X25519 form.
    pub initiator: [u8; 32],
}

/// The private key of the hand-written host's E2.
const E2_SECRET: [u8; 32] = [0x6e; 32];

impl Host {
    pub fn new(seed: [u8; 32]) -> Self {
        Self::with_epoch(seed, [0x42; 32])
    }

    pub fn with_epoch(seed: [u8; 32], epoch_secret: [u8; 32]) -> Self {
        let hash = Sha512::digest(seed);
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
        Some(Opened { ck, h, nonce, payload, e, initiator })
    }
}

impl Opened {
    /// The secret of the answers that have the salt of this one.
    pub fn first_secret(&self, answer: &[u8]) -> [u8; 32] {
        first_secret(&answer[17..33], &self.h, &self.ck)
    }

    /// 4.4 to 4.6: an accept (4), refusal (5) or pending (6) with any text.
    pub fn reply(&self, kind: u8, text: &[u8]) -> Vec<u8> {
        let salt = [0x5a; 16];
        let label: &[u8] = match kind {
            4 => b"TorqueSocket accept",
            5 => b"TorqueSocket refuse",
            _ => b"TorqueSocket pending",
        };
        let mut bytes = vec![kind];
        bytes.extend(self.nonce);
        bytes.extend(salt);
        let mut prk = self.first_secret(&bytes);
        if kind == 4 {
            let e2 = dh_public(E2_SECRET);
            bytes.extend(e2);
            prk = second_secret(&prk, &e2, &dh(E2_SECRET, self.e), &dh(E2_SECRET, self.initiator));
        }
        let key: [u8; 32] = expand(&prk, label, 32).try_into().unwrap();
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
