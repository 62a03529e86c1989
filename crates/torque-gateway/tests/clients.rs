//! The identity of QUIC clients: their addresses may be forged until they answer, and may change.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use common::page::{Page, WebTransport, hashes};
use common::{ORIGIN, gateway, gateway_with, soon};
use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::ring;
use torque_gateway::Gateway;
use wtransport::quinn::crypto::rustls::QuicClientConfig;
use wtransport::tls::client::ServerHashVerification;
use wtransport::tls::{Sha256Digest, WEBTRANSPORT_ALPN};
use wtransport::{ClientConfig, Endpoint, quinn};

/// The first datagrams of a number of different QUIC connections.
async fn first_datagrams(count: usize) -> Vec<Vec<u8>> {
    let sink = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", sink.local_addr().unwrap());
    let config = ClientConfig::builder().with_bind_default().with_server_certificate_hashes([]).build();
    let endpoint = Arc::new(Endpoint::client(config).unwrap());
    let clients: Vec<_> = (0..count)
        .map(|_| {
            let (endpoint, url) = (Arc::clone(&endpoint), url.clone());
            tokio::spawn(async move { endpoint.connect(url).await.is_ok() })
        })
        .collect();
    let mut first = HashMap::new();
    soon(async {
        let mut buffer = [0; 2_048];
        while first.len() < count {
            let length = sink.recv(&mut buffer).await.unwrap();
            // RFC 9000, 17.2: form and version, then the length of the connection's id, and the id.
            let id = buffer[6..6 + usize::from(buffer[5])].to_vec();
            first.entry(id).or_insert_with(|| buffer[..length].to_vec());
        }
    })
    .await;
    clients.iter().for_each(tokio::task::JoinHandle::abort);
    first.into_values().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn beginnings_in_the_name_of_a_client_do_not_keep_it_out() {
    let gateway = gateway("").await;
    let forger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in first_datagrams(80).await {
        forger.send_to(&datagram, gateway.local_addr()).unwrap();
    }
    // Its answers go to the true owner of the address, who has no use for them.
    let mut answers = 0;
    while forger.set_read_timeout(Some(Duration::from_millis(300))).is_ok()
        && forger.recv(&mut [0; 2_048]).is_ok()
    {
        answers += 1;
    }
    assert!(answers >= 80, "{answers} answers: the gateway has seen them all");
    Page::open(&gateway, WebTransport).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_asks_for_no_session_is_closed() {
    let gateway = gateway("").await;
    let hash = Sha256Digest::new(hashes(&gateway)[0]);
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ServerHashVerification::new([hash])))
        .with_no_client_auth();
    tls.alpn_protocols = vec![WEBTRANSPORT_ALPN.to_vec()];
    let mut transport = quinn::TransportConfig::default();
    transport.keep_alive_interval(Some(Duration::from_secs(1)));
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    config.transport_config(Arc::new(transport));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connecting = endpoint.connect_with(config, gateway.local_addr(), "localhost").unwrap();
    let connection = soon(connecting).await.unwrap();
    let end = soon(connection.closed()).await;
    assert!(matches!(end, quinn::ConnectionError::ApplicationClosed(_)), "{end}");
}

/// Passes datagrams on to a gateway, from 127.0.0.1 at first, and from 127.0.0.2 after so many: a translation of addresses
/// that changes its mind. Returns where the page finds it.
async fn translation(gateway: SocketAddr, change_after: usize) -> SocketAddr {
    let bind = tokio::net::UdpSocket::bind;
    let inside = bind("127.0.0.1:0").await.unwrap();
    let mut outside = bind("127.0.0.1:0").await.unwrap();
    let second = bind("127.0.0.2:0").await.unwrap();
    let address = inside.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut page, mut second, mut passed) = (None, Some(second), 0);
        let (mut out, mut back) = ([0; 2_048], [0; 2_048]);
        loop {
            tokio::select! {
                got = inside.recv_from(&mut out) => {
                    let (length, from) = got.unwrap();
                    page = Some(from);
                    if passed >= change_after && let Some(second) = second.take() {
                        outside = second;
                    }
                    passed += 1;
                    let _ = outside.send_to(&out[..length], gateway).await;
                }
                got = outside.recv(&mut back) => if let (Ok(length), Some(page)) = (got, page) {
                    let _ = inside.send_to(&back[..length], page).await;
                },
            }
        }
    });
    address
}

async fn open_by(gateway: &Gateway, address: SocketAddr) -> Result<Page, String> {
    let hashes = hashes(gateway);
    let opening = Page::try_open(address, &hashes, WebTransport, Some(ORIGIN));
    tokio::time::timeout(Duration::from_secs(3), opening).await.unwrap_or_else(|_| Err("in time".into()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_address_changes_keeps_its_session_and_its_quota() {
    let mut kept = 0;
    for change_after in 1..10 {
        let gateway = gateway_with("", |config| config.limits.sessions_of_client = 1).await;
        let by = translation(gateway.local_addr(), change_after).await;
        // Before the handshake is done, an address cannot change.
        let Ok(mut page) = open_by(&gateway, by).await else { continue };
        // Messages go to and fro until it has changed.
        for _ in 0..10 {
            page.open_host("192.0.2.1", 1).await;
        }
        let why = open_by(&gateway, gateway.local_addr()).await.err().unwrap();
        assert!(why.contains("TooManySessions"), "after {change_after}: {why}");
        let elsewhere = translation(gateway.local_addr(), 0).await;
        assert!(open_by(&gateway, elsewhere).await.is_ok(), "after {change_after}: another client's place");
        kept += 1;
    }
    assert!(kept > 3, "{kept} of nine");
}
