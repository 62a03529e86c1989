//! Documents that lead somewhere: links between files of this repository, and the files that ARCHITECTURE.md names.

use std::path::Path;

use crate::shell;
use crate::steps::Outcome;

/// The document whose map and walks must be found in the tree.
const MAP: &str = "ARCHITECTURE.md";

/// Fails with links to files that do not exist, and with files that the map names and the tree lacks.
pub fn check() -> Result<Outcome, String> {
    let root = shell::root();
    let tree = shell::output(&mut shell::program("git", &["ls-files"]))?;
    let (mut links, mut broken) = (0, Vec::new());
    for document in tree.lines().filter(|name| name.ends_with(".md")) {
        let text = shell::read(&root.join(document))?;
        let folder = root.join(document).parent().map_or_else(|| root.clone(), Path::to_path_buf);
        for target in local_links(&text) {
            links += 1;
            if !folder.join(target).exists() {
                broken.push(format!("{document} links to {target}"));
            }
        }
        if document == MAP {
            let named = named_files(&text).filter(|name| !has(&tree, name));
            broken.extend(named.map(|name| format!("{MAP} names {name}")));
        }
    }
    if broken.is_empty() { Ok(Outcome::Note(format!("{links} links"))) } else { Err(broken.join("\n")) }
}

/// The files that Markdown links to, without web addresses and anchors.
fn local_links(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.split("```").step_by(2);
    lines.flat_map(|prose| prose.split("](").skip(1)).filter_map(|rest| {
        let target = rest.split([')', '#']).next()?;
        (!target.is_empty() && !target.contains(':')).then_some(target)
    })
}

/// The words in backticks that look like source files.
fn named_files(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2));
    quoted.filter(|name| name.ends_with(".rs") || name.ends_with(".ts"))
}

/// Returns whether a file of the tree has this path, or ends with it.
fn has(tree: &str, name: &str) -> bool {
    tree.lines()
        .any(|file| file.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('/')))
}

#[cfg(test)]
mod tests {
    use super::{has, local_links, named_files};

    #[test]
    fn links_to_files_are_found_outside_of_code() {
        let text = "[a](docs/a.md#part) [b](https://b) [c](#c)\n```\n[d](d.md)\n```\n![e](e.png)";
        assert_eq!(local_links(text).collect::<Vec<_>>(), ["docs/a.md", "e.png"]);
    }

    #[test]
    fn a_file_is_named_by_the_end_of_its_path() {
        assert_eq!(named_files("`Socket::send` in `io/mod.rs`").collect::<Vec<_>>(), ["io/mod.rs"]);
        assert!(has("a/io/mod.rs\n", "io/mod.rs"));
        assert!(!has("a/audio/mod.rs\n", "io/mod.rs"));
    }
}
