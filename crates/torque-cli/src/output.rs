//! Where commands write: lines for people, or one JSON object a line, never both.

use std::fmt::Arguments;
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::failure::Failure;

/// What is good or done.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What needs attention.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is to be noticed but is no failure.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// Names, headings and keys.
pub const NAME: Style = AnsiColor::Cyan.on_default();
/// What may be read over.
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

    /// Whether objects are wanted.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person looks at standard output.
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

    /// A remark for people on standard error, so that it never mixes with what they asked for.
    pub fn note(&self, text: Arguments<'_>) {
        if !self.json {
            // Nobody reads standard error: then the remark is lost, which does no harm.
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// Why the command failed: on standard error, or as the last object.
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
