//! What the tasks use beyond Rust and this repository: looking for it, and installing what is missing.

pub mod apt;
pub mod cargo_deny;
pub mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::platforms::{self, WASM, WASM_CORE, WINDOWS};
use crate::shell::{self, program};

/// Something that a step needs and a machine may lack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Need {
    Rustfmt,
    Clippy,
    CargoDeny,
    Python,
    /// `ip` and `nft`, for tests in network namespaces.
    Namespaces,
    Valgrind,
    /// The gateway's TLS has code in C.
    CCompiler,
    /// Libraries for WebAssembly: the module for pages.
    Wasm,
    /// Libraries for WebAssembly without `std`: the check that the core does without.
    WasmCore,
    /// Libraries for Windows, and a C compiler for it.
    Windows,
    Node,
    Chromium,
    Debootstrap,
}

/// Where an `apt-get install` helps.
const DEBIAN: bool = cfg!(target_os = "linux");

impl Need {
    /// Every need of `cargo xtask test`; `cargo xtask setup` provides them.
    pub const OF_TESTS: [Self; 12] = [
        Self::Rustfmt,
        Self::Clippy,
        Self::CargoDeny,
        Self::Python,
        Self::Namespaces,
        Self::Valgrind,
        Self::CCompiler,
        Self::Wasm,
        Self::WasmCore,
        Self::Windows,
        Self::Node,
        Self::Chromium,
    ];

    /// What is needed, as a person names it.
    fn name(self) -> &'static str {
        match self {
            Self::Rustfmt => "rustfmt",
            Self::Clippy => "clippy",
            Self::CargoDeny => "cargo-deny",
            Self::Python => "Python 3",
            Self::Namespaces => "ip and nft",
            Self::Valgrind => "valgrind",
            Self::CCompiler => "a C compiler",
            Self::Wasm => "Rust's libraries for WebAssembly",
            Self::WasmCore => "Rust's libraries for WebAssembly without std",
            Self::Windows => "Rust's libraries and a C compiler for Windows",
            Self::Node => "Node 20 or newer with npm",
            Self::Chromium => "Chromium",
            Self::Debootstrap => "debootstrap",
        }
    }

    /// Whether it is here.
    pub fn is_met(self) -> bool {
        let runs = |name: &str, argument: &str| shell::succeeds(&mut program(name, &[argument]));
        match self {
            Self::Rustfmt => runs("rustfmt", "--version"),
            Self::Clippy => runs("cargo-clippy", "--version"),
            Self::CargoDeny => cargo_deny::find().is_some(),
            Self::Python => runs("python3", "--version"),
            Self::Namespaces => runs("ip", "-V") && runs("nft", "--version"),
            Self::Valgrind => runs("valgrind", "--version"),
            Self::CCompiler => runs("cc", "--version"),
            Self::Wasm => platforms::can_build(WASM),
            Self::WasmCore => platforms::can_build(WASM_CORE),
            Self::Windows => platforms::can_build(WINDOWS) && runs(platforms::MINGW, "--version"),
            Self::Node => node::find().is_some(),
            Self::Chromium => chromium().is_some(),
            Self::Debootstrap => {
                PathBuf::from("/usr/sbin/debootstrap").exists() || runs("debootstrap", "--version")
            }
        }
    }

    /// What rustup would be asked for.
    fn of_rustup(self) -> Option<[&'static str; 3]> {
        match self {
            Self::Rustfmt => Some(["component", "add", "rustfmt"]),
            Self::Clippy => Some(["component", "add", "clippy"]),
            Self::Wasm => Some(["target", "add", WASM]),
            Self::WasmCore => Some(["target", "add", WASM_CORE]),
            Self::Windows => Some(["target", "add", WINDOWS]),
            _ => None,
        }
    }

    /// Debian's packages that bring it, or what it is installed with.
    fn packages(self) -> Vec<&'static str> {
        match self {
            Self::Rustfmt | Self::Clippy | Self::CargoDeny => vec![],
            Self::Python => vec!["python3"],
            Self::Namespaces => vec!["iproute2", "nftables"],
            Self::Valgrind => vec!["valgrind"],
            Self::CCompiler => vec!["gcc", "libc6-dev"],
            Self::Wasm | Self::WasmCore => platforms::DEBIAN_PACKAGES.to_vec(),
            Self::Windows => {
                let mut packages = vec!["gcc-mingw-w64-x86-64"];
                if !platforms::can_build(WINDOWS) {
                    packages.extend(platforms::DEBIAN_PACKAGES);
                }
                packages
            }
            Self::Node => node::packages(),
            Self::Chromium => vec!["chromium"],
            Self::Debootstrap => vec!["debootstrap"],
        }
    }

    /// The command for somebody whose machine we could not set up.
    fn by_hand(self) -> String {
        let rustup = self.of_rustup().map(|words| format!("rustup {}", words.join(" ")));
        let apt = match self.packages() {
            packages if packages.is_empty() || !DEBIAN => None,
            packages => Some(format!("as root: apt-get install {}", packages.join(" "))),
        };
        let other = match self {
            Self::CargoDeny => {
                Some(format!("cargo install --locked cargo-deny --version {}", cargo_deny::VERSION))
            }
            Self::Node => Some("nodejs.org has it".to_owned()),
            Self::Chromium => Some("or name one: CHROMIUM=/path/to/chromium".to_owned()),
            _ => None,
        };
        let ways = [rustup, apt, other].into_iter().flatten().collect::<Vec<_>>();
        if ways.is_empty() { "see your system's packages".to_owned() } else { ways.join("; ") }
    }
}

/// A folder for programs of a fixed version, kept between builds.
fn cache(tool: &str, version: &str) -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME").or_else(|| std::env::var_os("USERPROFILE"))?);
    Some(home.join(".cache/torquesocket-tools").join(format!("{tool}-{version}")))
}

/// A Chromium for the tests of pages: the one that `CHROMIUM` names, or one that is installed.
pub fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Some(PathBuf::from(named));
    }
    let known = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    known.map(PathBuf::from).into_iter().find(|path| path.exists())
}

/// Installs what is missing. What is missing all the same comes back, each with the command to run by hand.
pub fn provide(needs: &BTreeSet<Need>) -> BTreeMap<Need, String> {
    let missing = || needs.iter().copied().filter(|need| !need.is_met()).collect::<Vec<_>>();
    let at_first = missing();
    if at_first.is_empty() {
        return BTreeMap::new();
    }
    let names: Vec<_> = at_first.iter().map(|need| need.name()).collect();
    println!("=== set-up: this machine lacks {} (a minute or two; cargo-deny two more)", names.join(", "));
    for words in at_first.iter().filter_map(|need| need.of_rustup()) {
        tell(shell::run(&mut program("rustup", &words)));
    }
    let packages: BTreeSet<_> = missing().into_iter().flat_map(Need::packages).collect();
    if !packages.is_empty() {
        tell(apt::install(&packages));
    }
    for need in missing() {
        match need {
            Need::Node => tell(node::install()),
            Need::CargoDeny => tell(cargo_deny::install()),
            _ => {}
        }
    }
    let without = |need: Need| (need, format!("{} is missing here; {}", need.name(), need.by_hand()));
    missing().into_iter().map(without).collect()
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

/// `cargo xtask setup`.
pub fn task() -> Result<(), String> {
    require(&Need::OF_TESTS)?;
    println!("set-up: everything that `cargo xtask test` needs is here");
    Ok(())
}

/// Fails with how to install a cargo subcommand that is missing.
pub fn need_cargo_tool(name: &str) -> Result<(), String> {
    if shell::succeeds(&mut shell::cargo(&[name, "--version"])) {
        return Ok(());
    }
    Err(format!("cargo-{name} is missing: cargo install --locked cargo-{name}"))
}
