//! Nothing that comes in, in whatever state, makes either side panic or answer at length.

use super::*;

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    match rng.below(4) {
        0 => {
            let length = rng.below(bytes.len() as u64 + 1) as usize;
            bytes.truncate(length);
        }
        1 => bytes.extend_from_slice(&rng.array::<16>()),
        _ => {
            for _ in 0..=rng.below(3) {
                let at = rng.below(bytes.len().max(1) as u64) as usize;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = rng.u64() as u8;
                }
            }
        }
    }
}

#[test]
fn mutated_datagrams_in_every_state_do_no_harm() {
    for seed in 0..30 {
        let mut world = World::new(seed);
        let is_introduced = seed % 2 == 1;
        if is_introduced {
            world.introduce(b"introduced data");
        }
        let mut rng = Rng::new([seed; 32]);
        let (mut attempt, request) = world.start(Trust::Anyone);
        let (_, response) = world.challenge(&request);
        let mut seen: Vec<Vec<u8>> = vec![request.clone(), response.clone()];
        for stage in 0..3 {
            for _ in 0..60 {
                let pick = rng.below(seen.len() as u64) as usize;
                let mut bytes = seen[pick].clone();
                mutate(&mut rng, &mut bytes);
                // Not what carries the attempt forward.
                if seen.contains(&bytes) {
                    continue;
                }
                let (outcome, sent) = world.hear(&mut attempt, &bytes);
                assert!(sent.is_empty() || sent.len() == 768, "seed {seed} stage {stage}");
                assert!(
                    matches!(outcome, AttemptOutcome::Waiting | AttemptOutcome::Dropped(_)),
                    "seed {seed} stage {stage}: {}",
                    name(&outcome)
                );
                if ChallengeRequest::parse(&bytes).is_ok() {
                    let (_, out) = world.challenge(&bytes);
                    assert!(out.len() <= bytes.len() || is_introduced && out.len() <= 1_184, "seed {seed}");
                }
                if ConnectRequest::parse(&bytes).is_ok() {
                    let (_, out) = world.admit(&bytes);
                    assert!(out.len() <= bytes.len());
                }
            }
            // Difficulty and identity_token are not signed: a changed one may have been gone on with.
            if stage == 0 {
                world.hear(&mut attempt, &response);
                if attempt.stats().difficulty > 12 {
                    break;
                }
                seen.push(world.solve(&mut attempt));
            }
            if stage == 1 {
                let (admission, _) = world.admit(&seen[2].clone());
                let Admission::Admitted(admitted) = admission else { break };
                let (asking, _) = admitted.ask(&mut world.at_host.cx(world.now));
                let (_, _, accept) = world.accept(asking, b"data");
                seen.push(accept);
            }
        }
    }
}
