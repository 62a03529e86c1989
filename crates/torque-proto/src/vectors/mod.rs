//! Makes the golden vectors in `spec/vectors` with this crate's own parsers, keys, handshake and connections, and
//! compares them with the files (PROTOCOL.md, appendix C; their form is in `spec/check/VECTORS.md`).

mod handshake;
mod identity;
mod json;
mod keys;
mod layouts;
mod origin;
mod packets;
mod puzzle;
mod token;

use std::format;
#[cfg(not(target_family = "wasm"))]
use std::fs;
#[cfg(not(target_family = "wasm"))]
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use self::json::Json;
use crate::crypto::rng::Rng;

/// Set to 1, the files are written instead of compared.
#[cfg(not(target_family = "wasm"))]
const WRITE: &str = "TORQUE_WRITE_VECTORS";

/// All files together are no larger, in bytes.
#[cfg(not(target_family = "wasm"))]
const MOST_BYTES: usize = 750_000;

/// A file's name without its ending, and how its vectors are made.
type File = (&'static str, fn() -> Vec<Json>);

const FILES: [File; 8] = [
    ("layouts", layouts::vectors),
    ("keys", keys::vectors),
    ("puzzle", puzzle::vectors),
    ("token", token::vectors),
    ("identity", identity::vectors),
    ("origin", origin::vectors),
    ("handshake", handshake::vectors),
    ("packets", packets::vectors),
];

/// Randomness that is the same in each run, and another for each subject.
fn rng(subject: &str) -> Rng {
    Rng::new(crate::crypto::hash::sha256(&[b"golden vectors", subject.as_bytes()]))
}

/// One vector's text as it stands in its file.
fn vector_text(vector: &Json) -> String {
    let mut text = String::from("  ");
    vector.write(2, &mut text);
    text
}

fn file_text(file: &str, vectors: &[Json]) -> String {
    let lines: Vec<String> = vectors.iter().map(vector_text).collect();
    format!("{{\n \"format\": 1,\n \"file\": \"{file}\",\n \"vectors\": [\n{}\n ]\n}}\n", lines.join(",\n"))
}

/// The names of the vectors whose text is not in the file.
fn different(vectors: &[Json], found: &str) -> Vec<String> {
    let missing = vectors.iter().filter(|vector| !found.contains(&vector_text(vector)));
    missing.map(|vector| vector.text("name").unwrap_or("(no name)").into()).collect()
}

/// The files, for a test that has none to read (`cargo xtask test --only wasm` runs these tests as WebAssembly).
#[cfg(target_family = "wasm")]
fn committed(file: &str) -> Option<String> {
    macro_rules! embed {
        ($($name:literal)*) => {
            match file {
                $($name => Some(include_str!(concat!("../../../../spec/vectors/", $name, ".json")).into()),)*
                _ => None,
            }
        };
    }
    embed!("layouts" "keys" "puzzle" "token" "identity" "origin" "handshake" "packets")
}

#[cfg(target_family = "wasm")]
#[test]
fn the_golden_vectors_are_what_the_code_makes() {
    for (file, make) in FILES {
        let vectors = make();
        let found = committed(file).unwrap_or_else(|| panic!("{file}.json is not embedded"));
        assert!(found == file_text(file, &vectors), "{file}.json: {:?}", different(&vectors, &found));
    }
}

#[cfg(not(target_family = "wasm"))]
#[test]
fn the_golden_vectors_are_what_the_code_makes() {
    let spec = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec");
    if !spec.exists() {
        std::println!("no spec folder: this is the crate alone, without the vectors");
        return;
    }
    let folder = spec.join("vectors");
    let write = std::env::var(WRITE).is_ok_and(|value| value == "1");
    let (mut size, mut faults) = (0, Vec::new());
    for (file, make) in FILES {
        let vectors = make();
        let text = file_text(file, &vectors);
        size += text.len();
        let path = folder.join(format!("{file}.json"));
        if write {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &text).unwrap();
            continue;
        }
        // A checkout may have turned the ends of lines into those of its system.
        let found = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
        if found != text {
            faults.push(format!("{file}.json: {:?}", different(&vectors, &found)));
        }
    }
    assert!(size <= MOST_BYTES, "{size} bytes of vectors");
    assert!(
        faults.is_empty(),
        "these vectors are not what the code makes (none named: their order, or there are others): {faults:#?}\n\
         If the change is meant: {WRITE}=1 cargo test -p torque-proto golden, then see the difference"
    );
}

#[test]
fn every_vector_has_a_name_of_its_own() {
    for (file, make) in FILES {
        let vectors = make();
        let mut names: Vec<&str> = vectors.iter().map(|vector| vector.text("name").unwrap()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{file}");
    }
}
