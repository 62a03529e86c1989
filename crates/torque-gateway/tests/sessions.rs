//! Sessions over both carriers, from page to native host and back.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use common::host::Host;
use common::page::{Page, WebSocket, WebTransport};
use common::page_socket::PageSocket;
use common::{ORIGIN, gateway};
use torque_gateway::CarrierKind;
use torque_proto::identity::origin::{EXTENSION_ORIGIN, OriginToken};
use torque_proto::{Address, ConnectOptions, Event, Extension, Trust};

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
    let options = ConnectOptions { trust: Trust::Ask, ..ConnectOptions::default() };
    let connection = socket.endpoint.connect(now, Address::from(host.address), options).unwrap();
    let Event::ChallengeResponse { public_key, .. } = socket.event().await else { panic!("no challenge") };
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
                Event::PacketDeliveryNotify { delivery, .. } => {
                    assert!(delivery.is_delivered());
                    delivered += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(gateway.metrics().open_sessions(), 1);
}
