use super::*;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};

use torque_proto::wire::{ChallengeRequest, Offers, parse_probe, probe_echo};

use crate::config::{Certificates, Config};
use crate::metrics::Metrics;
use crate::policy::pacing::{Rate, TargetMeters};
use crate::policy::ports::Ports;
use crate::policy::rules::{Limits, Strangers};

const LISTED: &str = "192.0.2.1:28000";
const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(5, 6, 7, 8));

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Each nonce is another.
fn random() -> Option<[u8; 16]> {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Some(nonce)
}

/// A session, a clock, and what has been sent and said.
struct Test {
    session: Session,
    rules: Arc<Rules>,
    now: Instant,
    next_context: u32,
    /// Probes that nobody has looked at.
    probes: Vec<(SocketAddr, [u8; 16])>,
    /// The look-ups that the session asked for.
    resolving: Vec<(u32, String, u16)>,
}

impl Test {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Rules)) -> Self {
        let limits = Limits::default();
        let mut rules = Rules {
            targets: "192.0.2.0/24:28000, 10.0.0.0/8:28000, [2001:db8::]/32:28000, game.example:28000"
                .parse()
                .unwrap(),
            allow_sessions: false,
            strangers: Strangers::Public,
            limits,
            ports: Arc::new(Ports::new(vec![4433], vec![])),
            target_meters: TargetMeters::new(limits.target_rate, limits.target_rate_of_client),
            metrics: Arc::new(Metrics::default()),
        };
        change(&mut rules);
        let (rules, now) = (Arc::new(rules), Instant::now());
        let mut test = Self {
            session: Session::new(Arc::clone(&rules), CLIENT, random, welcome(), now),
            rules,
            now,
            next_context: 2,
            probes: Vec::new(),
            resolving: Vec::new(),
        };
        assert_eq!(test.said(), [welcome()]);
        test
    }

    /// Another session of the same gateway, of this client.
    fn another_session(&self, client: IpAddr) -> Self {
        let session = Session::new(Arc::clone(&self.rules), client, random, welcome(), self.now);
        let mut other = Self { session, rules: Arc::clone(&self.rules), now: self.now, ..Self::new() };
        assert_eq!(other.said(), [welcome()]);
        other
    }

    /// The messages to the page since the last call.
    fn said(&mut self) -> Vec<ToPage> {
        let mut said = Vec::new();
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Tell(message) => said.push(message),
                Action::Probe { remote, datagram } => {
                    self.probes.push((remote, parse_probe(&datagram).unwrap()));
                }
                Action::Resolve { context, host, port } => self.resolving.push((context, host, port)),
                Action::Close(code, reason) => said.push(ToPage::Closing { code, reason: reason.into() }),
                // The driver's.
                Action::ExpectFarewell(_) => {}
                Action::Attest { request, remote, .. } => {
                    said.push(ToPage::Attested { request, token: remote.to_string().into_bytes() });
                }
            }
        }
        said
    }

    fn control(&mut self, message: FromPage<'_>) -> Vec<ToPage> {
        self.session.control(&message.to_bytes(), self.now);
        self.said()
    }

    /// Asks for a host whose addresses are these.
    fn open_found(&mut self, host: &str, port: u16, found: &[(&str, bool)]) -> (u32, Vec<ToPage>) {
        let context = self.next_context;
        self.next_context += 2;
        let mut said = self.control(FromPage::Open { context, host, port });
        if self.resolving.pop().is_some() {
            let found = found
                .iter()
                .map(|(ip, has_route)| Found {
                    address: SocketAddr::new(ip.parse().unwrap(), port),
                    local: has_route.then_some(OWN),
                })
                .collect();
            self.session.resolved(context, found, self.now);
            said.extend(self.said());
        }
        (context, said)
    }

    /// A remote writes first, the page answers, and the remote echoes the probe. Nothing of it happens if it is not heard.
    fn talks_and_consents(&mut self, remote: &str) {
        let Some(context) = self.receives(remote, &challenge_request()) else { return };
        let _ = self.said();
        let _ = self.sends(context, PACKET);
        let _ = self.said();
        if let Some(position) = self.probes.iter().rposition(|(to, _)| *to == address(remote)) {
            let (_, nonce) = self.probes.remove(position);
            let _ = self.receives(remote, &probe_echo(nonce));
        }
    }

    /// A context for an address that is allowed.
    fn open(&mut self, remote: &str) -> u32 {
        let remote = address(remote);
        let ip = remote.ip().to_string();
        let (context, said) = self.open_found(&ip, remote.port(), &[(&ip, true)]);
        assert_eq!(said, [ToPage::Opened { context, address: remote }]);
        context
    }

    fn refusal(&mut self, host: &str, port: u16, found: &[(&str, bool)]) -> RefuseCode {
        match &self.open_found(host, port, found).1[..] {
            [ToPage::Refused { code, .. }] => *code,
            other => panic!("{other:?}"),
        }
    }

    /// Returns whether a datagram of the page passes.
    fn sends(&mut self, context: u32, datagram: &[u8]) -> bool {
        let frame = [Prefix::new(context).as_bytes(), datagram].concat();
        let sent = self.session.page_datagram(&frame, self.now);
        if let Some((_, bytes)) = sent {
            assert_eq!(bytes, datagram);
        }
        sent.is_some()
    }

    /// The context with which a datagram of a remote goes to the page.
    fn receives(&mut self, remote: &str, datagram: &[u8]) -> Option<u32> {
        let prefix = self.session.remote_datagram(address(remote), datagram, || Some(OWN), self.now)?;
        frame::split(prefix.as_bytes()).map(|(context, _)| context)
    }

    /// The remote echoes the last probe that it got.
    fn echo(&mut self, remote: &str) {
        let _ = self.said();
        let position = self.probes.iter().rposition(|(to, _)| *to == address(remote)).expect("a probe");
        let (_, nonce) = self.probes.remove(position);
        assert_eq!(self.receives(remote, &probe_echo(nonce)), None, "echoes are not the page's");
    }

    /// A context whose remote consents.
    fn open_consenting(&mut self, remote: &str) -> u32 {
        let context = self.open(remote);
        assert!(!self.sends(context, PACKET));
        self.echo(remote);
        context
    }

    /// Lets time pass, with all timers on the way; what was said.
    fn pass(&mut self, time: Duration) -> Vec<ToPage> {
        let end = self.now + time;
        let mut said = Vec::new();
        while !self.session.is_over && self.session.deadline() <= end {
            self.now = self.session.deadline().max(self.now);
            self.session.handle_timeout(self.now);
            said.extend(self.said());
        }
        self.now = end;
        said
    }
}

const PACKET: &[u8] = &[0x80; 100];

fn welcome() -> ToPage {
    ToPage::Welcome { public_key: [1; 32], address: SocketAddr::new(OWN, 50_000) }
}

fn challenge_request() -> Vec<u8> {
    let request = ChallengeRequest {
        initiator_nonce: [1; 16],
        application_tag: [2; 8],
        offers: Offers::from_bytes([1, 0, 0, 0]).unwrap(),
        introduction_id: 0,
    };
    let mut bytes = Vec::new();
    request.write(&mut bytes);
    bytes
}

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn packets_pass_once_the_remote_has_echoed_a_probe_and_not_before() {
    let mut test = Test::new();
    let context = test.open(LISTED);
    assert!(test.sends(context, &challenge_request()));
    let _ = test.said();
    assert_eq!(test.probes.len(), 1, "a probe goes with the first datagram");
    assert!(!test.sends(context, PACKET));
    assert_eq!(test.receives(LISTED, &probe_echo([0xee; 16])), None, "somebody else's echo");
    assert!(!test.sends(context, PACKET));
    test.echo(LISTED);
    assert!(test.sends(context, PACKET));
    assert_eq!(test.receives(LISTED, PACKET), Some(context));
    assert_eq!(test.rules.metrics.dropped_for(Direction::ToRemote, DropReason::Consent), 2);
}

#[test]
fn an_echo_from_another_address_is_not_the_remotes_consent() {
    let mut test = Test::new();
    let context = test.open(LISTED);
    assert!(!test.sends(context, PACKET));
    let _ = test.said();
    let (_, nonce) = test.probes[0];
    assert_eq!(test.receives("192.0.2.2:28000", &probe_echo(nonce)), None);
    assert!(!test.sends(context, PACKET));
    assert_eq!(test.said(), [], "and an echo makes nobody known");
}

#[test]
fn consent_is_renewed_while_the_page_sends_and_ends_without() {
    let mut test = Test::new();
    let context = test.open_consenting(LISTED);
    for _ in 0..100 {
        test.pass(SECOND);
        assert!(test.sends(context, PACKET));
        let _ = test.said();
        if test.probes.iter().any(|(remote, _)| *remote == address(LISTED)) {
            test.echo(LISTED);
        }
    }
    test.pass(31 * SECOND);
    assert!(!test.sends(context, PACKET), "30 s after the last echo");
    test.echo(LISTED);
    assert!(test.sends(context, PACKET));
}

#[test]
fn what_has_not_the_form_passes_in_neither_direction() {
    let mut test = Test::new();
    let context = test.open_consenting(LISTED);
    let mut bent = challenge_request();
    bent[500] = 1;
    let too_long = [0x80; 1_233];
    for datagram in [
        &[][..],
        b"\0",
        b"\x08free bytes",
        b"\x09\0",
        b" info",
        b"GET / HTTP/1.1",
        b"\x7fxxxxxxxxxxxx",
        &[0x80; 6],
        &too_long,
        &bent,
    ] {
        assert!(!test.sends(context, datagram), "{datagram:02x?}");
        assert_eq!(test.receives(LISTED, datagram), None, "{datagram:02x?}");
        assert_eq!(test.receives("5.5.5.9:1", datagram), None, "{datagram:02x?}");
    }
    assert_eq!(test.said(), [], "nobody is met by such a datagram");
    assert_eq!(test.rules.metrics.dropped_for(Direction::ToRemote, DropReason::Form), 10);
    assert_eq!(test.rules.metrics.dropped_for(Direction::ToPage, DropReason::Form), 20);
}

#[test]
fn frames_without_a_context_that_is_known_go_nowhere() {
    let mut test = Test::new();
    let context = test.open_consenting(LISTED);
    for other in [0, 1, context + 1, context + 2, CONTEXT_LIMIT - 1] {
        assert!(!test.sends(other, PACKET), "{other}");
    }
    // The right context in a longer form.
    let long = [&[0x40, context as u8][..], PACKET].concat();
    assert_eq!(test.session.page_datagram(&long, test.now), None);
    assert_eq!(test.session.page_datagram(&[], test.now), None);
}

#[test]
fn a_remote_that_writes_first_may_be_answered_as_much_as_it_sent() {
    let mut test = Test::new();
    let stranger = "5.5.5.9:4000";
    assert_eq!(test.receives(stranger, &challenge_request()), Some(1));
    assert_eq!(test.said(), [ToPage::Context { context: 1, address: address(stranger) }]);
    assert_eq!(test.receives(stranger, &challenge_request()), Some(1));
    assert_eq!(test.said(), [], "once");
    assert_eq!(test.receives("5.5.5.10:4000", &challenge_request()), Some(3));
    let response = [&[0x02][..], &[0; 685]].concat();
    assert!(test.sends(1, &response) && test.sends(1, &response));
    assert!(!test.sends(1, &response), "two came, two went");
    test.echo(stranger);
    assert!(test.sends(1, PACKET));
}

#[test]
fn listed_remotes_are_heard_where_strangers_are_refused() {
    let mut test = Test::with(|rules| rules.strangers = Strangers::Refused);
    assert_eq!(test.receives("5.5.5.9:4000", &challenge_request()), None);
    assert_eq!(test.receives(LISTED, &challenge_request()), Some(1));
    assert_eq!(test.rules.metrics.dropped_for(Direction::ToPage, DropReason::Stranger), 1);
}

#[test]
fn strangers_are_heard_only_if_the_operator_says_so() {
    let production = Config::with_certificates(Certificates::Development);
    let mut test = Test::with(|rules| rules.strangers = production.strangers);
    assert_eq!(test.receives("5.5.5.9:4000", &challenge_request()), None);
    assert_eq!(test.said(), []);
}

#[test]
fn strangers_at_private_addresses_are_heard_only_if_listed_or_allowed() {
    let local = ["127.0.0.1:53", "10.0.0.1:53", "169.254.169.254:80", "[::1]:53", "[fe80::1]:28000"];
    let mut test = Test::new();
    for stranger in local {
        assert_eq!(test.receives(stranger, PACKET), None, "{stranger}");
    }
    assert_eq!(test.rules.metrics.dropped_for(Direction::ToPage, DropReason::Stranger), 5);
    assert_eq!(test.receives("10.0.0.1:28000", PACKET), Some(1), "its network is listed itself");
    let mut test = Test::with(|rules| rules.strangers = Strangers::Local);
    for (number, stranger) in (0..).zip(local) {
        assert_eq!(test.receives(stranger, PACKET), Some(2 * number + 1), "{stranger}");
    }
}

#[test]
fn a_stranger_without_consent_is_only_answered_and_soon_forgotten() {
    let mut test = Test::new();
    assert_eq!(test.receives("5.5.5.5:4000", &challenge_request()), Some(1));
    let _ = test.said();
    assert!(test.sends(1, &challenge_request()));
    let mut said = Vec::new();
    for _ in 0..30 {
        assert!(!test.sends(1, &challenge_request()));
        said.extend(test.pass(SECOND));
    }
    assert!(said.contains(&ToPage::Forgotten { context: 1 }), "{said:?}");
}

#[test]
fn a_flood_of_forged_strangers_fills_neither_the_table_nor_the_page() {
    let mut test = Test::new();
    let mut met = 0;
    for number in 0..10_000_u32 {
        let remote = SocketAddr::new(Ipv4Addr::from_bits(0x0500_0000 + number).into(), 4_000);
        let passed = test.session.remote_datagram(remote, PACKET, || Some(OWN), test.now);
        met += u32::from(passed.is_some());
    }
    assert!(met <= 64, "{met} at once");
    let _ = test.said();
    let context = test.open_consenting(LISTED);
    let forgotten = test.pass(21 * SECOND);
    let forgotten = forgotten.iter().filter(|said| matches!(said, ToPage::Forgotten { .. })).count();
    assert_eq!(forgotten as u32, met, "those who do not consent are soon forgotten");
    assert!(test.sends(context, PACKET), "others are not");
}

#[test]
fn strangers_have_a_quarter_of_the_contexts_and_the_oldest_make_room() {
    let mut test = Test::with(|rules| rules.limits.contexts = 8);
    let mut said = Vec::new();
    for number in 1..=20 {
        test.now += 100 * MILLISECOND;
        assert_eq!(test.receives("5.5.5.5:4000", PACKET), Some(1), "who goes on writing is not the oldest");
        assert!(test.receives(&format!("5.5.6.{number}:4000"), PACKET).is_some());
        said.extend(test.said());
    }
    let forgotten = said.iter().filter(|said| matches!(said, ToPage::Forgotten { .. })).count();
    assert_eq!((test.session.contexts.len(), forgotten), (2, 19));
    // A remote that has consented is not a stranger.
    assert!(test.sends(1, PACKET));
    test.echo("5.5.5.5:4000");
    assert!(test.receives("5.5.7.1:4000", PACKET).is_some());
    assert_eq!(test.session.contexts.len(), 3);
    for number in 1..=5 {
        let _ = test.said();
        test.open(&format!("192.0.2.{number}:28000"));
    }
    assert_eq!(test.receives("5.5.5.5:4000", PACKET), Some(1));
}

#[test]
fn strangers_do_not_use_up_what_a_page_may_get_from_others() {
    let rate = Rate { datagrams: 400, bytes: 1_000_000 };
    let mut test = Test::with(|rules| rules.limits.session_rate = rate);
    test.open_consenting(LISTED);
    // Those that are not heard at all cost nothing.
    for _ in 0..1_000 {
        assert_eq!(test.receives("10.9.9.9:53", PACKET), None);
    }
    // Half a second at 50 a second from one network, and at 200 from all.
    let mut of = |stranger: &str| (0..1_000).filter(|_| test.receives(stranger, PACKET).is_some()).count();
    assert_eq!([of("5.5.5.5:4000"), of("5.5.5.5:4001")], [25, 0], "at every port");
    assert_eq!([of("5.5.5.6:4000"), of("5.5.5.7:4000"), of("[2a00::1]:4000")], [25; 3]);
    assert_eq!([of("[2a00::2]:4000"), of("5.5.5.8:4000")], [0, 0], "all strangers together");
    assert_eq!((0..1_000).filter(|_| test.receives(LISTED, PACKET).is_some()).count(), 200);
    test.now += SECOND;
    let context = 1;
    assert!(test.sends(context, PACKET), "it is owed an answer");
    test.echo("5.5.5.5:4000");
    let passed = (0..1_000).filter(|_| test.receives("5.5.5.5:4000", PACKET).is_some()).count();
    assert_eq!(passed, 200, "a remote that has consented is not a stranger");
}

#[test]
fn one_network_with_many_ports_leaves_room_for_strangers_of_others() {
    let mut test = Test::new();
    let mut quiet = Vec::new();
    for second in 0..10 {
        // It goes on for long, and as fast as it likes.
        for number in 0..200 {
            let _ = test.receives(&format!("5.5.5.5:{}", 1_000 + 200 * second + number), PACKET);
        }
        let stranger = format!("5.5.6.{second}:4000");
        assert!(test.receives(&stranger, PACKET).is_some(), "in second {second}");
        quiet.push(address(&stranger));
        for stranger in &quiet {
            assert!(test.session.contexts.at(*stranger).is_some(), "nobody has displaced {stranger}");
        }
        let _ = test.said();
        test.now += SECOND;
    }
    assert_eq!(test.session.contexts.len(), 16 + quiet.len(), "a quarter of a quarter, and the others");
}

#[test]
fn the_network_with_the_most_strangers_makes_room_for_a_new_one() {
    let mut test = Test::with(|rules| rules.limits.contexts = 32);
    for stranger in
        ["5.5.5.5:1", "5.5.5.6:1", "5.5.5.7:1", "5.5.5.8:1", "5.5.5.9:1", "5.5.5.10:1", "5.5.5.6:2"]
    {
        test.now += MILLISECOND;
        assert!(test.receives(stranger, PACKET).is_some());
    }
    assert_eq!(test.receives("5.5.5.11:1", PACKET), Some(15));
    let _ = test.said();
    assert_eq!(test.receives("5.5.5.12:1", PACKET), Some(17));
    assert!(test.said().contains(&ToPage::Forgotten { context: 3 }), "the older one of 5.5.5.6");
    assert!(test.receives("5.5.5.13:1", PACKET).is_some());
    assert!(test.said().contains(&ToPage::Forgotten { context: 1 }), "then the oldest of all");
}

#[test]
fn idle_contexts_are_forgotten_and_used_ones_are_not() {
    let mut test = Test::new();
    let (idle, sending, receiving) =
        (test.open(LISTED), test.open("192.0.2.2:28000"), test.open("192.0.2.3:28000"));
    let mut forgotten = Vec::new();
    for _ in 0..130 {
        forgotten.extend(test.pass(SECOND).into_iter().filter(|said| *said != ToPage::Alive));
        let _ = test.sends(sending, PACKET);
        let _ = test.receives("192.0.2.3:28000", PACKET);
    }
    assert_eq!(forgotten, [ToPage::Forgotten { context: idle }]);
    assert!(!test.sends(idle, &challenge_request()));
    assert!(test.session.contexts.address(receiving).is_some());
}

#[test]
fn contexts_of_a_page_are_even_and_rise_and_all_else_ends_the_session() {
    for contexts in [&[0][..], &[1], &[7], &[2, 2], &[4, 2], &[CONTEXT_LIMIT], &[u32::MAX - 1]] {
        let mut test = Test::new();
        let mut said = Vec::new();
        for context in contexts {
            said = test.control(FromPage::Open { context: *context, host: "192.0.2.1", port: 28_000 });
        }
        assert!(
            matches!(said[..], [ToPage::Closing { code: ClosingCode::Protocol, .. }]),
            "{contexts:?}: {said:?}"
        );
    }
    let mut test = Test::new();
    assert_eq!(
        test.control(FromPage::Open { context: CONTEXT_LIMIT - 2, host: "192.0.2.1", port: 28_000 }),
        []
    );
}

#[test]
fn malformed_messages_end_the_session_and_unknown_ones_do_not() {
    let mut test = Test::new();
    test.session.control(&[0x7f, 1, 2, 3], test.now);
    test.session.control(&[0x80], test.now);
    assert_eq!(test.said(), []);
    test.session.control(&[0x01, 0], test.now);
    assert!(matches!(test.said()[..], [ToPage::Closing { code: ClosingCode::Protocol, .. }]));
    let context = 2;
    assert_eq!(test.control(FromPage::Open { context, host: "192.0.2.1", port: 28_000 }), [], "it is over");
    assert!(!test.sends(context, &challenge_request()));
    assert_eq!(test.receives(LISTED, PACKET), None);
}

#[test]
fn a_context_can_be_refused_for_each_reason_of_the_document() {
    let mut test = Test::new();
    // Not listed: address, port, name; the gateway's own port; nothing listed has this port.
    let yes = |ip| vec![(ip, true)];
    assert_eq!(test.refusal("192.0.3.1", 28_000, &yes("192.0.3.1")), RefuseCode::TargetNotAllowed);
    assert_eq!(test.refusal("192.0.2.1", 28_001, &yes("192.0.2.1")), RefuseCode::TargetNotAllowed);
    assert_eq!(test.refusal("192.0.2.1", 0, &yes("192.0.2.1")), RefuseCode::TargetNotAllowed);
    assert_eq!(test.refusal("other.example", 28_000, &yes("1.1.1.1")), RefuseCode::TargetNotAllowed);
    assert_eq!(test.refusal("game.example", 28_000, &yes("127.0.0.1")), RefuseCode::TargetNotAllowed);
    assert_eq!(test.refusal("game.example", 28_000, &[]), RefuseCode::NameNotFound);
    assert_eq!(
        test.refusal("other.example", 28_000, &[]),
        RefuseCode::TargetNotAllowed,
        "it is not told whether it exists"
    );
    assert_eq!(test.refusal("192.0.2.1:5", 28_000, &[]), RefuseCode::NameNotFound);
    assert_eq!(test.refusal("", 28_000, &[]), RefuseCode::NameNotFound);
    assert_eq!(test.refusal("2001:db8::1", 28_000, &[("2001:db8::1", false)]), RefuseCode::NoRoute);
    assert_eq!(test.open_found("GAME.example.", 28_000, &yes("1.1.1.1")).1.len(), 1);
}

#[test]
fn the_gateways_own_ports_are_nobodys_targets() {
    let mut test = Test::with(|rules| rules.targets = "127.0.0.1:*, 198.51.100.0/24:*".parse().unwrap());
    let session = test.rules.ports.register(50_000);
    for ip in ["127.0.0.1", "198.51.100.1"] {
        for port in [4_433, 50_000] {
            assert_eq!(test.refusal(ip, port, &[(ip, true)]), RefuseCode::TargetNotAllowed, "{ip}:{port}");
        }
    }
    assert_eq!(test.receives("127.0.0.1:50000", PACKET), None, "nor may they write");
    drop(session);
    test.open("127.0.0.1:50000");
}

#[test]
fn sessions_reach_sessions_if_allowed_and_never_the_service() {
    let mut test = Test::with(|rules| {
        rules.allow_sessions = true;
        rules.targets = "".parse().unwrap();
    });
    let _session = test.rules.ports.register(50_000);
    test.open("198.51.100.1:50000");
    assert_eq!(test.receives("198.51.100.1:50000", PACKET), Some(2));
    assert_eq!(test.refusal("198.51.100.1", 4_433, &[("198.51.100.1", true)]), RefuseCode::TargetNotAllowed);
    assert_eq!(test.refusal("198.51.100.1", 50_001, &[("198.51.100.1", true)]), RefuseCode::TargetNotAllowed);
    assert_eq!(test.refusal("198.51.100.2", 50_000, &[("198.51.100.2", true)]), RefuseCode::TargetNotAllowed);
}

#[test]
fn of_several_addresses_the_first_that_answers_is_taken_and_consents() {
    let mut test = Test::new();
    let found = [("2001:db8::1", true), ("10.0.0.1", true), ("127.0.0.1", true), ("10.0.0.2", false)];
    let (context, said) = test.open_found("many.example", 28_000, &found);
    assert_eq!(said, []);
    let asked: HashMap<_, _> = test.probes.iter().copied().collect();
    assert_eq!(asked.len(), 2, "only those that are allowed and can be reached: {asked:?}");
    // One address cannot answer for the other.
    let of_first = asked[&address("[2001:db8::1]:28000")];
    assert_eq!(test.receives("10.0.0.1:28000", &probe_echo(of_first)), None);
    assert_eq!(test.said(), []);
    test.echo("10.0.0.1:28000");
    assert_eq!(test.said(), [ToPage::Opened { context, address: address("10.0.0.1:28000") }]);
    assert!(test.sends(context, PACKET));
}

#[test]
fn if_no_address_answers_the_best_is_taken_after_three_seconds() {
    let mut test = Test::new();
    let (context, _) = test.open_found("many.example", 28_000, &[("2001:db8::1", true), ("10.0.0.1", true)]);
    assert_eq!(test.pass(2_999 * MILLISECOND).into_iter().filter(|said| *said != ToPage::Alive).count(), 0);
    let said = test.pass(MILLISECOND);
    assert_eq!(said, [ToPage::Opened { context, address: address("[2001:db8::1]:28000") }]);
    assert_eq!(test.probes.len(), 8, "each was asked four times");
    assert!(!test.sends(context, PACKET));
}

#[test]
fn a_page_that_forgets_while_a_name_is_looked_up_gets_no_context() {
    let mut test = Test::new();
    assert_eq!(test.control(FromPage::Open { context: 2, host: "192.0.2.1", port: 28_000 }), []);
    assert_eq!(test.control(FromPage::Forget { context: 2 }), []);
    test.session.resolved(2, vec![Found { address: address(LISTED), local: Some(OWN) }], test.now);
    assert_eq!(test.said(), []);
    assert!(!test.sends(2, &challenge_request()));
}

#[test]
fn look_ups_that_a_page_has_forgotten_count_until_they_are_done() {
    let mut test = Test::new();
    let mut refused = 0;
    for number in 1..=60 {
        let context = 2 * number;
        refused += test.control(FromPage::Open { context, host: "game.example", port: 28_000 }).len();
        assert_eq!(test.control(FromPage::Forget { context }), []);
    }
    assert_eq!((test.resolving.len(), refused), (16, 44));
    for (context, ..) in std::mem::take(&mut test.resolving) {
        test.session.resolved(context, vec![], test.now);
    }
    assert_eq!(test.said(), []);
    assert_eq!(test.control(FromPage::Open { context: 122, host: "192.0.2.1", port: 28_000 }), []);
    assert_eq!(test.resolving.len(), 1);
}

#[test]
fn a_session_has_a_limit_of_contexts_and_forgetting_makes_room() {
    let mut test = Test::with(|rules| rules.limits.contexts = 3);
    test.open("192.0.2.1:28000");
    let second = test.open("192.0.2.2:28000");
    assert_eq!(test.receives("5.5.5.9:1", PACKET), Some(1));
    let _ = test.said();
    assert_eq!(test.receives("192.0.2.9:28000", PACKET), Some(3), "one stranger makes room for another");
    let named = ToPage::Context { context: 3, address: address("192.0.2.9:28000") };
    assert_eq!(test.said(), [ToPage::Forgotten { context: 1 }, named]);
    assert_eq!(test.refusal("192.0.2.3", 28_000, &[("192.0.2.3", true)]), RefuseCode::TooMany);
    assert_eq!(test.control(FromPage::Forget { context: second }), []);
    test.open("192.0.2.3:28000");
}

#[test]
fn only_so_many_contexts_can_be_on_their_way() {
    let mut test = Test::new();
    let mut refused = 0;
    for number in 1..=20 {
        let said = test.control(FromPage::Open { context: 2 * number, host: "192.0.2.1", port: 28_000 });
        refused += said.len();
    }
    assert_eq!((test.resolving.len(), refused), (16, 4));
}

#[test]
fn two_contexts_can_stand_for_one_remote_and_the_newest_counts() {
    let mut test = Test::new();
    assert_eq!(test.receives(LISTED, PACKET), Some(1));
    let _ = test.said();
    let first = test.open(LISTED);
    let second = test.open(LISTED);
    assert_eq!(test.receives(LISTED, PACKET), Some(second));
    assert!(!test.sends(first, &[0x80; 1_000]));
    test.echo(LISTED);
    assert!(
        test.sends(first, PACKET) && test.sends(second, PACKET) && test.sends(1, PACKET),
        "one consent for all"
    );
    assert_eq!(test.control(FromPage::Forget { context: second }), []);
    let heard_as = test.receives(LISTED, PACKET).unwrap();
    assert!(heard_as == first || heard_as == 1);
    assert_eq!(test.control(FromPage::Forget { context: 1 }), []);
    assert_eq!(test.control(FromPage::Forget { context: first }), []);
    assert_eq!(test.receives(LISTED, PACKET), Some(3), "a stranger again");
}

#[test]
fn a_session_sends_and_receives_at_its_rate() {
    let rate = Rate { datagrams: 100, bytes: 1_000_000 };
    let mut test = Test::with(|rules| rules.limits.session_rate = rate);
    let context = test.open_consenting(LISTED);
    let (mut sent, mut received) = (0, 0);
    for _ in 0..5_000 {
        test.pass(MILLISECOND);
        sent += u32::from(test.sends(context, PACKET));
        received += u32::from(test.receives(LISTED, PACKET).is_some());
        let _ = test.said();
        if test.probes.iter().any(|(remote, _)| *remote == address(LISTED)) {
            test.echo(LISTED);
        }
    }
    for count in [sent, received] {
        assert!((500..=550).contains(&count), "five seconds and one burst: {count}");
    }
    assert!(test.rules.metrics.dropped_for(Direction::ToRemote, DropReason::SessionRate) >= 4_450);
    assert!(test.rules.metrics.dropped_for(Direction::ToPage, DropReason::SessionRate) >= 4_450);
}

#[test]
fn sessions_keep_to_a_targets_rate_and_leave_some_to_other_clients() {
    let rate = |datagrams| Rate { datagrams, bytes: 1_000_000 };
    let mut test = Test::with(|rules| rules.target_meters = TargetMeters::new(rate(30), rate(20)));
    let mut of_same_client = test.another_session(CLIENT);
    let mut of_another = test.another_session(OWN);
    let passing = |test: &mut Test| {
        let context = test.open_consenting(LISTED);
        (0..100).filter(|_| test.sends(context, PACKET)).count()
    };
    let passed = [passing(&mut test), passing(&mut of_same_client), passing(&mut of_another)];
    assert_eq!(passed, [10, 0, 5], "half a second's");
    assert_eq!(test.rules.metrics.dropped_for(Direction::ToRemote, DropReason::TargetRate), 285);
}

#[test]
fn a_page_that_floods_is_ended_and_one_that_bursts_is_not() {
    let rate = Rate { datagrams: 10, bytes: 1_000_000 };
    for (a_second, is_ended) in [(150_u32, true), (80, false)] {
        let mut test = Test::with(|rules| rules.limits.session_rate = rate);
        let context = test.open(LISTED);
        let mut said = Vec::new();
        for _ in 0..10 * a_second {
            said.extend(test.pass(SECOND / a_second));
            let _ = test.sends(context, PACKET);
            said.extend(test.said());
        }
        let ended =
            said.iter().any(|said| matches!(said, ToPage::Closing { code: ClosingCode::Flooding, .. }));
        assert_eq!(ended, is_ended, "{a_second} a second");
    }
}

#[test]
fn a_page_with_far_too_many_control_messages_is_ended() {
    let mut test = Test::new();
    let attest = FromPage::Attest { request: 1, context: 9, initiator: [0; 32], host: [0; 32] };
    let answers: Vec<_> = (0..1_000).flat_map(|_| test.control(attest)).collect();
    let (last, tokens) = answers.split_last().unwrap();
    assert!(matches!(last, ToPage::Closing { code: ClosingCode::Flooding, .. }));
    assert_eq!(tokens.len(), 128);
}

#[test]
fn tokens_are_for_remotes_that_the_page_has_a_context_for() {
    let mut test = Test::new();
    let context = test.open(LISTED);
    let attest = |context| FromPage::Attest { request: 5, context, initiator: [1; 32], host: [2; 32] };
    assert_eq!(test.control(attest(context)), [ToPage::Attested { request: 5, token: LISTED.into() }]);
    assert_eq!(test.control(attest(context + 2)), [ToPage::Attested { request: 5, token: vec![] }]);
}

#[test]
fn a_silent_gateway_says_every_two_seconds_that_it_is_alive() {
    let mut test = Test::new();
    assert_eq!(test.pass(1_999 * MILLISECOND), []);
    assert_eq!(test.pass(MILLISECOND), [ToPage::Alive]);
    test.pass(SECOND);
    test.open(LISTED);
    assert_eq!(test.pass(1_999 * MILLISECOND), []);
    assert_eq!(test.pass(8_001 * MILLISECOND).len(), 5);
}

#[test]
fn a_session_without_any_datagram_ends_after_the_operators_time() {
    let mut test = Test::with(|rules| rules.limits.idle = 100 * SECOND);
    let context = test.open_consenting(LISTED);
    test.pass(90 * SECOND);
    assert!(!test.sends(context, PACKET), "consent has ended, but the page has sent");
    let said = test.pass(99 * SECOND);
    assert!(said.iter().all(|said| matches!(said, ToPage::Alive | ToPage::Forgotten { .. })), "{said:?}");
    let said = test.pass(SECOND);
    assert!(matches!(said.last(), Some(ToPage::Closing { code: ClosingCode::Idle, .. })));
}

#[test]
fn no_idle_time_is_too_long_to_be_reckoned_with() {
    let mut test = Test::with(|rules| rules.limits.idle = Duration::MAX);
    let context = test.open_consenting(LISTED);
    assert!(test.sends(context, PACKET));
    assert_eq!(test.receives(LISTED, PACKET), Some(context));
    assert!(test.session.idle_at <= test.now + Limits::MAX_IDLE);
}

#[test]
fn a_drained_session_says_so_once_and_opens_no_new_contexts() {
    let mut test = Test::new();
    let context = test.open_consenting(LISTED);
    let until = test.now + 20 * SECOND;
    test.session.drain(until, test.now);
    test.session.drain(until + SECOND, test.now);
    assert_eq!(test.said(), [ToPage::Draining { millis: 20_000 }]);
    assert!(test.sends(context, PACKET));
    assert_eq!(test.receives(LISTED, PACKET), Some(context));
    assert_eq!(test.refusal("192.0.2.2", 28_000, &[]), RefuseCode::TooMany);
    test.session.end(ClosingCode::Draining, "it has gone away");
    assert_eq!(
        test.session.next_action(),
        Some(Action::Close(ClosingCode::Draining, "it has gone away")),
        "the remaining sessions are told that they end"
    );
    assert!(!test.sends(context, PACKET));
}

#[test]
fn a_time_that_cannot_be_told_is_told_as_the_longest() {
    let mut test = Test::new();
    test.session.drain(test.now + 100 * Limits::MAX_IDLE, test.now);
    assert_eq!(test.said(), [ToPage::Draining { millis: u32::MAX }]);
}

#[test]
fn no_bytes_of_a_page_or_a_remote_make_a_session_panic() {
    let mut state = 1_u64;
    let mut next = || {
        // xorshift64: any bytes will do, and the same each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..200 {
        let mut test = Test::new();
        for _ in 0..100 {
            let length = next() as usize % 90;
            let mut bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
            // Often near to what is right.
            if let Some(first) = bytes.first_mut() {
                *first %= 0x10;
            }
            match next() % 4 {
                0 => test.session.control(&bytes, test.now),
                1 => drop(test.session.page_datagram(&bytes, test.now)),
                2 => drop(test.receives(LISTED, &bytes)),
                _ => drop(test.pass(Duration::from_millis(next() % 3_000))),
            }
            for (context, _, port) in std::mem::take(&mut test.resolving) {
                let found = vec![Found { address: SocketAddr::new(OWN, port), local: Some(OWN) }; 2];
                test.session.resolved(context, found, test.now);
            }
            let _ = test.said();
        }
    }
}

#[test]
fn one_network_that_consents_leaves_contexts_for_others() {
    let mut test = Test::new();
    // A host of many ports, each of which consents, and renews its consent.
    for round in 0..60 {
        for number in 0..8 {
            let remote = format!("5.5.5.5:{}", 1_000 + 8 * round + number);
            test.talks_and_consents(&remote);
        }
        if round % 10 == 9 {
            for port in 1_000..1_000 + 8 * round {
                let remote = format!("5.5.5.5:{port}");
                if test.session.contexts.at(address(&remote)).is_some() {
                    test.talks_and_consents(&remote);
                }
            }
        }
        let _ = test.pass(SECOND);
    }
    let most = usize::from(test.rules.limits.contexts) / 4;
    let count = test.session.contexts.len();
    assert!((most..=most + most / 4).contains(&count), "about a quarter: {count}");
    assert!(test.receives("5.5.6.6:4000", PACKET).is_some(), "another network is heard");
    let _ = test.said();
    // What the page asks for is not counted.
    test.open("192.0.2.1:28000");
}

#[test]
fn datagrams_come_with_the_newest_context_that_is_left() {
    // More than once: the order of a hash map may be right by chance.
    for _ in 0..20 {
        let mut test = Test::new();
        let all: Vec<u32> = (0..6).map(|_| test.open(LISTED)).collect();
        let _ = test.control(FromPage::Forget { context: all[5] });
        assert_eq!(test.receives(LISTED, PACKET), Some(all[4]));
    }
    // The gateway's own is older than those of the page, though its number is higher.
    let mut test = Test::new();
    let _ = (test.receives("5.5.5.5:4000", PACKET), test.receives("5.5.5.6:4000", PACKET));
    assert_eq!(test.receives(LISTED, PACKET), Some(5));
    let _ = test.said();
    let (older, newer) = (test.open(LISTED), test.open(LISTED));
    assert!(newer < 5);
    let _ = test.control(FromPage::Forget { context: newer });
    assert_eq!(test.receives(LISTED, PACKET), Some(older));
}

#[test]
fn only_the_first_key_of_a_farewell_counts() {
    let mut test = Test::new();
    let mut keys = Vec::new();
    for key in [[1; 16], [2; 16]] {
        test.session.control(&FromPage::Farewell { key }.to_bytes(), test.now);
        while let Some(action) = test.session.next_action() {
            keys.extend(match action {
                Action::ExpectFarewell(key) => Some(key),
                _ => None,
            });
        }
    }
    assert_eq!(keys, [[1; 16]]);
}
