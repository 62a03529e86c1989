//! The output of the demo: lines for people, or one JSON object a line, never both.

use std::fmt::Arguments;
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::failure::Failure;

/// The style of what is good or done.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// The style of what needs attention.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// The style of warnings.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// Names, headings and addresses.
pub const NAME: Style = AnsiColor::Cyan.on_default();
/// The style of what can be skipped.
pub const DIM: Style = Style::new().dimmed();

/// Standard output in one of the two forms. Colours are left out where it is no terminal.
pub struct Output {
    json: bool,
}

impl Output {
    /// `json`: objects instead of lines.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Returns whether a person reads standard output.
    pub fn is_terminal(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// A line for people; nothing with `--json`.
    pub fn line(&self, text: Arguments<'_>) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        let mut out = anstream::stdout().lock();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }

    /// An object for programs; nothing without `--json`.
    pub fn record(&self, value: impl FnOnce() -> Value) -> Result<(), Failure> {
        if !self.json {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        writeln!(out, "{}", value())?;
        Ok(out.flush()?)
    }

    /// Prints why the demo failed: on standard error, or as the last object.
    pub fn failure(&self, Failure(what): &Failure) {
        // If nobody reads either of them, the text is lost, which does no harm.
        let _ = match (what.is_empty(), self.json) {
            (true, _) => Ok(()),
            (false, true) => writeln!(io::stdout(), "{}", json!({ "event": "error", "message": what })),
            (false, false) => writeln!(anstream::stderr(), "{BAD}torque-demo:{BAD:#} {what}"),
        };
    }
}
