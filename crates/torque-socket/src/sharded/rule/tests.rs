use super::*;

fn address(text: &str) -> Address {
    Address::from(text.parse::<SocketAddr>().unwrap())
}

#[test]
fn addresses_and_ports_are_spread_evenly_whatever_the_multiplier() {
    for multiplier in [0, 1, 3, 0x0001_0000, 0x9e37_79b9, u32::MAX] {
        for shards in [2_u8, 3, 4, 7, 64] {
            let rule = Rule::new(shards, multiplier);
            for one_address in [true, false] {
                let mut counts = vec![0_u32; usize::from(shards)];
                let total = u32::from(shards) * 400;
                for index in 0..total {
                    let text = match one_address {
                        true => format!("10.0.0.1:{}", 1_024 + index),
                        false => format!("[2001:db8::{:x}]:40000", index + 1),
                    };
                    counts[rule.owner(address(&text))] += 1;
                }
                // 400 expected, standard deviation 20.
                assert!(
                    counts.iter().all(|count| (280..=520).contains(count)),
                    "multiplier {multiplier:#x}, {shards} shards: {counts:?}"
                );
            }
        }
    }
}

#[test]
fn one_remote_has_one_owner_however_its_address_is_written() {
    for seed in 0..200_u32 {
        let rule = Rule::new(64, seed.wrapping_mul(0x9e37_79b9));
        let plain = rule.owner(address("192.0.2.7:28000"));
        assert_eq!(plain, rule.owner(address("[::ffff:192.0.2.7]:28000")), "seed {seed}");
        let linked = rule.owner(address("[fe80::1]:28000"));
        assert_eq!(linked, rule.owner(address("[fe80::1%3]:28000")), "seed {seed}");
    }
}

#[test]
fn one_shard_owns_everything() {
    let rule = Rule::new(1, 77);
    for port in 1..100 {
        assert_eq!(rule.owner(address(&format!("10.9.8.7:{port}"))), 0);
    }
}
