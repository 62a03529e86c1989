//! The committed corpus, the seeds, and short random inputs, on an ordinary compiler.

use std::path::Path;

use torque_fuzz_targets::{TARGETS, Target, seeds};

/// Calls the target; a panic tells which input it was.
fn play((name, target): Target, input: &str, bytes: &[u8]) {
    let outcome = std::panic::catch_unwind(|| target(bytes));
    assert!(
        outcome.is_ok(),
        "target `{name}` fails with {input}; to repeat: TORQUE_CORPUS={input} cargo test -p torque-fuzz-targets"
    );
}

#[test]
fn every_input_of_the_corpus_keeps_the_promises() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let only = std::env::var("TORQUE_CORPUS").ok();
    for target in TARGETS {
        let folder = corpus.join(target.0);
        let mut paths: Vec<_> = std::fs::read_dir(&folder)
            .expect("a corpus")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        paths.sort();
        assert!(!paths.is_empty(), "{} is empty", folder.display());
        for path in paths {
            let name = format!("{}/{}", target.0, path.file_name().expect("a name").to_string_lossy());
            if only.as_ref().is_none_or(|only| *only == name) {
                play(target, &name, &std::fs::read(&path).expect("a file"));
            }
        }
    }
}

#[test]
fn every_seed_keeps_the_promises() {
    for target in TARGETS {
        for (name, bytes) in seeds::of(target.0) {
            play(target, &name, &bytes);
        }
    }
}

#[test]
fn random_inputs_keep_the_promises() {
    // The steps of a small generator (splitmix64); the seed of each input is in its name.
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let known = TARGETS.map(|target| seeds::of(target.0));
    for round in 0..200 {
        let length = next() as usize % 400;
        let bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
        for (target, seeds) in TARGETS.into_iter().zip(&known) {
            // A known beginning with a random end comes further.
            let (name, head) = &seeds[round % seeds.len()];
            play(target, &format!("random input {round}"), &bytes);
            play(target, &format!("{name} and random input {round}"), &[&head[..], &bytes].concat());
        }
    }
}
