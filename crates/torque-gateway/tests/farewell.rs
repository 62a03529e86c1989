//! Farewells of pages that are gone (GATEWAY.md 1.1).
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::net::{SocketAddr, UdpSocket};

use common::page::{Page, WebSocket, WebTransport};
use common::{LIMIT, gateway, soon, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use torque_gateway::wire::control::FromPage;
use torque_gateway::wire::frame::Prefix;
use torque_gateway::{Direction, DropReason, Ending, FAREWELL_PATH};
use torque_proto::wire::{parse_probe, probe_echo};

const PACKET: &[u8] = &[0x80; 200];
const KEY: [u8; 16] = [7; 16];

/// The status of the answer to a farewell.
async fn say_farewell(gateway: SocketAddr, key: [u8; 16], frames: &[Vec<u8>]) -> u16 {
    let mut body = key.to_vec();
    for frame in frames {
        body.extend(u16::try_from(frame.len()).unwrap().to_be_bytes());
        body.extend(frame);
    }
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    let head = format!(
        "POST {FAREWELL_PATH} HTTP/1.1\r\nHost: {gateway}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The next datagram that is not a probe, and its source.
fn next_of(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2_048];
    loop {
        let (length, source) = socket.recv_from(&mut buffer).unwrap();
        if parse_probe(&buffer[..length]).is_err() {
            return (buffer[..length].to_vec(), source);
        }
    }
}

/// A page that has said which key its farewell will show, with a remote that has consented.
async fn page_with_remote(
    gateway: &torque_gateway::Gateway,
    kind: torque_gateway::CarrierKind,
    remote: &UdpSocket,
) -> (Page, u32) {
    let consents = || gateway.metrics().text().contains("torque_gateway_consents_total 1");
    let mut page = Page::open(gateway, kind).await;
    let context = page.context_of(remote.local_addr().unwrap()).await;
    page.control(FromPage::Farewell { key: KEY }).await;
    page.datagram(context, PACKET).await;
    let mut buffer = [0; 2_048];
    let (length, source) = remote.recv_from(&mut buffer).unwrap();
    remote.send_to(&probe_echo(parse_probe(&buffer[..length]).unwrap()), source).unwrap();
    until(consents).await;
    (page, context)
}

fn remote() -> UdpSocket {
    let remote = UdpSocket::bind("127.0.0.1:0").unwrap();
    remote.set_read_timeout(Some(LIMIT)).unwrap();
    remote
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_left_can_say_one_farewell_from_its_port() {
    for kind in [WebTransport, WebSocket] {
        let remote = remote();
        let gateway = gateway(&remote.local_addr().unwrap().to_string()).await;
        let (page, context) = page_with_remote(&gateway, kind, &remote).await;
        let address = page.address;
        page.leave().await;
        let frame = |content: &[u8]| [Prefix::new(context).as_bytes(), content].concat();
        assert_eq!(
            say_farewell(gateway.local_addr(), [8; 16], &[frame(&[0x81; 50])]).await,
            404,
            "another's key"
        );
        // A farewell passes nothing that may not pass otherwise.
        let frames = [frame(b" info"), frame(&[0x82; 50]), [&[63][..], PACKET].concat(), frame(&[0x83; 50])];
        assert_eq!(say_farewell(gateway.local_addr(), KEY, &frames).await, 204);
        assert_eq!(next_of(&remote), (vec![0x82; 50], address));
        assert_eq!(next_of(&remote), (vec![0x83; 50], address));
        assert_eq!(gateway.metrics().dropped_for(Direction::ToRemote, DropReason::Form), 1);
        until(|| gateway.metrics().ended_for(Ending::Left) == 1).await;
        assert_eq!(say_farewell(gateway.local_addr(), KEY, &frames).await, 404, "once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_farewell_may_come_before_the_session_ends() {
    for kind in [WebTransport, WebSocket] {
        let remote = remote();
        let gateway = gateway(&remote.local_addr().unwrap().to_string()).await;
        let (mut page, context) = page_with_remote(&gateway, kind, &remote).await;
        let frame = |content: &[u8]| [Prefix::new(context).as_bytes(), content].concat();
        assert_eq!(say_farewell(gateway.local_addr(), KEY, &[frame(&[0x82; 50])]).await, 204);
        assert_eq!(next_of(&remote), (vec![0x82; 50], page.address));
        page.datagram(context, &[0x83; 50]).await;
        assert_eq!(next_of(&remote).0, [0x83; 50], "the session goes on");
        page.leave().await;
        until(|| gateway.metrics().ended_for(Ending::Left) == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_of_a_page_that_says_nothing_more_is_given_back() {
    for kind in [WebTransport, WebSocket] {
        let remote = remote();
        let gateway = gateway(&remote.local_addr().unwrap().to_string()).await;
        let (page, _) = page_with_remote(&gateway, kind, &remote).await;
        let port = page.address.port();
        page.leave().await;
        until(|| gateway.metrics().ended_for(Ending::Left) == 1).await;
        until(|| UdpSocket::bind(("0.0.0.0", port)).is_ok()).await;
        assert_eq!(say_farewell(gateway.local_addr(), KEY, &[]).await, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_one_farewell() {
    let remote = remote();
    let gateway = gateway(&remote.local_addr().unwrap().to_string()).await;
    let (mut page, context) = page_with_remote(&gateway, WebSocket, &remote).await;
    let frame = |content: &[u8]| [Prefix::new(context).as_bytes(), content].concat();
    assert_eq!(say_farewell(gateway.local_addr(), KEY, &[frame(&[0x82; 50])]).await, 204);
    assert_eq!(next_of(&remote).0, [0x82; 50]);
    page.control(FromPage::Farewell { key: [9; 16] }).await;
    page.datagram(context, &[0x83; 50]).await;
    assert_eq!(next_of(&remote).0, [0x83; 50], "the message before it has been read");
    assert_eq!(say_farewell(gateway.local_addr(), [9; 16], &[frame(&[0x84; 50])]).await, 404);
}
