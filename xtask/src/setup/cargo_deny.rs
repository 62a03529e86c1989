//! cargo-deny, which is built once and kept.

use std::path::PathBuf;

use crate::shell;

/// The version that the checks were written against.
pub const VERSION: &str = "0.20.2";

/// The one that was built here, or one that is installed.
pub fn find() -> Option<PathBuf> {
    let built = super::cache("cargo-deny", VERSION)?.join("bin/cargo-deny");
    if built.is_file() {
        return Some(built);
    }
    let installed = shell::succeeds(&mut shell::program("cargo-deny", &["--version"]));
    installed.then(|| PathBuf::from("cargo-deny"))
}

/// Builds it.
pub fn install() -> Result<(), String> {
    let folder = super::cache("cargo-deny", VERSION).ok_or("HOME is not set")?;
    println!("set-up: building cargo-deny {VERSION} into {}: about two minutes", folder.display());
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
