//! Installs Debian's packages. Waits for another package manager at work, such as the automatic updates of a new machine.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::shell::{self, program, succeeds};

/// The number of tries to take a lock, and the pause in between: ten minutes together.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_secs(10);

/// Returns whether this machine uses apt.
pub fn is_here() -> bool {
    succeeds(&mut program("apt-get", &["--version"]))
}

/// Installs groups of packages, each whole or not at all.
pub fn install(groups: &BTreeSet<&[&str]>) -> Result<(), String> {
    let names =
        |groups: &BTreeSet<&[&str]>| groups.iter().map(|group| group.join(" ")).collect::<Vec<_>>().join(" ");
    if !is_here() {
        return Err(format!("there is no apt-get here to install {}", names(groups)));
    }
    let as_root = shell::is_root();
    if !as_root && !succeeds(&mut program("sudo", &["-n", "true"])) {
        return Err(format!("installing packages needs root; run: sudo apt-get install {}", names(groups)));
    }
    let apt_get =
        |words: &[&str]| when_unlocked(|| run(apt_command(as_root, words)), || std::thread::sleep(PAUSE));
    // One source that cannot be reached is no reason to give up.
    if let Err(error) = apt_get(&["update"]) {
        if is_locked(&error) {
            return Err("another package manager did not end; try again later".to_owned());
        }
        println!("set-up: apt-get update: {error}");
    }
    let install = |group: &[&str]| apt_get(&[&["install"], group].concat());
    let all: Vec<&str> = groups.iter().flat_map(|group| group.iter().copied()).collect();
    match install(&all) {
        Err(error) if !is_locked(&error) => {}
        ended => return ended,
    }
    // One that this system has not got keeps the others away.
    let refused: BTreeSet<&[&str]> = groups.iter().copied().filter(|group| install(group).is_err()).collect();
    if refused.is_empty() { Ok(()) } else { Err(format!("not installed: {}", names(&refused))) }
}

fn apt_command(as_root: bool, words: &[&str]) -> Command {
    // Nothing that is installed is taken away for it.
    let options =
        ["-y", "-qq", "--no-remove", "--no-install-recommends", "-oDpkg::Use-Pty=0", "-oAcquire::Retries=3"];
    let mut command = if as_root {
        program("apt-get", &[])
    } else {
        program("sudo", &["-n", "--preserve-env=DEBIAN_FRONTEND,LC_ALL", "apt-get"])
    };
    command.args(words).args(options).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
    command
}

/// Runs a command; keeps and shows its errors.
fn run(mut command: Command) -> Result<(), String> {
    println!("$ {}", shell::as_text(&command));
    let started = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = started.map_err(|error| format!("apt-get: {error}"))?;
    let mut errors = String::new();
    for line in
        child.stderr.take().map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok)
    {
        eprintln!("{line}");
        errors.push_str(&line);
        errors.push('\n');
    }
    let status = child.wait().map_err(|error| format!("apt-get: {error}"))?;
    if status.success() { Ok(()) } else { Err(errors) }
}

/// Retries while an attempt fails because another program holds a lock.
fn when_unlocked(
    mut attempt: impl FnMut() -> Result<(), String>,
    mut pause: impl FnMut(),
) -> Result<(), String> {
    for _ in 1..TRIES {
        match attempt() {
            Err(errors) if is_locked(&errors) => {
                println!("set-up: another package manager is at work; waiting for it, at most ten minutes");
                pause();
            }
            ended => return ended,
        }
    }
    attempt()
}

/// Returns whether apt-get reports (in English) that another program holds the lock of dpkg, the lists or the archives.
fn is_locked(errors: &str) -> bool {
    errors.contains("Could not get lock")
}

#[cfg(test)]
mod tests;
