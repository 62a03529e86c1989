//! Finds what the tasks use beyond Rust and this repository, and installs what is missing.

mod apt;
pub mod cargo_deny;
mod lint_rust;
pub mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::ToSocketAddrs;
use std::path::PathBuf;

pub use lint_rust::LintRust;

use crate::platforms::{self, WASM, WASM_CORE, WINDOWS};
use crate::shell::{self, program};

/// Something that a step needs and a machine may lack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Need {
    /// The Rust whose formatting and warnings are checked.
    LintRust,
    CargoDeny,
    Python,
    /// `ip`, for tests in network namespaces.
    Namespaces,
    /// `nft`, for the routers of the rig.
    Nftables,
    /// A router daemon, for tests of port mappings.
    Router,
    Valgrind,
    /// The gateway's TLS has code in C.
    CCompiler,
    /// Libraries for WebAssembly: the module for pages.
    Wasm,
    /// Libraries for WebAssembly without `std`: the check that the core does without.
    WasmCore,
    /// Libraries for Windows.
    Windows,
    /// A C compiler for Windows.
    MinGw,
    Node,
    Chromium,
    Firefox,
    /// The name `localhost`, which the operating system resolves by a file that an image may lack.
    Localhost,
    Debootstrap,
}

impl Need {
    /// Its name for people.
    fn name(self) -> &'static str {
        match self {
            Self::LintRust => lint_rust::NAME,
            Self::CargoDeny => "cargo-deny",
            Self::Python => "Python 3.10 or newer",
            Self::Namespaces => "ip (iproute2)",
            Self::Nftables => "nft (nftables)",
            Self::Router => "miniupnpd",
            Self::Valgrind => "valgrind",
            Self::CCompiler => "a C compiler",
            Self::Wasm => "Rust's libraries for WebAssembly",
            Self::WasmCore => "Rust's libraries for WebAssembly without std",
            Self::Windows => "Rust's libraries for Windows",
            Self::MinGw => "MinGW",
            Self::Node => "Node (20.19, or 22.12, or newer) with npm",
            Self::Chromium => "Chromium",
            Self::Firefox => "Firefox",
            Self::Localhost => "the name localhost",
            Self::Debootstrap => "debootstrap",
        }
    }

    /// Seconds to install it, on a fast network.
    fn seconds(self) -> u64 {
        match self {
            Self::CargoDeny => 80,
            Self::Chromium | Self::Firefox => 30,
            Self::LintRust | Self::Node | Self::MinGw => 20,
            _ => 5,
        }
    }

    /// Returns whether it is installed.
    pub fn is_met(self) -> bool {
        let runs = |name: &str, argument: &str| shell::succeeds(&mut program(name, &[argument]));
        match self {
            Self::LintRust => LintRust::find().is_some(),
            Self::CargoDeny => cargo_deny::find().is_some(),
            Self::Python => {
                let script = "import sys; sys.exit(sys.version_info < (3, 10))";
                shell::succeeds(&mut program(PYTHON, &["-c", script]))
            }
            Self::Namespaces => runs("ip", "-V"),
            Self::Nftables => !cfg!(target_os = "linux") || runs("nft", "--version"),
            Self::Router => {
                !cfg!(target_os = "linux") || (runs("miniupnpd", "--version") && runs("nft", "--version"))
            }
            Self::Valgrind => runs("valgrind", "--version"),
            // Microsoft's compiler is on no path; what needs it finds it.
            Self::CCompiler => cfg!(target_env = "msvc") || runs("cc", "--version"),
            Self::Wasm => platforms::can_build(WASM),
            Self::WasmCore => platforms::can_build(WASM_CORE),
            Self::Windows => platforms::can_build(WINDOWS),
            Self::MinGw => runs(platforms::MINGW, "--version"),
            Self::Node => node::find().is_some(),
            Self::Chromium => chromium().is_some(),
            Self::Firefox => firefox().is_some(),
            Self::Localhost => ("localhost", 0).to_socket_addrs().is_ok(),
            Self::Debootstrap => {
                runs("/usr/sbin/debootstrap", "--version") || runs("debootstrap", "--version")
            }
        }
    }

    /// Its name for rustup.
    fn of_rustup(self) -> Option<&'static [&'static str]> {
        match self {
            Self::LintRust => Some(lint_rust::INSTALL),
            Self::Wasm => Some(&["target", "add", WASM]),
            Self::WasmCore => Some(&["target", "add", WASM_CORE]),
            Self::Windows => Some(&["target", "add", WINDOWS]),
            _ => None,
        }
    }

    /// Debian's packages that provide it, or the tools that install it.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::LintRust | Self::CargoDeny | Self::Localhost => &[],
            Self::Python => &["python3"],
            Self::Namespaces => &["iproute2"],
            Self::Nftables => &["nftables"],
            // Without the package `miniupnpd`, which would start a service.
            Self::Router => &["miniupnpd-nftables", "nftables"],
            Self::Valgrind => &["valgrind"],
            Self::CCompiler => &["gcc", "libc6-dev"],
            Self::Wasm | Self::WasmCore | Self::Windows => &platforms::DEBIAN_PACKAGES,
            Self::MinGw => &["gcc-mingw-w64-x86-64"],
            Self::Node => node::packages(),
            Self::Chromium => &["chromium"],
            Self::Firefox => &["firefox-esr"],
            Self::Debootstrap => &["debootstrap"],
        }
    }

    /// The ways to install it by hand on this machine.
    fn by_hand(self) -> String {
        let mut ways = Vec::new();
        if let Some(words) = self.of_rustup()
            && has_rustup()
        {
            ways.push(format!("rustup {}", words.join(" ")));
        }
        if !self.packages().is_empty() && apt::is_here() {
            ways.push(format!("sudo apt-get install {}", self.packages().join(" ")));
        }
        match self {
            Self::CargoDeny => {
                ways.push(format!("cargo install --locked cargo-deny --version {}", cargo_deny::VERSION));
            }
            Self::Localhost => ways.push("add the line `127.0.0.1 localhost` to /etc/hosts".to_owned()),
            Self::Node => ways.push("install it from nodejs.org".to_owned()),
            Self::Chromium => ways.push("install one and name it: CHROMIUM=/path/to/chromium".to_owned()),
            Self::Firefox => ways.push("install one and name it: FIREFOX=/path/to/firefox".to_owned()),
            _ if ways.is_empty() => ways.push("see your system's packages, or rustup.rs".to_owned()),
            _ => {}
        }
        ways.join(", or: ")
    }
}

/// Python, as this system calls it.
pub const PYTHON: &str = if cfg!(windows) { "python" } else { "python3" };

/// A folder for programs of a fixed version, kept between builds.
fn cache(tool: &str, version: &str) -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME").or_else(|| std::env::var_os("USERPROFILE"))?);
    Some(home.join(".cache/torquesocket-tools").join(format!("{tool}-{version}")))
}

fn has_rustup() -> bool {
    shell::succeeds(&mut program("rustup", &["--version"]))
}

/// A Chromium for the tests of pages: the one that `CHROMIUM` names, or one that is installed.
pub fn chromium() -> Option<PathBuf> {
    const KNOWN: [&str; 4] = [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
    ];
    browser("CHROMIUM", &KNOWN)
}

/// A Firefox for the same: the one that `FIREFOX` names, or one that is installed.
pub fn firefox() -> Option<PathBuf> {
    const KNOWN: [&str; 3] =
        ["/usr/bin/firefox-esr", "/usr/bin/firefox", "/Applications/Firefox.app/Contents/MacOS/firefox"];
    browser("FIREFOX", &KNOWN)
}

fn browser(variable: &str, known: &[&str]) -> Option<PathBuf> {
    let named = std::env::var(variable).ok();
    let mut candidates = named.iter().map(String::as_str).chain(known.iter().copied());
    // A package may bring no more than a script that says where to get it.
    candidates.find(|name| shell::succeeds(&mut program(name, &["--version"]))).map(PathBuf::from)
}

/// Installs what is missing. Returns what could not be installed, each with how to install it by hand.
pub fn provide(needs: &BTreeSet<Need>) -> BTreeMap<Need, String> {
    let missing = || needs.iter().copied().filter(|need| !need.is_met()).collect::<Vec<_>>();
    let at_first = missing();
    if at_first.is_empty() {
        return BTreeMap::new();
    }
    let names: Vec<_> = at_first.iter().map(|need| need.name()).collect();
    let seconds: u64 = at_first.iter().map(|need| need.seconds()).sum();
    println!("=== set-up: this machine lacks {}: about {seconds} s on a fast network", names.join(", "));
    let of_rustup: Vec<_> = at_first.iter().filter_map(|need| need.of_rustup()).collect();
    if has_rustup() {
        of_rustup.into_iter().for_each(|words| tell(shell::run(&mut program("rustup", words))));
    }
    let packages: BTreeSet<_> =
        missing().into_iter().map(Need::packages).filter(|packages| !packages.is_empty()).collect();
    if !packages.is_empty() {
        tell(apt::install(&packages));
    }
    for need in missing() {
        match need {
            Need::Node => tell(node::install()),
            Need::CargoDeny => tell(cargo_deny::install()),
            Need::Localhost => tell(write_hosts()),
            _ => {}
        }
    }
    let without = |need: Need| (need, format!("{} is missing; {}", need.name(), need.by_hand()));
    missing().into_iter().map(without).collect()
}

/// The operating system's file of names such as `localhost`.
const HOSTS: &str = "/etc/hosts";

/// Writes the file of names, as installers do, if there is none.
fn write_hosts() -> Result<(), String> {
    let failed = |error| format!("{HOSTS}: {error}");
    let mut file = std::fs::File::create_new(HOSTS).map_err(failed)?;
    println!("set-up: writing {HOSTS}");
    file.write_all(b"127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n").map_err(failed)
}

fn tell(result: Result<(), String>) {
    if let Err(error) = result {
        println!("set-up: {error}");
    }
}

/// Installs what one task needs, or says what to do.
pub fn require(needs: &[Need]) -> Result<(), String> {
    let missing = provide(&needs.iter().copied().collect());
    if missing.is_empty() { Ok(()) } else { Err(missing.into_values().collect::<Vec<_>>().join("\n")) }
}

/// Fails with how to install the cargo subcommand, if it is missing.
pub fn need_cargo_tool(name: &str) -> Result<(), String> {
    if shell::succeeds(&mut shell::cargo(&[name, "--version"])) {
        return Ok(());
    }
    Err(format!("cargo-{name} is missing: cargo install --locked cargo-{name}"))
}
