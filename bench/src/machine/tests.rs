use super::*;

#[test]
fn versions_are_those_of_the_lock_file() {
    let lock = "[[package]]\nname = \"a-b\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"b\"\nversion = \"4.0.0\"\n";
    assert_eq!(version_of(lock, "b"), Some("4.0.0"));
    assert_eq!(version_of(lock, "a-b"), Some("1.2.3"));
    assert_eq!(version_of(lock, "c"), None);
}
