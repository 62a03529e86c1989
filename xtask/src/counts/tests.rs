use super::*;

fn figures(counts: &[(&str, u64)]) -> Figures {
    Figures {
        machine: "m".to_owned(),
        counts: counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
    }
}

#[test]
fn what_is_written_is_read() {
    let figures = figures(&[("send", 900), ("open-1100", 4_000)]);
    assert_eq!(Figures::parse(&figures.text()), Some(figures));
    assert_eq!(Figures::parse("machine: m\nsend many\n"), None);
}

#[test]
fn only_growth_beyond_the_limit_fails() {
    let before = figures(&[("a", 1_000), ("b", 1_000), ("c", 1_000)]);
    let now = figures(&[("a", 1_030), ("b", 1_031), ("c", 500), ("new", 9)]);
    assert_eq!(now.worse_than(&before), ["b: 1000 before, 1031 now, 3.1 % more"]);
}

#[test]
fn a_path_that_is_no_longer_counted_fails() {
    let before = figures(&[("a", 1_000), ("b", 1_000)]);
    assert_eq!(figures(&[("a", 1_000), ("new", 1)]).worse_than(&before), ["b: is gone"]);
}

#[test]
fn a_program_that_lists_no_paths_fails() {
    assert_eq!(paths("usage: counts PATH TIMES\nsend\nopen\n"), Ok(vec!["send", "open"]));
    for nothing in ["", "usage: counts PATH TIMES\n", "usage\n\n"] {
        assert!(paths(nothing).is_err(), "{nothing:?}");
    }
}
