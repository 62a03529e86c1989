//! The text form of a link's configuration.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use crate::link::{Burst, LinkConfig};

/// A text does not describe a link. The message says what to write instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkConfigError(String);

impl fmt::Display for LinkConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for LinkConfigError {}

const KEYS: &str =
    "delay, jitter, loss, burst, reorder, reorder_delay, duplicate, corrupt, truncate, mtu, rate and queue";

impl FromStr for LinkConfig {
    type Err = LinkConfigError;

    /// Reads `delay=40,jitter=10,loss=5%` or `mobile,loss=10%`. The empty text is a perfect link.
    fn from_str(text: &str) -> Result<Self, LinkConfigError> {
        let mut config = Self::perfect();
        for (place, part) in text.split(',').map(str::trim).filter(|part| !part.is_empty()).enumerate() {
            let Some((key, value)) = part.split_once('=') else {
                let preset = Self::PRESETS.iter().find(|(name, _)| *name == part);
                config = match preset {
                    Some((_, preset)) if place == 0 => *preset,
                    Some(_) => return Err(LinkConfigError(format!("`{part}`: a preset comes first"))),
                    None => {
                        return Err(LinkConfigError(format!(
                            "`{part}`: write key=value, or begin with perfect, home, mobile or terrible"
                        )));
                    }
                };
                continue;
            };
            let (key, value) = (key.trim(), value.trim());
            match key {
                "delay" => config.delay = time(part, value)?,
                "jitter" => config.jitter = time(part, value)?,
                "loss" => config.loss = probability(part, value)?,
                "burst" => config.burst = burst(part, value)?,
                "reorder" => config.reorder = probability(part, value)?,
                "reorder_delay" => config.reorder_delay = time(part, value)?,
                "duplicate" => config.duplicate = probability(part, value)?,
                "corrupt" => config.corrupt = probability(part, value)?,
                "truncate" => config.truncate = probability(part, value)?,
                "mtu" => config.mtu = size(part, value)? as usize,
                "rate" => config.rate = size(part, value)?,
                "queue" => config.queue = size(part, value)? as usize,
                _ => return Err(LinkConfigError(format!("`{key}` is not known; there are {KEYS}"))),
            }
        }
        Ok(config)
    }
}

impl fmt::Display for LinkConfig {
    /// Writes the shortest text that reads back as the same link: the differences from a perfect one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let perfect = Self::perfect();
        if *self == perfect {
            return f.write_str("perfect");
        }
        let mut separator = "";
        let mut item = |f: &mut fmt::Formatter<'_>, changed: bool, text: fmt::Arguments<'_>| {
            if !changed {
                return Ok(());
            }
            write!(f, "{}{text}", core::mem::replace(&mut separator, ","))
        };
        let times = [
            ("delay", self.delay, perfect.delay),
            ("jitter", self.jitter, perfect.jitter),
            ("reorder_delay", self.reorder_delay, perfect.reorder_delay),
        ];
        for (key, time, usual) in times {
            item(f, time != usual, format_args!("{key}={}", Millis(time)))?;
        }
        let chances = [
            ("loss", self.loss),
            ("reorder", self.reorder),
            ("duplicate", self.duplicate),
            ("corrupt", self.corrupt),
            ("truncate", self.truncate),
        ];
        for (key, chance) in chances {
            item(f, chance != 0.0, format_args!("{key}={chance}"))?;
        }
        if let Some(Burst { enter, leave, loss }) = self.burst {
            item(f, true, format_args!("burst={enter}/{leave}/{loss}"))?;
        }
        item(f, self.mtu != perfect.mtu, format_args!("mtu={}", self.mtu))?;
        item(f, self.rate != perfect.rate, format_args!("rate={}", self.rate))?;
        item(f, self.queue != perfect.queue, format_args!("queue={}", self.queue))
    }
}

/// Whole milliseconds without a unit, anything else in microseconds.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        if micros.is_multiple_of(1_000) { write!(f, "{}", micros / 1_000) } else { write!(f, "{micros}us") }
    }
}

fn time(part: &str, value: &str) -> Result<Duration, LinkConfigError> {
    let (number, micros_per_unit) = if let Some(number) = value.strip_suffix("us") {
        (number, 1.0)
    } else if let Some(number) = value.strip_suffix("ms") {
        (number, 1_000.0)
    } else if let Some(number) = value.strip_suffix('s') {
        (number, 1_000_000.0)
    } else {
        (value, 1_000.0)
    };
    match number.trim().parse::<f64>() {
        // More than an hour is surely a mistake.
        Ok(number) if (0.0..=3.6e9).contains(&(number * micros_per_unit)) => {
            // Rounded to the nearest; no_std has no round().
            Ok(Duration::from_micros((number * micros_per_unit + 0.5) as u64))
        }
        _ => Err(LinkConfigError(format!(
            "`{part}`: a time is a number of milliseconds, or has a unit: 40, 40ms, 0.04s, 500us; at most an hour"
        ))),
    }
}

fn probability(part: &str, value: &str) -> Result<f64, LinkConfigError> {
    let parsed = match value.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => value.parse::<f64>(),
    };
    match parsed {
        Ok(probability) if (0.0..=1.0).contains(&probability) => Ok(probability),
        _ => Err(LinkConfigError(format!(
            "`{part}`: a probability is a percentage or a number from 0 to 1: 5% or 0.05"
        ))),
    }
}

fn burst(part: &str, value: &str) -> Result<Option<Burst>, LinkConfigError> {
    if value == "none" {
        return Ok(None);
    }
    let mut figures = value.split('/').map(|figure| probability(part, figure.trim()));
    match (figures.next(), figures.next(), figures.next(), figures.next()) {
        (Some(enter), Some(leave), loss, None) => {
            Ok(Some(Burst { enter: enter?, leave: leave?, loss: loss.unwrap_or(Ok(1.0))? }))
        }
        _ => Err(LinkConfigError(format!(
            "`{part}`: a burst is the chance to enter, to leave and (100% if absent) to lose: 1%/20%/90%, or none"
        ))),
    }
}

fn size(part: &str, value: &str) -> Result<u64, LinkConfigError> {
    let (number, factor) = match (value.strip_suffix(['k', 'K']), value.strip_suffix('M')) {
        (Some(number), _) => (number, 1_000),
        (_, Some(number)) => (number, 1_000_000),
        _ => (value, 1),
    };
    number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(|| {
        LinkConfigError(format!(
            "`{part}`: a whole number, with k or M for thousands or millions: 1400, 64k, 5M"
        ))
    })
}

#[cfg(test)]
mod tests;
