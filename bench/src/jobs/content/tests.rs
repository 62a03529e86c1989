use super::*;

#[test]
fn only_what_was_sent_has_an_index() {
    let mut payload = vec![0; 100];
    fill(&mut payload, 77);
    assert_eq!(check(&payload, 100), Some(77));
    assert_eq!(check(&payload[..99], 100), None);
    payload[99] ^= 1;
    assert_eq!(check(&payload, 100), None);
}
