use super::*;

#[test]
fn seeds_differ_and_are_the_same_in_every_run() {
    let collect = |name| {
        let mut seeds = seeds_of(name);
        (0..50).map(|_| seeds.next_u64()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(collect("a").len(), 50);
    assert_eq!(collect("a"), collect("a"));
    assert!(collect("a").is_disjoint(&collect("b")));
}

#[test]
fn a_seed_may_be_written_in_either_base() {
    assert_eq!(parse("26"), Some(26));
    assert_eq!(parse("0x1a"), Some(26));
    assert_eq!(parse("1a"), None);
    assert_eq!(parse(""), None);
}
