//! The Rust whose formatting and warnings are checked. Others format and warn differently, so the result would be that
//! of whichever version is installed.

use std::process::Command;

use crate::shell::{self, program};

/// Its minor version, which decides about warnings, and the release that is installed where another is active.
const VERSION: &str = "1.95";
const RELEASE: &str = "1.95.0";

/// What rustup is asked for.
pub const INSTALL: &[&str] = &[
    "toolchain",
    "install",
    RELEASE,
    "--profile",
    "minimal",
    "--component",
    "clippy",
    "--component",
    "rustfmt",
];

/// Where it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LintRust {
    /// It is the active one.
    Active,
    /// rustup has it beside the active one.
    Beside,
}

/// Finds it.
pub fn find() -> Option<LintRust> {
    let is_whole = |rust: LintRust| {
        let version = shell::output_quietly(rust.program("rustc").arg("--version")).unwrap_or_default();
        let is_right = version.split(' ').nth(1).and_then(|version| version.strip_prefix(VERSION));
        is_right.is_some_and(|rest| rest.starts_with('.'))
            && shell::succeeds(&mut rust.cargo(&["clippy", "--version"]))
            && shell::succeeds(&mut rust.cargo(&["fmt", "--version"]))
    };
    [LintRust::Active, LintRust::Beside].into_iter().find(|rust| is_whole(*rust))
}

/// Its cargo with these words.
pub fn cargo(words: &[&str]) -> Result<Command, String> {
    let rust = find().ok_or("Rust 1.95 with clippy and rustfmt is missing: cargo xtask setup")?;
    Ok(rust.cargo(words))
}

impl LintRust {
    fn program(self, name: &str) -> Command {
        match self {
            Self::Active => program(name, &[]),
            Self::Beside => program("rustup", &["run", RELEASE, name]),
        }
    }

    fn cargo(self, words: &[&str]) -> Command {
        let mut command = self.program("cargo");
        command.args(words);
        if self == Self::Beside {
            // A folder of its own, or each Rust would build everything again after the other.
            command.env("CARGO_TARGET_DIR", shell::target_dir().join("lints"));
        }
        command
    }
}
