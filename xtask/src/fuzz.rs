//! Coverage-guided fuzzing: `cargo xtask fuzz TARGET`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::{setup, shell};

/// Set to the root of the repository while cargo calls this program in place of the compiler.
const WRAPPER: &str = "TORQUE_FUZZ_COMPILER";

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
    let target = target.ok_or_else(|| format!("{USAGE}\ntargets: {}", targets(&shell::root()).join(" ")))?;
    if !targets(&shell::root()).iter().any(|name| name == target) {
        return Err(format!("`{target}` is no target; there are {}", targets(&shell::root()).join(" ")));
    }
    setup::need_cargo_tool("fuzz")?;
    let found = format!("fuzz/target/corpus/{target}");
    let committed = format!("fuzz/corpus/{target}");
    for folder in [&found, &committed] {
        std::fs::create_dir_all(shell::root().join(folder)).map_err(|error| format!("{folder}: {error}"))?;
    }
    let mut command = shell::cargo(&["fuzz", "run", "--fuzz-dir", "fuzz", "--sanitizer", sanitizer, target]);
    let this = std::env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
    command.env("RUSTC_WRAPPER", this).env(WRAPPER, shell::root());
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

/// Compiles in place of rustc, if that is what this program was started for. Only our own crates are watched for
/// coverage: every comparison within a multiplication of curve points looks like something new to the fuzzer,
/// and watching them makes each run several times slower.
pub fn compile_in_place_of_rustc() -> Option<ExitCode> {
    let root = PathBuf::from(std::env::var_os(WRAPPER)?);
    let mut arguments = std::env::args_os().skip(1);
    let mut command = Command::new(arguments.next()?);
    let arguments: Vec<_> = arguments.collect();
    let named = arguments.iter().position(|argument| argument == "--crate-name");
    let name = named.and_then(|at| arguments.get(at + 1)).map(|name| name.to_string_lossy().into_owned());
    let own = name.is_none_or(|name| name.starts_with("torque") || targets(&root).contains(&name));
    command.args(arguments.iter().filter(|argument| {
        let text = argument.to_string_lossy();
        own || !(text.contains("sancov-module") || text.contains("sanitizer-coverage"))
    }));
    let ended = command.status().ok()?;
    Some(if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The targets are the files in fuzz/fuzz_targets.
fn targets(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root.join("fuzz/fuzz_targets"));
    let mut names: Vec<String> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}
