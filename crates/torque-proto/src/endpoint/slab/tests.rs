use super::*;

#[test]
fn the_id_of_what_was_removed_finds_nothing_for_many_reuses() {
    let mut slab = Slab::new(3, 1);
    let first = slab.insert("first").unwrap();
    assert_eq!(first.shard(), 3);
    assert!(slab.insert("no room").is_none());
    assert_eq!(slab.remove(first), Some("first"));
    for round in 0..62 {
        let id = slab.insert("next").unwrap();
        assert_ne!(id, first, "round {round}");
        assert!(slab.get(first).is_none() && slab.get_mut(first).is_none() && slab.remove(first).is_none());
        assert_eq!(slab.get(id), Some(&"next"));
        slab.remove(id);
    }
}

#[test]
fn the_slot_that_has_been_free_for_longest_is_used_first() {
    let mut slab = Slab::new(0, 4);
    let ids: Vec<_> = (0..4).map(|i| slab.insert(i).unwrap()).collect();
    slab.remove(ids[2]);
    slab.remove(ids[0]);
    assert_eq!(slab.insert(9).unwrap().slot(), ids[2].slot());
    assert_eq!(slab.insert(9).unwrap().slot(), ids[0].slot());
    assert_eq!(slab.len(), 4);
    assert_eq!(slab.iter().count(), 4);
}
