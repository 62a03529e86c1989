use std::boxed::Box;

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};

use super::*;
use crate::crypto::rng::Rng;
use crate::crypto::testing::{array, for_seeds, hex};

/// A published run of the pattern. The host is in the Noise initiator's role.
struct Published {
    prologue: &'static str,
    host_static: &'static str,
    host_ephemeral: &'static str,
    initiator_static: &'static str,
    initiator_ephemeral: &'static str,
    payloads: [&'static str; 3],
    first: &'static str,
    second: &'static str,
    /// The first transport message, from the Noise initiator: it shows that the chaining keys agree.
    third: &'static str,
    handshake_hash: Option<&'static str>,
}

/// From the vector files of cacophony and of snow.
const PUBLISHED: [Published; 2] = [
    Published {
        prologue: "4a6f686e2047616c74",
        host_static: "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
        host_ephemeral: "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
        initiator_static: "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
        initiator_ephemeral: "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
        payloads: [
            "4c756477696720766f6e204d69736573",
            "4d757272617920526f746862617264",
            "462e20412e20486179656b",
        ],
        first: "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79446bc3822a2aa7f4e6981d6538692b3cdf3e6df9eea6ed269eb41d93c22757b75a4c756477696720766f6e204d69736573",
        second: "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843db451ba0cc81ba55f01e5aeb04e3748f337344ed2a494219a3fae8ef756f95054f06f10bbe3e8a27bdf263fc314e16c300bf822646c34d35641d9635ea993c4694966ab721281c5093bc5d3831bf0a",
        third: "90a3ae2a6f1c0f3c2b7a81c5ddfb3a068376a18b9267745459497b",
        handshake_hash: Some("c95696b7e335ad2ef3b5a35cb407b40c6376ee4f39c4619ffa37929b6dd8026d"),
    },
    Published {
        prologue: "5468657265206973206e6f20726967687420616e642077726f6e672e2054686572652773206f6e6c792066756e20616e6420626f72696e672e",
        host_static: "f12022590afbbc52d99a4d7f9eac52452c7101e1286867baa727163a7322373a",
        host_ephemeral: "c7d21a2da9a8d25a10f5379fb03bcf3886fdb9a3d6b9283d75e9f3b600d000dd",
        initiator_static: "1b044cf23f50795a50911a28382a1eb0b8b61e5dabfcbfdff5b5622247f24f3e",
        initiator_ephemeral: "e0f43cdf10cd9615f7b70e93f6611fe2e399cb604edd0f35e7116911479d6efd",
        payloads: [
            "a9d8774a70ea64456cee4ccc1d11601bb24f1c6e5c09ab1774b92258529f87e3",
            "00b283c966449c3aed705bb29e1f20bf774c9e6825c6fccab6dd296bf3f1d35d",
            "2ffe43b630fa486393cb7c8bc05cbb2e6effe73e07e1184691645465123ca8d3",
        ],
        first: "b7cde2892331ec82fadbaeb2cac11f61c9694f24126c3cb5dec6cb81bc86247ca4670e2ae128b702566b85c26888c769ec5a23fec874c6b324c883073f97e849a9d8774a70ea64456cee4ccc1d11601bb24f1c6e5c09ab1774b92258529f87e3",
        second: "5223c42a4b7a84cad307ff213052f681b2c5e6c9386580868e12ab2bdff3a050d8a372dd5e664914f67a6ad209493f08a581033bd35f99c2f2c9f3d81be5204a5c0894b778d953e849f52077c3367d0a36b914aa818c85971a7bbc370cc4ef454126df82c5c1aac8bde46312cc1b51151f97e230238829fd4f443af1a1fbfb46",
        third: "b38dcdd0dc8dde68f15d02d469fad281b17572337fc3526e333a0d9a37bd20b667e86e68b1b7aa042788cc3e7c8a279b",
        handshake_hash: None,
    },
];

/// What Noise's initiator sends first after the exchange.
fn first_transport_message(secret: &HandshakeSecret, payload: &[u8]) -> Vec<u8> {
    let mut keys = [0; 64];
    let prk = hash::extract(&[&secret.ck], &[]);
    hash::expand(&prk, &[], &mut keys);
    let mut out = payload.to_vec();
    aead::seal(keys.first_chunk().unwrap(), Nonce::NOISE_FIRST, &[], &mut out, 0);
    out
}

#[test]
fn both_sides_give_the_bytes_of_the_published_vectors() {
    for vector in PUBLISHED {
        let host = DhSecret::from_bytes(array(vector.host_static));
        let epoch = DhSecret::from_bytes(array(vector.host_ephemeral));
        let initiator = DhSecret::from_bytes(array(vector.initiator_static));
        let ephemeral = DhSecret::from_bytes(array(vector.initiator_ephemeral));
        let prologue = hex(vector.prologue);
        let payloads = vector.payloads.map(hex);
        assert_eq!([epoch.public(), host.public(), payloads[0].as_slice()].concat(), hex(vector.first));

        let prior = Prior { prologue: &prologue, psk: None };
        let start = || State::after_first(prior, epoch.public(), host.public(), &payloads[0]);
        let (mut state, mut message) = (start(), Vec::new());
        state
            .write_second(epoch.public(), host.public(), &ephemeral, &initiator, &payloads[1], &mut message)
            .unwrap();
        assert_eq!(message, hex(vector.second));
        let at_initiator = state.finish();

        let mut state = start();
        let (keys, payload) = state.read_second(&epoch, &host, &message).unwrap();
        assert_eq!((keys.s.as_bytes(), &payload), (initiator.public(), &payloads[1]));
        assert_eq!(keys.e.as_bytes(), ephemeral.public());
        let at_host = state.finish();

        for secret in [at_initiator, at_host] {
            assert_eq!(first_transport_message(&secret, &payloads[2]), hex(vector.third));
            if let Some(hash) = vector.handshake_hash {
                assert_eq!(secret.h.to_vec(), hex(hash));
            }
        }
    }
}

fn counting(from: u8) -> [u8; 32] {
    core::array::from_fn(|index| from + index as u8)
}

/// The initiator's message and what follows from it, with secrets that count upwards.
fn counting_exchange(psk: Option<&Psk>) -> (Vec<u8>, HandshakeSecret) {
    let (host, initiator) = (KeyPair::from_seed(counting(0)), KeyPair::from_seed(counting(32)));
    let mut message = Vec::new();
    let initiated = initiate(
        Prior { prologue: b"a prologue", psk },
        DhSecret::from_bytes(counting(64)).public(),
        &host.public().x25519(),
        counting(96),
        &initiator,
        b"the request payload",
        &mut message,
    );
    (message, initiated.unwrap().secret)
}

#[test]
fn the_exchange_is_what_another_program_makes_of_the_document() {
    let (message, secret) = counting_exchange(None);
    let wanted = "675dd574ed7789310b3d2e7681f3790b466c773b1521fecf36577958371ea52f6b57746ffc5a5b6c7602eebd67b2874b18dcf19b4c7799488cbb3007c203f6a772e9bf732573cb09d3fc75b5a808d1f0405691dfe974b08224a1f2bdc5f55ac21da1c253745df51a0b6dfce1265044ba82eca4";
    assert_eq!(message, hex(wanted));
    assert_eq!(secret.ck, array("ddc852fde632538c22a4f5370f89e858904013309a386177e2a77cb8b425024e"));
    assert_eq!(secret.h, array("fb0fe9b860a26fe2981490345bb4df79621118a2cecbcc0e228a69e8dd644b62"));
}

#[test]
fn the_exchange_with_a_psk_is_what_another_program_makes_of_the_document() {
    let (message, secret) = counting_exchange(Some(&Psk(counting(128))));
    let wanted = "675dd574ed7789310b3d2e7681f3790b466c773b1521fecf36577958371ea52f20a0258f936a641f4bc530c5c207a7eaa6d7b8c5e3c2dbad62ff91d9692f46d520198b400d3b50c37c0e552323fd85ffc2dc3dbad3b6c17d260184efdb41b36fe55ed98868b6db617de536b0bddda651fcc025";
    assert_eq!(message, hex(wanted));
    assert_eq!(secret.ck, array("3dfa9c51c830c985897becb31ac54c4cfc8920af503602e3f365b43be542dd60"));
    assert_eq!(secret.h, array("ebc2cfc794cfc5ccbd46894242216509bfb64c74ed6185e17a2f8b72123dcb24"));
}

/// snow's own primitives; its randomness is not needed, as every ephemeral key is given.
struct Resolver;

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        struct NoRandom;
        impl Random for NoRandom {
            fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), snow::Error> {
                Err(snow::Error::Rng)
            }
        }
        Some(Box::new(NoRandom))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// One run's secrets, as both libraries take them.
struct Run {
    psk: Option<Psk>,
    prologue: Vec<u8>,
    payload: Vec<u8>,
    host: KeyPair,
    initiator: KeyPair,
    host_scalar: [u8; 32],
    initiator_scalar: [u8; 32],
    epoch: [u8; 32],
    ephemeral: [u8; 32],
}

impl Run {
    /// A run of IX or of IXpsk2.
    fn new(has_psk: bool, rng: &mut Rng) -> Self {
        let mut bytes = |most: u64| {
            let mut bytes = alloc::vec![0; rng.below(most + 1) as usize];
            rng.fill(&mut bytes);
            bytes
        };
        let (prologue, payload) = (bytes(900), bytes(1_013));
        // RFC 8032 5.1.5: the scalar is the first half of the hash of the seed; X25519 clamps it.
        let scalar = |seed: &[u8; 32]| -> [u8; 32] {
            use sha2::Digest;
            *sha2::Sha512::digest(seed).first_chunk().unwrap()
        };
        let (host_seed, initiator_seed) = (rng.array(), rng.array());
        Self {
            psk: has_psk.then(|| Psk(rng.array())),
            prologue,
            payload,
            host_scalar: scalar(&host_seed),
            initiator_scalar: scalar(&initiator_seed),
            host: KeyPair::from_seed(host_seed),
            initiator: KeyPair::from_seed(initiator_seed),
            epoch: rng.array(),
            ephemeral: rng.array(),
        }
    }

    fn snow(&self, private: &'static str) -> snow::HandshakeState {
        let host = private == "host";
        let (scalar, ephemeral) = match host {
            true => (&self.host_scalar, &self.epoch),
            false => (&self.initiator_scalar, &self.ephemeral),
        };
        let name: &[u8] = if self.psk.is_some() { NAME_WITH_PSK } else { NAME };
        let mut builder = snow::Builder::with_resolver(
            core::str::from_utf8(name).unwrap().parse().unwrap(),
            Box::new(Resolver),
        )
        .prologue(&self.prologue)
        .unwrap()
        .local_private_key(scalar)
        .unwrap()
        .fixed_ephemeral_key_for_testing_only(ephemeral);
        if let Some(Psk(psk)) = &self.psk {
            builder = builder.psk(2, psk).unwrap();
        }
        if host { builder.build_initiator().unwrap() } else { builder.build_responder().unwrap() }
    }

    fn prior(&self) -> Prior<'_> {
        Prior { prologue: &self.prologue, psk: self.psk.as_ref() }
    }

    /// Without a psk the first message is the two public keys; with one, all but the first key is sealed, which our side never sends.
    fn is_first_message(&self, message: &[u8]) -> bool {
        let epoch = DhSecret::from_bytes(self.epoch);
        match self.psk {
            None => message == [*epoch.public(), self.host.public().x25519()].concat(),
            Some(_) => message.starts_with(epoch.public()) && message.len() == 32 + 48 + 16,
        }
    }

    fn initiate(&self, out: &mut Vec<u8>) -> HandshakeSecret {
        let epoch = DhSecret::from_bytes(self.epoch);
        let host = self.host.public().x25519();
        initiate(self.prior(), epoch.public(), &host, self.ephemeral, &self.initiator, &self.payload, out)
            .unwrap()
            .secret
    }
}

#[test]
fn our_initiator_talks_to_snows_host() {
    for_seeds(16, |rng| {
        let run = Run::new(rng.below(2) == 0, rng);
        let mut host = run.snow("host");
        let mut buffer = [0; 2_000];
        let length = host.write_message(&[], &mut buffer).unwrap();
        assert!(run.is_first_message(&buffer[..length]));

        let mut message = Vec::new();
        let secret = run.initiate(&mut message);
        let length = host.read_message(&message, &mut buffer).unwrap();
        assert_eq!(buffer[..length], run.payload);
        assert_eq!(host.get_remote_static().unwrap(), run.initiator.public().x25519());
        assert_eq!(host.get_handshake_hash(), secret.h);
        let length = host.into_transport_mode().unwrap().write_message(b"hello", &mut buffer).unwrap();
        assert_eq!(buffer[..length], first_transport_message(&secret, b"hello"));
    });
}

#[test]
fn snows_initiator_talks_to_our_host() {
    for_seeds(16, |rng| {
        let run = Run::new(rng.below(2) == 0, rng);
        let mut initiator = run.snow("initiator");
        let epoch = DhSecret::from_bytes(run.epoch);
        let mut buffer = [0; 2_000];
        let mut first = [0; 2_000];
        let length = run.snow("host").write_message(&[], &mut first).unwrap();
        assert!(run.is_first_message(&first[..length]));
        assert_eq!(initiator.read_message(&first[..length], &mut buffer).unwrap(), 0);
        let length = initiator.write_message(&run.payload, &mut buffer).unwrap();
        let message = &buffer[..length];
        let mut ours = Vec::new();
        run.initiate(&mut ours);
        assert_eq!(ours, message, "our initiator makes the same bytes");

        let Responded { initiator: keys, payload, secret } =
            respond(run.prior(), &epoch, &run.host, message).unwrap();
        assert_eq!(*keys.s.as_bytes(), run.initiator.public().x25519());
        assert_eq!(payload, run.payload);
        assert_eq!(initiator.get_handshake_hash(), secret.h);
        let sealed = first_transport_message(&secret, b"hello");
        let length = initiator.into_transport_mode().unwrap().read_message(&sealed, &mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"hello");
    });
}

#[test]
fn whatever_differs_between_the_sides_the_host_refuses() {
    for_seeds(4, |rng| {
        let run = Run::new(rng.below(2) == 0, rng);
        let epoch = DhSecret::from_bytes(run.epoch);
        let mut message = Vec::new();
        run.initiate(&mut message);
        assert!(respond(run.prior(), &epoch, &run.host, &message).is_some());

        let mut prologue = run.prologue.clone();
        prologue.push(0);
        assert!(respond(Prior { prologue: &prologue, ..run.prior() }, &epoch, &run.host, &message).is_none());
        let other_psk = Psk(rng.array());
        for psk in [None, Some(&other_psk)] {
            if psk.is_some() || run.psk.is_some() {
                assert!(respond(Prior { psk, ..run.prior() }, &epoch, &run.host, &message).is_none());
            }
        }
        let other = DhSecret::from_bytes(rng.array());
        assert!(respond(run.prior(), &other, &run.host, &message).is_none());
        assert!(respond(run.prior(), &epoch, &run.initiator, &message).is_none());
        for _ in 0..20 {
            let mut changed = message.clone();
            let at = rng.below(message.len() as u64) as usize;
            // The top bit of an X25519 key is ignored by the function, but the transcript covers it.
            changed[at] ^= 1 << rng.below(8);
            assert!(respond(run.prior(), &epoch, &run.host, &changed).is_none(), "byte {at}");
        }
        for length in [0, 31, 32, 79, 80, 95, message.len() - 1] {
            assert!(respond(run.prior(), &epoch, &run.host, &message[..length]).is_none());
        }
    });
}

#[test]
fn a_host_key_that_gives_no_secret_leaves_nothing_behind() {
    for_seeds(2, |rng| {
        let run = Run::new(rng.below(2) == 0, rng);
        let good = *DhSecret::from_bytes(run.epoch).public();
        let host = run.host.public().x25519();
        for (epoch_key, host_key) in [([0; 32], host), (good, [0; 32])] {
            let mut out = b"before".to_vec();
            let secret =
                initiate(run.prior(), &epoch_key, &host_key, run.ephemeral, &run.initiator, b"", &mut out);
            assert!(secret.is_none());
            assert_eq!(out, b"before");
        }
    });
}

#[test]
fn an_initiator_key_that_gives_no_secret_is_refused() {
    for_seeds(2, |rng| {
        let run = Run::new(rng.below(2) == 0, rng);
        let epoch = DhSecret::from_bytes(run.epoch);
        let mut message = Vec::new();
        run.initiate(&mut message);
        message[..32].fill(0);
        assert!(respond(run.prior(), &epoch, &run.host, &message).is_none());
    });
}
