//! Running a test over many seeds, and one of them again.

use torque_netem::SimRng;

/// Calls `test` with `count` seeds, which depend only on the name of the running test. If a call panics, prints its
/// seed and how to run it alone.
///
/// Environment: `TORQUE_SEED=12` (or `0x…`) runs that seed only, `TORQUE_SEEDS=n` runs n seeds, and tells after each thousand.
///
/// # Panics
/// If `test` panics, if a variable is not a number, or outside a test's thread.
pub fn for_seeds(count: u64, mut test: impl FnMut(u64)) {
    let thread = std::thread::current();
    // The test runner names each thread after its test, with the path of its module.
    let name = thread.name().and_then(|path| path.rsplit("::").next()).expect("a test's thread has a name");
    if let Some(seed) = number_from_environment("TORQUE_SEED") {
        let _told = TellSeed { name, seed };
        return test(seed);
    }
    let asked = number_from_environment("TORQUE_SEEDS");
    let count = asked.unwrap_or(count);
    let mut seeds = seeds_of(name);
    for number in 0..count {
        if asked.is_some() && number > 0 && number.is_multiple_of(1_000) {
            eprintln!("`{name}`: {number} of {count} seeds");
        }
        // Short enough to read aloud.
        let seed = seeds.next_u64() >> 24;
        let _told = TellSeed { name, seed };
        test(seed);
    }
}

/// The seeds of one test: the same in every run and with every compiler (the hash is FNV-1a).
fn seeds_of(name: &str) -> SimRng {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    SimRng::new(hash)
}

fn number_from_environment(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        parse(&text)
            .unwrap_or_else(|| panic!("{variable}={text}: write a whole number, or 0x and hexadecimal")),
    )
}

fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Prints the seed when a panic unwinds.
struct TellSeed<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for TellSeed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { name, seed } = self;
            eprintln!(
                "`{name}` failed with seed {seed}; to run it alone: TORQUE_SEED={seed} cargo test {name}\n\
                 (with TORQUE_PCAP=directory its datagrams are written there)"
            );
        }
    }
}

#[cfg(test)]
mod tests;
