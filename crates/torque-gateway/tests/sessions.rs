//! Sessions over both carriers, from page to native host and back.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use common::host::Host;
use common::page::{Got, Page, WebSocket, WebTransport};
use common::page_socket::PageSocket;
use common::{LIMIT, ORIGIN, gateway, gateway_with, soon, until};
use torque_gateway::wire::control::{RefuseCode, ToPage};
use torque_gateway::{CarrierKind, Ending};
use torque_proto::identity::origin::{EXTENSION_ORIGIN, OriginToken};
use torque_proto::{Address, ChallengeResponse, ConnectOptions, Event, Extension, PublicKey, Trust};
use torque_socket::Socket;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_connects_to_a_native_host_by_web_transport() {
    connects_and_exchanges(WebTransport).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_connects_to_a_native_host_by_web_socket() {
    connects_and_exchanges(WebSocket).await;
}

/// The whole handshake with an origin token, and packets both ways.
async fn connects_and_exchanges(kind: CarrierKind) {
    let gateway = gateway("127.0.0.1:*").await;
    let mut config = torque_socket::Config::default();
    config.origins.trusted_gateways = vec![gateway.public_key()];
    config.origins.allowed_origins = vec![ORIGIN.to_owned()];
    let host = Host::with_config("127.0.0.1:0", config);
    let mut socket = PageSocket::new(Page::open(&gateway, kind).await);
    let context = socket.open(host.address).await;

    let now = socket.now();
    let options = ConnectOptions::new(Trust::Ask);
    let connection = socket.endpoint.connect(now, Address::from(host.address), options).unwrap();
    let Event::ChallengeResponse(ChallengeResponse { public_key, .. }) = socket.event().await else {
        panic!("no challenge")
    };
    assert_eq!(public_key, host.public_key);
    let token = socket.attest(context, public_key.as_bytes()).await;
    let parsed = OriginToken::parse(&token).unwrap();
    assert_eq!((parsed.origin(), parsed.gateway()), (ORIGIN, gateway.public_key()));
    let extension = Extension { kind: EXTENSION_ORIGIN, data: token };
    let now = socket.now();
    socket.endpoint.accept_challenge_with(now, connection, vec![extension]).unwrap();
    let Event::Established { accept_data, .. } = socket.event().await else { panic!("not established") };
    assert_eq!(accept_data, b"welcome");
    assert_eq!(host.origins.recv().unwrap().as_deref(), Some(ORIGIN), "the host knows the page's origin");

    let (mut echoed, mut delivered) = (0, 0);
    for number in 0..100_u8 {
        let now = socket.now();
        socket.endpoint.send(now, connection, &[number; 1_000]).unwrap();
        while delivered <= number || echoed <= number {
            match socket.event().await {
                Event::Packet { payload, .. } => {
                    assert_eq!(&*payload, &[number; 1_000]);
                    echoed += 1;
                }
                Event::Verdict { delivery, .. } => {
                    assert!(delivery.is_delivered());
                    delivered += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(gateway.metrics().open_sessions(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_socket_connects_to_a_page_that_hosts() {
    for kind in [WebTransport, WebSocket] {
        let gateway = gateway("").await;
        let mut socket = PageSocket::new(Page::open(&gateway, kind).await);
        let (address, public_key) = (socket.page.address, socket.endpoint.public_key());
        let client = std::thread::spawn(move || connect_and_echo(address, public_key));
        loop {
            match socket.event().await {
                Event::ConnectRequest(request) => {
                    let now = socket.now();
                    socket.endpoint.accept_connection(now, request.connection, b"of a page").unwrap();
                }
                Event::Packet { connection, payload, .. } => {
                    let now = socket.now();
                    socket.endpoint.send(now, connection, &payload).unwrap();
                }
                Event::Close { .. } => break,
                _ => {}
            }
        }
        client.join().unwrap();
        let text = gateway.metrics().text();
        assert!(!text.contains("torque_gateway_consents_total 0\n"), "the native socket consents: {text}");
    }
}

/// Connects natively, has fifty packets echoed, and closes.
fn connect_and_echo(host: SocketAddr, public_key: PublicKey) {
    let mut client = Socket::bind("127.0.0.1:0").unwrap();
    let connection = client.connect(host, Trust::Pinned(public_key)).unwrap();
    let mut echoed = 0;
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        client.wait(Duration::from_millis(5));
        client.poll();
        while let Some(event) = client.next_event() {
            match event {
                Event::Established { accept_data, .. } => {
                    assert_eq!(accept_data, b"of a page");
                    client.send(connection, b"0").unwrap();
                }
                Event::Packet { payload, .. } => {
                    assert_eq!(&*payload, echoed.to_string().as_bytes());
                    echoed += 1;
                    if echoed == 50 {
                        client.close(connection, b"").unwrap();
                    } else {
                        client.send(connection, echoed.to_string().as_bytes()).unwrap();
                    }
                }
                Event::Close { .. } => return,
                _ => {}
            }
        }
        client.flush();
    }
    panic!("{echoed} packets were echoed in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_connect_to_pages_if_the_operator_says_so() {
    for kinds in [(WebTransport, WebSocket), (WebSocket, WebTransport)] {
        let gateway = gateway_with("", |config| config.allow_sessions = true).await;
        let mut host = PageSocket::new(Page::open(&gateway, kinds.0).await);
        let mut client = PageSocket::new(Page::open(&gateway, kinds.1).await);
        client.open(host.page.address).await;
        let options = ConnectOptions::new(Trust::Pinned(host.endpoint.public_key()));
        let now = client.now();
        client.endpoint.connect(now, Address::from(host.page.address), options).unwrap();
        let hosting = async {
            loop {
                match host.event().await {
                    Event::ConnectRequest(request) => {
                        let now = host.now();
                        host.endpoint.accept_connection(now, request.connection, b"").unwrap();
                    }
                    Event::Established { .. } => return,
                    _ => {}
                }
            }
        };
        let connecting = async {
            assert!(matches!(client.event().await, Event::Established { .. }));
            // Its ping, by which the host knows the keys, is on its way.
            client.turn().await;
        };
        tokio::join!(hosting, connecting);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_do_not_reach_pages_otherwise() {
    let gateway = gateway("127.0.0.1:*").await;
    let other = Page::open(&gateway, WebTransport).await;
    for kind in [WebTransport, WebSocket] {
        let mut page = Page::open(&gateway, kind).await;
        for address in [other.address, gateway.local_addr()] {
            let (_, answer) = page.open_host(&address.ip().to_string(), address.port()).await;
            assert!(
                matches!(answer, ToPage::Refused { code: RefuseCode::TargetNotAllowed, .. }),
                "{address}: {answer:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_two_addresses_leads_to_the_one_where_somebody_listens() {
    let host = Host::start("127.0.0.1:0");
    let gateway = gateway(&format!("localhost:{}", host.address.port())).await;
    for kind in [WebTransport, WebSocket] {
        let mut page = Page::open(&gateway, kind).await;
        let (context, answer) = page.open_host("localhost", host.address.port()).await;
        assert_eq!(answer, ToPage::Opened { context, address: host.address });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_lead_to_addresses_of_the_inside_are_refused() {
    // `localhost` is the one name that every machine resolves by itself. It is on no list here, or with another port.
    let host = Host::start("127.0.0.1:0");
    let port = host.address.port();
    for list in [format!("localhost:{}", port ^ 1), format!("0.0.0.0/0:{port}, [::]/0:{port}"), String::new()]
    {
        let gateway = gateway(&list).await;
        let mut page = Page::open(&gateway, WebSocket).await;
        for host in
            ["localhost", "LOCALHOST.", "127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1"]
        {
            let (_, answer) = page.open_host(host, port).await;
            assert!(
                matches!(answer, ToPage::Refused { code: RefuseCode::TargetNotAllowed, .. }),
                "{host} with `{list}`: {answer:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_gives_its_port_back() {
    let gateway = gateway("").await;
    for kind in [WebTransport, WebSocket] {
        let page = Page::open(&gateway, kind).await;
        let port = page.address.port();
        assert!(UdpSocket::bind(("0.0.0.0", port)).is_err(), "it is taken");
        page.leave().await;
        until(|| UdpSocket::bind(("0.0.0.0", port)).is_ok()).await;
        until(|| gateway.metrics().open_sessions() == 0).await;

        let mut page = Page::open(&gateway, kind).await;
        page.close_control_stream().await;
        until(|| gateway.metrics().ended_for(Ending::Left) % 2 == 0).await;
    }
    assert_eq!(gateway.metrics().ended_for(Ending::Left), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_hears_from_a_silent_gateway_every_two_seconds() {
    let gateway = gateway("").await;
    for kind in [WebTransport, WebSocket] {
        let mut page = Page::open(&gateway, kind).await;
        assert_eq!(soon(page.any_next()).await, Got::Control(ToPage::Alive));
    }
}
