use super::*;

const MANIFEST: &str = r#"
[package]
name = "a"

[features]
default = []
# A comment with = in it.
tracing = ["dep:tracing"]
"more" = [
]

[dependencies]
b = "1"
"#;

#[test]
fn features_are_read_without_default_and_comments() {
    assert_eq!(features(MANIFEST), ["tracing", "more"]);
}

#[test]
fn members_are_read_from_one_line_or_many() {
    let one = "[workspace]\nmembers = [\"a\", \"b/c\"]\ndefault-members = [\"a\"]\n";
    assert_eq!(list_of(one, "members").expect("a list"), ["a", "b/c"]);
    let many = "default-members = [\"z\"]\nmembers = [\n  \"a\",\n  \"b/c\",\n]\n";
    assert_eq!(list_of(many, "members").expect("a list"), ["a", "b/c"]);
}

#[test]
fn every_combination_of_few_features_is_named_once() {
    let names = ["x", "y", "z", "w"].map(str::to_owned);
    let member = |count: usize| Member { name: String::new(), features: names[..count].to_vec() };
    assert_eq!(member(0).combinations(), [""]);
    assert_eq!(member(2).combinations(), ["", "x", "y", "x,y"]);
    assert_eq!(member(3).combinations().len(), 8);
    assert_eq!(member(4).combinations(), ["", "x", "y", "z", "w", "x,y,z,w"]);
}

#[test]
fn versions_of_rust_are_read_from_metadata_and_compared_as_numbers() {
    let metadata = r#"{"packages":[{"name":"a","version":"1.0","dependencies":[{"name":"x","source":null}],"rust_version":"1.90"},
        {"name":"b","version":"1.0","dependencies":[],"rust_version":null},{"name":"c","version":"2","rust_version":"1.9"}]"#;
    let found: Vec<_> = wanted_versions(metadata).collect();
    assert_eq!(found.iter().map(|(_, wanted)| *wanted).collect::<Vec<_>>(), ["1.90", "1.9"]);
    assert!(version("1.90") > version("1.89") && version("1.9") < version("1.89.1"));
}
