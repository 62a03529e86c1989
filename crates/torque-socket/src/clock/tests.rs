use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant as StdInstant};

use torque_proto::identity::origin::{EXTENSION_ORIGIN, OriginClaims, sign_origin};
use torque_proto::{CloseCode, Config, ConnectOptions, Event, Extension, KeyPair, Trust};

use super::*;
use crate::Socket;

const GAME: &str = "https://game.example";
const LIMIT: Duration = Duration::from_secs(20);

/// The time by the clock of the host's machine.
static WALL: AtomicU64 = AtomicU64::new(0);

fn wall() -> u64 {
    WALL.load(Ordering::Relaxed)
}

/// Returns whether a page with a token that expires in a minute, by `wall`, is let in.
fn is_admitted(host: &mut Socket, gateway: &KeyPair) -> bool {
    let mut page = Socket::bind("127.0.0.1:0").unwrap();
    let claims = OriginClaims {
        origin: GAME,
        initiator: &page.public_key(),
        host: &host.public_key(),
        address: page.local_addr(),
        expires: wall() / 1_000 + 60,
    };
    let data = sign_origin(gateway, &claims).unwrap();
    let mut options = ConnectOptions::new(Trust::Anyone);
    options.extensions = vec![Extension { kind: EXTENSION_ORIGIN, data }];
    page.connect_with(host.local_addr(), options).unwrap();
    let end = StdInstant::now() + LIMIT;
    loop {
        assert!(StdInstant::now() < end);
        if let Some(Event::ConnectRequest(request)) = host.wait_event(Duration::from_millis(2)) {
            host.accept_connection(request.connection, b"").unwrap();
        }
        match page.wait_event(Duration::from_millis(2)) {
            Some(Event::Established { .. }) => return true,
            Some(Event::Close { code, .. }) => {
                assert_eq!(code, CloseCode::OriginNotAllowed);
                return false;
            }
            _ => {}
        }
    }
}

#[test]
fn a_host_judges_tokens_by_the_wall_clock_of_the_moment() {
    let gateway = KeyPair::from_seed([9; 32]);
    let mut config = Config::default();
    config.origins.trusted_gateways = vec![gateway.public()];
    config.origins.allowed_origins = vec![GAME.to_owned()];
    let now = unix_millis();
    WALL.store(now, Ordering::Relaxed);
    let mut host = Socket::builder().config(config).wall_clock(wall).bind("127.0.0.1:0").unwrap();
    assert!(is_admitted(&mut host, &gateway));
    for hours in [3, -4] {
        WALL.store(now.strict_add_signed(hours * 3_600_000), Ordering::Relaxed);
        assert!(is_admitted(&mut host, &gateway), "after the clock was set {hours} hours on");
    }
}

#[test]
fn the_clock_goes_on_and_is_the_standard_librarys_elsewhere() {
    let clock = Clock::new(unix_millis);
    let (first, std) = (clock.now(), StdInstant::now());
    let due = first + Duration::from_secs(100);
    let there = clock.to_std(due).unwrap();
    assert!(there >= std + Duration::from_secs(99) && there <= std + Duration::from_secs(101));
    assert!(clock.to_std(first).unwrap() <= StdInstant::now());
    assert!(clock.now() >= first);
}

#[cfg(target_os = "linux")]
#[test]
fn the_clock_counts_the_machines_sleep() {
    // No test can send the machine to sleep: this sees that the clock is the one that counts it.
    let clock = Clock::new(unix_millis);
    assert!(format!("{clock:?}").contains(&format!("id: {}", libc::CLOCK_BOOTTIME)), "{clock:?}");
}
