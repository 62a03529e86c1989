//! What a host does with challenge_requests and connect_requests (PROTOCOL.md 5.1 to 5.4).

use super::*;
use crate::codes::RejectCode;
use crate::wire::{Offers, Reject};

/// Makes a good datagram a bad one.
type Change = fn(&mut Vec<u8>);

#[track_caller]
pub(super) fn assert_rejected((admission, out): (Admission, Vec<u8>), code: RejectCode) {
    match admission {
        Admission::Rejected(rejected) => assert_eq!(rejected, code),
        Admission::Dropped(reason) => panic!("dropped: {reason:?}"),
        Admission::Admitted(_) => panic!("admitted"),
    }
    assert_eq!(Reject::parse(&out).unwrap().code, code);
}

#[track_caller]
pub(super) fn assert_silent((admission, out): (Admission, Vec<u8>), reason: DropReason) {
    match admission {
        Admission::Rejected(code) => panic!("rejected: {code:?}"),
        Admission::Dropped(dropped) => assert_eq!(dropped, reason),
        Admission::Admitted(_) => panic!("admitted"),
    }
    assert!(out.is_empty());
}

/// Solves the puzzle of a changed request, as someone would who wants more work done.
pub(super) fn solve_again(request: &mut [u8]) {
    let end = request.len() - 8;
    let mut job = PuzzleJob::new(
        ConnectionId::from_u32(1).unwrap(),
        puzzle::puzzle_digest(&request[..end]),
        request[38],
        0,
    );
    while job.solve(1_000) == PuzzleProgress::Working {}
    request[end..].copy_from_slice(&job.solution().unwrap());
}

fn is_solved(request: &[u8]) -> bool {
    let (unsolved, solution) = request.split_last_chunk().unwrap();
    puzzle::is_solution(&puzzle::puzzle_digest(unsolved), solution, request[38])
}

#[test]
fn a_challenge_request_that_cannot_be_met_is_rejected_by_name() {
    let mut world = World::new(21);
    let (attempt, good) = world.start(Trust::Ask);
    let cases: [(RejectCode, Change); 2] = [
        (RejectCode::ApplicationMismatch, |bytes| bytes[33] ^= 1),
        (RejectCode::NoCommonCipher, |bytes| bytes[34..38].copy_from_slice(&[77, 88, 0, 0])),
    ];
    for (code, change) in cases {
        let mut bytes = good.clone();
        change(&mut bytes);
        let (answer, out) = world.challenge(&bytes);
        assert_eq!(answer, Err(NoChallenge::Rejected(code)));
        let reject = Reject::parse(&out).unwrap();
        assert_eq!(reject.code, code);
        assert_eq!(reject.initiator_nonce, *attempt.initiator_nonce().unwrap());
    }
}

#[test]
fn the_first_offered_cipher_that_the_host_allows_is_chosen() {
    let mut world = World::new(23);
    let (_, good) = world.start(Trust::Ask);
    for (offers, allowed, chosen) in [
        ([2, 1, 3, 0], vec![Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305], 2),
        ([3, 1, 2, 0], vec![Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305], 1),
        ([99, 2, 0, 0], vec![Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305], 2),
    ] {
        world.at_host.config.ciphers = allowed;
        let mut bytes = good.clone();
        bytes[34..38].copy_from_slice(&offers);
        let (_, response) = world.challenge(&bytes);
        assert_eq!(response[139], chosen, "{offers:?}");
    }
}

#[test]
fn a_token_is_good_for_its_address_and_fields_only() {
    let mut world = World::new(24);
    let (_, request) = world.request();
    let home = world.remote;
    for elsewhere in ["192.0.2.7:4001", "192.0.2.8:4000", "[2001:db8::1]:4000"] {
        world.remote = address(elsewhere);
        assert_silent(world.admit(&request), DropReason::FalseToken);
    }
    world.remote = home;
    // Nonce, token, difficulty and cipher, every bit of them.
    for offset in (2..18).chain(22..40) {
        for bit in 0..8 {
            let mut changed = request.clone();
            changed[offset] ^= 1 << bit;
            assert_silent(world.admit(&changed), DropReason::FalseToken);
        }
    }
    for offers in [[3, 1, 0, 0], [1, 2, 3, 0], [2, 0, 0, 0]] {
        let mut changed = request.clone();
        changed[40..44].copy_from_slice(&offers);
        assert_silent(world.admit(&changed), DropReason::FalseToken);
    }
    admitted(world.admit(&request).0);
}

#[test]
fn an_ipv4_mapped_address_is_the_ipv4_address() {
    let mut world = World::new(24);
    let (_, request) = world.request();
    world.remote = address("[::ffff:192.0.2.7]:4000");
    admitted(world.admit(&request).0);
}

#[test]
fn whoever_changes_the_challenge_phase_gets_no_connection() {
    // (at which datagram, what is changed, what comes of it at the host or the initiator)
    let change_request = |offset: usize, bytes: &[u8]| {
        let mut world = World::new(25);
        let (mut attempt, mut request) = world.start(Trust::Anyone);
        request[offset..offset + bytes.len()].copy_from_slice(bytes);
        let (_, response) = world.challenge(&request);
        world.hear(&mut attempt, &response);
        let request = world.solve(&mut attempt);
        assert_silent(world.admit(&request), DropReason::FalseToken);
    };
    // Fewer ciphers offered, or another order.
    change_request(34, &[2, 0, 0, 0]);
    change_request(34, &[1, 3, 2, 0]);

    for (offset, value) in [(139, 2), (139, 1), (138, 0), (138, 8)] {
        let mut world = World::new(26);
        let (mut attempt, request) = world.start(Trust::Anyone);
        let (_, mut response) = world.challenge(&request);
        response[offset] = value;
        assert_waiting(&world.hear(&mut attempt, &response).0);
        let request = world.solve(&mut attempt);
        assert_silent(world.admit(&request), DropReason::FalseToken);
    }
}

#[test]
fn different_application_ids_share_no_keys_even_with_a_forged_tag() {
    let mut world = World::with(27, |config| config.application_id = b"one game".to_vec());
    world.at_initiator.config.application_id = b"two game".to_vec();
    let (mut attempt, mut request) = world.start(Trust::Anyone);
    let (answer, _) = world.challenge(&request);
    assert_eq!(answer, Err(NoChallenge::Rejected(RejectCode::ApplicationMismatch)));
    request[26..34].copy_from_slice(&transcript::application_tag(b"one game"));
    let (_, response) = world.challenge(&request);
    world.hear(&mut attempt, &response);
    let request = world.solve(&mut attempt);
    assert_silent(world.admit(&request), DropReason::HandshakeRejected);
}

#[test]
fn a_solution_belongs_to_one_request() {
    let mut world = World::with(28, |config| config.puzzle.difficulty_min = 12);
    let (_, request) = world.request();
    for offset in [52, 84, 132, request.len() - 9, request.len() - 1] {
        let mut changed = request.clone();
        changed[offset] ^= 1;
        assert_silent(world.admit(&changed), DropReason::FalseSolution);
    }
    admitted(world.admit(&request).0);
}

#[test]
fn paid_garbage_is_dropped_and_its_token_is_used_up() {
    for offset in [52, 84, 131, 132, 140] {
        let mut world = World::new(29);
        let (_, request) = world.request();
        let mut garbage = request.clone();
        garbage[offset] ^= 1;
        solve_again(&mut garbage);
        assert_silent(world.admit(&garbage), DropReason::HandshakeRejected);
        assert_silent(world.admit(&request), DropReason::ReplayedToken);
    }
}

#[test]
fn small_order_points_give_no_secret() {
    // u = 0 and u = 1 are of small order on Curve25519.
    for first in [0, 1] {
        let mut world = World::new(30);
        let (_, mut request) = world.request();
        request[52..84].fill(0);
        request[52] = first;
        solve_again(&mut request);
        assert_silent(world.admit(&request), DropReason::HandshakeRejected);
    }
}

#[test]
fn a_request_is_admitted_once_and_its_replay_never() {
    let mut world = World::new(31);
    let (_, request) = world.request();
    admitted(world.admit(&request).0);
    for _ in 0..70 {
        world.wait(1_000);
        let (_, other) = world.start(Trust::Anyone);
        assert!(world.challenge(&other).0.is_ok());
        let (admission, _) = world.admit(&request);
        match admission {
            Admission::Dropped(DropReason::ReplayedToken) | Admission::Rejected(RejectCode::StaleEpoch) => {}
            _ => panic!("a replay was admitted"),
        }
    }
    assert_rejected(world.admit(&request), RejectCode::StaleEpoch);
}

#[test]
fn a_request_of_the_previous_epoch_is_taken_and_one_before_it_is_stale() {
    let mut world = World::new(32);
    let (_, first) = world.request();
    world.wait(30_001);
    let (_, second) = world.request();
    assert_ne!(first[18..22], second[18..22]);
    admitted(world.admit(&first).0);
    world.wait(30_001);
    let (_, third) = world.request();
    assert_rejected(world.admit(&first), RejectCode::StaleEpoch);
    admitted(world.admit(&second).0);
    admitted(world.admit(&third).0);
}

#[test]
fn a_host_that_nobody_asks_for_two_lifetimes_remembers_no_epoch() {
    let mut world = World::new(33);
    let (_, request) = world.request();
    let deadline = world.host.deadline().unwrap();
    assert_eq!(deadline, world.now + Duration::from_secs(60));
    world.now = deadline;
    world.host.handle_timeout(world.now);
    assert_eq!(world.host.deadline(), None);
    assert_rejected(world.admit(&request), RejectCode::StaleEpoch);
}

#[test]
fn a_full_table_admits_nothing_unrecorded_and_ends_the_epoch_early() {
    let mut world = World::with(34, |config| config.limits.replay_tokens = 3);
    let requests: Vec<_> = (0..5).map(|_| world.request().1).collect();
    for request in &requests[..3] {
        admitted(world.admit(request).0);
    }
    assert_rejected(world.admit(&requests[3]), RejectCode::StaleEpoch);
    assert_rejected(world.admit(&requests[4]), RejectCode::StaleEpoch);
    // A replay is still known for one, although the table is full.
    assert_silent(world.admit(&requests[0]), DropReason::ReplayedToken);

    let (_, same_epoch) = world.request();
    assert_eq!(same_epoch[18..22], requests[0][18..22], "not before it is a second old");
    world.wait(1_000);
    let (_, fresh) = world.request();
    assert_ne!(fresh[18..22], requests[0][18..22]);
    admitted(world.admit(&fresh).0);
    assert_rejected(world.admit(&requests[3]), RejectCode::StaleEpoch);
}

#[test]
fn a_host_without_room_says_busy_and_the_request_is_used_up() {
    let mut world = World::new(35);
    let (_, request) = world.request();
    assert_rejected(world.admit_when(&request, FULL), RejectCode::Busy);
    // It cannot wait for a place at no cost.
    assert_silent(world.admit(&request), DropReason::ReplayedToken);
    let (_, another) = world.request();
    admitted(world.admit(&another).0);
}

#[test]
fn an_introduction_that_nobody_made_is_dropped() {
    let mut world = World::new(36);
    let (_, mut request) = world.request();
    request[51] = 1;
    solve_again(&mut request);
    assert_silent(world.admit(&request), DropReason::UnknownIntroduction);
}

#[test]
fn cheap_tokens_hoarded_in_quiet_times_are_worth_nothing_in_a_flood() {
    let mut world = World::new(37);
    let hoarded: Vec<_> = (0..3).map(|_| world.request().1).collect();
    let flood: Vec<_> = (0..400).map(|_| world.request().1).collect();
    let rejected = flood.iter().filter(|request| {
        matches!(world.admit(request).0, Admission::Rejected(RejectCode::DifficultyTooLow))
    });
    assert!(rejected.count() > 0, "the floor rises");
    for request in &hoarded {
        assert_rejected(world.admit(request), RejectCode::DifficultyTooLow);
    }
    let (_, fresh) = world.request();
    assert!(fresh[38] > 8, "{}", fresh[38]);
    admitted(world.admit(&fresh).0);

    world.wait(30_000);
    let (_, calm) = world.request();
    assert_eq!(calm[38], 4);
}

#[test]
fn who_does_not_pay_raises_nobodys_price() {
    let mut world = World::new(40);
    let (_, mut unsolved) = world.request();
    let (_, solved) = world.request();
    admitted(world.admit(&solved).0);
    let end = unsolved.len() - 1;
    for _ in 0..2_000 {
        // One true token with one false solution after another, and one paid request again and again.
        unsolved[end] = unsolved[end].wrapping_add(1);
        if !is_solved(&unsolved) {
            assert_silent(world.admit(&unsolved), DropReason::FalseSolution);
        }
        assert_silent(world.admit(&solved), DropReason::ReplayedToken);
    }
    let (_, next) = world.request();
    assert_eq!(next[38], 4);
}

#[test]
fn a_request_may_ask_for_four_bits_less_than_the_host_asks_for_now() {
    let mut world = World::new(37);
    let (_, first) = world.request();
    let (_, second) = world.request();
    // Each sixteenth of the pending table above half adds a bit to the 4 of a quiet host.
    let above_half = |sixteenths: usize| Occupancy { pending: 512 + 64 * sixteenths, ..CALM };
    assert_rejected(world.admit_when(&first, above_half(5)), RejectCode::DifficultyTooLow);
    world.host = {
        let mut calm = Host::new(world.now, &world.at_host.config, 1_800_000_000_000);
        calm.install_epoch(world.now, world.host.share_epoch().unwrap());
        calm
    };
    admitted(world.admit_when(&second, above_half(4)).0);
}

#[test]
fn requests_without_a_true_token_raise_no_difficulty() {
    let mut world = World::new(38);
    let (_, request) = world.request();
    let mut forged = request.clone();
    for round in 0..2_000_u16 {
        forged[22..24].copy_from_slice(&round.to_be_bytes());
        world.admit(&forged);
    }
    let (_, next) = world.request();
    assert_eq!(next[38], 4);
}

#[test]
fn a_request_with_several_faults_is_judged_by_the_first_in_order() {
    let mut world = World::with(39, |config| {
        config.puzzle.difficulty_min = 12;
        config.limits.replay_tokens = 2;
    });
    let (_, used) = world.request();
    admitted(world.admit(&used).0);
    let (_, request) = world.request();
    let (_, late) = world.request();

    // Room, replay table, replay, puzzle, introduction, difficulty, token, epoch: each hides those before it in this list.
    assert_rejected(world.admit_when(&request, FULL), RejectCode::Busy);
    assert_rejected(world.admit_when(&late, FULL), RejectCode::StaleEpoch);
    let mut faulty = used.clone();
    assert_silent(world.admit_when(&faulty, FULL), DropReason::ReplayedToken);
    let last = faulty.len() - 1;
    faulty[last] ^= 1;
    assert_silent(world.admit_when(&faulty, FULL), DropReason::FalseSolution);
    faulty[44] = 1;
    assert_silent(world.admit_when(&faulty, FULL), DropReason::UnknownIntroduction);
    world.at_host.config.puzzle.difficulty_min = 17;
    assert_rejected(world.admit_when(&faulty, FULL), RejectCode::DifficultyTooLow);
    faulty[22] ^= 1;
    assert_silent(world.admit_when(&faulty, FULL), DropReason::FalseToken);
    faulty[18] ^= 1;
    assert_rejected(world.admit_when(&faulty, FULL), RejectCode::StaleEpoch);
}

#[test]
fn new_data_shows_from_the_next_epoch_and_old_challenges_connect() {
    let mut world = World::new(40);
    world.host.set_challenge_response_data(ShortData::new(b"3 of 8 players").unwrap());
    let (mut attempt, request) = world.start(Trust::Anyone);
    let (_, response) = world.challenge(&request);
    assert_eq!(&response[175..], b"3 of 8 players");
    world.hear(&mut attempt, &response);

    world.host.set_challenge_response_data(ShortData::new(b"4 of 8 players").unwrap());
    let (_, soon) = world.challenge(&request);
    assert_eq!(&soon[175..], b"3 of 8 players", "an epoch lasts a third of its life at least");
    world.wait(10_000);
    let (_, later) = world.challenge(&request);
    assert_eq!(&later[175..], b"4 of 8 players");
    assert_ne!(later[26..58], response[26..58]);

    let request = world.solve(&mut attempt);
    let (asking, _) = world.ask(&request);
    let (_, _, accept) = world.accept(asking, b"");
    established(world.hear(&mut attempt, &accept).0);
}

#[test]
fn offers_that_nobody_knows_are_part_of_what_both_sides_saw() {
    let mut world = World::new(41);
    let (mut attempt, mut request) = world.start(Trust::Anyone);
    assert!(Offers::from_bytes([99, 3, 1, 2]).is_ok());
    request[34..38].copy_from_slice(&[99, 3, 1, 2]);
    let (_, response) = world.challenge(&request);
    world.hear(&mut attempt, &response);
    let request = world.solve(&mut attempt);
    assert_silent(world.admit(&request), DropReason::FalseToken);
}
