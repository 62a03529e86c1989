//! Refused sessions, and sessions that the gateway ends.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::time::Duration;

use common::host::{Host, Sink};
use common::page::{Got, Page, WebSocket, WebTransport, hashes};
use common::{ORIGIN, gateway, gateway_with, until, until_async};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use torque_gateway::wire::control::{ClosingCode, FromPage, RefuseCode, ToPage};
use torque_gateway::{Ending, Rate, Refusal};

#[tokio::test(flavor = "multi_thread")]
async fn foreign_origins_and_programs_without_one_get_no_session() {
    let gateway = gateway_with("", |config| config.origins = "https://game.example".parse().unwrap()).await;
    let (address, hashes) = (gateway.local_addr(), hashes(&gateway));
    let bad = [
        None,
        Some("null"),
        Some(ORIGIN),
        Some("http://game.example"),
        Some("https://game.example.evil.example"),
    ];
    for kind in [WebTransport, WebSocket] {
        for origin in bad {
            let Err(error) = Page::try_open(address, &hashes, kind, origin).await else {
                panic!("{origin:?}")
            };
            if kind == WebSocket {
                assert_eq!(error, "403 Forbidden", "{origin:?}");
            } else {
                assert!(error.contains("reject"), "{origin:?}: {error}");
            }
        }
        assert!(Page::try_open(address, &hashes, kind, Some("https://game.example")).await.is_ok());
    }
    assert_eq!(gateway.metrics().refused_for(Refusal::Origin), 2 * bad.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_sessions_are_limited_over_both_carriers_together() {
    let gateway = gateway_with("", |config| config.limits.sessions_of_client = 2).await;
    let (address, hashes) = (gateway.local_addr(), hashes(&gateway));
    let open = async |kind| Page::try_open(address, &hashes, kind, Some(ORIGIN)).await;
    let first = open(WebTransport).await.unwrap();
    let _second = open(WebSocket).await.unwrap();
    for kind in [WebSocket, WebTransport] {
        // The code is there for the page to read, which does not learn the status of an answer.
        let why = open(kind).await.err().unwrap();
        assert!(why.contains("TooManySessions") && why.contains("network address"), "{why}");
    }
    first.leave().await;
    until(|| gateway.metrics().open_sessions() == 1).await;
    assert!(open(WebSocket).await.is_ok());
    assert_eq!(gateway.metrics().refused_for(Refusal::Client), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_has_as_many_sessions_as_it_may_and_says_so() {
    let gateway = gateway_with("", |config| config.limits.sessions = 1).await;
    let (address, hashes) = (gateway.local_addr(), hashes(&gateway));
    let _first = Page::open(&gateway, WebTransport).await;
    for kind in [WebSocket, WebTransport] {
        let why = Page::try_open(address, &hashes, kind, Some(ORIGIN)).await.err().unwrap();
        assert!(why.contains("Full"), "{why}");
    }
    assert_eq!(gateway.metrics().refused_for(Refusal::Full), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_pages_that_stay_connected_count_against_the_limit() {
    let gateway = gateway_with("", |config| {
        (config.limits.sessions, config.limits.sessions_of_client) = (1, 1);
    })
    .await;
    let _first = Page::open(&gateway, WebTransport).await;
    let upgrade = format!(
        "GET /torque HTTP/1.1\r\nHost: localhost\r\nOrigin: {ORIGIN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    // They do not answer the close of their WebSocket.
    let mut held = Vec::new();
    until_async(async || {
        let mut stream = TcpStream::connect(gateway.local_addr()).await.unwrap();
        let _ = stream.write_all(upgrade.as_bytes()).await;
        let _ = stream.read(&mut [0; 32]).await;
        held.push(stream);
        gateway.metrics().refused_for(Refusal::Client) > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_holds_as_many_contexts_as_it_may() {
    let host = Host::start("127.0.0.1:0");
    let gateway = gateway_with("127.0.0.1:*", |config| config.limits.contexts = 3).await;
    for kind in [WebTransport, WebSocket] {
        let mut page = Page::open(&gateway, kind).await;
        let contexts = [page.context_of(host.address).await, page.context_of(host.address).await];
        page.context_of(host.address).await;
        let (_, answer) = page.open_host("127.0.0.1", host.address.port()).await;
        assert!(matches!(answer, ToPage::Refused { code: RefuseCode::TooMany, .. }), "{answer:?}");
        page.control(FromPage::Forget { context: contexts[0] }).await;
        page.context_of(host.address).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_malformed_messages_end_the_session_with_a_reason() {
    let gateway = gateway("127.0.0.1:*").await;
    let open = |context| FromPage::Open { context, host: "127.0.0.1", port: 1 }.to_bytes();
    let long = |length| [&[0x01][..], &vec![0xff; length]].concat();
    let bad = [
        vec![],
        vec![0x01],
        vec![0x02, 0],
        [&open(2)[..], &[0]].concat(),
        open(1),
        open(0),
        open(1 << 30),
        long(4_096),
        long(60_000),
    ];
    for kind in [WebTransport, WebSocket] {
        for message in &bad {
            let mut page = Page::open(&gateway, kind).await;
            page.raw_control(message).await;
            let got = page.next().await;
            let length = message.len();
            let Got::Control(ToPage::Closing { code: ClosingCode::Protocol, reason }) = got else {
                panic!("{got:?} to {length} bytes")
            };
            assert_eq!(reason.contains("longer than 4,096 bytes"), length > 4_096, "{reason}");
            assert_eq!(page.next().await, Got::End);
        }
    }
    until(|| gateway.metrics().open_sessions() == 0).await;
    assert_eq!(gateway.metrics().ended_for(Ending::Protocol), 2 * bad.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_says_what_only_gateways_say_is_ignored() {
    let gateway = gateway("127.0.0.1:*").await;
    for kind in [WebTransport, WebSocket] {
        let sink = Sink::start();
        let mut page = Page::open(&gateway, kind).await;
        // Contexts that are never opened: a datagram may overtake what is said on the control stream.
        page.raw_control(&ToPage::Opened { context: 40, address: sink.address }.to_bytes()).await;
        page.raw_control(&ToPage::Context { context: 41, address: sink.address }.to_bytes()).await;
        page.datagram(40, &[0x80; 100]).await;
        page.datagram(41, &[0x80; 100]).await;
        page.context_of(sink.address).await;
        assert_eq!(sink.take(), Vec::<Vec<u8>>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_carries_binary_messages_only() {
    let gateway = gateway("").await;
    let mut page = Page::open(&gateway, WebSocket).await;
    page.text("hello").await;
    let got = page.next().await;
    assert!(
        matches!(&got, Got::Control(ToPage::Closing { reason, .. }) if reason.contains("binary")),
        "{got:?}"
    );
    assert_eq!(page.next().await, Got::End);
    assert_eq!(gateway.metrics().ended_for(Ending::Protocol), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_floods_is_ended_and_told_so() {
    let sink = Sink::start();
    let rate = Rate { datagrams: 20, bytes: 1_000_000 };
    let gateway = gateway_with(&sink.address.to_string(), |config| config.limits.session_rate = rate).await;
    for kind in [WebTransport, WebSocket] {
        let mut page = Page::open(&gateway, kind).await;
        let context = page.context_of(sink.address).await;
        let mut end = None;
        for _ in 0..3_000 {
            for _ in 0..10 {
                page.datagram(context, &[0x80; 50]).await;
            }
            if let Some(got) = page.next_within(Duration::from_millis(5)).await {
                end = Some(got);
                break;
            }
        }
        let end = end.expect("it was ended");
        assert!(matches!(end, Got::Control(ToPage::Closing { code: ClosingCode::Flooding, .. })), "{end:?}");
        assert!(sink.take().len() < 100, "little has passed");
    }
}
