//! Sealing and opening alone, for each cipher: what of a packet's time is cryptography.

use std::time::Instant as Clock;

use torque_proto::Cipher;
use torque_proto::measure::Keys;

use super::{Job, Scale};
use crate::failure::Result;
use crate::measure::cpu;
use crate::measure::figures::Figures;
use crate::peers::Peer;

/// As long as that of a data packet with the default window.
const ASSOCIATED: [u8; 19] = [3; 19];
/// Packets between two looks at the clock.
const BATCH: u64 = 256;

pub fn jobs() -> Vec<Job> {
    let about = "sealing and opening alone, with the native cryptography where there is any";
    let run: super::Run = Box::new(|_: &Peer, scale| run(scale));
    vec![Job { only: Some("torque"), ..Job::new("ciphers", about, None, run) }]
}

fn run(scale: Scale) -> Result<Figures> {
    cpu::pin()?;
    let mut figures = Figures::default();
    for cipher in Cipher::DEFAULT_OFFER {
        for size in [32, 100, 1_100] {
            let (mut keys, mut text, mut next) = (Keys::new(cipher), vec![5; size], 0);
            let seal = time(scale, || {
                next += BATCH;
                (next - BATCH..next).all(|sequence| keys.seal(sequence, &ASSOCIATED, &mut text).is_some())
            })?;
            figures.push(&format!("{cipher}, seal {size} B"), "ns", seal);

            let mut keys = Keys::new(cipher);
            let tag = keys.seal(0, &ASSOCIATED, &mut text).ok_or("nothing was sealed")?;
            let sealed = text.clone();
            let open = time(scale, || {
                (0..BATCH).all(|_| {
                    text.copy_from_slice(&sealed);
                    keys.open(0, &ASSOCIATED, &mut text, tag.as_ref())
                })
            })?;
            figures.push(&format!("{cipher}, open {size} B"), "ns", open);
        }
    }
    Ok(figures)
}

/// Nanoseconds of processor time for one of the `BATCH` that `batch` does.
fn time(scale: Scale, mut batch: impl FnMut() -> bool) -> Result<f64> {
    let (begin, cpu, mut batches) = (Clock::now(), cpu::process(), 0);
    while begin.elapsed() < scale.measure() / 8 {
        if !batch() {
            return Err("a packet was refused".into());
        }
        batches += 1;
    }
    Ok((cpu::process() - cpu).as_nanos() as f64 / (batches * BATCH) as f64)
}
