//! `cargo xtask web`: the npm package and the pages of the demo, from Rust and TypeScript.
//!
//! torque-wasm becomes a module (`platforms`); the tools that `js/package-lock.json` names do the rest. Nothing is
//! bundled: a browser loads the files of `js/src`, one by one, without types, comments and long names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::setup::{self, Need, node};
use crate::steps::Outcome;
use crate::{npx, platforms, shell};

/// The needs of building the package and the pages.
pub const NEEDS: &[Need] = &[Need::Node, Need::Wasm, Need::CCompiler];

/// The further needs of trying them in a browser.
pub const TEST_NEEDS: &[Need] =
    &[Need::Node, Need::Wasm, Need::CCompiler, Need::Chromium, Need::Firefox, Need::Localhost];

/// The needs of measuring them.
pub const FIGURES_NEEDS: &[Need] =
    &[Need::Node, Need::Wasm, Need::CCompiler, Need::Chromium, Need::Localhost];

/// The tests that run in Firefox as well: of what browsers differ in.
const IN_FIREFOX: &[&str] =
    &["test/pages.test.mjs", "test/lifetime.test.mjs", "test/introduced_pages.test.mjs"];

/// The npm package.
pub fn package() -> PathBuf {
    shell::root().join("js")
}

/// The protocol core, beside the JavaScript that loads it: as most pages load it, and with introductions. Each has its features.
const MODULES: [(&str, &[&str]); 2] =
    [("core.wasm", &[]), ("core-introductions.wasm", &["--features", "introductions"])];

/// The folder that the demo's pages go to.
pub fn pages() -> PathBuf {
    shell::target_dir().join("web")
}

/// `cargo xtask web`: builds the package into `js/dist`, and the demo's pages.
pub fn build() -> Result<(), String> {
    // What is left over from a file that is no more would be packed.
    clear(&package().join("dist"))?;
    npm_packages(&package())?;
    for (name, features) in MODULES {
        module(name, features)?;
    }
    javascript()?;
    demo_pages()
}

/// Builds the protocol core into a file of `js/dist`, and makes it smaller with Binaryen.
fn module(name: &str, features: &[&str]) -> Result<(), String> {
    let words = [&["build", "--profile", "web", "--locked", "-p", "torque-wasm"], features].concat();
    shell::run(&mut platforms::cargo_for_module(&words)?)?;
    let built = platforms::wasm_folder().join("web/torque_wasm.wasm");
    let module = package().join("dist").join(name);
    make_folder_of(&module)?;
    let mut shrink = node::command("node", &["node_modules/binaryen/bin/wasm-opt", "-Oz", "--converge"])?;
    // The lowest KiB is the far end of the stack: no sum of a pointer and a field's offset wraps around to it.
    shrink.arg("--low-memory-unused");
    // What Rust's target uses anyway, in browsers since 2021 and earlier; nothing newer comes in.
    for feature in ["bulk-memory", "mutable-globals", "nontrapping-float-to-int", "sign-ext"] {
        shrink.arg(format!("--enable-{feature}"));
    }
    shell::run(shrink.current_dir(package()).arg(built).arg("--output").arg(module))
}

/// Types by TypeScript, which checks them; programs by esbuild.
fn javascript() -> Result<(), String> {
    tsc(&["tsconfig.json", "--emitDeclarationOnly"])?;
    shell::run(node::command("node", &["build.mjs"])?.current_dir(package()))
}

/// `cargo xtask test --only pages`: the package and the pages in Node and in a real browser.
pub fn test() -> Result<Outcome, String> {
    build()?;
    // The other bundlers that make pages of the package.
    npm_packages(&package().join("test/bundlers"))?;
    let words = ["build", "--locked", "-p", "torque-cli", "-p", "torque-demo", "--features", "gateway"];
    shell::run(&mut shell::cargo(&words))?;
    npx::lay_out(&shell::target_dir().join("debug"), None)?;
    let firefox = setup::firefox().ok_or("Firefox is missing: cargo xtask setup")?;
    let mut in_firefox = node_tests()?;
    in_firefox.env("BROWSER", "firefox").env("FIREFOX", firefox).args(IN_FIREFOX);
    let mut command = node_tests()?;
    for folder in ["test", "demo/test"] {
        let files = list(&package().join(folder))?;
        command.args(files.iter().filter(|file| file.to_string_lossy().ends_with(".test.mjs")));
    }
    // Most of it waits.
    shell::run_both(&mut command, &mut in_firefox).map(|()| Outcome::Done)
}

/// Makes a command of Node's test runner that knows where the programs are.
fn node_tests() -> Result<Command, String> {
    let mut command = node::command("node", &["--test", "--test-concurrency=1", "--test-reporter=spec"])?;
    command.current_dir(package()).env("CHROMIUM", chromium()?);
    let programs = shell::target_dir().join("debug");
    command.env("TORQUE", programs.join("torque")).env("TORQUE_DEMO", programs.join("torque-demo"));
    command.env("TORQUE_PAGES", pages());
    command.env("TORQUE_NPM", npx::packages());
    Ok(command)
}

fn chromium() -> Result<PathBuf, String> {
    setup::chromium().ok_or("Chromium is missing: cargo xtask setup".to_owned())
}

/// `cargo xtask web-figures [--json]`.
pub fn figures(arguments: &[String]) -> Result<(), String> {
    build()?;
    let words = ["build", "--release", "--locked", "-p", "torque-cli", "--features", "gateway"];
    shell::run(&mut shell::cargo(&words))?;
    let mut command = node::command("node", &["bench/figures.mjs"])?;
    command.current_dir(package()).args(arguments);
    shell::run(command.env("CHROMIUM", chromium()?).env("TORQUE", shell::target_dir().join("release/torque")))
}

/// Installs what a folder's `package-lock.json` names, once for each lock file.
fn npm_packages(folder: &Path) -> Result<(), String> {
    let lock = shell::read(&folder.join("package-lock.json"))?;
    let installed = folder.join("node_modules/.installed-lock.json");
    if fs::read_to_string(&installed).is_ok_and(|text| text == lock) {
        return Ok(());
    }
    shell::run(
        node::command("npm", &["ci", "--no-audit", "--no-fund", "--include=dev", "--include=optional"])?
            .current_dir(folder),
    )?;
    fs::write(&installed, lock).map_err(|error| format!("{}: {error}", installed.display()))
}

fn tsc(project: &[&str]) -> Result<(), String> {
    let program = "node_modules/typescript/bin/tsc";
    shell::run(node::command("node", &[program, "-p"])?.args(project).current_dir(package()))
}

/// Lays out the demo's pages with everything that they load.
fn demo_pages() -> Result<(), String> {
    let demo = package().join("demo");
    if !demo.exists() {
        return Ok(());
    }
    let out = pages();
    clear(&out)?;
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
    make_folder_of(to)?;
    fs::copy(from, to).map(|_| ()).map_err(|error| format!("{}: {error}", to.display()))
}

fn make_folder_of(file: &Path) -> Result<(), String> {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}
