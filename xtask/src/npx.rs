//! `cargo xtask npm-gateway`: the gateway as npm packages, a common one and one for each platform.

use std::fs;
use std::path::{Path, PathBuf};

use crate::setup::Need;
use crate::shell;

/// The needs of the build.
pub const NEEDS: &[Need] = &[Need::CCompiler];

/// The folder that the packages go to.
pub fn packages() -> PathBuf {
    shell::target_dir().join("npm")
}

/// Rust's name of a platform, and npm's names of its system and processor.
const PLATFORMS: &[(&str, &str, &str)] = &[
    ("aarch64-apple-darwin", "darwin", "arm64"),
    ("x86_64-apple-darwin", "darwin", "x64"),
    ("aarch64-unknown-linux-gnu", "linux", "arm64"),
    ("x86_64-unknown-linux-gnu", "linux", "x64"),
    ("x86_64-pc-windows-msvc", "win32", "x64"),
];

/// `cargo xtask npm-gateway [--target TRIPLE]`: builds the gateway and lays its packages out.
pub fn build(arguments: &[String]) -> Result<(), String> {
    let target = match arguments {
        [] => None,
        [option, target] if option == "--target" => Some(target.as_str()),
        _ => return Err("usage: cargo xtask npm-gateway [--target TRIPLE]".to_owned()),
    };
    let words = ["build", "--release", "--locked", "-p", "torque-cli", "--features", "gateway"];
    let mut cargo = shell::cargo(&words);
    let mut built = shell::target_dir();
    if let Some(target) = target {
        cargo.args(["--target", target]);
        built.push(target);
    }
    shell::run(&mut cargo)?;
    lay_out(&built.join("release"), target)?;
    println!(
        "ready to be published: npm publish {0}/torque-gateway-*, then {0}/torque-gateway",
        packages().display()
    );
    Ok(())
}

/// Lays the packages out around the `torque` in `built`; `target` names its platform, if that is not this one.
pub fn lay_out(built: &Path, target: Option<&str>) -> Result<(), String> {
    let target = target.map_or_else(this_platform, |target| Ok(target.to_owned()))?;
    let (_, system, processor) = *PLATFORMS
        .iter()
        .find(|(triple, ..)| *triple == target)
        .ok_or(format!("there is no npm package for {target}: {} knows which there are", file!()))?;
    let source = shell::root().join("js/gateway");
    let (all, one) = (packages().join("torque-gateway"), format!("torque-gateway-{system}-{processor}"));
    for name in ["package.json", "torque-gateway.mjs", "README.md"] {
        copy(&source.join(name), &all.join(name))?;
    }
    let manifest = shell::read(&source.join("package.json"))?;
    let version = manifest
        .lines()
        .find_map(|line| line.trim().strip_prefix("\"version\": \""))
        .and_then(|rest| rest.split('"').next())
        .ok_or("js/gateway/package.json has no version")?;
    let program = if system == "win32" { "torque.exe" } else { "torque" };
    let package = packages().join(&one);
    copy(&built.join(program), &package.join(program))?;
    let text = format!(
        r#"{{
  "name": "{one}",
  "version": "{version}",
  "description": "The program of torque-gateway for {system} on {processor}",
  "license": "MIT OR Apache-2.0",
  "os": ["{system}"],
  "cpu": ["{processor}"],
  "files": ["{program}"],
  "preferUnplugged": true
}}
"#
    );
    fs::write(package.join("package.json"), text)
        .map_err(|error| format!("{}: {error}", package.display()))?;
    for folder in [&all, &package] {
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            copy(&shell::root().join(licence), &folder.join(licence))?;
        }
    }
    Ok(())
}

/// Rust's name of this platform.
fn this_platform() -> Result<String, String> {
    let text = shell::output(&mut shell::program("rustc", &["--version", "--verbose"]))?;
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or("rustc does not say what it builds for".to_owned())
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder)
        .and_then(|()| fs::copy(from, to))
        .map(|_| ())
        .map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}
