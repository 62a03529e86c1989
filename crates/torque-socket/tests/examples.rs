//! Every example runs to its end, over its bad network.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::ffi::OsStr;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The example's program, beside that of this test. Building it takes no time if it is fresh.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // `TARGET/PROFILE/deps/TEST`.
    let [_, _, directory, target] = [0, 1, 2, 3].map(|above| test.ancestors().nth(above).unwrap());
    let profile = directory.file_name().unwrap();
    let profile = if profile == "debug" { OsStr::new("dev") } else { profile };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--package", "torque-socket", "--all-features", "--example", name, "--profile"])
        .arg(profile)
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.unwrap().success());
    directory.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION)
}

/// The longest that an example may take.
const LIMIT: Duration = Duration::from_secs(120);

fn run(name: &str) {
    let mut child =
        Command::new(program(name)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (out, err) = (read(child.stdout.take().unwrap()), read(child.stderr.take().unwrap()));
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("{name} has not ended within {LIMIT:?}:\n{}", out.join().unwrap());
        }
        thread::sleep(Duration::from_millis(20));
    }
    let (text, errors) = (out.join().unwrap(), err.join().unwrap());
    assert!(child.wait().unwrap().success(), "{name}\n{text}\n{errors}");
    assert!(!text.is_empty(), "{name} tells what it did");
}

/// Reads what a program prints while it runs: one whose pipe is full stands still.
fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
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
fn introduce() {
    run("introduce");
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
