//! Tasks of this repository: `cargo xtask <task>`.

mod bare_root;
mod codes;
mod counts;
mod documents;
mod fuzz;
mod lengths;
mod nats;
mod npx;
mod platforms;
mod setup;
mod shell;
mod steps;
mod test;
mod web;
mod workspace;

use std::process::ExitCode;

use setup::{Need, require};
use steps::Outcome;

const USAGE: &str = "cargo xtask <task>

  demo [arguments]         build the pages and the demo, and run it
  demo --nat [KIND [KIND]] [--relay WHEN] [--link LINK] [--seconds N] [--json]
                           two who chat behind NATs, introduced by a lobby (Linux, root; rig/README.md)
  test [--only STEP] [--from STEP] [--list]
                           every check, step by step
  setup                    install what the tests need and this machine lacks; `test` does it first
  bare-root [--help]       run the README's commands on a new machine: Debian, Rust, git and a C linker
  web                      the npm package (js/dist) and the demo's pages (target/web)
  npm-gateway [--target TRIPLE]
                           the gateway as npm packages, for this platform or another (target/npm)
  web-figures [--json]     what a page's socket costs, through a real browser and gateway (docs/web.md)
  codes [--check]          write the code tables from spec/codes.csv (--check: only compare)
  vectors [--check]        write spec/vectors (--check: only compare)
  check-wasm [--debian]    torque-proto for WebAssembly
  check-windows [--debian] the crates for Windows
  fuzz TARGET [--seconds N] [--address-sanitizer] [--minimise]
                           coverage-guided fuzzing; --minimise updates the committed corpus
  counts [--write]         count the instructions of the hot paths, compare with bench/counts/figures.txt
  bench [--quick] [--json FILE] [--svg FILE] [--job NAME]... [--peer NAME]... [--list]
                           this library beside its peers (Linux; bench/README.md)
  nat-matrix [--quick] [--json FILE] [--runs N] [--only NAME]... [--hard-nat WHEN]
                           introductions through real NATs: direct or relayed (Linux, root; rig/README.md)
  nat-matrix --beside iroh [--runs N] [--only NAME]... [--json FILE]
                           the same with iroh in the same run, and what happens when an address changes
  mutants [arguments]      change the window, nonces, puzzle and ratchet, and expect tests to fail";

fn main() -> ExitCode {
    if let Some(code) = fuzz::compile_in_place_of_rustc() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let outcome = match arguments.first().map(String::as_str) {
        Some("demo") => demo(rest),
        Some("test") => test::test(rest),
        Some("setup") => test::set_up(),
        Some("web") => require(web::NEEDS).and_then(|()| web::build()),
        Some("npm-gateway") => require(npx::NEEDS).and_then(|()| npx::build(rest)),
        Some("web-figures") => require(web::FIGURES_NEEDS).and_then(|()| web::figures(rest)),
        Some("codes") => codes::run(rest),
        Some("vectors") => test::vectors_task(rest).map(tell),
        Some("check-wasm") => require(platforms::WASM_NEEDS).and_then(|()| platforms::wasm(rest)).map(tell),
        Some("check-windows") => {
            require(platforms::WINDOWS_NEEDS).and_then(|()| platforms::windows(rest)).map(tell)
        }
        Some("bare-root") => bare_root::run(rest),
        Some("fuzz") => fuzz::run(rest),
        Some("counts") => require(&[Need::Valgrind]).and_then(|()| counts::task(rest)).map(tell),
        Some("bench") => bench(rest),
        Some("nat-matrix") => nats::matrix(rest),
        Some("mutants") => mutants(rest),
        None | Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            Ok(())
        }
        Some(other) => Err(format!("`{other}` is not a task\n\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn tell(outcome: Outcome) {
    match outcome {
        Outcome::Done => println!("ok"),
        Outcome::Skipped(why) => println!("skipped: {why}"),
        Outcome::Note(note) => println!("ok, {note}"),
    }
}

/// Builds the pages and the demo, and runs it in the terminal of the caller; with `--nat` the chat in the rig of NATs. Where nothing can build pages, the demo runs without
/// them; in CI that is a failure.
fn demo(arguments: &[String]) -> Result<(), String> {
    if arguments.iter().any(|argument| argument == "--nat") {
        return nats::chat(arguments);
    }
    println!(
        "=== demo: the first time, building it takes about three minutes on two quiet cores, after set-up"
    );
    let pages = match require(web::NEEDS).and_then(|()| web::build()) {
        Ok(()) => Some(web::pages()),
        Err(error) if shell::in_ci() => return Err(error),
        Err(error) => {
            eprintln!("\nThe demo has no page to play in: {error}\n");
            None
        }
    };
    let mut command = std::process::Command::new("cargo");
    command.current_dir(shell::root());
    command.args(["run", "--release", "--locked", "--package", "torque-demo"]);
    if pages.is_some() {
        command.args(["--features", "gateway"]);
    }
    command.arg("--");
    if let Some(pages) = pages {
        command.arg("--web").arg(pages);
    }
    shell::run(command.args(arguments))
}

/// Builds the bench, a separate workspace, and runs it in the caller's folder, so that it writes its files there.
fn bench(arguments: &[String]) -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Err("the bench measures Linux's ways of sending many packets, so it needs Linux".to_owned());
    }
    let mut command = std::process::Command::new("cargo");
    command.args(["run", "--release", "--locked", "--manifest-path"]);
    command.arg(shell::root().join("bench/Cargo.toml"));
    // Build scripts of dependencies read these, and would run again after each build by hand.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    // One peer needs C headers, which may be missing; the others work without.
    if shell::succeeds(&mut shell::program("pkg-config", &["--atleast-version=1.1.1", "openssl"])) {
        command.args(["--features", "openssl"]);
    }
    shell::run(command.arg("--").args(arguments))
}

/// Runs cargo-mutants as .cargo/mutants.toml says.
fn mutants(arguments: &[String]) -> Result<(), String> {
    setup::need_cargo_tool("mutants")?;
    shell::run(shell::cargo(&["mutants", "--no-shuffle"]).args(arguments))
}
