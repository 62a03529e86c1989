//! Runs other programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the repository.
pub fn root() -> PathBuf {
    // What cargo says now: the program may have been built for another checkout, in a folder that both share.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Cargo's output folder.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Makes a command that runs in the root, without standard input.
pub fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    command
}

/// Makes a `cargo` command with these arguments.
pub fn cargo(arguments: &[&str]) -> Command {
    program("cargo", arguments)
}

/// Shows a command and runs it.
pub fn run(command: &mut Command) -> Result<(), String> {
    let text = as_text(command);
    println!("$ {text}");
    let status = command.status().map_err(|error| format!("{text}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{text}` ended with {status}")) }
}

/// Runs two commands at the same time. The output of the second appears when both have ended.
pub fn run_both(first: &mut Command, second: &mut Command) -> Result<(), String> {
    let text = as_text(second);
    println!("$ {text}  (at the same time as what follows)");
    let (first, second) = std::thread::scope(|scope| {
        let second = scope.spawn(|| second.output());
        (run(first), second.join())
    });
    let output = match second {
        Ok(output) => output.map_err(|error| format!("{text}: {error}"))?,
        Err(_) => return Err(format!("{text}: its thread panicked")),
    };
    println!("$ {text}\n{}", String::from_utf8_lossy(&output.stdout));
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    match (first, output.status.success()) {
        (first, true) => first,
        (Ok(()), false) => Err(format!("`{text}` ended with {}", output.status)),
        (Err(error), false) => Err(format!("{error}\n`{text}` ended with {}", output.status)),
    }
}

/// Runs a command and returns its output; its errors go to the terminal.
pub fn output(command: &mut Command) -> Result<String, String> {
    let text = as_text(command);
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("{text}: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{text}` ended with {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{text}` printed what is not UTF-8"))
}

/// Returns the output of a command if it succeeds, and shows none of its errors.
pub fn output_quietly(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// Returns whether a program can be started and succeeds; it prints nothing.
pub fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Returns whether this is an unattended run, in which nothing may be skipped.
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|text| !text.is_empty())
}

/// Returns whether this is the superuser; outside Unix it never is.
pub fn is_root() -> bool {
    output_quietly(&mut program("id", &["-u"])).is_some_and(|id| id.trim() == "0")
}

/// Formats a command as a person would type it.
pub fn as_text(command: &Command) -> String {
    let quoted = |text: &std::ffi::OsStr| {
        let text = text.to_string_lossy();
        let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+\\".contains(c);
        if !text.is_empty() && text.chars().all(is_plain) { text.into_owned() } else { format!("'{text}'") }
    };
    let set = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), quoted(value?))));
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted);
    set.chain(words).collect::<Vec<_>>().join(" ")
}

/// Reads a file of the repository.
pub fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
