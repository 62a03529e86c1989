//! The rig of real NATs, a separate workspace (rig/README.md).

use std::process::Command;

use crate::setup::{LintRust, Need, require};
use crate::shell::{self, run};
use crate::steps::Outcome;
use crate::test::{DENY, UNWRAP};

/// `cargo xtask nat-matrix`: builds the rig, and runs it in the caller's folder, so that it writes its file there. With
/// `--beside iroh` it builds iroh's parties as well, some four hundred crates.
pub fn matrix(arguments: &[String]) -> Result<(), String> {
    if let Some(why) = lacking() {
        println!("skipped: {why}");
        return Ok(());
    }
    require(&[Need::Nftables])?;
    let Some(at) = arguments.iter().position(|word| word == "--beside") else {
        return run(in_own_folder(&mut rig(&["run", "--quiet"])).arg("--").args(arguments));
    };
    if arguments.get(at + 1).is_none_or(|name| name != "iroh") {
        return Err("--beside iroh: nothing else is there to compare with".to_owned());
    }
    let folder = shell::target_dir().join("rig-iroh");
    let mut iroh = Command::new("cargo");
    iroh.args(["build", "--release", "--locked", "--manifest-path"]);
    iroh.arg(shell::root().join("rig/iroh/Cargo.toml")).env("CARGO_TARGET_DIR", &folder);
    run(&mut iroh)?;
    let (before, after) = (&arguments[..at], &arguments[at + 2..]);
    let mut command = rig(&["run", "--quiet", "--release"]);
    in_own_folder(&mut command).args(["--", "--beside"]).arg(folder.join("release/torque-rig-iroh"));
    run(command.args(before).args(after))
}

/// `cargo xtask demo --nat`: builds the rig, and has two parties chat in it.
pub fn chat(arguments: &[String]) -> Result<(), String> {
    if let Some(why) = lacking() {
        return Err(format!("there can be no chat behind NATs on this machine: {why}"));
    }
    require(&[Need::Nftables])?;
    println!("=== demo --nat: the first time, building the rig takes two minutes");
    run(in_own_folder(&mut rig(&["run", "--quiet"])).args(["--", "chat"]).args(arguments))
}

/// The step `nats`.
pub fn check() -> Result<Outcome, String> {
    let mut clippy = LintRust::get()?.cargo(&["clippy", "--locked", "--all-targets", "--manifest-path"]);
    clippy.arg(shell::root().join("rig/Cargo.toml"));
    run(in_own_folder(&mut clippy).args(["--", DENY, UNWRAP]))?;
    if let Some(why) = lacking() {
        return Ok(Outcome::Skipped(why));
    }
    run(in_own_folder(&mut rig(&["run", "--quiet"])).args(["--", "--quick"]))?;
    run(in_own_folder(&mut rig(&["run", "--quiet"])).args(["--", "chat", "--seconds", "2"]))?;
    Ok(Outcome::Done)
}

/// Tells why there cannot be a rig on this machine.
fn lacking() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("the rig's NATs are Linux's".to_owned());
    }
    if !shell::is_root() {
        return Some("network namespaces need root".to_owned());
    }
    // Root in a container may not be allowed any.
    let may = shell::succeeds(Command::new("unshare").args(["--net", "true"]));
    (!may).then(|| "this machine allows no network namespaces".to_owned())
}

fn rig(words: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(words).args(["--locked", "--manifest-path"]).arg(shell::root().join("rig/Cargo.toml"));
    command
}

/// Another workspace's features would have everything built again.
fn in_own_folder(command: &mut Command) -> &mut Command {
    command.env("CARGO_TARGET_DIR", shell::target_dir().join("rig"))
}
