use super::*;

fn letters() -> Vec<Letter> {
    vec![
        Letter { number: 300, content: vec![1, 2, 3] },
        Letter { number: u32::MAX, content: Vec::new() },
        Letter { number: 0, content: vec![9; 255] },
    ]
}

/// Whole, it reads as what was written; cut or with something behind it, as nothing.
fn only_whole<T: PartialEq + std::fmt::Debug>(value: &T, bytes: &[u8], read: impl Fn(&[u8]) -> Option<T>) {
    assert_eq!(read(bytes).as_ref(), Some(value));
    for length in 0..bytes.len() {
        assert_eq!(read(&bytes[..length]), None, "cut to {length}");
    }
    assert_eq!(read(&[bytes, &[0]].concat()), None);
}

#[test]
fn numbers_read_back_and_take_no_more_than_they_need() {
    for (number, length) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u32::MAX, 5)] {
        let mut bytes = Vec::new();
        put_number(&mut bytes, number);
        assert_eq!(bytes.len(), length);
        assert_eq!(Reader(&bytes).number(), Some(number));
    }
    for number in [0, 1, -1, 63, -64, 64, 1 << 20, -(1 << 20)] {
        let mut bytes = Vec::new();
        put_signed(&mut bytes, number);
        assert_eq!(Reader(&bytes).signed(), Some(number));
    }
    assert_eq!(Reader(&[0xff; 5]).number(), None);
    assert_eq!(Reader(&[0xff, 0xff, 0xff, 0xff, 0x7f]).number(), None, "more than 32 bits");
}

#[test]
fn inputs_read_back_and_only_whole() {
    let control = Control { right: -127, down: 5, aim: 40_000 };
    let input = Input { number: 77, control, letters: letters() };
    only_whole(&input, &input.write(), Input::read);
}

#[test]
fn a_throttle_below_what_can_be_told_is_the_least() {
    let mut bytes = Input::default().write();
    bytes[4] = 0x80;
    assert_eq!(Input::read(&bytes).unwrap().control.right, -127);
}

#[test]
fn a_packet_with_more_letters_than_may_be_is_refused() {
    let mut bytes = Input::default().write();
    *bytes.last_mut().unwrap() = MAX_LETTERS as u8 + 1;
    bytes.extend_from_slice(&[0; 200]);
    assert_eq!(Input::read(&bytes), None);
}

#[test]
fn deeds_read_back_and_only_whole() {
    for deed in [Deed::Fire { aim: 513 }, Deed::Say { text: "hello, arena".into() }] {
        only_whole(&deed, &deed.write(), Deed::read);
    }
    assert_eq!(Deed::read(&[3, 0, 0]), None);
    assert_eq!(Deed::read(&[2, 2, 0xc3, 0x28]), None, "no UTF-8");
    assert_eq!(Deed::read(&[2, 2, b' ', b'\n']), None, "nothing to be seen");
}

#[test]
fn news_read_back_and_only_whole() {
    let all = [
        News::Joined { player: 3, bot: true, points: 999, name: "Émilie".into() },
        News::Left { player: 23 },
        News::Burst { by: 1, ship: 2 },
        News::Said { player: 0, text: "well played".into() },
    ];
    for news in all {
        only_whole(&news, &news.write(), News::read);
    }
    assert_eq!(News::read(&[2, MAX_PLAYERS]), None);
}

#[test]
fn snapshots_begin_with_a_head_that_reads_back() {
    let head = Snapshot { tick: 1 << 30, base_age: 120, input: 9, check: 0xabcd };
    let mut bytes = Vec::new();
    head.write(&mut bytes);
    let read = |bytes: &[u8]| {
        let mut input = Reader(bytes);
        let head = Snapshot::read(&mut input)?;
        input.end(head)
    };
    only_whole(&head, &bytes, read);
}

#[test]
fn names_of_strangers_are_one_short_line_that_cannot_play_tricks() {
    let name = |bytes: &[u8]| Hello::read(&[&[0][..], bytes].concat()).map(|hello| hello.name);
    assert_eq!(name("Ada\n\u{202e}drawkcab".as_bytes()).as_deref(), Some("Adadrawkcab"));
    assert_eq!(name(b"  Ada  ").as_deref(), Some("Ada"));
    assert_eq!(name(b""), None);
    assert_eq!(name(" \u{200b}\u{feff}".as_bytes()), None);
    assert_eq!(name(&[b'a'; MAX_NAME + 1]), None);
    assert_eq!(name(&[0xff]), None);
    assert_eq!(Hello::read(b""), None);
    assert_eq!(Hello::read(b"\x02Ada"), None, "an unknown flag");
    let hello = Hello { bot: true, name: "Hooke".into() };
    assert_eq!(Hello::read(&hello.write()), Some(hello));
}

#[test]
fn what_is_too_long_is_cut_between_characters() {
    assert_eq!(cut("äöü", 3), "ä");
    assert_eq!(cut("abc", 5), "abc");
    let hello = Hello { bot: false, name: "ü".repeat(40) };
    assert_eq!(Hello::read(&hello.write()).unwrap().name, "ü".repeat(12));
}

#[test]
fn the_rules_fit_accept_data_and_name_the_player() {
    let bytes = Welcome::write(5);
    assert!(bytes.len() <= 511);
    assert_eq!(Welcome::player(&bytes), Some(5));
    assert_eq!(Welcome::player(&[MAX_PLAYERS]), None);
    assert_eq!(Welcome::player(&[]), None);
}
