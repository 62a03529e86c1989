//! What looks after paths (PATHS.md 2 and 3).

use std::vec::Vec;

use super::{Json, object, parsed};
use crate::wire::{Punch, WHO_ARE_YOU, parse_path_id, parse_reset, path_id, reset};

const TOKEN: [u8; 16] =
    [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf];

pub(super) fn add(vectors: &mut Vec<Json>) {
    punches(vectors);
    vectors.push(object! {
        "name": "who_are_you_good",
        "kind": "who_are_you",
        "hex": &WHO_ARE_YOU,
        "fields": Json::Object(Vec::new()),
    });
    resets(vectors);
    path_ids(vectors);
}

pub(in crate::vectors) fn punch_fields(punch: &Punch, tag: [u8; Punch::TAG_BYTES]) -> Json {
    object! {
        "from": if punch.is_from_host { "host" } else { "initiator" },
        "key": if punch.is_of_connection { "connection" } else { "introduction" },
        "id": punch.id.to_be_bytes(),
        "number": punch.number.to_be_bytes(),
        "echo": punch.echo.to_be_bytes(),
        "tag": tag,
    }
}

fn punches(vectors: &mut Vec<Json>) {
    let good = Punch {
        is_from_host: false,
        is_of_connection: true,
        id: 0x1112_1314_1516_1718,
        number: 0x2122_2324_2526_2728,
        echo: 0x3132_3334_3536_3738,
    };
    let mut add = |name: &str, bytes: &[u8], refused: Option<&str>| {
        vectors.push(parsed(("punch", name), bytes, Punch::parse(bytes), refused, |(punch, tag)| {
            assert_eq!(punch.with_tag(tag), *bytes, "{name}");
            punch_fields(&punch, tag)
        }));
    };
    for (name, punch) in [
        ("asks", Punch { echo: 0, ..good }),
        ("answers", Punch { is_from_host: true, number: 0, ..good }),
        ("answers_and_asks", Punch { is_from_host: true, ..good }),
        ("of_introduction_asks", Punch { is_of_connection: false, echo: 0, ..good }),
        ("of_introduction_answers", Punch { is_of_connection: false, is_from_host: true, number: 0, ..good }),
        ("least", Punch { id: 1, number: 0, echo: 1, ..good }),
        (
            "greatest",
            Punch {
                is_from_host: true,
                is_of_connection: true,
                id: u64::MAX,
                number: u64::MAX,
                echo: u64::MAX,
            },
        ),
    ] {
        add(name, &punch.with_tag(TOKEN), None);
    }
    for (name, punch) in
        [("id_0", Punch { id: 0, ..good }), ("number_and_echo_0", Punch { number: 0, echo: 0, ..good })]
    {
        add(name, &punch.with_tag(TOKEN), Some("range"));
    }
    let good = good.with_tag(TOKEN);
    let changed = |at: usize, to: u8| {
        let mut bytes = good;
        bytes[at] = to;
        bytes
    };
    add("flag_bit_2", &changed(1, 0b110), Some("zeros"));
    add("flag_bit_7", &changed(1, 0b1000_0010), Some("zeros"));
    add("kind_wrong", &changed(0, 0x0b), Some("kind"));
    add("too_short", &good[..good.len() - 1], Some("size"));
    add("too_long", &[&good[..], &[0]].concat(), Some("size"));
    add("empty", &[], Some("empty"));
}

fn resets(vectors: &mut Vec<Json>) {
    let good = reset(TOKEN);
    let mut other = good;
    other[0] = 0x0b;
    let longer = [&good[..], &[0]].concat();
    let cases: [(&str, &[u8], Option<&str>); 4] = [
        ("good", &good, None),
        ("kind_wrong", &other, Some("kind")),
        ("too_short", &good[..good.len() - 1], Some("size")),
        ("too_long", &longer, Some("size")),
    ];
    for (name, bytes, refused) in cases {
        vectors.push(parsed(("reset", name), bytes, parse_reset(bytes), refused, |token| {
            assert_eq!(reset(token), *bytes, "{name}");
            object! { "reset_token": token }
        }));
    }
}

fn path_ids(vectors: &mut Vec<Json>) {
    let good = path_id(0x1112_1314_1516_1718, TOKEN);
    let longer = [&good[..], &[0]].concat();
    let cases: [(&str, &[u8], Option<&str>); 4] = [
        ("good", &good, None),
        ("id_0", &path_id(0, TOKEN), Some("range")),
        ("too_short", &good[..good.len() - 1], Some("size")),
        ("too_long", &longer, Some("size")),
    ];
    for (name, bytes, refused) in cases {
        vectors.push(parsed(("path_id", name), bytes, parse_path_id(bytes), refused, |(id, token)| {
            assert_eq!(path_id(id, token), *bytes, "{name}");
            object! { "id": id.to_be_bytes(), "reset_token": token }
        }));
    }
}
