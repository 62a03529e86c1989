use super::*;

fn job(difficulty: u8, start: u64) -> PuzzleJob {
    PuzzleJob::new(ConnectionId::from_u32(1).unwrap(), [7; 32], difficulty, start)
}

#[test]
fn a_found_solution_is_a_solution_for_its_request_only() {
    let mut job = job(10, 99);
    while job.solve(10) == PuzzleProgress::Working {}
    let solution = job.solution().unwrap();
    assert!(is_solution(&[7; 32], &solution, 10));
    assert!((0..=10).all(|less| is_solution(&[7; 32], &solution, less)));
    let others = (0..64_u8).filter(|other| is_solution(&[*other; 32], &solution, 10)).count();
    assert!(others <= 2, "only its own, and a rare accident: {others}");
}

#[test]
fn a_call_computes_no_more_than_it_may_and_a_solved_job_nothing() {
    let mut job = job(255, u64::MAX - 3);
    assert_eq!(job.solve(0), PuzzleProgress::Working);
    assert_eq!(job.tries(), 0);
    assert_eq!(job.solve(10), PuzzleProgress::Working);
    assert_eq!(job.tries(), 10, "past the highest candidate it begins again");
    assert_eq!(job.solution(), None);

    let mut easy = self::job(0, 5);
    assert_eq!(easy.solve(100), PuzzleProgress::Solved);
    assert_eq!(easy.tries(), 1);
    assert_eq!(easy.solve(100), PuzzleProgress::Solved);
    assert_eq!(easy.tries(), 1);
}

#[test]
fn zero_bits_are_counted_from_the_top_of_the_first_byte() {
    let mut hash = [0; 32];
    assert_eq!(leading_zeros(&hash), 256);
    hash[31] = 1;
    assert_eq!(leading_zeros(&hash), 255);
    hash[1] = 0x10;
    assert_eq!(leading_zeros(&hash), 11);
    hash[0] = 0x80;
    assert_eq!(leading_zeros(&hash), 0);
}

#[test]
fn each_bit_of_difficulty_doubles_the_work() {
    let tries = |difficulty| {
        (0..200_u64)
            .map(|start| {
                let mut job = job(difficulty, start << 32);
                while job.solve(64) == PuzzleProgress::Working {}
                job.tries()
            })
            .sum::<u64>()
    };
    let (few, many) = (tries(4), tries(8));
    assert!((200 * 12..200 * 21).contains(&few), "{few}");
    assert!((200 * 200..200 * 320).contains(&many), "{many}");
}

#[test]
fn what_is_solved_is_the_hash_of_the_whole_request() {
    // FIPS 180-4: SHA-256("abc").
    let wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(puzzle_digest(b"abc"), crate::crypto::testing::array(wanted));
}

#[test]
fn a_job_tells_how_hard_it_is() {
    assert_eq!([0, 1, 12].map(|difficulty| job(difficulty, 7).difficulty()), [0, 1, 12]);
}

#[test]
fn debug_output_shows_how_far_a_job_is_and_not_what_it_hashes() {
    let text = std::format!("{:?}", job(12, 7));
    assert!(text.contains("difficulty: 12") && text.contains("tries: 0"), "{text}");
    assert!(!text.contains("digest"), "{text}");
}
