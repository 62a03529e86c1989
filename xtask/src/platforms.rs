//! Builds for other platforms, with the active Rust if it has the libraries for the target, otherwise with Debian's, which comes
//! with their source. Flags and sources are the same for both.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::setup::{Need, node};
use crate::shell;
use crate::steps::Outcome;

/// The module for pages, and the core's unit tests.
pub const WASM: &str = "wasm32-unknown-unknown";
/// WebAssembly without `std`.
pub const WASM_CORE: &str = "wasm32v1-none";
pub const WINDOWS: &str = "x86_64-pc-windows-gnu";

/// The C compiler for Windows.
pub const MINGW: &str = "x86_64-w64-mingw32-gcc";

/// The Rust of Debian's packages, which comes with the source of its libraries.
pub const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld"];
const DEBIAN_RUST: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_LINKER: &str = "/usr/bin/wasm-ld";

/// The needs of the WebAssembly checks.
pub const WASM_NEEDS: &[Need] = &[Need::Wasm, Need::WasmCore, Need::Node];
pub const WINDOWS_NEEDS: &[Need] = &[Need::Windows, Need::MinGw];

/// `cargo xtask check-wasm [--debian]`.
pub fn wasm(arguments: &[String]) -> Result<Outcome, String> {
    let by_debian = is_by_debian(arguments)?;
    for features in [&[][..], &["--features", "tracing"]] {
        // core and alloc are all that torque-proto may use: this target has no more.
        let mut words = vec!["check", "--release", "--locked", "-p", "torque-proto"];
        words.extend(features);
        let rust = Rust::of(WASM_CORE, by_debian)?;
        shell::run(&mut rust.cargo(WASM_CORE, "core,alloc", &words))?;
    }
    let rust = Rust::of(WASM, by_debian)?;
    let words = ["test", "--no-run", "--release", "--locked", "-p", "torque-proto", "--lib"];
    let mut command = rust.cargo(WASM, "std,panic_abort,test,proc_macro", &words);
    let built = shell::output(command.args(["--message-format", "json"]))?;
    let program = built.lines().filter_map(|line| line.split_once("\"executable\":\"")).next_back();
    let program =
        program.and_then(|(_, rest)| rest.split('"').next()).ok_or("cargo named no test program")?;
    run_tests(Path::new(&program.replace("\\\\", "\\")))?;
    Ok(Outcome::Note(format!("by {}, unit tests and vectors run by Node", rust.name())))
}

/// Runs a test program built for WebAssembly; it traps when a test fails.
fn run_tests(program: &Path) -> Result<(), String> {
    let script = "const {readFileSync} = require('node:fs');
        WebAssembly.instantiate(readFileSync(process.argv[1]), {}).then(({instance}) => {
            process.exitCode = instance.exports.main(0, 0);
        });";
    shell::run(node::command("node", &["--eval", script])?.arg(program))
}

/// `cargo xtask check-windows [--debian]`.
pub fn windows(arguments: &[String]) -> Result<Outcome, String> {
    let rust = Rust::of(WINDOWS, is_by_debian(arguments)?)?;
    let mut words = vec!["check", "--locked", "--all-targets", "--all-features"];
    for name in ["torque-proto", "torque-netem", "torque-sim", "torque-socket", "torque-cli", "torque-demo"] {
        if crate::workspace::has(name)? {
            words.extend(["-p", name]);
        }
    }
    shell::run(&mut rust.cargo(WINDOWS, "std,panic_abort,proc_macro,test", &words))?;
    Ok(Outcome::Note(format!("by {}", rust.name())))
}

fn is_by_debian(arguments: &[String]) -> Result<bool, String> {
    match arguments {
        [] => Ok(false),
        [only] if only == "--debian" => Ok(true),
        _ => Err("there is only --debian: with Debian's Rust even if the active one could".to_owned()),
    }
}

/// Runs cargo with these words for the module for pages; the output is in [`wasm_folder`].
pub fn cargo_for_module(words: &[&str]) -> Result<Command, String> {
    let mut command = Rust::of(WASM, false)?.cargo(WASM, "core,alloc", words);
    // Half the size of SHA-2 and AES for a fifth of their speed.
    let mut flags = ["--cfg", "sha2_backend_soft=\"compact\"", "--cfg", "aes_backend_soft=\"compact\""]
        .map(str::to_owned)
        .to_vec();
    // Texts of panics name source files: the same ones wherever the module is built, and nobody's folders.
    if let Some(home) = cargo_home() {
        flags.push(format!("--remap-path-prefix={}=", home.join("registry/src").display()));
    }
    // cargo separates these by a character that is in no path.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    Ok(command)
}

fn cargo_home() -> Option<PathBuf> {
    let named = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
}

/// The output folder of WebAssembly builds.
pub fn wasm_folder() -> PathBuf {
    shell::target_dir().join(WASM).join(WASM)
}

/// The compiler to build with.
#[derive(Clone, Copy)]
enum Rust {
    Active,
    Debian,
}

impl Rust {
    /// Chooses the active one if it can build, unless Debian's is asked for.
    fn of(target: &str, by_debian: bool) -> Result<Self, String> {
        if !by_debian && active_rust_has(target) {
            Ok(Self::Active)
        } else if has_debian() {
            Ok(Self::Debian)
        } else {
            Err(format!(
                "nothing here builds for {target}: `rustup target add {target}`, or on Debian `cargo xtask setup`"
            ))
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Active => "the active Rust",
            Self::Debian => "Debian's Rust",
        }
    }

    /// Makes a cargo command with these words for a target. Debian's Rust builds the libraries first.
    fn cargo(self, target: &str, libraries: &str, words: &[&str]) -> Command {
        let folder = shell::target_dir().join(target);
        let folder = folder.to_string_lossy();
        let places = ["--target", target, "--target-dir", &folder];
        let mut command = match self {
            Self::Active => shell::cargo(words),
            Self::Debian => {
                let mut command = shell::program(DEBIAN_CARGO, words);
                command.arg(format!("-Zbuild-std={libraries}"));
                // -Z is for nightly compilers; this variable lets a released one take it.
                command.env("RUSTC", DEBIAN_RUST).env("RUSTC_BOOTSTRAP", "1");
                command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LINKER);
                command.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", MINGW);
                // What rustup's cargo sets for the programs that it runs.
                for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTDOC", "LD_LIBRARY_PATH", "RUSTC_WRAPPER"] {
                    command.env_remove(name);
                }
                command
            }
        };
        // Flags of the caller are for the caller's platform.
        command.args(places).env("CARGO_ENCODED_RUSTFLAGS", "").env("CC_x86_64_pc_windows_gnu", MINGW);
        command
    }
}

/// Returns whether Debian's Rust is installed with the source of its libraries, and new enough for this workspace.
fn has_debian() -> bool {
    let asked = |words: &[&str]| {
        let mut command = shell::program(DEBIAN_RUST, words);
        shell::output_quietly(command.env_remove("RUSTUP_TOOLCHAIN")).unwrap_or_default()
    };
    let source =
        PathBuf::from(asked(&["--print", "sysroot"]).trim()).join("lib/rustlib/src/rust/library/Cargo.lock");
    [DEBIAN_CARGO, DEBIAN_LINKER].iter().all(|program| Path::new(program).exists())
        && source.exists()
        && asked(&["--version"]).split(' ').nth(1).is_some_and(crate::workspace::is_new_enough)
}

/// Returns whether the active Rust has the libraries for a target.
fn active_rust_has(target: &str) -> bool {
    let folder = shell::output_quietly(&mut shell::program(
        "rustc",
        &["--print", "target-libdir", "--target", target],
    ));
    let entries = folder.and_then(|folder| std::fs::read_dir(folder.trim()).ok());
    entries.is_some_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

/// Returns whether either Rust can build for a target.
pub fn can_build(target: &str) -> bool {
    active_rust_has(target) || has_debian()
}
