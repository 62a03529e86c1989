//! The first and the last lines of commands that listen.

use std::net::SocketAddr;

use serde_json::{Value, json};
use torque_socket::{IoStats, PublicKey, Stats};

use crate::addresses::{self, Reach};
use crate::failure::Failure;
use crate::logs;
use crate::output::{DIM, GOOD, NAME, Output};

/// The most URLs that a host with many addresses prints.
const URLS_SHOWN: usize = 4;

/// A socket that listens.
pub struct Listening {
    pub local: SocketAddr,
    pub public_key: PublicKey,
    /// The address of the metrics.
    pub metrics: Option<SocketAddr>,
}

impl Listening {
    /// Says where the host is, as something to be copied into a command on another machine. `commands` are those, with `URL`
    /// where the URL belongs; `more` are further fields of the object for programs.
    pub fn tell(&self, commands: &[&str], more: Value, output: &Output) -> Result<(), Failure> {
        let Self { local, public_key, metrics } = self;
        let places = addresses::reachable(*local);
        let urls: Vec<String> = places.iter().map(|place| format!("torque://{public_key}@{place}")).collect();
        match local.ip().is_unspecified() {
            true => output
                .line(format_args!("{GOOD}listening{GOOD:#} on port {}, at all addresses", local.port()))?,
            false => output.line(format_args!("{GOOD}listening{GOOD:#} on {local}"))?,
        }
        for url in urls.iter().take(URLS_SHOWN) {
            for command in commands {
                let command = command.replace("URL", &format!("{NAME}{url}{NAME:#}"));
                output.line(format_args!("  {command}"))?;
            }
        }
        if places.iter().all(|place| Reach::of(place.ip()) == Reach::ThisMachine) {
            output.line(format_args!("  {DIM}that is for this machine only{DIM:#}"))?;
        }
        if let Some(metrics) = metrics {
            output.line(format_args!("  metrics at http://{metrics}/metrics"))?;
        }
        output.record(|| {
            let mut object = json!({
                "event": "listening",
                "time": logs::now(),
                "bound": local.to_string(),
                "address": places.first().map(ToString::to_string),
                "public_key": public_key.to_string(),
                "url": urls.first(),
                "urls": urls,
                "metrics": metrics.map(|metrics| metrics.to_string()),
            });
            if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
                object.extend(more);
            }
            object
        })
    }
}

/// Tells the counters of a socket that has ended. Those of several shards are added up.
pub fn tell_counters(stats: &Stats, io: &IoStats, output: &Output) -> Result<(), Failure> {
    output.record(|| {
        let object = |counters: Vec<(&'static str, u64)>| -> Value {
            counters.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
        };
        json!({
            "event": "counters",
            "time": logs::now(),
            "protocol": object(stats.iter().collect()),
            "io": object(io.iter().collect()),
        })
    })
}
