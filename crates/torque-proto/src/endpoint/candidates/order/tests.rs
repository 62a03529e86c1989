use alloc::vec::Vec;

use super::interleaved;
use crate::address::Address;

fn addresses(texts: &[&str]) -> Vec<Address> {
    texts.iter().map(|text| Address::from(text.parse::<core::net::SocketAddr>().unwrap())).collect()
}

#[test]
fn families_take_turns_and_the_first_ones_begins() {
    let found = addresses(&["[::1]:1", "[::2]:1", "[::1]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
    let asked = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
    assert_eq!(interleaved(&found), asked);
    let found = addresses(&["0.0.0.0:1", "[::]:1", "1.1.1.1:1", "2.2.2.2:1", "[::1]:1"]);
    assert_eq!(interleaved(&found), addresses(&["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"]));
    assert_eq!(interleaved(&[]), []);
}
