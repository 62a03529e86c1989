use super::*;

fn v4() -> SocketAddr {
    "192.0.2.7:28000".parse().unwrap()
}

fn v6() -> SocketAddr {
    "[2001:db8::7]:28000".parse().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn messages_of_a_page_have_the_layout_of_the_document() {
    let key = "11".repeat(32);
    let table = [
        (FromPage::Open { context: 2, host: "a.b", port: 28_000 }, "01 00000002 0003 612e62 6d60".to_owned()),
        (FromPage::Forget { context: 0x0102_0304 }, "02 01020304".to_owned()),
        (
            FromPage::Attest { request: 7, context: 2, initiator: [0x11; 32], host: [0x22; 32] },
            format!("03 00000007 00000002 {key} {}", "22".repeat(32)),
        ),
        (FromPage::Farewell { key: [0x33; 16] }, format!("04 {}", "33".repeat(16))),
    ];
    for (message, layout) in table {
        let bytes = message.to_bytes();
        assert_eq!(hex(&bytes), layout.replace(' ', ""));
        assert_eq!(FromPage::parse(&bytes), Ok(Some(message)));
        cut_and_longer_ones_are_malformed(&bytes, |bytes| FromPage::parse(bytes).is_err());
    }
}

#[test]
fn messages_of_a_gateway_have_the_layout_of_the_document() {
    let key = "11".repeat(32);
    let address = "04 c0000207 6d60";
    let table = [
        (ToPage::Welcome { public_key: [0x11; 32], address: v4() }, format!("80 01 {key} {address}")),
        (
            ToPage::Welcome { public_key: [0x11; 32], address: v6() },
            format!("80 01 {key} 06 20010db8000000000000000000000007 6d60"),
        ),
        (ToPage::Opened { context: 2, address: v4() }, format!("81 00000002 {address}")),
        (
            ToPage::Refused { context: 2, code: RefuseCode::NoRoute, reason: "no".into() },
            "82 00000002 04 0002 6e6f".into(),
        ),
        (ToPage::Context { context: 1, address: v4() }, format!("83 00000001 {address}")),
        (ToPage::Attested { request: 9, token: vec![1, 2] }, "84 00000009 0002 0102".into()),
        (ToPage::Attested { request: 9, token: vec![] }, "84 00000009 0000".into()),
        (ToPage::Alive, "85".into()),
        (ToPage::Closing { code: ClosingCode::Idle, reason: "é".into() }, "86 04 0002 c3a9".into()),
        (ToPage::Closing { code: ClosingCode::TooManySessions, reason: String::new() }, "86 06 0000".into()),
        (ToPage::Forgotten { context: 3 }, "87 00000003".into()),
        (ToPage::Draining { millis: 20_000 }, "88 00004e20".into()),
    ];
    for (message, layout) in table {
        let bytes = message.to_bytes();
        assert_eq!(hex(&bytes), layout.replace(' ', ""));
        assert_eq!(ToPage::parse(&bytes), Ok(Some(message)));
        cut_and_longer_ones_are_malformed(&bytes, |bytes| ToPage::parse(bytes).is_err());
    }
}

fn cut_and_longer_ones_are_malformed(bytes: &[u8], is_malformed: impl Fn(&[u8]) -> bool) {
    for end in 0..bytes.len() {
        assert!(is_malformed(&bytes[..end]), "{} cut at {end}", hex(bytes));
    }
    assert!(is_malformed(&[bytes, &[0]].concat()), "{} and one byte more", hex(bytes));
}

#[test]
fn kinds_that_are_not_known_are_ignored() {
    let known_to_page = 0x80..=0x88;
    for kind in 0..=0xff_u8 {
        let message = [kind, 0xff, 0xff];
        if !(1..=4).contains(&kind) {
            assert_eq!(FromPage::parse(&message), Ok(None), "{kind:#04x}");
        }
        if !known_to_page.contains(&kind) {
            assert_eq!(ToPage::parse(&message), Ok(None), "{kind:#04x}");
        }
    }
}

#[test]
fn fields_with_values_that_they_cannot_have_are_malformed() {
    // A host that is not UTF-8.
    assert_eq!(FromPage::parse(&[1, 0, 0, 0, 2, 0, 1, 0xff, 0, 1]), Err(Malformed));
    // A family that is neither 4 nor 6, codes and a version that do not exist.
    assert_eq!(ToPage::parse(&[0x81, 0, 0, 0, 2, 5, 1, 2, 3, 4, 0, 1]), Err(Malformed));
    assert_eq!(ToPage::parse(&[0x82, 0, 0, 0, 2, 5, 0, 0]), Err(Malformed));
    assert_eq!(ToPage::parse(&[0x86, 0, 0, 0]), Err(Malformed));
    let mut welcome = ToPage::Welcome { public_key: [0; 32], address: v4() }.to_bytes();
    welcome[1] = 2;
    assert_eq!(ToPage::parse(&welcome), Err(Malformed));
}

#[test]
fn a_mapped_address_is_written_as_ipv4() {
    let mapped = SocketAddr::new("::ffff:192.0.2.7".parse().unwrap(), 28_000);
    let message = ToPage::Opened { context: 2, address: mapped };
    assert_eq!(ToPage::parse(&message.to_bytes()), Ok(Some(ToPage::Opened { context: 2, address: v4() })));
}
