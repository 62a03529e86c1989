//! Builds cargo-deny once and keeps it.

use std::path::PathBuf;

use crate::shell;

/// The version that the checks were written for.
pub const VERSION: &str = "0.20.2";

/// Finds the one built here, or an installed one of the same version.
pub fn find() -> Option<PathBuf> {
    let program = format!("cargo-deny{}", std::env::consts::EXE_SUFFIX);
    let built = super::cache("cargo-deny", VERSION)?.join("bin").join(program);
    let is_it = |program: &PathBuf| {
        let told = shell::output_quietly(&mut shell::program(&program.to_string_lossy(), &["--version"]));
        told.is_some_and(|text| text.split_whitespace().last() == Some(VERSION))
    };
    [built, PathBuf::from("cargo-deny")].into_iter().find(is_it)
}

/// Builds it.
pub fn install() -> Result<(), String> {
    let folder = super::cache("cargo-deny", VERSION).ok_or("HOME is not set")?;
    println!("set-up: building cargo-deny {VERSION} into {}", folder.display());
    let place = folder.to_string_lossy();
    let words = ["install", "cargo-deny", "--locked", "--version", VERSION, "--root", &place];
    let mut command = shell::cargo(&words);
    // A folder of its own, so that it never shares with this workspace; and quick to build rather than to run.
    command.env("CARGO_TARGET_DIR", shell::target_dir().join("tools"));
    for (name, value) in [("LTO", "off"), ("OPT_LEVEL", "1"), ("CODEGEN_UNITS", "16"), ("DEBUG", "0")] {
        command.env(format!("CARGO_PROFILE_RELEASE_{name}"), value);
    }
    shell::run(&mut command)
}
