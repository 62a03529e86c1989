//! Checking the crates for platforms that this machine is not.

use std::path::{Path, PathBuf};
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
    let (mut command, note) = cargo_for(target, libraries, words, by_debian)?;
    shell::run(&mut command)?;
    Ok(note.to_owned())
}

/// cargo with these words for WebAssembly, by whichever Rust can; what is built lies in [`wasm_folder`].
pub fn cargo_for_wasm(words: &[&str]) -> Result<Command, String> {
    let by_debian = !active_rust_has(WASM);
    let (mut command, _) = cargo_for(WASM, "std,panic_abort", words, by_debian)?;
    // Half the size of SHA-2 and AES for a fifth of their speed.
    let mut flags = "--cfg sha2_backend_soft=\"compact\" --cfg aes_backend_soft=\"compact\"".to_owned();
    if by_debian {
        // No texts for panics, which nobody would see: 8 kB. Needs the libraries to be built here.
        flags.push_str(" -Zunstable-options -Cpanic=immediate-abort");
    }
    command.env("RUSTFLAGS", flags);
    Ok(command)
}

/// Where builds for WebAssembly are.
pub fn wasm_folder() -> PathBuf {
    shell::target_dir().join(WASM).join(WASM)
}

/// cargo with these words for a target, and whose it is.
fn cargo_for(
    target: &str,
    libraries: &str,
    words: &[&str],
    by_debian: bool,
) -> Result<(Command, &'static str), String> {
    let folder = shell::target_dir().join(target);
    let folder = folder.to_string_lossy();
    let places = ["--target", target, "--target-dir", &folder];
    if !by_debian {
        let mut command = shell::cargo(words);
        command.args(places);
        return Ok((command, "by the active Rust"));
    }
    if !has_debian() {
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
    Ok((command, "by Debian's Rust"))
}

fn has_debian() -> bool {
    Path::new(DEBIAN_RUST).exists()
        && Path::new(DEBIAN_CARGO).exists()
        && Path::new("/usr/bin/wasm-ld").exists()
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
    has_debian() || (active_rust_has(WASM) && active_rust_has(WINDOWS))
}

/// Whether WebAssembly can be built; tries rustup where it cannot yet.
pub fn need_wasm() -> Result<(), String> {
    if active_rust_has(WASM) || has_debian() {
        return Ok(());
    }
    println!("WebAssembly: asking rustup for the target {WASM}");
    if shell::run(&mut shell::program("rustup", &["target", "add", WASM])).is_ok() && active_rust_has(WASM) {
        return Ok(());
    }
    Err(format!(
        "nothing here builds WebAssembly. With rustup: `rustup target add {WASM}`. \
         On Debian, as root: `cargo xtask setup`, or `apt-get install rustc-web cargo-web rust-web-src lld`"
    ))
}
