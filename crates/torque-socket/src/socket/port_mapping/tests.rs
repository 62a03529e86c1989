//! A machine behind a real router daemon, and one in the internet, each in a network of its own.
//!
//! The machine behind the router is another process of this test: what the system tells of its default router is about a
//! process's first thread.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use torque_proto::{Config, ConnectOptions, ConnectionId, Event, IntroducedOptions, Trust};

use super::*;
use crate::Socket;

const LIMIT: Duration = Duration::from_secs(30);
/// Short, so that the test lasts longer.
const SHORT: Duration = Duration::from_secs(4);
/// Set for the process behind the router, to the lifetime of its mapping in seconds.
const BEHIND: &str = "TORQUE_TEST_BEHIND_ROUTER";
/// Set for the party behind the router, to its introducer's address.
const INTRODUCER: &str = "TORQUE_TEST_INTRODUCER";
/// The router's address in the internet. Routers map no ports at private or reserved addresses.
const ROUTER: Ipv4Addr = Ipv4Addr::new(5, 5, 5, 1);

type Job = Box<dyn FnOnce() + Send>;

/// A network, with a thread that works in it.
struct Network {
    jobs: Sender<Job>,
    thread: i32,
}

impl Network {
    fn new() -> Result<Self, String> {
        let (jobs, todo) = channel::<Job>();
        let (made, made_there) = channel();
        std::thread::spawn(move || {
            // SAFETY: concerns nothing but the network that this thread's later sockets and processes are in.
            let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            let error = (result != 0).then(std::io::Error::last_os_error);
            // SAFETY: asks for a number.
            made.send(error.map_or_else(|| Ok(unsafe { libc::gettid() }), Err)).unwrap();
            todo.into_iter().for_each(|job| job());
        });
        let thread = made_there.recv().unwrap().map_err(|error| format!("a network needs root: {error}"))?;
        let network = Self { jobs, thread };
        network.run("ip link set lo up");
        Ok(network)
    }

    /// Does something there.
    fn within<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (give, take) = channel();
        self.jobs.send(Box::new(move || drop(give.send(job())))).unwrap();
        take.recv().expect("the job has failed")
    }

    fn run(&self, line: &str) -> String {
        let line = line.to_owned();
        self.within(move || {
            let mut words = line.split(' ');
            let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        })
    }
}

/// Behind the router, the router, and in the internet.
struct Networks {
    client: Network,
    router: Network,
    internet: Network,
    daemon: Option<Child>,
    files: PathBuf,
}

impl Networks {
    /// `speaks`: lines of the daemon's configuration.
    fn new(speaks: &str) -> Result<Self, String> {
        if Command::new("miniupnpd").arg("--version").output().is_err() {
            return Err("it needs miniupnpd (Debian: miniupnpd-nftables)".to_owned());
        }
        let (client, router, internet) = (Network::new()?, Network::new()?, Network::new()?);
        client.run(&format!("ip link add lan type veth peer name lan netns {}", router.thread));
        internet.run(&format!("ip link add wan type veth peer name wan netns {}", router.thread));
        for (network, name, ip) in [
            (&client, "lan", "192.168.50.2"),
            (&router, "lan", "192.168.50.1"),
            (&router, "wan", "5.5.5.1"),
            (&internet, "wan", "5.5.5.2"),
        ] {
            network.run(&format!("ip addr add {ip}/24 dev {name}"));
            network.run(&format!("ip link set {name} up"));
        }
        client.run("ip route add default via 192.168.50.1");
        router.run("sysctl -qw net.ipv4.ip_forward=1");

        let files =
            std::env::temp_dir().join(format!("torque-router-{}-{}", std::process::id(), router.thread));
        std::fs::create_dir_all(&files).unwrap();
        let (rules, config) = (files.join("rules"), files.join("config"));
        std::fs::write(
            &rules,
            "table inet filter {
                chain forward { type filter hook forward priority 0; policy drop;
                    ct state established,related accept; iifname lan accept; jump miniupnpd; }
                chain miniupnpd { }
                chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
                chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }
                chain prerouting_miniupnpd { }
                chain postrouting_miniupnpd { }
            }",
        )
        .unwrap();
        router.run(&format!("nft -f {}", rules.display()));
        let text = format!(
            "ext_ifname=wan\nlistening_ip=lan\nport=0\n{speaks}\nsecure_mode=yes\nmin_lifetime=2\nmax_lifetime=86400\n\
             uuid=12345678-0000-0000-0000-000000000000\nupnp_table_name=filter\nupnp_nat_table_name=filter\n\
             upnp_forward_chain=miniupnpd\nupnp_nat_chain=prerouting_miniupnpd\n\
             upnp_nat_postrouting_chain=postrouting_miniupnpd\nallow 1024-65535 192.168.50.0/24 1024-65535\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut networks = Self { client, router, internet, daemon: None, files };
        networks.start();
        Ok(networks)
    }

    fn start(&mut self) {
        let files = self.files.clone();
        self.daemon = Some(self.router.within(move || {
            let log = std::fs::File::create(files.join("log")).unwrap();
            Command::new("miniupnpd")
                .arg("-d")
                .args(["-f".into(), files.join("config")])
                .args(["-P".into(), files.join("pid")])
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap()
        }));
    }

    /// Waits until the daemon listens at `port`.
    fn wait_for(&self, port: u16) {
        let (wanted, end) = (format!(":{port:04X} "), Instant::now() + LIMIT);
        let listens = || std::fs::read_to_string("/proc/thread-self/net/udp").unwrap();
        while !self.router.within(listens).contains(&wanted) {
            assert!(Instant::now() < end, "the daemon does not begin");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }

    fn rules(&self) -> String {
        self.router.run("nft list ruleset")
    }

    /// Waits until datagrams from the internet to `external` come back from the machine behind the router.
    fn reach(&self, external: SocketAddr) {
        let answered = self.internet.within(move || {
            let socket = UdpSocket::bind("5.5.5.2:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            let end = Instant::now() + LIMIT;
            let mut bytes = [0; 64];
            loop {
                socket.send_to(b"knock", external).unwrap();
                match socket.recv_from(&mut bytes) {
                    Ok((5, from)) if from == external => return true,
                    _ if Instant::now() > end => return false,
                    _ => {}
                }
            }
        });
        assert!(answered, "nothing comes through {external}: {}", self.rules());
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.files.join("log")).unwrap_or_default());
        }
        let _ = std::fs::remove_dir_all(&self.files);
    }
}

/// A socket behind the router, with a mapping for as long as its input has no end.
struct Behind {
    process: Child,
    said: Receiver<SocketAddr>,
}

impl Behind {
    fn new(networks: &Networks, lifetime: Duration) -> Self {
        let mut process = networks.client.within(move || {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--nocapture", "socket::port_mapping::tests::behind_a_router"])
                .env(BEHIND, lifetime.as_secs().to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        });
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (say, said) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("external ") {
                    say.send(address.parse().unwrap()).unwrap();
                }
            }
        });
        Self { process, said }
    }

    /// The next address that it tells of.
    fn external(&self) -> SocketAddr {
        self.said.recv_timeout(LIMIT).expect("no mapping")
    }

    fn write(&mut self, word: &[u8]) {
        self.process.stdin.as_mut().unwrap().write_all(word).unwrap();
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The process behind the router, if this is it.
#[test]
fn behind_a_router() {
    let Ok(lifetime) = std::env::var(BEHIND) else { return };
    let lifetime = Duration::from_secs(lifetime.parse().unwrap());
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let echo = socket.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        loop {
            let (length, from) = echo.recv_from(&mut bytes).unwrap();
            echo.send_to(&bytes[..length], from).unwrap();
        }
    });
    let (changed, changes) = channel();
    let mapping = PortMapping::begin_for(lifetime, socket.local_addr().unwrap(), false, move || {
        let _ = changed.send(());
    });
    let mapping = Arc::new(Mutex::new(mapping));
    {
        let mapping = Arc::clone(&mapping);
        std::thread::spawn(move || {
            while changes.recv().is_ok() {
                let external = mapping.lock().unwrap().as_ref().and_then(PortMapping::external);
                if let Some(external) = external {
                    writeln!(std::io::stdout(), "\nexternal {external}").unwrap();
                }
            }
        });
    }
    for word in std::io::stdin().lock().bytes() {
        match word.unwrap() {
            b'n' => mapping.lock().unwrap().as_ref().unwrap().network_changed(),
            _ => drop(mapping.lock().unwrap().take()),
        }
    }
}

impl Networks {
    /// As [`new`](Self::new), but says why not, where that may be.
    fn or_skip(speaks: &str) -> Option<Self> {
        let made = Self::new(speaks);
        if let Err(why) = &made {
            assert!(
                std::env::var_os("CI").is_none_or(|text| text.is_empty()),
                "nothing is skipped in CI: {why}"
            );
            eprintln!("SKIPPED: {why}");
        }
        made.ok()
    }
}

/// A mapping comes, stays beyond its lifetime, is asked for again, and goes.
fn check(speaks: &str, port: u16) {
    let Some(networks) = Networks::or_skip(speaks) else { return };
    networks.wait_for(port);
    let behind = Behind::new(&networks, SHORT);
    let external = behind.external();
    assert_eq!(external.ip(), IpAddr::V4(ROUTER));
    networks.reach(external);
    std::thread::sleep(SHORT * 2);
    assert!(networks.rules().contains(&external.port().to_string()), "not renewed: {}", networks.rules());
    networks.reach(external);
    drop(behind);

    let mut behind = Behind::new(&networks, LIFETIME);
    let external = behind.external();
    networks.reach(external);
    behind.write(b"e");
    let end = Instant::now() + LIMIT;
    while networks.rules().contains(&external.port().to_string()) {
        assert!(Instant::now() < end, "not removed: {}", networks.rules());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_router_that_speaks_pcp_maps_a_port() {
    check("enable_natpmp=yes\nenable_upnp=no", 5_351);
}

#[test]
fn a_router_that_speaks_upnp_maps_a_port() {
    check("enable_natpmp=no\nenable_upnp=yes", 1_900);
}

/// A process that ends with this.
struct Party(Child);

impl Drop for Party {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The party behind the router, if this is its process: it meets whom its introducer names.
#[test]
fn introduced_behind_a_router() {
    let Ok(introducer) = std::env::var(INTRODUCER) else { return };
    let mut socket = Socket::builder().map_port(true).client().unwrap();
    let to_introducer = socket.connect(&introducer[..], Trust::Anyone).unwrap();
    loop {
        if let Some(Event::Established { connection, accept_data, .. }) = socket.wait_event(None)
            && connection == to_introducer
        {
            let remote = str::from_utf8(&accept_data).unwrap().parse().unwrap();
            let options = IntroducedOptions::initiator(ConnectOptions::new(Trust::Anyone));
            socket.connect_introduced(to_introducer, remote, options).unwrap();
        }
    }
}

#[test]
fn a_party_whose_router_gives_another_port_for_each_destination_is_met_by_the_mapped_one() {
    let Some(networks) = Networks::or_skip("enable_natpmp=yes\nenable_upnp=no") else { return };
    networks.router.run("nft add table ip hard");
    networks.router.run("nft add chain ip hard post { type nat hook postrouting priority 101 ; }");
    networks.router.run("nft add rule ip hard post oifname wan masquerade fully-random");
    networks.wait_for(5_351);
    let bind = || {
        let mut config = Config::default();
        config.introduction.introduces = true;
        Socket::builder().config(config).watch_network(false).bind("5.5.5.2:0").unwrap()
    };
    let (mut introducer, mut host) = networks.internet.within(move || (bind(), bind()));
    // Whom the host has not sent anything does not reach it.
    let strangers = format!("udp dport {} iifname wan ct state new drop", host.local_addr().port());
    networks.internet.run("nft add table ip strict");
    networks.internet.run("nft add chain ip strict input { type filter hook input priority 0 ; }");
    networks.internet.run(&format!("nft add rule ip strict input {strangers}"));

    let to_introducer = host.connect(introducer.local_addr(), Trust::Anyone).unwrap();
    let address = introducer.local_addr().to_string();
    let mut running = Vec::new();
    let (mut host_at_introducer, mut met) = (None, None);
    let end = Instant::now() + LIMIT;
    while met.is_none() {
        assert!(Instant::now() < end, "they do not meet: {}", networks.rules());
        match introducer.wait_event(Duration::from_millis(1)) {
            Some(Event::ConnectRequest(request)) => {
                let number = host_at_introducer.map_or(0, ConnectionId::get).to_string();
                introducer.accept_connection(request.connection, number.as_bytes()).unwrap();
            }
            Some(Event::Established { connection, .. }) => match host_at_introducer {
                None => {
                    host_at_introducer = Some(connection);
                    let address = address.clone();
                    running.push(networks.client.within(move || {
                        Command::new(std::env::current_exe().unwrap())
                            .args(["--exact", "socket::port_mapping::tests::introduced_behind_a_router"])
                            .env(INTRODUCER, address)
                            .stdout(Stdio::null())
                            .spawn()
                            .map(Party)
                            .unwrap()
                    }));
                }
                Some(host_here) => {
                    introducer.introduce(connection, host_here, None).unwrap();
                    let options = IntroducedOptions::host();
                    host.connect_introduced(to_introducer, connection.get(), options).unwrap();
                }
            },
            _ => {}
        }
        match host.wait_event(Duration::from_millis(1)) {
            Some(Event::ConnectRequest(request)) => host.accept_connection(request.connection, b"").unwrap(),
            Some(Event::Established { connection, remote, introduced_by: Some(_), .. }) => {
                assert!(host.peer(connection).is_some());
                met = remote.socket_addr();
            }
            _ => {}
        }
    }
    let met = met.unwrap();
    assert_eq!(met.ip(), IpAddr::V4(ROUTER));
    assert!(networks.rules().contains(&format!("dport {}", met.port())), "{met}: {}", networks.rules());
}

#[test]
fn a_socket_that_no_other_machine_reaches_by_ipv4_asks_for_nothing() {
    for (bound, dual_stack) in
        [("127.0.0.1:7", false), ("[::1]:7", true), ("[::]:7", false), ("[fd00::1]:7", true)]
    {
        assert!(PortMapping::begin(bound.parse().unwrap(), dual_stack, || {}).is_none(), "{bound}");
    }
}

#[test]
fn only_addresses_that_are_none_of_the_internet_need_a_router() {
    let needs = |text: &str| is_behind_nat(text.parse().unwrap());
    assert!(
        ["10.1.2.3", "172.16.0.1", "192.168.1.7", "100.64.0.1", "100.127.255.255"].into_iter().all(needs)
    );
    assert!(!["5.5.5.1", "100.63.0.1", "100.128.0.1", "169.254.1.1", "127.0.0.1"].into_iter().any(needs));
    assert_eq!(usable(Ipv4Addr::UNSPECIFIED.into(), 7), None);
    assert_eq!(usable(ROUTER.into(), 0), None);
}
