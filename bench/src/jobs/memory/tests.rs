use super::*;

#[test]
fn keys_survive_their_way_to_the_clients() {
    let key: Vec<u8> = (0..=255).collect();
    assert_eq!(unhex(&hex(&key)).unwrap(), key);
    assert!(unhex("zz").is_err());
}
