use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Chooses among `found` on a machine that sends from the first address that is named for a network by its beginning.
fn chosen(found: &[&str], sources: &[(&str, &str)]) -> Vec<String> {
    let found: Vec<_> = found.iter().map(|text| ip(text)).collect();
    let source = |remote: IpAddr| {
        let remote = remote.to_string();
        sources.iter().find(|(network, _)| remote.starts_with(network)).map(|(_, source)| ip(source))
    };
    select(&found, source).iter().map(IpAddr::to_string).collect()
}

#[test]
fn the_address_of_the_way_to_the_internet_comes_first() {
    let found = ["127.0.0.1", "172.17.0.1", "192.168.1.7", "10.0.0.5", "fd00::5", "10.1.0.5", "10.2.0.5"];
    assert_eq!(
        chosen(&found, &[("192.0.2.", "192.168.1.7"), ("2001:db8:", "fd00::5")]),
        ["192.168.1.7", "fd00::5", "172.17.0.1", "10.0.0.5"],
        "at most four"
    );
    assert_eq!(chosen(&found[..3], &[]), ["172.17.0.1", "192.168.1.7"], "a network without a way out");
}

#[test]
fn of_an_ipv6_network_only_the_address_that_the_system_sends_from() {
    let found = ["2001:db8:7::1", "2001:db8:7::aaaa", "2001:db8:7::bbbb", "fd00::1"];
    assert_eq!(
        chosen(
            &found,
            &[("2001:db8:7:", "2001:db8:7::bbbb"), ("2001:db8::1", "2001:db8:7::bbbb"), ("fd00:", "fd00::1")]
        ),
        ["2001:db8:7::bbbb", "fd00::1"]
    );
}

#[test]
fn never_an_address_that_means_another_machine_elsewhere() {
    let found = ["fe80::1", "169.254.3.4", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "255.255.255.255"];
    assert_eq!(chosen(&found, &[]), [] as [&str; 0]);
    for bound in ["169.254.3.4:7", "[fe80::1]:7", "224.0.0.1:7"] {
        assert_eq!(interface_addresses(bound.parse().unwrap(), false), []);
    }
}

#[test]
fn loopback_only_if_there_is_nothing_else() {
    assert_eq!(chosen(&["127.0.0.1", "::1", "fe80::1"], &[]), ["127.0.0.1", "::1"]);
    assert_eq!(chosen(&["127.0.0.1", "::1", "10.0.0.5"], &[]), ["10.0.0.5"]);
}

#[test]
fn a_socket_at_one_address_has_that_one() {
    for bound in ["127.0.0.1:7", "192.168.1.7:7", "[2001:db8::7]:7"] {
        let bound: SocketAddr = bound.parse().unwrap();
        assert_eq!(interface_addresses(bound, false), [bound]);
    }
}

#[cfg(target_os = "linux")]
mod in_a_network {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    /// The addresses of a socket at port 7.
    fn named(bound: &str, dual_stack: bool) -> Vec<IpAddr> {
        let bound = SocketAddr::new(ip(bound), 7);
        let named = interface_addresses(bound, dual_stack);
        assert!(named.iter().all(|address| address.port() == 7));
        named.iter().map(SocketAddr::ip).collect()
    }

    fn run(line: &str) -> String {
        let mut words = line.split(' ');
        let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `test` on a thread with a network that has loopback only.
    fn alone(test: impl FnOnce() + Send + 'static) {
        let thread = std::thread::spawn(|| {
            // SAFETY: concerns nothing but the network that this thread's later sockets are in.
            if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
                let error = std::io::Error::last_os_error();
                let in_ci = std::env::var_os("CI").is_some_and(|text| !text.is_empty());
                assert!(!in_ci, "nothing is skipped in CI: a separate network needs root: {error}");
                return eprintln!("SKIPPED: a separate network needs root: {error}");
            }
            run("ip link set lo up");
            test();
        });
        thread.join().unwrap();
    }

    #[test]
    fn a_machine_without_a_network_has_loopback() {
        alone(|| {
            assert_eq!(named("0.0.0.0", false), [ip("127.0.0.1")]);
            assert_eq!(named("::", false), [ip("::1")]);
            assert_eq!(named("::", true), [ip("127.0.0.1"), ip("::1")]);
        });
    }

    #[test]
    fn a_machine_with_several_networks_names_what_its_system_prefers() {
        alone(|| {
            for name in ["lan", "way-out", "unused"] {
                run(&format!("ip link add {name} type veth peer name {name}-far"));
            }
            for name in ["lan", "way-out"] {
                run(&format!("ip link set {name}-far up"));
                run(&format!("ip link set {name} up"));
            }
            run("ip addr add 10.0.0.5/24 dev lan");
            run("ip addr add 192.168.1.7/24 dev way-out");
            run("ip addr add 10.9.9.9/24 dev unused");
            run("ip addr add 169.254.7.7/16 dev lan");
            run("ip route add default via 192.168.1.1");
            assert_eq!(named("0.0.0.0", false), [ip("192.168.1.7"), ip("10.0.0.5")]);

            // The kernel makes temporary addresses beside this one.
            run("sysctl -qw net.ipv6.conf.way-out.use_tempaddr=2");
            run("ip addr add 2001:db8:7::1/64 dev way-out mngtmpaddr nodad");
            run("ip addr add fd00::5/64 dev lan nodad");
            run("ip -6 route add default dev way-out");
            let end = Instant::now() + Duration::from_secs(20);
            let temporary = loop {
                // Ready, not tentative.
                let listed = run("ip -o -6 addr show dev way-out temporary -tentative");
                if let Some(found) = listed.split_whitespace().find(|word| word.starts_with("2001:")) {
                    break ip(found.split('/').next().unwrap());
                }
                assert!(Instant::now() < end, "no temporary address: {}", run("ip -6 addr"));
                std::thread::sleep(Duration::from_millis(20));
            };
            let both = [ip("192.168.1.7"), temporary, ip("10.0.0.5"), ip("fd00::5")];
            assert_eq!(named("::", true), both, "not 2001:db8:7::1");
            assert_eq!(named("::", false), [temporary, ip("fd00::5")]);
            assert_eq!(named("0.0.0.0", false), [ip("192.168.1.7"), ip("10.0.0.5")]);
        });
    }
}
