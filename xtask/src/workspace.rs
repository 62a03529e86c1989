//! Reads the manifests: members, features, examples, the oldest Rust. It knows only the plain forms that this
//! repository uses.

use std::path::{Path, PathBuf};

use crate::shell;

/// One member of the workspace.
pub struct Member {
    pub name: String,
    /// Without `default`.
    pub features: Vec<String>,
}

/// The members, in the order of the root manifest.
pub fn members() -> Result<Vec<Member>, String> {
    let root = shell::root();
    let manifest = shell::read(&root.join("Cargo.toml"))?;
    let list = list_of(&manifest, "members").ok_or("Cargo.toml names no members")?;
    list.into_iter().map(|path| member(&root.join(path))).collect()
}

/// Returns whether the workspace has a member of this name.
pub fn has(name: &str) -> Result<bool, String> {
    Ok(members()?.iter().any(|member| member.name == name))
}

fn member(folder: &Path) -> Result<Member, String> {
    let path = folder.join("Cargo.toml");
    let manifest = shell::read(&path)?;
    let name = lines_of(&manifest, "[package]")
        .find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .ok_or(format!("{}: no name", path.display()))?;
    Ok(Member { name: name.to_owned(), features: features(&manifest) })
}

/// The features of a manifest, without `default`.
fn features(manifest: &str) -> Vec<String> {
    lines_of(manifest, "[features]")
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('=')?.0.trim().trim_matches('"').to_owned()))
        .filter(|name| name != "default")
        .collect()
}

/// The lines of one table.
fn lines_of<'a>(manifest: &'a str, table: &str) -> impl Iterator<Item = &'a str> {
    let table = table.to_owned();
    manifest
        .lines()
        .map(str::trim)
        .skip_while(move |line| *line != table)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
}

/// The strings of `key = [ … ]`.
fn list_of(manifest: &str, key: &str) -> Option<Vec<String>> {
    let start = manifest.lines().scan(0, |at, line| {
        let begin = *at;
        *at += line.len() + 1;
        Some((begin, line))
    });
    let (begin, _) = { start }.find(|(_, line)| line.split('=').next().map(str::trim) == Some(key))?;
    let (_, rest) = manifest[begin..].split_once('[')?;
    let (inside, _) = rest.split_once(']')?;
    Some(inside.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

impl Member {
    /// Lists the sets of features to check: none, and every combination of up to three features, or, with
    /// more, each alone and all together.
    pub fn combinations(&self) -> Vec<String> {
        let names = &self.features;
        if names.len() > 3 {
            let mut sets = vec![String::new()];
            sets.extend(names.iter().cloned());
            sets.push(names.join(","));
            return sets;
        }
        let chosen = |set: usize| {
            let of_set = names.iter().enumerate().filter(|(index, _)| set >> index & 1 == 1);
            of_set.map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(",")
        };
        (0..1 << names.len()).map(chosen).collect()
    }
}

/// Lists the packages of the lock file that need a newer Rust than the workspace promises.
pub fn packages_above_rust_version() -> Result<Vec<String>, String> {
    let limit = promised_version()?;
    let metadata = shell::output(&mut shell::cargo(&["metadata", "--locked", "--format-version", "1"]))?;
    Ok(wanted_versions(&metadata)
        .filter(|(_, wanted)| version(wanted).is_none_or(|wanted| wanted > limit))
        .map(|(name, wanted)| format!("{name} wants Rust {wanted}"))
        .collect())
}

/// Returns whether a version of Rust builds this workspace.
pub fn is_new_enough(text: &str) -> bool {
    version(text).zip(promised_version().ok()).is_some_and(|(version, promised)| version >= promised)
}

/// The oldest Rust that builds this workspace.
fn promised_version() -> Result<(u32, u32), String> {
    let manifest = shell::read(&shell::root().join("Cargo.toml"))?;
    let promised = lines_of(&manifest, "[workspace.package]")
        .find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'))
        .ok_or("Cargo.toml has no rust-version")?;
    version(promised).ok_or("rust-version is not a version".to_owned())
}

/// Name and rust-version of each package that `cargo metadata` lists. In its JSON each package begins with
/// its name and version, and has `rust_version` somewhere behind.
fn wanted_versions(metadata: &str) -> impl Iterator<Item = (&str, &str)> {
    let packages = metadata.split("{\"name\":\"").filter(|part| part.contains("\"rust_version\":"));
    packages.filter_map(|part| {
        let (name, rest) = part.split_once('"')?;
        let (_, after) = rest.split_once("\"rust_version\":\"")?;
        Some((name, after.split('"').next()?))
    })
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(str::parse::<u32>);
    Some((parts.next()?.ok()?, parts.next().unwrap_or(Ok(0)).ok()?))
}

/// Collects the Rust files under a folder, without build folders.
pub fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            let is_built = name == "target" || name == "node_modules" || path == shell::target_dir();
            if !is_built && !name.starts_with('.') {
                rust_files(&path, found)?;
            }
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
