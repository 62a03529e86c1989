//! Coverage-guided fuzzing: `cargo xtask fuzz TARGET`.

use crate::{shell, tools};

const USAGE: &str = "cargo xtask fuzz TARGET [--seconds N] [--address-sanitizer] [--minimise]";

/// Runs one target, or merges what it found into the committed corpus.
///
/// Inputs that reach something new are written to fuzz/target/corpus/TARGET; `--minimise` moves the fewest that
/// together reach as much as all into fuzz/corpus/TARGET, which is committed and replayed by the tests.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let mut target = None;
    let (mut seconds, mut sanitizer, mut minimise) = (60u64, "none", false);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--seconds" => {
                seconds = rest.next().and_then(|text| text.parse().ok()).ok_or("--seconds wants a number")?;
            }
            "--address-sanitizer" => sanitizer = "address",
            "--minimise" => minimise = true,
            name if !name.starts_with('-') && target.is_none() => target = Some(name),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let target = target.ok_or_else(|| format!("{USAGE}\ntargets: {}", targets().join(" ")))?;
    if !targets().iter().any(|name| name == target) {
        return Err(format!("`{target}` is no target; there are {}", targets().join(" ")));
    }
    tools::need_cargo_tool("fuzz")?;
    let found = format!("fuzz/target/corpus/{target}");
    let committed = format!("fuzz/corpus/{target}");
    for folder in [&found, &committed] {
        std::fs::create_dir_all(shell::root().join(folder)).map_err(|error| format!("{folder}: {error}"))?;
    }
    let mut command = shell::cargo(&["fuzz", "run", "--fuzz-dir", "fuzz", "--sanitizer", sanitizer, target]);
    // The compiler's hooks for it are not in a released Rust's options.
    if sanitizer == "address" {
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    if minimise {
        command.args([&committed, &found]).args(["--", "-merge=1"]);
    } else {
        let limit = format!("-max_total_time={seconds}");
        command.args([&found, &committed]);
        command.args([
            "--",
            &limit,
            "-use_value_profile=1",
            "-max_len=16384",
            "-timeout=20",
            "-rss_limit_mb=4096",
        ]);
    }
    shell::run(&mut command)
}

/// The targets are the files in fuzz/fuzz_targets.
fn targets() -> Vec<String> {
    let entries = std::fs::read_dir(shell::root().join("fuzz/fuzz_targets"));
    let mut names: Vec<String> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}
