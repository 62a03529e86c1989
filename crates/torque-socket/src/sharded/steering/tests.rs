use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use torque_proto::Address;

use super::*;

/// Runs a program as the kernel does: `packet` begins with the IP header; a load beyond it ends with 0.
fn run(program: &[Instruction], packet: &[u8]) -> u32 {
    let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, 0_u32, 0_usize);
    let load = |offset: u32, size: usize| {
        let start = offset.wrapping_sub(IP_HEADER) as usize;
        let bytes = packet.get(start..start + size)?;
        Some(bytes.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte)))
    };
    loop {
        let Instruction { code, if_true, if_false, operand } = program[at];
        at += 1;
        let loaded = match code {
            LOAD_WORD => load(operand, 4),
            LOAD_HALF => load(operand, 2),
            LOAD_BYTE => load(operand, 1),
            LOAD_HALF_AT_X => load(operand.wrapping_add(x), 2),
            _ => Some(a),
        };
        let Some(loaded) = loaded else { return 0 };
        a = loaded;
        match code {
            LOAD_WORD | LOAD_HALF | LOAD_BYTE | LOAD_HALF_AT_X => {}
            LOAD_X_FROM_MEMORY => x = memory,
            STORE => memory = a,
            ADD_X => a = a.wrapping_add(x),
            XOR_X => a ^= x,
            MULTIPLY => a = a.wrapping_mul(operand),
            AND => a &= operand,
            SHIFT_LEFT => a <<= operand,
            SHIFT_RIGHT => a >>= operand,
            REMAINDER => a %= operand,
            A_TO_X => x = a,
            JUMP => at += operand as usize,
            JUMP_IF_EQUAL => at += usize::from(if a == operand { if_true } else { if_false }),
            RETURN_A => return a,
            other => panic!("operation {other:#x}"),
        }
    }
}

/// A reproducible stream of numbers.
fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^ state >> 29
    }
}

#[test]
fn the_program_and_the_function_agree_for_both_families() {
    let seed = 20_260_731;
    println!("seed {seed}");
    let mut next = numbers(seed);
    for round in 0..2_000 {
        let rule = Rule::new((next() % 64 + 1) as u8, next() as u32);
        let program = program(&rule);
        let port = next() as u16;

        let ip = Ipv4Addr::from_bits(next() as u32);
        // 0 to 40 bytes of options.
        let header_words = 5 + (next() % 11) as u8;
        let mut packet = vec![0xee; usize::from(header_words) * 4];
        packet[0] = 0x40 | header_words;
        packet[12..16].copy_from_slice(&ip.octets());
        packet.extend(port.to_be_bytes());
        packet.extend([0xee; 30]);
        let expected = rule.owner(Address::from(SocketAddr::from((ip, port))));
        assert_eq!(run(&program, &packet) as usize, expected, "round {round}: {ip}:{port}, {rule:?}");

        let ip = Ipv6Addr::from_bits(u128::from(next()) << 64 | u128::from(next()));
        let mut packet = vec![0xee; 40];
        packet[0] = 0x6e;
        packet[8..24].copy_from_slice(&ip.octets());
        packet.extend(port.to_be_bytes());
        let expected = rule.owner(Address::from(SocketAddr::from((ip, port))));
        assert_eq!(run(&program, &packet) as usize, expected, "round {round}: [{ip}]:{port}, {rule:?}");
    }
}

#[test]
fn every_result_is_the_number_of_a_shard_whatever_comes() {
    let mut next = numbers(7);
    for _ in 0..2_000 {
        let shards = (next() % 64 + 1) as u8;
        let rule = Rule::new(shards, next() as u32);
        let packet: Vec<u8> = (0..next() % 64).map(|_| next() as u8).collect();
        assert!(run(&program(&rule), &packet) < u32::from(shards));
    }
}
