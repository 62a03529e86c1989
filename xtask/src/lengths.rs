//! Checks that Rust files stay short: at most 600 lines, tests left out.

use crate::shell;
use crate::steps::Outcome;
use crate::workspace::rust_files;

/// The most lines of a file.
const MAX_LINES: usize = 600;

/// Fails with the names of files that are too long.
pub fn check() -> Result<Outcome, String> {
    let root = shell::root();
    let mut files = Vec::new();
    rust_files(&root, &mut files)?;
    let mut long = Vec::new();
    for path in &files {
        let name = path.strip_prefix(&root).unwrap_or(path);
        if is_test(&name.to_string_lossy().replace('\\', "/")) {
            continue;
        }
        let lines = shell::read(path)?.lines().count();
        if lines > MAX_LINES {
            long.push(format!("{} has {lines}", name.display()));
        }
    }
    if long.is_empty() {
        return Ok(Outcome::Note(format!("{} files", files.len())));
    }
    Err(format!("files longer than {MAX_LINES} lines, split them by subject: {}", long.join(", ")))
}

/// Returns whether a file holds only tests.
fn is_test(name: &str) -> bool {
    let mut folders = name.split('/').rev().skip(1);
    name.ends_with("_tests.rs") || name.ends_with("/tests.rs") || folders.any(|folder| folder == "tests")
}

#[cfg(test)]
mod tests {
    #[test]
    fn files_of_tests_are_told_by_their_name() {
        for name in
            ["crates/a/src/b_tests.rs", "crates/a/src/b/tests.rs", "crates/a/tests/b.rs", "tests/common/b.rs"]
        {
            assert!(super::is_test(name), "{name}");
        }
        for name in ["crates/a/src/contests.rs", "crates/a/src/contests/x.rs", "crates/a/src/tests_of.rs"] {
            assert!(!super::is_test(name), "{name}");
        }
    }
}
