use super::*;

fn punch() -> Punch {
    let (id, number, echo) = (0x0102_0304_0506_0708, 0x1112_1314_1516_1718, 0x2122_2324_2526_2728);
    Punch { is_from_host: true, is_of_connection: true, id, number, echo }
}

#[test]
fn a_punch_is_laid_out_as_the_document_says() {
    let bytes = punch().with_tag([0xee; 16]);
    assert_eq!(bytes.len(), 42);
    assert_eq!(&bytes[..2], [0x08, 3]);
    assert_eq!(&bytes[2..10], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!((bytes[10], bytes[17], bytes[18], bytes[25], bytes[26]), (0x11, 0x18, 0x21, 0x28, 0xee));
    for (is_from_host, is_of_connection, flags) in
        [(false, false, 0), (true, false, 1), (false, true, 2), (true, true, 3)]
    {
        let punch = Punch { is_from_host, is_of_connection, ..punch() };
        assert_eq!(punch.head()[1], flags);
        assert_eq!(Punch::parse(&punch.with_tag([7; 16])), Ok((punch, [7; 16])));
    }
}

#[test]
fn what_is_no_punch_is_refused() {
    let good = punch().with_tag([0; 16]);
    for length in 0..good.len() {
        assert_eq!(Punch::parse(&good[..length]), Err(ParseError::Length), "{length}");
    }
    assert_eq!(Punch::parse(&[&good[..], &[0]].concat()), Err(ParseError::Length));
    let changed = |at: usize, to: u8| {
        let mut bytes = good;
        bytes[at] = to;
        Punch::parse(&bytes)
    };
    assert_eq!(changed(0, 0x09), Err(ParseError::Kind));
    for flag in 2..8 {
        assert_eq!(changed(1, 1 << flag), Err(ParseError::Padding));
    }
    let refused = |punch: Punch| Punch::parse(&punch.with_tag([0; 16])).err();
    assert_eq!(refused(Punch { id: 0, ..punch() }), Some(ParseError::Zero));
    assert_eq!(refused(Punch { number: 0, echo: 0, ..punch() }), Some(ParseError::Zero));
    assert_eq!(refused(Punch { number: 0, ..punch() }), None);
    assert_eq!(refused(Punch { echo: 0, ..punch() }), None);
}

#[test]
fn a_reset_is_its_byte_and_the_token_and_nothing_else() {
    let token: [u8; 16] = core::array::from_fn(|i| i as u8);
    let bytes = reset(token);
    assert_eq!((bytes[0], &bytes[1..]), (0x0a, &token[..]));
    assert_eq!(parse_reset(&bytes), Ok(token));
    assert_eq!(parse_reset(&bytes[..16]), Err(ParseError::Length));
    assert_eq!(parse_reset(&[&bytes[..], &[0]].concat()), Err(ParseError::Length));
    assert_eq!(parse_reset(&[0x0b; 17]), Err(ParseError::Kind));
}

#[test]
fn a_path_id_is_an_id_that_is_not_0_and_its_token() {
    let token: [u8; 16] = core::array::from_fn(|i| i as u8);
    let body = path_id(0x0102_0304_0506_0708, token);
    assert_eq!((&body[..8], &body[8..]), (&[1, 2, 3, 4, 5, 6, 7, 8][..], &token[..]));
    assert_eq!(parse_path_id(&body), Ok((0x0102_0304_0506_0708, token)));
    assert_eq!(parse_path_id(&body[..23]), Err(ParseError::Length));
    assert_eq!(parse_path_id(&[&body[..], &[0]].concat()), Err(ParseError::Length));
    assert_eq!(parse_path_id(&path_id(0, token)), Err(ParseError::Zero));
}
