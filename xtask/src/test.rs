//! `cargo xtask test`: every check, as a list of steps.

use crate::setup::{self, LintRust, Need, cargo_deny};
use crate::shell::{self, cargo, program, run};
use crate::steps::{self, Choice, Outcome, Step};
use crate::{codes, counts, documents, lengths, nats, platforms, web, workspace};

/// The crate that replays the committed fuzz corpus.
const CORPUS_CRATE: &str = "torque-fuzz-targets";

/// Warnings are errors.
pub const DENY: &str = "-Dwarnings";

/// The lint that tests are exempt from.
pub const UNWRAP: &str = "-Aclippy::unwrap_used";

const STEPS: &[Step] = &[
    Step {
        name: "format",
        about: "rustfmt has nothing to change",
        seconds: 2,
        needs: &[Need::LintRust],
        wants: &[],
        run: format,
    },
    Step {
        name: "lengths",
        about: "no Rust file is longer than 600 lines, tests left out",
        seconds: 1,
        needs: &[],
        wants: &[],
        run: lengths::check,
    },
    Step {
        name: "documents",
        about: "links between files lead somewhere, and ARCHITECTURE.md names files that exist",
        seconds: 1,
        needs: &[],
        wants: &[],
        run: documents::check,
    },
    Step {
        name: "codes",
        about: "the tables of codes match spec/codes.csv",
        seconds: 1,
        needs: &[],
        wants: &[],
        run: codes,
    },
    Step {
        name: "rust-version",
        about: "no dependency wants a newer Rust than is promised",
        seconds: 1,
        needs: &[],
        wants: &[],
        run: rust_version,
    },
    Step {
        name: "deny",
        about: "licences, sources and advisories of dependencies",
        seconds: 2,
        needs: &[Need::CargoDeny],
        wants: &[],
        run: deny,
    },
    Step {
        name: "clippy",
        about: "clippy, warnings are errors",
        seconds: 48,
        needs: &[Need::LintRust, Need::CCompiler],
        wants: &[],
        run: clippy,
    },
    Step {
        name: "features",
        about: "clippy for each combination of features",
        seconds: 56,
        needs: &[Need::LintRust, Need::CCompiler],
        wants: &[],
        run: clippy_features,
    },
    Step {
        name: "docs",
        about: "the documentation builds without a warning",
        seconds: 7,
        needs: &[Need::LintRust, Need::CCompiler],
        wants: &[],
        run: docs,
    },
    Step {
        name: "tests",
        about: "unit, property, simulation and socket tests, and the examples, with all features",
        seconds: 430,
        needs: &[Need::CCompiler, Need::Localhost],
        wants: &[Need::Namespaces, Need::Router],
        run: tests,
    },
    Step {
        name: "nats",
        about: "introductions through real NATs, in network namespaces",
        seconds: 130,
        needs: &[Need::LintRust, Need::Nftables],
        wants: &[],
        run: nats::check,
    },
    Step {
        name: "portable",
        about: "the tests of the protocol again, without native cryptography and other features",
        seconds: 90,
        needs: &[],
        wants: &[],
        run: tests_portable,
    },
    Step {
        name: "doc-tests",
        about: "examples in the documentation",
        seconds: 20,
        needs: &[Need::CCompiler],
        wants: &[],
        run: doc_tests,
    },
    Step {
        name: "corpus",
        about: "the committed fuzz corpus, replayed",
        seconds: 12,
        needs: &[],
        wants: &[],
        run: corpus,
    },
    Step {
        name: "vectors",
        about: "the golden vectors are what the library computes",
        seconds: 16,
        needs: &[],
        wants: &[],
        run: vectors,
    },
    Step {
        name: "check",
        about: "spec/check, the decoder written from the specification alone",
        seconds: 13,
        needs: &[Need::Python],
        wants: &[],
        run: check,
    },
    Step {
        name: "bench",
        about: "the bench still builds with this library, without its largest peer",
        seconds: 21,
        needs: &[Need::LintRust, Need::CCompiler],
        wants: &[],
        run: bench,
    },
    Step {
        name: "counts",
        about: "the hot paths take no more instructions than before",
        seconds: 20,
        needs: &[Need::Valgrind],
        wants: &[],
        run: counts::check,
    },
    Step {
        name: "wasm",
        about: "torque-proto for WebAssembly, with core and alloc only; its unit tests and vectors there",
        seconds: 32,
        needs: platforms::WASM_NEEDS,
        wants: &[],
        run: wasm,
    },
    Step {
        name: "pages",
        about: "the npm package, the gateway and the demo's pages, in Node, Chromium and Firefox",
        seconds: 410,
        needs: web::TEST_NEEDS,
        wants: &[],
        run: web::test,
    },
    Step {
        name: "windows",
        about: "the crates for Windows",
        seconds: 45,
        needs: platforms::WINDOWS_NEEDS,
        wants: &[],
        run: windows,
    },
];

/// `cargo xtask setup`.
pub fn set_up() -> Result<(), String> {
    let needs: Vec<Need> =
        STEPS.iter().flat_map(|step| step.needs.iter().chain(step.wants)).copied().collect();
    setup::require(&needs)?;
    println!("set-up: everything that `cargo xtask test` needs is here");
    Ok(())
}

/// `cargo xtask test [--only STEP] [--from STEP] [--list]`.
pub fn test(arguments: &[String]) -> Result<(), String> {
    steps::run("test", STEPS, &Choice::parse(arguments)?)
}

fn done(result: Result<(), String>) -> Result<Outcome, String> {
    result.map(|()| Outcome::Done)
}

fn format() -> Result<Outcome, String> {
    let rust = LintRust::get()?;
    let check = |manifest| run(&mut rust.cargo(&["fmt", "--all", "--manifest-path", manifest, "--check"]));
    done(
        ["Cargo.toml", "fuzz/Cargo.toml", "bench/Cargo.toml", "rig/Cargo.toml"]
            .into_iter()
            .try_for_each(check),
    )
}

fn codes() -> Result<Outcome, String> {
    done(codes::run(&["--check".to_owned()]))
}

fn rust_version() -> Result<Outcome, String> {
    let above = workspace::packages_above_rust_version()?;
    if above.is_empty() { Ok(Outcome::Done) } else { Err(above.join(", ")) }
}

fn deny() -> Result<Outcome, String> {
    let deny = cargo_deny::find().ok_or("cargo-deny is missing: cargo xtask setup")?;
    // It reads the sources of every dependency, also of those that are for other systems.
    run(&mut cargo(&["fetch", "--locked"]))?;
    let deny = deny.to_string_lossy();
    run(&mut program(&deny, &["--locked", "--offline", "check", "bans", "licenses", "sources"]))?;
    // The database of advisories lies on another host than the crates do, and may be out of reach.
    let fetched = shell::succeeds(&mut program(&deny, &["--locked", "fetch", "db"]));
    if !fetched {
        return Ok(Outcome::Note("advisories not checked: their database cannot be reached".to_owned()));
    }
    done(run(&mut program(&deny, &["--locked", "--offline", "check", "advisories"])))
}

fn clippy() -> Result<Outcome, String> {
    let rust = LintRust::get()?;
    let common = ["clippy", "--workspace", "--locked"];
    run(rust.cargo(&common).args(["--lib", "--bins", "--examples", "--", DENY]))?;
    // Tests may unwrap, and so may the functions that only tests call.
    done(run(rust.cargo(&common).args(["--all-targets", "--all-features", "--", DENY, UNWRAP])))
}

fn clippy_features() -> Result<Outcome, String> {
    let rust = LintRust::get()?;
    let mut count = 0;
    for member in workspace::members()?.iter().filter(|member| !member.features.is_empty()) {
        for features in member.combinations() {
            let mut words = vec!["clippy", "-p", &member.name, "--locked", "--no-default-features"];
            if !features.is_empty() {
                words.extend(["--features", &features]);
            }
            run(rust.cargo(&words).args(["--", DENY]))?;
            count += 1;
        }
    }
    Ok(Outcome::Note(format!("{count} combinations")))
}

fn docs() -> Result<Outcome, String> {
    let words = ["doc", "--workspace", "--no-deps", "--all-features", "--locked"];
    done(run(LintRust::get()?.cargo(&words).env("RUSTDOCFLAGS", DENY)))
}

fn tests() -> Result<Outcome, String> {
    let mut words = vec![
        "test",
        "--workspace",
        "--lib",
        "--bins",
        "--tests",
        "--examples",
        "--all-features",
        "--locked",
        "--no-fail-fast",
    ];
    if workspace::has(CORPUS_CRATE)? {
        words.extend(["--exclude", CORPUS_CRATE]);
    }
    let mut command = cargo(&words);
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        // Tests with sockets and processes mostly wait, so twice as many as cores run at a time.
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        command.env("RUST_TEST_THREADS", (2 * cores).to_string());
    }
    done(run(&mut command))
}

fn tests_portable() -> Result<Outcome, String> {
    let crates = ["-p", "torque-gcm-sst", "-p", "torque-proto", "-p", "torque-sim"];
    done(run(cargo(&["test", "--lib", "--tests", "--locked"]).args(crates)))
}

fn doc_tests() -> Result<Outcome, String> {
    done(run(&mut cargo(&["test", "--workspace", "--doc", "--all-features", "--locked"])))
}

fn corpus() -> Result<Outcome, String> {
    if !workspace::has(CORPUS_CRATE)? {
        return Ok(Outcome::Skipped(format!("there is no crate {CORPUS_CRATE}")));
    }
    done(run(&mut cargo(&["test", "-p", CORPUS_CRATE, "--locked"])))
}

fn bench() -> Result<Outcome, String> {
    if !cfg!(target_os = "linux") {
        return Ok(Outcome::Skipped("it is for Linux".to_owned()));
    }
    let words = [
        "clippy",
        "--manifest-path",
        "bench/Cargo.toml",
        "--locked",
        "--no-default-features",
        "--all-targets",
    ];
    let mut command = LintRust::get()?.cargo(&words);
    // A folder of its own: another workspace's features would have everything built again.
    command.env("CARGO_TARGET_DIR", shell::target_dir().join("bench"));
    done(run(command.args(["--", DENY, UNWRAP])))
}

fn vectors() -> Result<Outcome, String> {
    vectors_task(&["--check".to_owned()])
}

/// `cargo xtask vectors [--check]`.
pub fn vectors_task(arguments: &[String]) -> Result<Outcome, String> {
    let mut command = cargo(&["test", "-p", "torque-proto", "--locked", "--lib", "vectors::"]);
    match arguments {
        [] => command.env("TORQUE_WRITE_VECTORS", "1"),
        [only] if only == "--check" => command.env_remove("TORQUE_WRITE_VECTORS"),
        _ => return Err("vectors takes no argument but --check".to_owned()),
    };
    done(run(&mut command))
}

fn check() -> Result<Outcome, String> {
    let python =
        |arguments: &[&str]| run(program(setup::PYTHON, arguments).current_dir(shell::root().join("spec")));
    python(&["-m", "check", "selftest"])?;
    done(python(&["-m", "check", "vectors", "vectors"]))
}

fn wasm() -> Result<Outcome, String> {
    platforms::wasm(&[])
}

fn windows() -> Result<Outcome, String> {
    platforms::windows(&[])
}
