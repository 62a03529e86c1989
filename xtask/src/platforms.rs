//! Checking the crates for platforms that this machine is not.

use std::path::Path;
use std::process::Command;

use crate::shell;
use crate::steps::Outcome;

const WASM: &str = "wasm32-unknown-unknown";
const WINDOWS: &str = "x86_64-pc-windows-gnu";

/// What Debian's packages install: a Rust that comes with the source of its libraries.
const DEBIAN_RUST: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// `cargo xtask check-wasm [--debian]`.
pub fn wasm(arguments: &[String]) -> Result<Outcome, String> {
    let mut note = String::new();
    for features in [&[][..], &["--features", "tracing"]] {
        // core and alloc are all that torque-proto may use; where the libraries are built here, std is not.
        let mut words = vec!["check", "--release", "--locked", "-p", "torque-proto"];
        words.extend(features);
        note = check(WASM, "core,alloc", &words, arguments)?;
    }
    Ok(Outcome::Note(note))
}

/// `cargo xtask check-windows [--debian]`.
pub fn windows(arguments: &[String]) -> Result<Outcome, String> {
    let mut words = vec!["check", "--locked", "--all-targets", "--all-features"];
    for name in ["torque-proto", "torque-sim", "torque-socket", "torque-cli"] {
        if crate::workspace::has(name)? {
            words.extend(["-p", name]);
        }
    }
    Ok(Outcome::Note(check(WINDOWS, "std,panic_abort,proc_macro,test", &words, arguments)?))
}

/// Checks by the active Rust if it has the libraries for the target, by Debian's otherwise.
fn check(target: &str, libraries: &str, words: &[&str], arguments: &[String]) -> Result<String, String> {
    let by_debian = match arguments {
        [] => !active_rust_has(target),
        [only] if only == "--debian" => true,
        _ => return Err("there is only --debian: with Debian's Rust even if the active one could".to_owned()),
    };
    let folder = shell::target_dir().join(target);
    let folder = folder.to_string_lossy();
    let places = ["--target", target, "--target-dir", &folder];
    if !by_debian {
        shell::run(shell::cargo(words).args(places))?;
        return Ok("by the active Rust".to_owned());
    }
    if !Path::new(DEBIAN_RUST).exists() || !Path::new(DEBIAN_CARGO).exists() {
        return Err(format!(
            "the active Rust has no libraries for {target}: `rustup target add {target}`, \
             or on Debian `cargo xtask setup`"
        ));
    }
    let mut command = shell::program(DEBIAN_CARGO, words);
    command.args(places).arg(format!("-Zbuild-std={libraries}"));
    // -Z is for nightly compilers; this variable lets a released one take it.
    command.env("RUSTC", DEBIAN_RUST).env("RUSTC_BOOTSTRAP", "1");
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "/usr/bin/wasm-ld");
    command.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", "x86_64-w64-mingw32-gcc");
    without_rustup(&mut command);
    shell::run(&mut command)?;
    Ok("by Debian's Rust".to_owned())
}

/// Removes what rustup's cargo sets for the programs that it runs, and what is meant for the active Rust.
fn without_rustup(command: &mut Command) {
    for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTDOC", "RUSTFLAGS", "LD_LIBRARY_PATH", "RUSTC_WRAPPER"] {
        command.env_remove(name);
    }
}

/// Whether the active Rust has the libraries for a target.
pub fn active_rust_has(target: &str) -> bool {
    let folder =
        shell::output(&mut shell::program("rustc", &["--print", "target-libdir", "--target", target]));
    let entries = folder.ok().and_then(|folder| std::fs::read_dir(folder.trim()).ok());
    entries.is_some_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

/// Whether either Rust can check for WebAssembly and Windows.
pub fn ready() -> bool {
    let debian = Path::new(DEBIAN_RUST).exists()
        && Path::new(DEBIAN_CARGO).exists()
        && Path::new("/usr/bin/wasm-ld").exists();
    debian || (active_rust_has(WASM) && active_rust_has(WINDOWS))
}
