//! `cargo xtask web`: the npm package and the pages of the demo, from Rust and TypeScript.
//!
//! torque-wasm becomes a module (`platforms`), the TypeScript compiler that `js/package-lock.json` names does the rest.
//! Nothing is bundled: what a browser loads is what stands in `js/src`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::steps::Outcome;
use crate::{platforms, shell, tools};

/// The npm package.
pub fn package() -> PathBuf {
    shell::root().join("js")
}

/// The protocol core, beside the JavaScript that loads it.
const MODULE: &str = "core.wasm";

/// Where the pages of the demo are put together.
pub fn pages() -> PathBuf {
    shell::target_dir().join("web")
}

/// `cargo xtask web`: builds the package into `js/dist`, and the demo's pages.
pub fn build() -> Result<(), String> {
    platforms::need_wasm()?;
    need_node()?;
    // What is left over from a file that is no more would be packed.
    clear(&package().join("dist"))?;
    core()?;
    npm_packages()?;
    // Comments are for those who read the types, and weigh as much as the code.
    tsc(&["tsconfig.json", "--emitDeclarationOnly"])?;
    tsc(&["tsconfig.json", "--declaration", "false", "--removeComments"])?;
    demo_pages()
}

/// Builds the module into `js/dist/core.wasm`.
fn core() -> Result<(), String> {
    let words = ["build", "--profile", "web", "--locked", "-p", "torque-wasm"];
    shell::run(&mut platforms::cargo_for_wasm(&words)?)?;
    copy(&platforms::wasm_folder().join("web/torque_wasm.wasm"), &package().join("dist").join(MODULE))
}

/// `cargo xtask test --only pages`: the package and the pages in Node and in a real browser.
pub fn test() -> Result<Outcome, String> {
    let chromium = tools::chromium().ok_or(
        "Chromium is missing: `cargo xtask setup`, or name one: CHROMIUM=/path/to/chromium cargo xtask test --only pages",
    )?;
    build()?;
    shell::run(&mut shell::cargo(&["build", "--locked", "-p", "torque-cli", "--features", "gateway"]))?;
    let mut command = shell::program("node", &["--test", "--test-concurrency=1", "--test-reporter=spec"]);
    command.current_dir(package()).env("CHROMIUM", chromium);
    command.env("TORQUE", shell::target_dir().join("debug/torque")).env("TORQUE_PAGES", pages());
    for folder in ["test", "demo/test"] {
        let files = list(&package().join(folder))?;
        command.args(files.iter().filter(|file| file.to_string_lossy().ends_with(".test.mjs")));
    }
    shell::run(&mut command)?;
    Ok(Outcome::Done)
}

/// `cargo xtask web-figures [--json]`.
pub fn figures(arguments: &[String]) -> Result<(), String> {
    build()?;
    let words = ["build", "--release", "--locked", "-p", "torque-cli", "--features", "gateway"];
    shell::run(&mut shell::cargo(&words))?;
    let mut command = shell::program("node", &["bench/figures.mjs"]);
    command.current_dir(package()).args(arguments);
    shell::run(command.env("TORQUE", shell::target_dir().join("release/torque")))
}

/// Runs a test program that was built for WebAssembly; it traps where a test fails.
pub fn run_tests(program: &Path) -> Result<(), String> {
    need_node()?;
    let script = "const {readFileSync} = require('node:fs');
        WebAssembly.instantiate(readFileSync(process.argv[1]), {}).then(({instance}) => {
            process.exitCode = instance.exports.main(0, 0);
        });";
    shell::run(shell::program("node", &["--eval", script]).arg(program))
}

fn need_node() -> Result<(), String> {
    let version = shell::output(&mut shell::program("node", &["--version"])).unwrap_or_default();
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    match major {
        Some(20u32..) => Ok(()),
        Some(old) => {
            Err(format!("Node {old} is too old for the web part: 20 or newer is needed (nodejs.org)"))
        }
        None => {
            Err("the web part needs Node 20 or newer with npm (nodejs.org, or your system's packages)"
                .to_owned())
        }
    }
}

/// Installs what `js/package-lock.json` names, once for each lock file.
fn npm_packages() -> Result<(), String> {
    let lock = shell::read(&package().join("package-lock.json"))?;
    let installed = package().join("node_modules/.installed-lock.json");
    if fs::read_to_string(&installed).is_ok_and(|text| text == lock) {
        return Ok(());
    }
    shell::run(shell::program("npm", &["ci", "--no-audit", "--no-fund"]).current_dir(package()))?;
    fs::write(&installed, lock).map_err(|error| format!("{}: {error}", installed.display()))
}

fn tsc(project: &[&str]) -> Result<(), String> {
    let program = "node_modules/typescript/bin/tsc";
    shell::run(shell::program("node", &[program, "-p"]).args(project).current_dir(package()))
}

/// The demo's pages with everything that they load.
fn demo_pages() -> Result<(), String> {
    let demo = package().join("demo");
    if !demo.exists() {
        return Ok(());
    }
    let out = pages();
    tsc(&["demo/tsconfig.json", "--outDir", &out.to_string_lossy()])?;
    for entry in list(&demo)? {
        let is_page = entry.extension().is_some_and(|ending| {
            ["html", "css", "svg", "png", "webmanifest"].iter().any(|known| ending == *known)
        });
        if is_page && let Some(name) = entry.file_name() {
            copy(&entry, &out.join(name))?;
        }
    }
    copy_tree(&package().join("dist"), &out.join("torque-socket"))
}

fn clear(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if folder.exists() => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), String> {
    for entry in list(from)? {
        let Some(name) = entry.file_name() else { continue };
        if entry.is_dir() {
            copy_tree(&entry, &to.join(name))?;
        } else {
            copy(&entry, &to.join(name))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let folder = to.parent().map_or(Ok(()), fs::create_dir_all);
    folder.and_then(|()| fs::copy(from, to)).map(|_| ()).map_err(|error| format!("{}: {error}", to.display()))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}
