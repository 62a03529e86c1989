//! The log of commands that run for long: events with time and level, filtered by `RUST_LOG`.

use std::fmt::Arguments;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::failure::Failure;
use crate::output::{DIM, GOOD, Output, WARN};

/// The environment variable that most Rust programs use.
pub const VARIABLE: &str = "RUST_LOG";
/// The target of the command's own events.
const OWN: &str = "torque";
/// The targets of the libraries.
const LIBRARIES: [&str; 3] = ["torque_proto", "torque_socket", "torque_gateway"];

/// The importance of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// Events that need attention.
    Warn,
    /// Events that an operator wants to know about afterwards.
    Info,
    /// Events of every packet.
    Debug,
}

impl Level {
    const fn filter(self) -> LevelFilter {
        match self {
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    const fn style(self) -> Style {
        match self {
            Self::Warn => WARN,
            Self::Info => GOOD,
            Self::Debug => AnsiColor::Blue.on_default(),
        }
    }
}

/// The destination of events.
pub struct Logs<'a> {
    output: &'a Output,
    filter: Targets,
}

impl<'a> Logs<'a> {
    /// Logs events down to `level`, unless the environment sets a level for the command itself.
    pub fn new(level: Level, output: &'a Output) -> Self {
        let mut filter = from_environment().and_then(Result::ok).unwrap_or_default();
        let says_nothing_of_own =
            filter.default_level().is_none() && !filter.iter().any(|(target, _)| OWN.starts_with(target));
        if says_nothing_of_own {
            filter = filter.with_target(OWN, level.filter());
        }
        Self { output, filter }
    }

    /// Returns the output that it writes to.
    pub fn output(&self) -> &Output {
        self.output
    }

    /// Returns whether events of this level are shown, for texts that are costly to make.
    pub fn wants(&self, level: Level) -> bool {
        level.filter().into_level().is_none_or(|level| self.filter.would_enable(OWN, &level))
    }

    /// Logs an event: a line for people with `text`, or an object with `name` and `fields`.
    pub fn event(
        &self,
        level: Level,
        name: &'static str,
        text: Arguments<'_>,
        fields: impl FnOnce() -> Value,
    ) -> Result<(), Failure> {
        if !self.wants(level) {
            return Ok(());
        }
        let (time, style) = (now(), level.style());
        self.output.line(format_args!(
            "{DIM}{time}{DIM:#} {style}{:>5}{style:#} {name} {text}",
            level.name().to_uppercase()
        ))?;
        self.output.record(|| {
            let mut object = json!({ "event": name, "time": time, "level": level.name() });
            if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields()) {
                object.extend(fields);
            }
            object
        })
    }
}

/// The current time in the form of RFC 3339, in UTC.
pub fn now() -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

/// Writes events of the protocol and the driver to standard error, if the environment asks for any. Call it once: it also
/// reports a malformed filter.
pub fn show_protocol(output: &Output) {
    show(None, output);
}

/// Writes events of the gateway to standard error, or those that the environment asks for. Call it once.
#[cfg(feature = "gateway")]
pub fn show_gateway(output: &Output) {
    show(Some(Targets::new().with_target("torque_gateway", LevelFilter::INFO)), output);
}

fn show(without_environment: Option<Targets>, output: &Output) {
    let has_own = without_environment.is_some();
    let from_environment = match from_environment() {
        Some(Err(failure)) => {
            output.note(format_args!("{WARN}{}{WARN:#}", failure.what));
            output.note(format_args!("  {DIM}{}{DIM:#}", failure.next.unwrap_or_default()));
            None
        }
        other => other.and_then(Result::ok),
    };
    let Some(filter) = from_environment.or(without_environment) else { return };
    let format = tracing_subscriber::fmt::layer().with_target(!has_own).with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry();
    // If somebody has installed another already, that one is good as well.
    let _ = match output.is_json() {
        true => registry.with(format.json().with_filter(filter)).try_init(),
        false => registry.with(format.with_ansi(output.is_terminal()).with_filter(filter)).try_init(),
    };
}

/// Makes `torque` mean the command alone. A filter matches the beginnings of targets, and so it would match those of the
/// libraries too.
fn each_by_itself(filter: Targets) -> Targets {
    let named: Vec<String> = filter.iter().map(|(target, _)| target.to_owned()).collect();
    let has = |target: &str| named.iter().any(|other| other == target);
    if !has(OWN) {
        return filter;
    }
    let level = filter.default_level().unwrap_or(LevelFilter::OFF);
    LIBRARIES
        .into_iter()
        .filter(|target| !has(target))
        .fold(filter, |filter, target| filter.with_target(target, level))
}

/// The filter of the environment, if it can be understood: a text that was meant for other programs stops nothing.
fn from_environment() -> Option<Result<Targets, Failure>> {
    let text = std::env::var_os(VARIABLE).filter(|text| !text.is_empty())?;
    let text = text.to_string_lossy();
    let parsed = text.parse().map(each_by_itself);
    Some(parsed.map_err(|error| {
        Failure::usage(format!("{VARIABLE}={text} is no filter of logs, and has no effect: {error}")).next(
            "write a level (error, warn, info, debug, trace, off), or several as TARGET=LEVEL with commas in between; the targets are torque, torque_proto, torque_socket and torque_gateway",
        )
    }))
}
