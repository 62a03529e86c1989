//! The options of a core: lines of `name=value`. An option that is not named keeps its default (API.md 8).
//!
//! | name | value |
//! | --- | --- |
//! | `application_id` | at most 32 bytes of text that both programs must share |
//! | `key_pair` | the identity, `ts1…`; without one a pair is generated |
//! | `settings` | wishes for every connection: `window=128;tag=8;ack_delay=50;max_packet=1150` |
//! | `ciphers` | ciphers to offer and allow, the best first, separated by commas |
//! | `accept_incoming` | `true` or `false` |
//! | `sole_identity` | whether no other socket has this identity (PATHS.md 8) |
//! | `trusted_gateway` | a gateway whose word on origins is believed; may come again (GATEWAY.md 5) |
//! | `allowed_origin` | an origin whose pages may connect; may come again |
//! | `allow_native` | whether requests without an origin are admitted beside those of allowed origins |
//! | `ping_interval` | milliseconds of silence before a ping |
//! | `busy_ping_interval` | the same while a packet has no verdict |
//! | `ping_limit` | how many pings in a row may stay unanswered |
//! | `close_wait` | the longest wait for the last reports, in milliseconds |
//! | `difficulty_min`, `difficulty_max`, `difficulty_limit` | bits of puzzle: asked at least, at most; solved at most |
//! | `introduction.…` | the figures of `IntroductionConfig` by their names, times in milliseconds, in the module that has introductions |

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use torque_proto::{Cipher, Config, PublicKey, Setup};
#[cfg(feature = "introductions")]
use torque_proto::{HardNat, IntroductionConfig};

use crate::{duration, read, read_key_pair};

/// Reads the lines.
pub(crate) fn setup(text: &str, seed: [u8; 32], unix_millis: u64) -> Result<Setup, String> {
    let mut config = Config::default();
    let mut key_pair = None;
    // No carrier here opens further ports.
    config.introduction.further_ports = 0;
    for line in text.lines() {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        let milliseconds = || read::<u32>(name, value).map(|number| duration(f64::from(number)));
        match name {
            "application_id" => config.application_id = value.as_bytes().to_vec(),
            "key_pair" => key_pair = Some(read_key_pair(value)?),
            "settings" => {
                config.settings = read(name, value)?;
                config.min_tag_bytes = config.min_tag_bytes.min(config.settings.tag_bytes);
            }
            "ciphers" => {
                config.ciphers = Vec::new();
                for cipher in value.split(',') {
                    config.ciphers.push(read::<Cipher>(name, cipher)?);
                }
            }
            "accept_incoming" => config.accept_incoming = read(name, value)?,
            "sole_identity" => config.sole_identity = read(name, value)?,
            "trusted_gateway" => config.origins.trusted_gateways.push(read::<PublicKey>(name, value)?),
            "allowed_origin" => config.origins.allowed_origins.push(value.to_owned()),
            "allow_native" => config.origins.allow_native = read(name, value)?,
            "ping_interval" => config.ping_interval = milliseconds()?,
            "busy_ping_interval" => config.busy_ping_interval = milliseconds()?,
            "ping_limit" => config.ping_limit = read(name, value)?,
            "close_wait" => config.close_wait = milliseconds()?,
            "difficulty_min" => config.puzzle.difficulty_min = read(name, value)?,
            "difficulty_max" => config.puzzle.difficulty_max = read(name, value)?,
            "difficulty_limit" => config.puzzle.difficulty_limit = read(name, value)?,
            #[cfg(feature = "introductions")]
            name if name.starts_with("introduction.") => introduction(&mut config.introduction, name, value)?,
            _ => return Err(format!("invalid_argument: `{name}` is no option")),
        }
    }
    Ok(Setup { config, key_pair, seed, unix_millis })
}

#[cfg(feature = "introductions")]
fn introduction(config: &mut IntroductionConfig, name: &str, value: &str) -> Result<(), String> {
    let milliseconds = || read::<u32>(name, value).map(|number| duration(f64::from(number)));
    match name {
        "introduction.introduces" => config.introduces = read(name, value)?,
        "introduction.answers_only" => config.answers_only = read(name, value)?,
        "introduction.local_addresses" => config.local_addresses = read(name, value)?,
        "introduction.wait" => config.wait = milliseconds()?,
        "introduction.circuit_after" => config.circuit_after = milliseconds()?,
        "introduction.path_wait" => config.path_wait = milliseconds()?,
        "introduction.records" => config.records = read(name, value)?,
        "introduction.records_per_connection" => config.records_per_connection = read(name, value)?,
        "introduction.circuits" => config.circuits = read(name, value)?,
        "introduction.circuits_rate" => config.circuits_rate = read(name, value)?,
        "introduction.hard_nat" => {
            config.hard_nat = match value {
                "verified" => HardNat::Verified,
                "always" => HardNat::Always,
                "never" => HardNat::Never,
                _ => return Err(format!("invalid_argument: {name}: verified, always or never")),
            }
        }
        "introduction.attempts" => config.attempts = read(name, value)?,
        _ => return Err(format!("invalid_argument: `{name}` is no option")),
    }
    Ok(())
}
