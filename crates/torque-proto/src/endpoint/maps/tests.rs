use super::*;

#[test]
fn the_owner_that_is_found_is_always_the_present_one() {
    for seed in 0..20u8 {
        let mut rng = Rng::new([seed; 32]);
        let mut owners = Owners::new(Seeded::new(&mut rng));
        let mut model = alloc::collections::BTreeMap::new();
        for _ in 0..500 {
            let remote = Address::from_virtual(rng.below(3));
            match rng.below(8) {
                0 => {
                    let owner = ConnectionId::new(0, 1, rng.below(100) as u32);
                    owners.insert(remote, owner);
                    model.insert(remote, owner);
                }
                1 => {
                    owners.remove(&remote);
                    model.remove(&remote);
                }
                _ => {
                    assert_eq!(owners.find(remote), model.get(&remote).copied(), "seed {seed}");
                    assert_eq!(owners.get(&remote), model.get(&remote), "seed {seed}");
                }
            }
        }
    }
}
