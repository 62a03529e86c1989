//! `cargo xtask counts`: counts the instructions of the hot paths under callgrind and compares them with the committed figures.
//!
//! Counts repeat exactly for one compiler and one set of processor features. With others they differ, so the step then builds and
//! counts the commit that wrote the figures as well, and compares with that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::shell::{self, cargo, output, program};
use crate::steps::Outcome;

/// The committed figures.
const FIGURES: &str = "bench/counts/figures.txt";
const PACKAGE: &str = "torque-counts";
/// Each path runs this often and that often; the difference is its cost without set-up and tear-down.
const TIMES: [u64; 2] = [64, 320];
/// The growth in percent that fails.
const LIMIT: u64 = 3;
/// Processor features that the counted code looks for, as Linux names them; under callgrind no others are used.
const FEATURES: [&str; 7] = ["aes", "avx", "avx2", "bmi2", "pclmulqdq", "pmull", "ssse3"];

const USAGE: &str = "cargo xtask counts [--write]";

/// Counts, and the machine they were made on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Figures {
    machine: String,
    counts: BTreeMap<String, u64>,
}

impl Figures {
    /// Lines of `name count`; `machine: …` is the first. Lines that begin with # are for people.
    fn parse(text: &str) -> Option<Self> {
        let mut figures = Self::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.strip_prefix("machine: ") {
                Some(machine) => figures.machine = machine.to_owned(),
                None => {
                    let (name, count) = line.split_once(' ')?;
                    figures.counts.insert(name.to_owned(), count.trim().parse().ok()?);
                }
            }
        }
        Some(figures)
    }

    fn text(&self) -> String {
        let mut text = format!(
            "# Instructions of the hot paths, portable cryptography, written by `cargo xtask counts --write`.\nmachine: {}\n",
            self.machine
        );
        for (name, count) in &self.counts {
            text.push_str(&format!("{name} {count}\n"));
        }
        text
    }

    /// Each path that costs more than `before` allows, or is gone.
    fn worse_than(&self, before: &Self) -> Vec<String> {
        let gone = before.counts.keys().filter(|name| !self.counts.contains_key(*name));
        let gone = gone.map(|name| format!("{name}: is gone"));
        let grown = |(name, count): (&String, &u64)| {
            let old = *before.counts.get(name)?;
            let percent = (*count as f64 / old as f64 - 1.0) * 100.0;
            (100 * count > (100 + LIMIT) * old)
                .then(|| format!("{name}: {old} before, {count} now, {percent:.1} % more"))
        };
        self.counts.iter().filter_map(grown).chain(gone).collect()
    }
}

/// `cargo xtask counts [--write]`.
pub fn task(arguments: &[String]) -> Result<Outcome, String> {
    match arguments {
        [] => check(),
        [word] if word == "--write" => {
            let figures = count(&shell::root(), "counts")?;
            let text = figures.text();
            print!("{text}");
            std::fs::write(shell::root().join(FIGURES), text)
                .map_err(|error| format!("{FIGURES}: {error}"))?;
            Ok(Outcome::Done)
        }
        _ => Err(USAGE.to_owned()),
    }
}

/// The step of `cargo xtask test`.
pub fn check() -> Result<Outcome, String> {
    let now = count(&shell::root(), "counts")?;
    let text = std::fs::read_to_string(shell::root().join(FIGURES))
        .map_err(|error| format!("{FIGURES}: {error}"))?;
    let committed =
        Figures::parse(&text).ok_or_else(|| format!("{FIGURES} has a line that cannot be read"))?;
    let (before, note) = if committed.machine == now.machine {
        (committed, format!("{} paths", now.counts.len()))
    } else {
        let Some(before) = count_commit_of_figures()? else {
            return Ok(Outcome::Skipped(
                "the figures are another machine's, and this checkout lacks the commit that wrote them: \
                 git fetch --unshallow"
                    .to_owned(),
            ));
        };
        (before, "compared with the commit that wrote the figures, as they are another machine's".to_owned())
    };
    for (name, count) in &now.counts {
        println!(
            "{name:24} {count:>8}   before: {}",
            before.counts.get(name).map_or("-".to_owned(), u64::to_string)
        );
    }
    let worse = now.worse_than(&before);
    if worse.is_empty() {
        return Ok(Outcome::Note(note));
    }
    Err(format!(
        "paths that are gone, or take more instructions than before, by more than {LIMIT} %:\n{}\nIf that is meant, say \
         why in the commit and run `cargo xtask counts --write`.",
        worse.join("\n")
    ))
}

/// Builds the working tree at `root`, in a folder of this name, and counts each path.
fn count(root: &Path, folder: &str) -> Result<Figures, String> {
    let target = shell::target_dir().join(folder);
    let mut build = cargo(&["build", "--release", "--locked", "--package", PACKAGE]);
    shell::run(build.current_dir(root).env("CARGO_TARGET_DIR", &target).env("CARGO_ENCODED_RUSTFLAGS", ""))?;
    let binary = target.join("release").join(PACKAGE);
    let names = std::process::Command::new(&binary).output().map_err(|error| error.to_string())?.stderr;
    let names = String::from_utf8_lossy(&names).into_owned();
    let mut counts = BTreeMap::new();
    for name in paths(&names)? {
        let [few, many] = TIMES.map(|times| instructions(&target, name, times));
        counts.insert(name.to_owned(), (many? - few?) / (TIMES[1] - TIMES[0]));
    }
    Ok(Figures { machine: machine()?, counts })
}

/// The names of the paths, which the program lists below a line of usage.
fn paths(listed: &str) -> Result<Vec<&str>, String> {
    let names: Vec<_> = listed.lines().skip(1).filter(|line| !line.trim().is_empty()).collect();
    if names.is_empty() {
        return Err(format!("{PACKAGE} lists no paths to count:\n{listed}"));
    }
    Ok(names)
}

/// Counts the instructions of one whole run of the program in a folder.
fn instructions(target: &Path, name: &str, times: u64) -> Result<u64, String> {
    let binary = target.join("release").join(PACKAGE);
    let out = target.join("callgrind.out");
    let mut command = program("valgrind", &["--tool=callgrind"]);
    command
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(binary)
        .args([name, &times.to_string()]);
    // Nothing of the caller's, not even its length, moves the program's memory about.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = command.output().map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match collected {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!("callgrind of {name} failed:\n{text}")),
    }
}

/// Compiler, valgrind and processor features.
fn machine() -> Result<String, String> {
    let rustc = output(&mut program("rustc", &["--version"]))?;
    let valgrind = output(&mut program("valgrind", &["--version"]))?;
    let known = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = known
        .lines()
        .find(|line| line.starts_with("flags") || line.starts_with("Features"))
        .unwrap_or_default();
    let has: Vec<&str> =
        FEATURES.into_iter().filter(|name| flags.split(' ').any(|flag| flag == *name)).collect();
    Ok(format!("{}, {}, {} {}", rustc.trim(), valgrind.trim(), std::env::consts::ARCH, has.join(" ")))
}

/// Counts the commit that wrote the figures, in a separate working tree; `None` if this checkout lacks it.
fn count_commit_of_figures() -> Result<Option<Figures>, String> {
    let commit = output(&mut program("git", &["log", "-1", "--format=%H", "--", FIGURES]))?;
    let is_shallow = output(&mut program("git", &["rev-parse", "--is-shallow-repository"]))?;
    if commit.is_empty() || is_shallow.trim() == "true" {
        return Ok(None);
    }
    let tree: PathBuf = shell::target_dir().join("counts-before/tree");
    let place = tree.to_string_lossy().into_owned();
    let remove = || shell::succeeds(&mut program("git", &["worktree", "remove", "--force", &place]));
    remove();
    shell::run(&mut program("git", &["worktree", "add", "--force", "--detach", &place, commit.trim()]))?;
    let figures = count(&tree, "counts-before");
    remove();
    figures.map(Some)
}

#[cfg(test)]
mod tests;
