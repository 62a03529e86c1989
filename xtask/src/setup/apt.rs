//! Debian's packages. Another package manager may be at work, as on a new machine that updates itself: it is waited for.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::shell::{self, output, program, succeeds};

/// How often, and after which pause, a lock is tried again: ten minutes.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_secs(10);

/// Installs packages; if not all can be had together, as many as there are.
pub fn install(packages: &BTreeSet<&str>) -> Result<(), String> {
    let names: Vec<&str> = packages.iter().copied().collect();
    if !succeeds(&mut program("apt-get", &["--version"])) {
        return Err(format!("there is no apt-get here to install {}", names.join(" ")));
    }
    let as_root = output(&mut program("id", &["-u"])).is_ok_and(|id| id.trim() == "0");
    if !as_root && !succeeds(&mut program("sudo", &["-n", "true"])) {
        return Err(format!("only root installs packages: sudo apt-get install {}", names.join(" ")));
    }
    let apt_get =
        |words: &[&str]| when_unlocked(|| run(apt_command(as_root, words)), || std::thread::sleep(PAUSE));
    apt_get(&["update"])?;
    if apt_get(&[&["install"], &names[..]].concat()).is_ok() {
        return Ok(());
    }
    // One that this system has not got keeps the others away.
    let refused: Vec<&str> = names.into_iter().filter(|name| apt_get(&["install", name]).is_err()).collect();
    if refused.is_empty() { Ok(()) } else { Err(format!("not installed: {}", refused.join(" "))) }
}

fn apt_command(as_root: bool, words: &[&str]) -> Command {
    let options = ["-y", "-qq", "--no-install-recommends", "-oDpkg::Use-Pty=0", "-oAcquire::Retries=3"];
    let mut command = if as_root {
        program("apt-get", &[])
    } else {
        program("sudo", &["-n", "--preserve-env=DEBIAN_FRONTEND,LC_ALL", "apt-get"])
    };
    command.args(words).args(options).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
    command
}

/// Runs a command and keeps what it says of errors, which is shown as well.
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

/// Tries again while an attempt fails because of a lock that another program holds.
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

/// Whether apt-get says (in English) that a lock kept it from working: dpkg's, that of the lists, or of the archives.
fn is_locked(errors: &str) -> bool {
    ["Could not get lock", "Unable to lock", "Unable to acquire the dpkg frontend lock"]
        .iter()
        .any(|text| errors.contains(text))
}

#[cfg(test)]
mod tests;
