//! Where the figures are from: processor, kernel, versions.

use serde_json::{Map, Value, json};

use crate::peers;

/// The lock file of this very build.
const LOCK: &str = include_str!("../Cargo.lock");

/// Machine, kernel, compiler and the peers' versions.
pub fn describe() -> Value {
    let name = rustix::system::uname();
    let mut versions = Map::new();
    for package in peers::ALL.iter().filter_map(|peer| peer.package) {
        if let Some(version) = version_of(LOCK, package) {
            versions.insert(package.to_owned(), Value::String(version.to_owned()));
        }
    }
    json!({
        "processor": processor().unwrap_or_else(|| "unknown".to_owned()),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "system": format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy()),
        "architecture": std::env::consts::ARCH,
        "versions": versions,
    })
}

/// The same for people.
pub fn text(machine: &Value) -> String {
    let versions: Vec<String> = machine["versions"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(package, version)| format!("{package} {}", version.as_str().unwrap_or_default()))
        .collect();
    format!(
        "{} × {} ({}), {}\n{}",
        machine["processors"],
        machine["processor"].as_str().unwrap_or_default(),
        machine["architecture"].as_str().unwrap_or_default(),
        machine["system"].as_str().unwrap_or_default(),
        versions.join(", ")
    )
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The version of a package in a lock file.
fn version_of<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"\n");
    let after = &lock[lock.find(&name)? + name.len()..];
    after.lines().next()?.strip_prefix("version = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests;
