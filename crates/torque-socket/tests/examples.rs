//! Every example runs to its end, over its bad network.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::path::PathBuf;
use std::process::Command;

/// The example's program: built already if all of the tests were, built now if not.
fn program(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    if !path.exists() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--package", "torque-socket", "--all-features", "--example", name])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.unwrap().success());
    }
    path
}

fn run(name: &str) {
    let output = Command::new(program(name)).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{name}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.is_empty(), "{name} tells what it did");
}

#[test]
fn echo() {
    run("echo");
}

#[test]
fn chat() {
    run("chat");
}

#[test]
fn game_loop() {
    run("game_loop");
}

#[test]
fn reliable() {
    run("reliable");
}

#[test]
fn large_messages() {
    run("large_messages");
}

#[test]
fn sharded_echo() {
    run("sharded_echo");
}

#[test]
fn bans() {
    run("bans");
}

#[test]
fn credentials() {
    run("credentials");
}

#[test]
fn players() {
    run("players");
}

#[test]
fn pacing() {
    run("pacing");
}

#[cfg(feature = "tokio")]
#[test]
fn in_tokio() {
    run("in_tokio");
}
