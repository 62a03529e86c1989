use super::*;

fn targets(text: &str) -> Targets {
    text.parse().unwrap()
}

fn allows(list: &str, address: &str) -> bool {
    targets(list).allow(address.parse().unwrap(), false)
}

#[test]
fn texts_are_read_and_written_back() {
    for text in [
        "game.example:28000",
        "game.example:*",
        "game.example:28000-28009",
        "1.2.3.4:28000",
        "[2600::1]:28000",
        "1.2.0.0/16:*",
        "[2600::]/32:1-5",
        "a.example:1, 1.2.3.4:2",
    ] {
        assert_eq!(targets(text).to_string(), text);
    }
    assert_eq!(targets("Game.Example.:1").to_string(), "game.example:1");
    assert_eq!(targets("2600::/32:*").to_string(), "[2600::]/32:*");
    assert_eq!(targets("localhost:7").to_string(), "127.0.0.1:7, [::1]:7");
    assert_eq!(targets("[::ffff:1.2.3.4]:7").to_string(), "1.2.3.4:7");
    assert!(targets(" , ").is_empty());
}

#[test]
fn texts_that_are_no_targets_say_what_to_write() {
    for (text, hint) in [
        ("game.example", "HOST:PORT"),
        ("2600::1:28000", "[ADDRESS]:PORT"),
        ("a.example:0", "1 to 65535"),
        ("a.example:+1", "1 to 65535"),
        ("a.example:9-8", "1 to 65535"),
        ("a.example:65536", "1 to 65535"),
        ("a.example:", "1 to 65535"),
        ("1.2.3.4/33:*", "198.51.100.0/24"),
        ("a.example/8:*", "198.51.100.0/24"),
        ("https://a.example:1", "198.51.100.0/24"),
        ("a b:1", "neither a name"),
        ("1.2.3:1", "neither a name"),
        ("0x7f.0x1:1", "neither a name"),
        ("-a.example:1", "neither a name"),
        (":1", "neither a name"),
        ("*:1", "neither a name"),
    ] {
        let error = text.parse::<Targets>().unwrap_err().to_string();
        assert!(error.contains(hint) && error.contains(text), "{error}");
    }
}

#[test]
fn only_what_is_listed_is_allowed() {
    assert!(!Targets::default().allow("1.1.1.1:53".parse().unwrap(), false));
    let list = "1.1.1.1:53, 8.8.0.0/16:100-200, [2600::]/32:*";
    for (address, may) in [
        ("1.1.1.1:53", true),
        ("1.1.1.1:54", false),
        ("1.1.1.2:53", false),
        ("8.8.255.255:150", true),
        ("8.9.0.0:150", false),
        ("8.8.8.8:201", false),
        ("[2600::5]:1", true),
        ("[2601::5]:1", false),
        ("[::ffff:1.1.1.1]:53", true),
    ] {
        assert_eq!(allows(list, address), may, "{address}");
    }
}

#[test]
fn a_wide_network_does_not_open_addresses_that_are_not_public() {
    for address in ["127.0.0.1:1", "10.0.0.1:1", "169.254.169.254:80", "192.168.1.1:1"] {
        assert!(!allows("0.0.0.0/0:*", address), "{address}");
        assert!(!allows("128.0.0.0/1:*, 0.0.0.0/1:*", address), "{address}");
    }
    for address in ["[::1]:1", "[fe80::1]:1", "[fd00::1]:1", "[64:ff9b::7f00:1]:1", "[2002:7f00:1::]:1"] {
        assert!(!allows("[::]/0:*", address), "{address}");
    }
    assert!(allows("0.0.0.0/0:*", "1.1.1.1:1"));
    assert!(allows("[::]/0:*", "[2600::1]:1"));
}

#[test]
fn private_addresses_are_reached_only_if_they_are_listed_themselves() {
    assert!(allows("127.0.0.1:7", "127.0.0.1:7"));
    assert!(!allows("127.0.0.1:7", "127.0.0.2:7"));
    assert!(allows("10.1.0.0/16:*", "10.1.2.3:9"));
    assert!(allows("[fd00::]/8:*", "[fd00::1]:9"));
    assert!(!allows("10.0.0.0/7:*", "10.1.2.3:9"), "half of that network is public");
    assert!(allows("[64:ff9b::7f00:1]:1", "[64:ff9b::7f00:1]:1"));
}

#[test]
fn a_listed_name_leads_to_public_addresses_only() {
    let list = targets("game.example:28000");
    assert!(list.names("game.example", 28_000));
    assert!(!list.names("game.example", 28_001));
    assert!(!list.names("example", 28_000));
    assert!(list.allow("1.1.1.1:28000".parse().unwrap(), true));
    assert!(!list.allow("1.1.1.1:28000".parse().unwrap(), false));
    for address in ["127.0.0.1:28000", "10.0.0.1:28000", "[::1]:28000", "[::ffff:10.0.0.1]:28000"] {
        assert!(!list.allow(address.parse().unwrap(), true), "{address}");
    }
    assert!(!list.has_addresses(28_000));
    assert!(targets("1.1.1.1:5").has_addresses(5));
}

#[test]
fn numbers_in_hexadecimal_are_not_names() {
    for text in ["0x7f000001", "0X7f000001", "game.0X1", "0X7F.0x1."] {
        assert_eq!(normal_name(text), None, "{text}");
    }
    assert_eq!(normal_name("0x7f.example").as_deref(), Some("0x7f.example"));
}

#[test]
fn mapped_networks_are_those_of_ipv4() {
    let list = "[::ffff:1.1.1.0]/120:443";
    assert_eq!(targets(list).to_string(), "1.1.1.0/24:443");
    assert!(allows(list, "1.1.1.1:443") && allows(list, "[::ffff:1.1.1.1]:443"));
    assert!(!allows(list, "1.1.2.1:443"));
    assert!(allows("[::ffff:0:0]/96:443", "1.1.2.1:443"));
    assert!(allows("[::ffff:127.0.0.0]/104:443", "127.0.0.1:443"), "it names such addresses only");
    // It holds more than the mapped addresses.
    assert_eq!(targets("[::ffff:0:0]/95:443").to_string(), "[::ffff:0.0.0.0]/95:443");
}
