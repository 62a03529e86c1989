//! What the module exports, in numbers. `js/src/engine/core.ts` is the other half.
//!
//! Two things here are unsafe. Names are exported as they are: each is unique in this crate, which nothing else is linked
//! with, and none is one that the compiler's libraries use. And the instance is a plain `static`, as the module has one
//! thread. No pointer is followed; those that are returned are for the caller's view of this module's memory.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use torque_netem::LinkConfig;

#[cfg(feature = "introductions")]
use crate::introductions::{Introduced, Limits};
use crate::{Core, duration, text};

/// Longer datagrams exist on no carrier.
const SCRATCH_BYTES: usize = 65_536;

/// The instance's socket, and what is handed in and out.
struct Instance {
    core: Option<Core>,
    scratch: Box<[u8]>,
    /// A text or bytes for the caller: a result, or what went wrong.
    out: Vec<u8>,
    transmit: usize,
}

impl Instance {
    fn new() -> Self {
        let scratch = vec![0; SCRATCH_BYTES].into_boxed_slice();
        Self { core: None, scratch, out: Vec::new(), transmit: 0 }
    }
}

/// Made at the first call and never freed: there is one for each instance of the module.
#[cfg(target_family = "wasm")]
struct Only(core::cell::OnceCell<RefCell<Instance>>);

// SAFETY: the module is built without threads (no `atomics`, no shared memory): whatever runs, runs in one thread.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
unsafe impl Sync for Only {}

#[cfg(target_family = "wasm")]
static INSTANCE: Only = Only(core::cell::OnceCell::new());

#[cfg(not(target_family = "wasm"))]
std::thread_local! {
    static INSTANCE: RefCell<Instance> = RefCell::new(Instance::new());
}

/// What a call answers when there is no socket yet, or a length is longer than the scratch: a fault of `core.ts`.
const NO_CORE: &str = "internal: no socket was begun";
const TOO_LONG: &str = "too_large: more than the scratch holds";

impl Instance {
    /// The core, and the strings of these lengths in the scratch, one after another.
    fn parts<const N: usize>(&mut self, lengths: [usize; N]) -> Result<(&mut Core, [&mut [u8]; N]), String> {
        let core = self.core.as_mut().ok_or(NO_CORE)?;
        let mut rest = &mut self.scratch[..];
        let mut parts: [&mut [u8]; N] = [(); N].map(|()| Default::default());
        for (part, length) in parts.iter_mut().zip(lengths) {
            (*part, rest) = rest.split_at_mut_checked(length).ok_or(TOO_LONG)?;
        }
        Ok((core, parts))
    }

    /// Keeps a text or bytes for the caller and tells their length; -1 for an error, whose text is kept.
    fn give(&mut self, result: Result<impl Into<Vec<u8>>, String>) -> i32 {
        match result {
            Ok(value) => {
                self.out = value.into();
                self.out.len() as i32
            }
            Err(error) => {
                self.out = error.into_bytes();
                -1
            }
        }
    }

    /// The result of a call; -1 for an error, whose text is kept.
    fn tell(&mut self, result: Result<f64, String>) -> f64 {
        result.unwrap_or_else(|error| {
            self.out = error.into_bytes();
            -1.0
        })
    }
}

fn with<T>(act: impl FnOnce(&mut Instance) -> T) -> T {
    #[cfg(target_family = "wasm")]
    return act(&mut INSTANCE.0.get_or_init(|| RefCell::new(Instance::new())).borrow_mut());
    #[cfg(not(target_family = "wasm"))]
    INSTANCE.with(|instance| act(&mut instance.borrow_mut()))
}

fn with_core<T>(otherwise: T, act: impl FnOnce(&mut Core) -> T) -> T {
    with(|instance| instance.core.as_mut().map_or(otherwise, act))
}

/// A text in the scratch.
fn utf8(bytes: &[u8]) -> Result<&str, String> {
    core::str::from_utf8(bytes).map_err(|_| "invalid_argument: not UTF-8".to_owned())
}

/// Gives what `make` makes of the first `length` bytes of the scratch.
fn convert<T: Into<Vec<u8>>>(length: usize, make: impl FnOnce(&[u8]) -> Result<T, String>) -> i32 {
    with(|instance| {
        let made = instance.scratch.get(..length).ok_or_else(|| TOO_LONG.to_owned()).and_then(make);
        instance.give(made)
    })
}

macro_rules! export {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $(-> $result:ty)? $body:block)*) => {
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            pub extern "C" fn $name($($argument: $kind),*) $(-> $result)? $body
        )*
    };
}

export! {
    /// Where the caller writes what it hands in.
    fn scratch() -> *const u8 { with(|instance| instance.scratch.as_ptr()) }

    /// How many bytes fit there.
    fn scratch_size() -> usize { SCRATCH_BYTES }

    /// Where the last text or bytes lie that a call gave.
    fn out() -> *const u8 { with(|instance| instance.out.as_ptr()) }

    /// How many bytes there are.
    fn out_length() -> usize { with(|instance| instance.out.len()) }

    /// Begins the socket. Scratch: a seed of 32 bytes, options.
    fn begin(options: usize, unix_millis: f64, now: f64) -> f64 {
        with(|instance| {
            let begun = instance.scratch.split_first_chunk::<32>().ok_or(TOO_LONG.to_owned()).and_then(|(seed, rest)| {
                let options = utf8(rest.get(..options).ok_or(TOO_LONG)?)?;
                Core::new(options, *seed, unix_millis, now)
            });
            // The seed is every key that the socket will make.
            instance.scratch[..32].fill(0);
            let begun = begun.map(|core| {
                instance.core = Some(core);
                0.0
            });
            instance.tell(begun)
        })
    }

    /// This socket's public key, as text.
    fn public_key() -> i32 {
        with(|instance| {
            let key = instance.parts([]).map(|(core, [])| core.public_key());
            instance.give(key)
        })
    }

    /// Changes the identity. Scratch: the secret text.
    fn set_key_pair(length: usize) -> f64 {
        with(|instance| {
            let done = instance.parts([length]).and_then(|(core, [text])| core.set_key_pair(utf8(text)?));
            instance.scratch[..length.min(SCRATCH_BYTES)].fill(0);
            instance.tell(done.map(|()| 0.0))
        })
    }

    /// Scratch: the data.
    fn set_challenge_response(length: usize) -> f64 {
        with(|instance| {
            let done = instance.parts([length]).and_then(|(core, [data])| core.set_challenge_response(data));
            instance.tell(done.map(|()| 0.0))
        })
    }

    /// A preset's place in the list, and changes to it: milliseconds of delay and jitter, and probabilities from 0 to 1. What
    /// is not a number stays as the preset has it.
    fn set_simulated_link(
        preset: usize,
        delay: f64,
        jitter: f64,
        loss: f64,
        reorder: f64,
        duplicate: f64,
        seed: f64,
    ) {
        let mut config = LinkConfig::PRESETS.get(preset).map_or(LinkConfig::perfect(), |(_, config)| *config);
        let times = [(&mut config.delay, delay), (&mut config.jitter, jitter)];
        times.into_iter().filter(|(_, time)| !time.is_nan()).for_each(|(to, time)| *to = duration(time));
        let shares = [
            (&mut config.loss, loss),
            (&mut config.reorder, reorder),
            (&mut config.duplicate, duplicate),
        ];
        shares.into_iter().filter(|(_, share)| !share.is_nan()).for_each(|(to, share)| *to = share);
        with_core((), |core| core.set_simulated_link(config, seed as u64));
    }

    /// A datagram has come; by the wall clock it is `unix_millis`. Scratch: the remote, the local IP address or nothing, the
    /// datagram.
    fn receive(now: f64, unix_millis: f64, remote: usize, local: usize, length: usize) {
        with(|instance| {
            if let Ok((core, [remote, local, bytes])) = instance.parts([remote, local, length]) {
                core.receive(now, unix_millis, (remote, local), bytes);
            }
        });
    }

    /// Runs what is due.
    fn run(now: f64) { with_core((), |core| core.run(now)); }

    /// When to run next; infinity for never.
    fn deadline() -> f64 { with_core(f64::INFINITY, |core| core.deadline()) }

    /// The connection's number. Scratch: remotes, a line each, settings, trust, connect_data, origin token.
    fn connect(now: f64, remotes: usize, settings: usize, trust: usize, data: usize, token: usize) -> f64 {
        with(|instance| {
            let parts = instance.parts([remotes, settings, trust, data, token]);
            let id = parts.and_then(|(core, [remotes, settings, trust, data, token])| {
                core.connect(now, utf8(remotes)?, (utf8(settings)?, utf8(trust)?), data, token)
            });
            instance.tell(id.map(f64::from))
        })
    }

    /// Scratch: an origin token, or nothing.
    fn accept_challenge(now: f64, connection: u32, token: usize) -> f64 {
        with(|instance| {
            let done = instance.parts([token]).and_then(|(core, [token])| core.accept_challenge(now, connection, token));
            instance.tell(done.map(|()| 0.0))
        })
    }

    /// Scratch: accept_data.
    fn accept_connection(now: f64, connection: u32, length: usize) -> f64 {
        with(|instance| {
            let done = instance.parts([length]).and_then(|(core, [data])| core.accept_connection(now, connection, data));
            instance.tell(done.map(|()| 0.0))
        })
    }

    /// Refuses a request. Scratch: the reason.
    fn refuse(now: f64, connection: u32, length: usize) -> f64 {
        with(|instance| {
            let done = instance.parts([length]).and_then(|(core, [reason])| core.refuse(now, connection, reason));
            instance.tell(done.map(|()| 0.0))
        })
    }

    /// Scratch: the reason.
    fn close(now: f64, connection: u32, length: usize) -> f64 {
        with(|instance| {
            let done = instance.parts([length]).and_then(|(core, [reason])| core.close(now, connection, reason));
            instance.tell(done.map(|()| 0.0))
        })
    }

    /// Drops a request without an answer.
    fn ignore(connection: u32) -> f64 {
        with(|instance| {
            let done = instance.parts([]).and_then(|(core, [])| core.ignore(connection));
            instance.tell(done.map(|()| 0.0))
        })
    }

    /// Closes every connection.
    fn close_all(now: f64) { with_core((), |core| core.close_all(now)); }

    /// The packet's sequence. Scratch: the payload.
    fn send(now: f64, connection: u32, length: usize) -> f64 {
        with(|instance| {
            let sent = instance.parts([length]).and_then(|(core, [payload])| core.send(now, connection, payload));
            instance.tell(sent)
        })
    }

    /// Scratch: the remote, the datagram.
    fn send_info(remote: usize, length: usize) -> f64 {
        with(|instance| {
            let parts = instance.parts([remote, length]);
            let sent = parts.and_then(|(core, [remote, payload])| core.send_info(utf8(remote)?, payload));
            instance.tell(sent.map(|()| 0.0))
        })
    }

    /// The largest payload that a connection takes; 0 if it is not established.
    fn max_packet_size(connection: u32) -> usize { with_core(0, |core| core.max_packet_size(connection)) }

    /// The application has taken so many packets.
    fn release_packets(connection: u32, count: usize) {
        with_core((), |core| core.release_packets(connection, count));
    }

    /// Goes to the next datagram to send and tells its length; 0 if there is none.
    fn next_transmit(now: f64) -> usize {
        with(|instance| {
            let Some(bytes) = instance.core.as_mut().and_then(|core| core.next_transmit(now)) else { return 0 };
            instance.transmit = bytes.as_ptr() as usize;
            bytes.len()
        })
    }

    /// Where that datagram lies.
    fn transmit_pointer() -> usize { with(|instance| instance.transmit) }

    /// Where it goes and from where, as `Core::transmit_path` says; nothing if that is as it was.
    fn transmit_path() -> i32 {
        with(|instance| {
            let path = instance.parts([]).map(|(core, [])| core.transmit_path());
            instance.give(path)
        })
    }

    /// Goes to the next event and tells its kind; 0 if there is none.
    fn next_event() -> u32 { with_core(0, |core| u32::from(core.next_event())) }

    /// The event's connection.
    fn event_connection() -> u32 { with_core(0, |core| core.numbers.connection) }

    /// The sequence of a packet or verdict.
    fn event_sequence() -> f64 { with_core(0.0, |core| core.numbers.sequence) }

    /// A verdict: 0 dropped, 1 delivered, 2 unknown.
    fn event_delivery() -> u32 { with_core(0, |core| u32::from(core.numbers.delivery)) }

    /// Where the event's bytes lie.
    fn event_pointer() -> usize { with_core(0, |core| core.event_bytes().as_ptr() as usize) }

    /// How many there are.
    fn event_length() -> usize { with_core(0, |core| core.event_bytes().len()) }

    /// The other side's address.
    fn event_remote() -> i32 {
        with(|instance| {
            let text = instance.parts([]).map(|(core, [])| core.event_remote());
            instance.give(text)
        })
    }

    /// Bits of puzzle of a challenge.
    fn event_difficulty() -> u32 { with_core(0, |core| u32::from(core.numbers.difficulty)) }

    /// Who ended a connection: 0 this application, 1 the other side, 2 this socket.
    fn event_closed_by() -> u32 { with_core(2, |core| u32::from(core.numbers.closed_by)) }

    /// The connection whose place an established one takes; 0 if there is none.
    fn event_replaces() -> u32 { with_core(0, |core| core.numbers.replaces) }

    /// The packet window of an establishment.
    fn event_window() -> u32 { with_core(0, |core| u32::from(core.numbers.window)) }

    /// The other side's public key.
    fn event_public_key() -> i32 {
        with(|instance| {
            let text = instance.parts([]).map(|(core, [])| core.event_public_key());
            instance.give(text)
        })
    }

    /// Cipher, origin, settings or code, as `Core::event_text` says.
    fn event_text() -> i32 {
        with(|instance| {
            let text = instance.parts([]).map(|(core, [])| core.event_text());
            instance.give(text)
        })
    }

    /// Counters of the whole socket, as JSON.
    fn stats() -> i32 {
        with(|instance| {
            let text = instance.parts([]).map(|(core, [])| core.stats());
            instance.give(text)
        })
    }

    /// Figures of a connection, as JSON; nothing if it is not established.
    fn connection_stats(connection: u32) -> i32 {
        with(|instance| {
            let text = instance.parts([]).map(|(core, [])| core.connection_stats(connection));
            instance.give(text)
        })
    }

    /// A URL's parts, a line each: host, port, key. Scratch: the URL.
    fn parse_url(length: usize) -> i32 { convert(length, |bytes| text::parse_url(utf8(bytes)?)) }

    /// A secret text. Scratch: 32 bytes.
    fn key_pair_from_seed(length: usize) -> i32 { convert(length, text::key_pair_from_seed) }

    /// A public key's text. Scratch: a secret text.
    fn public_key_of(length: usize) -> i32 { convert(length, |bytes| text::public_key_of(utf8(bytes)?)) }

    /// A public key's 32 bytes. Scratch: its text.
    fn public_key_bytes(length: usize) -> i32 { convert(length, |bytes| text::public_key_bytes(utf8(bytes)?)) }

    /// A public key's text. Scratch: its 32 bytes.
    fn public_key_text(length: usize) -> i32 { convert(length, text::public_key_text) }
}

// What only the module with introductions has.
#[cfg(feature = "introductions")]
export! {
    /// The number of the connection to come. Scratch: settings, trust, data. `relay` is 0 for never, 1 for a fallback, 2 for at once.
    fn connect_introduced(
        now: f64,
        introducer: u32,
        remote: u32,
        is_host: u32,
        relay: u32,
        direct: u32,
        settings: usize,
        trust: usize,
        data: usize,
    ) -> f64 {
        with(|instance| {
            let id = instance.parts([settings, trust, data]).and_then(|(core, [settings, trust, data])| {
                let (settings, trust) = (utf8(settings)?, utf8(trust)?);
                let wishes = Introduced { is_host: is_host != 0, relay, direct: direct != 0, settings, trust, data };
                core.connect_introduced(now, introducer, remote, &wishes)
            });
            instance.tell(id.map(f64::from))
        })
    }

    /// The introduction's id. Of a circuit's limits, those that are not numbers are as usual.
    fn introduce(
        now: f64,
        initiator: u32,
        host: u32,
        relays: u32,
        bytes_per_second: f64,
        datagrams_per_second: f64,
        bytes: f64,
        lifetime: f64,
    ) -> i32 {
        with(|instance| {
            let limits = Limits { bytes_per_second, datagrams_per_second, bytes, lifetime };
            let relay = (relays != 0).then_some(limits);
            let id = instance.parts([]).and_then(|(core, [])| core.introduce(now, initiator, host, relay));
            instance.give(id)
        })
    }

    /// Refuses to introduce the two.
    fn refuse_introduction(now: f64, from: u32, to: u32) -> f64 {
        with(|instance| {
            let done = instance.parts([]).and_then(|(core, [])| core.refuse_introduction(now, from, to));
            instance.tell(done.map(|()| 0.0))
        })
    }

    /// Scratch: addresses of this machine, a line each.
    fn set_own_addresses(now: f64, length: usize) -> f64 {
        with(|instance| {
            let done = instance.parts([length]).and_then(|(core, [lines])| core.set_own_addresses(now, utf8(lines)?));
            instance.tell(done.map(|()| 0.0))
        })
    }

    /// The machine's network has changed.
    fn network_changed(now: f64) { with_core((), |core| core.network_changed(now)); }

    /// How many routers the datagram passes at most; 0 if that is not limited.
    fn transmit_hop_limit() -> u32 { with_core(0, |core| u32::from(core.transmit_hop_limit())) }

    /// The other party of an introduction.
    fn event_other() -> u32 { with_core(0, |core| core.numbers.other) }

    /// Whether the party that asks wants to be host.
    fn event_is_host() -> u32 { with_core(0, |core| u32::from(core.numbers.is_host)) }

    /// What became of an introduction: 0 direct, 1 relayed, 2 became direct, 3 never asked, 4 unknown, 255 failed.
    fn event_result() -> u32 { with_core(0, |core| u32::from(core.numbers.result)) }

    /// Who never asked: bit 0 the initiator, bit 1 the host.
    fn event_never_asked() -> u32 { with_core(0, |core| core.event_never_asked()) }

    /// How long the introduction took: milliseconds.
    fn event_took() -> f64 { with_core(0.0, |core| core.event_took()) }

    /// The introduction's id.
    fn event_introduction() -> i32 {
        with(|instance| {
            let text = instance.parts([]).map(|(core, [])| core.event_introduction());
            instance.give(text)
        })
    }

    /// The data that the host gave for the introduction.
    fn event_introduced_data() -> i32 {
        with(|instance| {
            let data = instance.parts([]).map(|(core, [])| core.event_introduced_data().to_vec());
            instance.give(data)
        })
    }
}
