//! The Rust version for formatting and warnings. Other versions format and warn differently, so without a fixed one the result
//! would depend on the installed version.

use std::process::Command;

use crate::shell::{self, program};

/// Its minor version, which decides about warnings, and the release that is installed where another is active.
const VERSION: &str = "1.95";
const RELEASE: &str = "1.95.0";

/// Its name for people.
pub const NAME: &str = "Rust 1.95 with clippy and rustfmt";

/// Its name for rustup.
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

/// Its location.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LintRust {
    /// It is the active one.
    Active,
    /// rustup has it beside the active one.
    Beside,
}

impl LintRust {
    /// Finds it.
    pub fn find() -> Option<Self> {
        [Self::Active, Self::Beside].into_iter().find(|rust| rust.is_whole())
    }

    /// Finds it, or says what to do.
    pub fn get() -> Result<Self, String> {
        Self::find().ok_or(format!("{NAME} is missing: cargo xtask setup"))
    }

    /// Returns whether it has the right version and the components that the checks need.
    fn is_whole(self) -> bool {
        let told = shell::output_quietly(self.program("rustc").arg("--version")).unwrap_or_default();
        let rest = told.split(' ').nth(1).and_then(|version| version.strip_prefix(VERSION));
        let runs = |tool| shell::succeeds(&mut self.cargo(&[tool, "--version"]));
        rest.is_some_and(|rest| rest.starts_with('.')) && runs("clippy") && runs("fmt")
    }

    fn program(self, name: &str) -> Command {
        match self {
            Self::Active => program(name, &[]),
            Self::Beside => program("rustup", &["run", RELEASE, name]),
        }
    }

    /// Makes a command of its cargo with these words.
    pub fn cargo(self, words: &[&str]) -> Command {
        let mut command = self.program("cargo");
        command.args(words);
        if self == Self::Beside {
            // A folder of its own, or each Rust would build everything again after the other.
            command.env("CARGO_TARGET_DIR", shell::target_dir().join("lints"));
        }
        command
    }
}
