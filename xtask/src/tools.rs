//! Tools that are not part of Rust: finding them, and installing what is missing.

use std::path::PathBuf;

use crate::{platforms, shell};

/// The version of cargo-deny that the checks were written against.
pub const DENY_VERSION: &str = "0.20.2";

/// Packages of Debian for the checks of other platforms.
const PLATFORM_PACKAGES: [&str; 5] =
    ["rustc-web", "cargo-web", "rust-web-src", "lld", "gcc-mingw-w64-x86-64"];

/// Where tools of a fixed version are kept between builds.
fn cache(tool: &str, version: &str) -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME").or_else(|| std::env::var_os("USERPROFILE"))?);
    Some(home.join(".cache/torquesocket-tools").join(format!("{tool}-{version}")))
}

/// The program cargo-deny: the cached one, or one that is installed.
pub fn cargo_deny() -> Option<PathBuf> {
    let cached = cache("cargo-deny", DENY_VERSION)?.join("bin/cargo-deny");
    if cached.is_file() {
        return Some(cached);
    }
    let installed = shell::succeeds(&mut shell::program("cargo-deny", &["--version"]));
    installed.then(|| PathBuf::from("cargo-deny"))
}

/// A Chromium for the tests of pages: the one that `CHROMIUM` names, or one that is installed.
pub fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Some(PathBuf::from(named));
    }
    let known = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    known.map(PathBuf::from).into_iter().find(|path| path.exists())
}

/// `cargo xtask setup`: installs what the test steps need and this machine lacks.
pub fn setup() -> Result<(), String> {
    let has = |name: &str, argument: &str| shell::succeeds(&mut shell::program(name, &[argument]));
    let mut packages: Vec<&str> = Vec::new();
    if !platforms::ready() {
        packages.extend(PLATFORM_PACKAGES);
    }
    for (program, argument, package) in [
        ("python3", "--version", "python3"),
        ("ip", "-V", "iproute2"),
        ("nft", "--version", "nftables"),
        ("valgrind", "--version", "valgrind"),
    ] {
        if !has(program, argument) {
            packages.push(package);
        }
    }
    if chromium().is_none() {
        packages.push("chromium");
    }
    // Of the packages of Debian 12 Node is too old for some of what the pages' tests use.
    if !has("node", "--version") {
        packages.extend(["nodejs", "npm"]);
    }
    // wtransport's TLS has code in C.
    if !has("cc", "--version") {
        packages.push("gcc");
    }
    if packages.is_empty() {
        println!("setup: programs of the operating system are all there");
    } else if has("apt-get", "--version") {
        println!("setup: installing {} with apt-get", packages.join(" "));
        let apt = |arguments: &[&str]| {
            shell::run(shell::program("apt-get", arguments).env("DEBIAN_FRONTEND", "noninteractive"))
        };
        apt(&["update", "-qq"])?;
        let mut words = vec!["install", "-y", "-qq", "--no-install-recommends"];
        words.extend(packages);
        apt(&words)?;
    } else {
        println!("setup: these are missing and there is no apt-get here: {}", packages.join(" "));
    }
    if cargo_deny().is_some() {
        println!("setup: cargo-deny is there");
        return Ok(());
    }
    let folder = cache("cargo-deny", DENY_VERSION).ok_or("HOME is not set")?;
    println!("setup: building cargo-deny {DENY_VERSION} into {}, some minutes", folder.display());
    let place = folder.to_string_lossy();
    let words = ["install", "cargo-deny", "--locked", "--version", DENY_VERSION, "--root", &place];
    // A folder of its own, so that it never shares with this workspace.
    let built = shell::target_dir().join("tools");
    shell::run(shell::cargo(&words).env("CARGO_TARGET_DIR", built))
}

/// Fails with how to install a cargo subcommand that is missing.
pub fn need_cargo_tool(name: &str) -> Result<(), String> {
    if shell::succeeds(&mut shell::cargo(&[name, "--version"])) {
        return Ok(());
    }
    Err(format!("cargo-{name} is missing: cargo install --locked cargo-{name}"))
}
