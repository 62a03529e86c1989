//! Discovery keeps its promises: bytes as specified, answers never longer than questions, few of them.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use torque_proto::{Address, KeyPair};

use super::wire::{Answer, QUESTION_BYTES, Question};
use super::*;
use crate::Socket;

fn info(name: &str, data: usize) -> HostInfo {
    HostInfo { name: name.into(), players: 3, max_players: 300, data: vec![7; data] }
}

fn key(seed: u8) -> torque_proto::PublicKey {
    KeyPair::from_seed([seed; 32]).public()
}

/// A program at another address.
fn asker(number: u8) -> Address {
    std::net::SocketAddr::from(([192, 0, 2, number], 9)).into()
}

#[test]
fn the_bytes_are_those_of_the_specification() {
    let question = Question { id: *b"12345678", service: "pond".into() }.write();
    assert_eq!(question.len(), 512);
    assert_eq!(&question[..21], b"?TqFind112345678\x04pond");
    assert!(question[21..].iter().all(|byte| *byte == 0));
    let answer = Answer { id: *b"12345678", public_key: key(1), info: info("Pond", 2) }.write();
    let mut expected = b"!TqHere112345678\x01".to_vec();
    expected.extend_from_slice(key(1).as_bytes());
    expected.extend_from_slice(b"\x00\x03\x01\x2c\x04Pond\x00\x02\x07\x07");
    assert_eq!(answer, expected);
    assert_eq!(Answer::parse(&answer).unwrap().info, info("Pond", 2));
}

#[test]
fn the_longest_answer_is_shorter_than_the_question() {
    let longest = info(&"x".repeat(HostInfo::MAX_NAME), HostInfo::MAX_DATA);
    let mut responder = Responder::new(&"s".repeat(32), longest).unwrap();
    let question = Question { id: [1; 8], service: "s".repeat(32) }.write();
    assert!(responder.answer(asker(1), key(1), &question).unwrap().len() <= question.len());
}

#[test]
fn what_is_not_a_question_is_neither_answered_nor_read() {
    let mut responder = Responder::new("pond", info("Pond", 0)).unwrap();
    let good = Question { id: [1; 8], service: "pond".into() }.write();
    assert!(responder.answer(asker(1), key(1), &good).is_some());
    for length in 0..QUESTION_BYTES {
        assert!(responder.answer(asker(1), key(1), &good[..length]).is_none(), "cut to {length}");
    }
    let mut noise = 1_u64;
    for position in 0..QUESTION_BYTES {
        let mut bad = good;
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bad[position] ^= (noise >> 56) as u8 | 1;
        let is_id = (8..16).contains(&position);
        assert_eq!(
            Question::parse(&bad).is_some_and(|question| question.service == "pond"),
            is_id,
            "at {position}"
        );
    }
    let answer = Answer { id: [1; 8], public_key: key(1), info: info("Pond", 9) }.write();
    for length in 0..answer.len() {
        assert!(Answer::parse(&answer[..length]).is_none(), "cut to {length}");
    }
}

#[test]
fn answers_are_rationed() {
    let mut responder = Responder::new("pond", info("Pond", 0)).unwrap();
    let question = Question { id: [1; 8], service: "pond".into() }.write();
    let (public_key, begun) = (key(1), Instant::now());
    let given = (0..10_000)
        .filter(|number| responder.answer(asker(*number as u8), public_key, &question).is_some())
        .count();
    let most = 41 + (20.0 * begun.elapsed().as_secs_f64()) as usize;
    assert!((40..=most).contains(&given), "{given} answers, at most {most} expected");
}

#[test]
fn a_source_that_asks_without_end_silences_the_host_for_nobody_else() {
    let question = Question { id: [1; 8], service: "pond".into() }.write();
    let address = |text: &str| Address::from(text.parse::<std::net::SocketAddr>().unwrap());
    // The flood comes from one IPv4 address, or from all of an IPv6 /64.
    let of_v4 = |number: u32| address(&format!("192.0.2.1:{}", 1 + number % 60_000));
    let of_v6 = |number: u32| address(&format!("[2001:db8::{:x}:{:x}]:9", number % 9_999, number / 7));
    let floods: [&dyn Fn(u32) -> Address; 2] = [&of_v4, &of_v6];
    for flood in floods {
        let (mut responder, begun) = (Responder::new("pond", info("Pond", 0)).unwrap(), Instant::now());
        let (mut given, mut others) = (0, 0);
        for number in 0..10_000 {
            given += usize::from(responder.answer(flood(number), key(1), &question).is_some());
            if number % 1_000 == 999 {
                let other = address(&format!("[2001:db8:{number:x}::1]:9"));
                others += usize::from(responder.answer(other, key(1), &question).is_some());
            }
        }
        let most = 9 + (2.0 * begun.elapsed().as_secs_f64()) as usize;
        assert!((8..=most).contains(&given), "{given} answers to one source, at most {most} expected");
        assert_eq!(others, 10, "everybody else is answered");
    }
}

#[test]
fn machines_of_one_link_are_not_one_source() {
    let mut responder = Responder::new("pond", info("Pond", 0)).unwrap();
    let question = Question { id: [1; 8], service: "pond".into() }.write();
    for number in 1..=20 {
        let neighbour: std::net::SocketAddr = format!("[fe80::{number}%3]:9").parse().unwrap();
        assert!(responder.answer(neighbour.into(), key(1), &question).is_some());
    }
}

#[test]
fn what_is_remembered_of_sources_stays_bounded() {
    use super::source::{Budgets, Rate, Source};
    let all = Rate { burst: 40, per_second: 1_000 };
    let mut budgets = Budgets::new(all, Rate { burst: 1, per_second: 10 });
    let mut now = Instant::now();
    for number in 0..20_000_u32 {
        now += Duration::from_millis(1);
        let source = Source::of(std::net::SocketAddr::from((std::net::Ipv4Addr::from(number), 9)).into());
        assert!(budgets.spend(source, now));
        assert!(budgets.sources() <= 257);
    }
}

#[test]
fn hosts_that_somebody_makes_up_are_few_and_hide_nobody() {
    let forger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let honest = UdpSocket::bind("127.0.0.2:0");
    let mut finder = Finder::new("pond").unwrap();
    finder.ask_at(forger.local_addr().unwrap()).unwrap();
    let mut bytes = [0; 600];
    let (length, seeker) = forger.recv_from(&mut bytes).unwrap();
    let id = Question::parse(&bytes[..length]).unwrap().id;
    let answer = |seed| Answer { id, public_key: key(seed), info: info("Pond", 0) }.write();
    for seed in 0..200 {
        forger.send_to(&answer(seed), seeker).unwrap();
    }
    let mut found = 0;
    while finder.next_answer(Duration::from_millis(100)).is_some() {
        found += 1;
    }
    assert_eq!(found, 16);
    // Elsewhere than on Linux there is no such address.
    if let Ok(honest) = honest {
        honest.send_to(&answer(250), seeker).unwrap();
        assert_eq!(finder.next_answer(Duration::from_secs(5)).unwrap().public_key, key(250));
    }
}

#[test]
fn noise_does_not_hold_the_seeker_up() {
    let forger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut finder = Finder::new("pond").unwrap();
    finder.ask_at(forger.local_addr().unwrap()).unwrap();
    let (_, seeker) = forger.recv_from(&mut [0; 600]).unwrap();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = std::sync::Arc::clone(&done);
    let flood = std::thread::spawn(move || {
        let end = Instant::now() + Duration::from_secs(20);
        while !stop.load(std::sync::atomic::Ordering::Relaxed) && Instant::now() < end {
            let _ = forger.send_to(b"!noise", seeker);
        }
        Instant::now() < end
    });
    assert!(finder.next_answer(Duration::from_millis(50)).is_none());
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(flood.join().unwrap(), "it returned while the noise went on");
}

#[test]
fn a_host_is_found_once_with_its_key_and_info() {
    let mut host = Socket::bind("0.0.0.0:0").unwrap();
    let port = host.local_addr().port();
    let mut responder = Responder::new("pond", info("Pond", 5)).unwrap();
    let mut finder = Finder::new("pond").unwrap();
    // Another service at the same port is not found.
    let mut stranger = Finder::new("lake").unwrap();
    stranger.ask_at(([127, 0, 0, 1], port).into()).unwrap();
    for _ in 0..2 {
        finder.ask_at(([127, 0, 0, 1], port).into()).unwrap();
    }
    let mut questions = 0;
    while questions < 3 {
        let event = host.wait_event(Duration::from_secs(5)).expect("questions come");
        assert!(responder.handle(&mut host, &event));
        host.flush();
        questions += 1;
    }
    for _ in 0..2 {
        let found = finder.next_answer(Duration::from_secs(5)).unwrap();
        assert_eq!(found.address, ([127, 0, 0, 1], port).into());
        assert_eq!((found.public_key, found.info.clone()), (host.public_key(), info("Pond", 5)));
        assert_eq!(found.url().to_string(), format!("torque://{}@127.0.0.1:{port}", host.public_key()));
    }
    assert!(finder.next_answer(Duration::from_millis(50)).is_none());
    assert!(stranger.next_answer(Duration::from_millis(50)).is_none());
}

#[test]
fn answers_to_other_questions_are_ignored() {
    let forger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut finder = Finder::new("pond").unwrap();
    finder.ask_at(forger.local_addr().unwrap()).unwrap();
    let mut bytes = [0; 600];
    let (length, seeker) = forger.recv_from(&mut bytes).unwrap();
    let id = Question::parse(&bytes[..length]).unwrap().id;
    let answer = |id, seed| Answer { id, public_key: key(seed), info: info("Pond", 0) }.write();
    forger.send_to(&answer([0; 8], 1), seeker).unwrap();
    for _ in 0..100 {
        forger.send_to(b"!noise", seeker).unwrap();
    }
    forger.send_to(&answer(id, 2), seeker).unwrap();
    forger.send_to(&answer(id, 2), seeker).unwrap();
    // Loopback delivers at once, so there is nothing to wait for.
    assert_eq!(finder.next_answer(Duration::ZERO).unwrap().public_key, key(2));
    assert!(finder.next_answer(Duration::from_millis(50)).is_none(), "one answer from each key");
}

#[test]
fn names_and_data_that_do_not_fit_are_refused() {
    assert!(matches!(Responder::new("", info("", 0)), Err(DiscoveryError::BadService)));
    assert!(matches!(Finder::new(&"s".repeat(33)), Err(DiscoveryError::BadService)));
    assert!(matches!(Responder::new("s", info(&"x".repeat(65), 0)), Err(DiscoveryError::BadName)));
    assert!(matches!(Responder::new("s", info("a\nb", 0)), Err(DiscoveryError::BadName)));
    assert!(matches!(Responder::new("s", info("", 301)), Err(DiscoveryError::TooMuchData)));
    for nobody in ["0.0.0.0:28000", "[::]:28000"] {
        let refused = Finder::new("s").unwrap().ask_at(nobody.parse().unwrap());
        assert!(matches!(refused, Err(DiscoveryError::Unspecified)), "{refused:?}");
    }
}
