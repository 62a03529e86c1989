use super::*;

const PLACES: [&str; 2] = ["192.0.2.1:28000", "[2001:db8::2]:28000"];

/// Hands datagrams of one core to the other until none is left.
fn exchange(now: f64, ends: &mut [Core; 2]) {
    for _ in 0..100 {
        let mut idle = true;
        for from in [0, 1] {
            let mut datagrams = Vec::new();
            while let Some(bytes) = ends[from].next_transmit(now) {
                datagrams.push(bytes.to_vec());
            }
            for mut bytes in datagrams {
                idle = false;
                ends[1 - from].receive(now, 1.7e12, (PLACES[from].as_bytes(), b""), &mut bytes);
            }
        }
        ends.iter_mut().for_each(|end| end.run(now));
        if idle {
            return;
        }
    }
}

#[test]
fn two_cores_connect_and_a_packet_gets_its_verdict() {
    let options =
        "application_id=test\ndifficulty_min=0\nsettings=window=64;tag=8\nciphers=chacha20-poly1305";
    let mut ends = [1, 2].map(|seed| Core::new(options, [seed; 32], 1.7e12, 1.0).unwrap());
    let id = ends[1].connect(1.0, PLACES[0], ("", "ask"), b"hello", b"").unwrap();
    exchange(2.0, &mut ends);
    assert_eq!(ends[1].next_event(), 1);
    assert_eq!(ends[1].event_public_key(), ends[0].public_key());
    assert_eq!(ends[1].event_text(), "chacha20-poly1305");
    ends[1].accept_challenge(3.0, id, b"").unwrap();
    // The puzzle is solved in slices, by the timer.
    for _ in 0..50 {
        let now = ends[1].deadline().clamp(3.0, 20.0);
        exchange(now, &mut ends);
    }
    assert_eq!(ends[0].next_event(), 2);
    assert_eq!(ends[0].event_bytes(), b"hello");
    assert_eq!(ends[0].event_remote(), PLACES[1]);
    let hosted = ends[0].numbers.connection;
    ends[0].accept_connection(30.0, hosted, b"welcome").unwrap();
    exchange(30.0, &mut ends);
    assert_eq!(ends[1].next_event(), 3);
    assert_eq!(ends[1].event_bytes(), b"welcome");
    assert!(ends[1].event_text().starts_with("window=64;"));
    let sequence = ends[1].send(31.0, id, b"packet").unwrap();
    exchange(31.0, &mut ends);
    assert_eq!((ends[0].next_event(), ends[0].next_event()), (3, 5));
    assert_eq!((ends[0].numbers.sequence, ends[0].event_bytes()), (sequence, &b"packet"[..]));
    ends[0].run(100.0);
    exchange(100.0, &mut ends);
    assert_eq!((ends[1].next_event(), ends[1].numbers.sequence, ends[1].numbers.delivery), (6, sequence, 1));
    assert!(ends[1].connection_stats(id).contains("\"delivered\":1"), "{}", ends[1].connection_stats(id));
    ends[1].close(101.0, id, b"bye").unwrap();
    exchange(101.0, &mut ends);
    assert_eq!((ends[0].next_event(), ends[0].numbers.closed_by), (4, 1));
    assert_eq!((ends[0].event_text().as_str(), ends[0].event_bytes()), ("closed", &b"bye"[..]));
    let error = ends[1].send(102.0, id, b"late").unwrap_err();
    assert!(error.starts_with("closed: "), "{error}");
}

#[test]
fn the_addresses_of_a_host_are_asked_in_turn() {
    let mut core = Core::new("", [1; 32], 1.7e12, 1.0).unwrap();
    let id = core.connect(1.0, &PLACES.join("\n"), ("", "anyone"), b"", b"").unwrap();
    let mut asked = Vec::new();
    for now in [1.0, 240.0, 260.0] {
        core.run(now);
        while core.next_transmit(now).is_some() {
            asked.push((now, core.transmit_path()));
        }
    }
    let first = (1.0, format!("{}\n", PLACES[0]));
    assert_eq!((&asked[0], asked[1].0), (&first, 260.0));
    assert!(asked.iter().any(|(_, path)| *path == format!("{}\n", PLACES[1])), "{asked:?}");
    core.close(252.0, id, b"").unwrap();
    let error = core.connect(1.0, "192.0.2.1:1\n", ("", "anyone"), b"", b"").unwrap_err();
    assert!(error.starts_with("invalid_argument: "), "{error}");
}

#[test]
fn what_cannot_be_used_is_named() {
    for (options, expected) in [
        ("colour=blue", "`colour` is no option"),
        ("key_pair=tk1", "key pair"),
        ("settings=window=1", "window is 8 to 32768"),
        ("ciphers=rot13", "no such cipher"),
        ("ping_limit=many", "ping_limit"),
        ("application_id=longer than thirty-two bytes, by far", "application_id is at most 32 bytes"),
    ] {
        let error = Core::new(options, [1; 32], 0.0, 0.0).err().unwrap();
        assert!(error.starts_with("invalid_argument: ") && error.contains(expected), "{options}: {error}");
    }
}

#[test]
fn exports_answer_before_a_socket_exists_and_to_bad_lengths() {
    assert!(exports::send(0.0, 1, 5) < 0.0);
    assert_eq!(exports::next_event(), 0);
    assert_eq!(exports::deadline(), f64::INFINITY);
    assert!(exports::begin(usize::MAX, 0.0, 0.0) < 0.0);
    assert_eq!(exports::begin(0, 0.0, 0.0), 0.0);
    assert!(exports::connect(0.0, 9, 40_000, 40_000, 0, 0) < 0.0);
    exports::receive(0.0, 0.0, 0, 0, 65_537);
    assert_eq!(exports::parse_url(usize::MAX), -1);
    assert!(exports::public_key() > 50);
}

/// What a core answers to a probe, and by which path.
fn answers(core: &mut Core, remote: &str, local: &str) -> Vec<String> {
    let mut probe = [0x0b; 17];
    core.receive(1.0, 0.0, (remote.as_bytes(), local.as_bytes()), &mut probe);
    let mut told = Vec::new();
    while core.next_transmit(1.0).is_some() {
        told.push(core.transmit_path());
    }
    told
}

#[test]
fn answers_leave_for_and_from_the_addresses_that_the_datagram_had() {
    let mut core = Core::new("", [1; 32], 0.0, 0.0).unwrap();
    assert_eq!(answers(&mut core, "192.0.2.1:9", "10.0.0.2"), ["192.0.2.1:9\n10.0.0.2"]);
    assert_eq!(answers(&mut core, "192.0.2.1:9", "10.0.0.2"), [""], "as it was");
    // One remote has one address, however a carrier writes it.
    assert_eq!(
        answers(&mut core, "[::ffff:192.0.2.1]:9", "::ffff:10.0.0.2"),
        ["192.0.2.1:9\n::ffff:10.0.0.2"]
    );
    assert_eq!(answers(&mut core, "[fe80::1%3]:9", ""), ["[fe80::1%3]:9\n"]);
    for remote in ["", "192.0.2.1", "localhost:9", "[fe80::1%eth0]:9"] {
        assert!(answers(&mut core, remote, "").is_empty(), "{remote} is no address");
    }
}

#[test]
fn nobodys_address_is_no_place_to_connect_to() {
    for host in ["0.0.0.0", "[::]", "[::ffff:0.0.0.0]"] {
        let error = text::parse_url(&format!("torque://{host}:28000")).unwrap_err();
        assert!(error.starts_with("invalid_argument: ") && error.contains("every address"), "{error}");
    }
    assert_eq!(text::parse_url("torque://[::1]:28001").unwrap(), "::1\n28001\n");
    assert_eq!(text::parse_url("torque://127.0.0.1").unwrap(), "127.0.0.1\n28000\n");
}

#[cfg(feature = "introductions")]
#[test]
fn figures_of_introductions_are_options_by_their_names() {
    let lines = "introduction.introduces=true\nintroduction.local_addresses=false\nintroduction.wait=1500\n\
                 introduction.circuit_after=1\nintroduction.path_wait=2\nintroduction.records=3\n\
                 introduction.records_per_connection=4\nintroduction.circuits=5\nintroduction.circuits_rate=6\n\
                 introduction.attempts=7\nintroduction.hard_nat=always";
    let introduction = options::setup(lines, [0; 32], 0).unwrap().config.introduction;
    let told = (introduction.introduces, introduction.local_addresses, introduction.wait.as_millis());
    assert_eq!(told, (true, false, 1_500));
    let waits = [introduction.circuit_after, introduction.path_wait].map(|wait| wait.as_millis());
    assert_eq!(waits, [1, 2]);
    let counts = [
        introduction.records,
        introduction.records_per_connection,
        introduction.circuits,
        introduction.attempts,
    ];
    assert_eq!((counts, introduction.circuits_rate), ([3, 4, 5, 7], 6));
    assert_eq!((introduction.hard_nat, introduction.further_ports), (torque_proto::HardNat::Always, 0));
    for wrong in ["introduction.answers=1", "introduction.hard_nat=perhaps", "introduction.wait=-1"] {
        assert!(options::setup(wrong, [0; 32], 0).is_err(), "{wrong}");
    }
    // A socket behind a gateway.
    let page = options::setup("introduction.answers_only=true", [0; 32], 0).unwrap().config.introduction;
    assert!(page.answers_only);
}
