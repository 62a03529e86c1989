use std::format;
use std::string::{String, ToString};

use super::*;
use crate::crypto::testing::for_seeds;
use crate::identity::KeyPair;

const KEY: &str = "tk1aeb2cb576phbbpq5odorrz2lycmwpzgwgcn2kdk7dxoimzaskuy3qcmc";

fn parse(text: &str) -> Result<TorqueUrl, UrlError> {
    text.parse()
}

#[test]
fn a_url_is_read_with_all_its_parts() {
    let name = |name: &str| HostName::Name(name.to_owned());
    let cases = [
        ("torque://play.example.org", name("play.example.org"), DEFAULT_PORT),
        ("torque://play.example.org:1", name("play.example.org"), 1),
        ("TORQUE://Play.Example.ORG:65535/", name("play.example.org"), 65_535),
        ("torque://localhost.", name("localhost"), DEFAULT_PORT),
        ("torque://_game.xn--bcher-kva.example", name("_game.xn--bcher-kva.example"), DEFAULT_PORT),
        (" torque://127.0.0.1:28001 ", HostName::V4(Ipv4Addr::LOCALHOST), 28_001),
        ("torque://[::1]", HostName::V6(Ipv6Addr::LOCALHOST), DEFAULT_PORT),
        ("torque://[2001:db8::1]:99", HostName::V6("2001:db8::1".parse().unwrap()), 99),
    ];
    for (text, host, port) in cases {
        assert_eq!(parse(text), Ok(TorqueUrl { host: host.clone(), port, key: None }), "{text}");
        let pinned = text.trim().to_ascii_lowercase().replace("://", &format!("://{KEY}@"));
        assert_eq!(parse(&pinned), Ok(TorqueUrl { host, port, key: Some(KEY.parse().unwrap()) }), "{pinned}");
    }
}

#[test]
fn a_zone_is_read_in_either_form_and_written_in_one() {
    let cases = [
        ("%25eth0", "eth0"),
        ("%eth0", "eth0"),
        ("%25br-lan.7~x_1", "br-lan.7~x_1"),
        ("%252", "2"),
        ("%2", "2"),
        ("%25", "25"),
        ("%2525", "25"),
    ];
    for (written, zone) in cases {
        let url = parse(&format!("torque://{KEY}@[fe80::1{written}]:99")).unwrap();
        let host = HostName::LinkLocal { ip: "fe80::1".parse().unwrap(), zone: Zone::new(zone).unwrap() };
        assert_eq!((&url.host, url.port, url.key), (&host, 99, Some(KEY.parse().unwrap())), "{written}");
        assert_eq!(url.to_string(), format!("torque://{KEY}@[fe80::1%25{zone}]:99"), "{written}");
        assert_eq!(parse(&url.to_string()), Ok(url));
    }
    assert_eq!(Zone::from(7), Zone::new("7").unwrap());
    for bad in ["", "a/b", "a]b", "a b", "Ethernet 2", "é", &"x".repeat(33)] {
        assert_eq!(Zone::new(bad), None, "{bad}");
    }
}

#[test]
fn what_is_written_reads_back() {
    for_seeds(20, |rng| {
        let host = match rng.below(4) {
            0 => HostName::Name("game-7.example.org".to_owned()),
            1 => HostName::LinkLocal {
                ip: Ipv6Addr::from((0xfe80 << 112) | u128::from(rng.below(1 << 60))),
                zone: Zone::from(rng.below(100) as u32),
            },
            2 => HostName::V4(Ipv4Addr::from(rng.array::<4>())),
            _ => HostName::V6(Ipv6Addr::from(rng.array::<16>())),
        };
        let key = (rng.below(2) == 0).then(|| KeyPair::generate(rng).public());
        let url = TorqueUrl { host, port: 1 + rng.below(65_535) as u16, key };
        assert_eq!(parse(&url.to_string()), Ok(url));
    });
}

#[test]
fn what_is_wrong_is_told_by_name() {
    let cases = [
        ("", UrlError::Scheme),
        ("play.example.org:1", UrlError::Scheme),
        ("http://play.example.org", UrlError::Scheme),
        ("törque://a", UrlError::Scheme),
        ("torque://", UrlError::NoHost),
        ("torque://:28000", UrlError::NoHost),
        ("torque://a/b", UrlError::Path),
        ("torque://a?b", UrlError::Path),
        ("torque://a#b", UrlError::Path),
        ("torque://a:", UrlError::Port),
        ("torque://a:0", UrlError::Port),
        ("torque://a:+1", UrlError::Port),
        ("torque://a:65536", UrlError::Port),
        ("torque://a:port", UrlError::Port),
        ("torque://[::1]x", UrlError::Port),
        ("torque://::1", UrlError::Ipv6),
        ("torque://[::1", UrlError::Ipv6),
        ("torque://[::g]", UrlError::Ipv6),
        ("torque://[fe80::g%25eth0]", UrlError::Ipv6),
        ("torque://[fe80::1%25eth0", UrlError::Ipv6),
        ("torque://[fe80::1%]", UrlError::Zone),
        ("torque://[fe80::1%25eth%200]", UrlError::Zone),
        ("torque://[fe80::1%eth0%eth1]", UrlError::Zone),
        ("torque://[fe80::1%a b]", UrlError::Zone),
        ("torque://[2001:db8::1%25eth0]", UrlError::Zone),
        ("torque://[::%25eth0]", UrlError::Zone),
        ("torque://host%25eth0", UrlError::Host),
        ("torque://256.1.1.1", UrlError::Host),
        ("torque://1.2.3", UrlError::Host),
        ("torque://a..b", UrlError::Host),
        ("torque://-a", UrlError::Host),
        ("torque://a b", UrlError::Host),
        ("torque://bücher.example", UrlError::Host),
        ("torque://tk1abc@a", UrlError::Key(KeyError::Length)),
        ("torque://@a", UrlError::Key(KeyError::NotAKey)),
        ("torque://user:password@a", UrlError::Key(KeyError::NotAKey)),
    ];
    for (text, error) in cases {
        assert_eq!(parse(text), Err(error), "{text}");
    }
    assert_eq!(parse(&format!("torque://{}", "a".repeat(64))), Err(UrlError::Host));
    assert_eq!(parse(&format!("torque://{}a", "a.".repeat(127))), Err(UrlError::Host));
    assert!(parse(&format!("torque://{}a", "a.".repeat(126))).is_ok());
}

#[test]
fn random_texts_never_panic_and_what_they_give_reads_back() {
    let parts = [
        "torque://",
        "[",
        "]",
        ":",
        "::",
        "@",
        "/",
        ".",
        "a",
        "7",
        "-",
        "1.2.3.4",
        KEY,
        "é",
        "%",
        "%25",
        "fe80::1",
        "eth0",
        "28000",
    ];
    for_seeds(20, |rng| {
        for _ in 0..500 {
            let count = rng.below(8);
            let mut text = String::from(if rng.below(4) == 0 { "" } else { "torque://" });
            for _ in 0..count {
                text.push_str(parts[rng.below(parts.len() as u64) as usize]);
            }
            if let Ok(url) = parse(&text) {
                assert_eq!(parse(&url.to_string()), Ok(url), "{text}");
            }
        }
    });
}
