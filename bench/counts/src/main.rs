//! Runs hot paths of the protocol.
mod pair;
use torque_proto::Cipher;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let cipher: Cipher = args[1].parse().expect("cipher");
    let size: usize = args[2].parse().expect("n");
    let turns: usize = args[3].parse().expect("n");
    let mut pair = pair::Pair::connect(cipher);
    let payload = vec![7; size];
    for _ in 0..3 {
        let s = std::time::Instant::now();
        let mut n = 0;
        for _ in 0..turns {
            n += pair.turn(32, &payload);
        }
        assert_eq!(n, turns * 64);
        eprintln!("{:.1} ns a packet", s.elapsed().as_nanos() as f64 / n as f64);
    }
}
