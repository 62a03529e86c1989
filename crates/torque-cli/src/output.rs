//! The output of commands: lines for people, or one JSON object a line, never both.

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
/// The style of names, headings and keys.
pub const NAME: Style = AnsiColor::Cyan.on_default();
/// The style of what can be skipped.
pub const DIM: Style = Style::new().dimmed();

/// Standard output in one of the two forms. It has colours only on a terminal.
pub struct Output {
    json: bool,
}

impl Output {
    /// Makes an output. With `json` it prints objects instead of lines.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Returns whether it prints objects.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Returns whether a person reads standard output.
    pub fn is_terminal(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// Prints a line for people. Does nothing with `--json`.
    pub fn line(&self, text: Arguments<'_>) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        let mut out = anstream::stdout().lock();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }

    /// Prints an object for programs. Does nothing without `--json`.
    pub fn record(&self, value: impl FnOnce() -> Value) -> Result<(), Failure> {
        if !self.json {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        writeln!(out, "{}", value())?;
        Ok(out.flush()?)
    }

    /// Prints a remark for people on standard error, so that it never mixes with the result.
    pub fn note(&self, text: Arguments<'_>) {
        if !self.json {
            // If nobody reads standard error, the remark is lost, which does no harm.
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// Prints why the command failed: on standard error, or as the last object.
    pub fn failure(&self, failure: &Failure) {
        if failure.what.is_empty() {
            return;
        }
        if self.json {
            let object = json!({
                "event": "error",
                "error": failure.code.name(),
                "message": failure.what,
                "next": failure.next,
                "exit_code": failure.code.number(),
            });
            let _ = writeln!(io::stdout(), "{object}");
            return;
        }
        let mut err = anstream::stderr();
        let _ = writeln!(err, "{BAD}torque:{BAD:#} {}", failure.what);
        if let Some(next) = &failure.next {
            let _ = writeln!(err, "  {DIM}next:{DIM:#} {next}");
        }
    }
}
