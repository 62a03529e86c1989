//! The TCP port: the description, files, WebSockets with TLS, and metrics.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::page::{Page, WebSocket};
use common::{ORIGIN, gateway, gateway_with, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::ring;
use torque_gateway::{Certificates, DESCRIPTION_PATH, Refusal, WEBSOCKET_PATH};
use wtransport::tls::client::ServerHashVerification;

/// Asks, and returns head and body.
async fn get(address: SocketAddr, path: &str, headers: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_for_any_origin_and_tells_whether_it_is_allowed() {
    let gateway = gateway("").await;
    let address = gateway.local_addr();
    let own = format!("http://{address}");
    for (headers, is_allowed) in [
        (format!("Origin: {ORIGIN}\r\n"), true),
        ("Origin: https://evil.example\r\n".to_owned(), false),
        ("Origin: null\r\n".to_owned(), false),
        (String::new(), false),
        ("Sec-Fetch-Site: same-origin\r\n".to_owned(), true),
        (format!("Origin: https://evil.example\r\nReferer: {own}\r\nSec-Fetch-Site: same-origin\r\n"), false),
    ] {
        let (head, body) = get(address, DESCRIPTION_PATH, &headers).await;
        assert!(
            head.starts_with("HTTP/1.1 200") && head.contains("access-control-allow-origin: *"),
            "{head}"
        );
        let description: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(description["version"], 1);
        assert_eq!(description["public_key"], gateway.public_key().to_string());
        assert_eq!(description["webtransport_port"], address.port());
        assert_eq!(description["origin_allowed"], is_allowed, "{headers}");
        assert_eq!(description["certificate_hashes"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_served_with_their_types_and_nothing_outside_is() {
    let directory = Directory::new("files");
    for (name, content) in
        [("index.html", "<p>hello"), ("core.wasm", "\0asm"), ("page.js", "1"), ("a b.txt", "x")]
    {
        directory.write(&format!("web/{name}"), content);
    }
    directory.write("secret", "nobody's");
    let gateway = gateway_with("", |config| config.files = Some(directory.0.join("web"))).await;
    let address = gateway.local_addr();
    for (path, kind, content) in [
        ("/", "text/html", "<p>hello"),
        ("/index.html", "text/html", "<p>hello"),
        ("/core.wasm", "application/wasm", "\0asm"),
        ("/page.js", "text/javascript", "1"),
        ("/a%20b.txt?x=1", "text/plain", "x"),
    ] {
        let (head, body) = get(address, path, "").await;
        assert!(
            head.starts_with("HTTP/1.1 200") && head.contains(&format!("content-type: {kind}")),
            "{path}: {head}"
        );
        assert!(head.contains("cache-control: no-cache") && head.contains("nosniff"), "{head}");
        assert_eq!(body, content);
    }
    for path in ["/secret", "/../secret", "/%2e%2e/secret", "/..%2fsecret", "//etc/passwd", "/web"] {
        let (head, body) = get(address, path, "").await;
        assert!(head.starts_with("HTTP/1.1 404") || head.starts_with("HTTP/1.1 400"), "{path}: {head}");
        assert!(!body.contains("nobody"), "{path}");
    }
    // Without a directory there are no files at all.
    let (head, _) = get(common::gateway("").await.local_addr(), "/", "").await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_served_at_their_own_address_only() {
    let gateway = gateway_with("", |config| config.metrics = Some("127.0.0.1:0".parse().unwrap())).await;
    let _page = Page::open(&gateway, WebSocket).await;
    let (head, body) = get(gateway.metrics_addr().unwrap(), "/metrics", "").await;
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("torque_gateway_sessions{carrier=\"websocket\"} 1"), "{body}");
    let (head, _) = get(gateway.local_addr(), "/metrics", "").await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_find_no_place_are_counted() {
    let gateway = gateway_with("", |config| config.limits.sessions_of_client = 1).await;
    let mut held = Vec::new();
    for _ in 0..34 {
        held.push(TcpStream::connect(gateway.local_addr()).await.unwrap());
    }
    common::until(|| gateway.metrics().refused_for(Refusal::Client) == 1).await;
    assert_eq!(gateway.metrics().refused_for(Refusal::Full), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_never_finish_tls_give_their_places_back() {
    let directory = Directory::new("silent");
    let identity = wtransport::Identity::self_signed(["localhost"]).unwrap();
    directory.write("chain.pem", &identity.certificate_chain().as_slice()[0].to_pem());
    directory.write("key.pem", &identity.private_key().to_secret_pem());
    let gateway = gateway_with("", |config| {
        config.limits.sessions_of_client = 1;
        config.certificates =
            Certificates::Files { chain: directory.0.join("chain.pem"), key: directory.0.join("key.pem") };
    })
    .await;
    let mut held = Vec::new();
    for number in 0..34 {
        let mut stream = TcpStream::connect(gateway.local_addr()).await.unwrap();
        // Some say nothing, some begin: a handshake record of 255 bytes.
        if number % 2 == 0 {
            let _ = stream.write_all(&[22, 3, 1, 0, 255]).await;
        }
        held.push(stream);
    }
    common::until(|| gateway.metrics().refused_for(Refusal::Client) == 1).await;
    // All are hung up on, and there are places again.
    for stream in &mut held {
        let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    }
    let mut again = TcpStream::connect(gateway.local_addr()).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(500), again.read_to_end(&mut Vec::new())).await;
    assert!(waited.is_err(), "it is not hung up on at once");
    assert_eq!(gateway.metrics().refused_for(Refusal::Client), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_gone_serves_nothing_on_open_connections_either() {
    for is_drained in [true, false] {
        let gateway = gateway("").await;
        let mut stream = TcpStream::connect(gateway.local_addr()).await.unwrap();
        let request = format!("GET {DESCRIPTION_PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(soon(stream.read(&mut [0; 4_096])).await.unwrap() > 0);
        if is_drained {
            gateway.drain(Duration::ZERO).await;
        } else {
            drop(gateway);
        }
        let mut rest = Vec::new();
        let waited = tokio::time::timeout(Duration::from_secs(2), stream.read_to_end(&mut rest)).await;
        assert!(waited.is_ok(), "it is closed at once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_certificate_files_http_and_web_sockets_are_with_tls() {
    let directory = Directory::new("tls");
    let identity = wtransport::Identity::self_signed(["localhost"]).unwrap();
    let certificate = &identity.certificate_chain().as_slice()[0];
    directory.write("chain.pem", &certificate.to_pem());
    directory.write("key.pem", &identity.private_key().to_secret_pem());
    let gateway = gateway_with("", |config| {
        config.certificates =
            Certificates::Files { chain: directory.0.join("chain.pem"), key: directory.0.join("key.pem") };
    })
    .await;
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ServerHashVerification::new([certificate.hash()])))
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(tls));
    let address = gateway.local_addr();
    let connect = async || {
        let stream = TcpStream::connect(address).await.unwrap();
        soon(connector.connect("localhost".try_into().unwrap(), stream)).await.unwrap()
    };
    let mut stream = connect().await;
    let request = format!("GET {DESCRIPTION_PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.contains("\"version\":1") && !answer.contains("certificate_hashes"), "{answer}");

    let mut request = tungstenite::client::IntoClientRequest::into_client_request(format!(
        "wss://localhost:{}{WEBSOCKET_PATH}",
        address.port()
    ))
    .unwrap();
    request.headers_mut().insert("origin", ORIGIN.parse().unwrap());
    let (_socket, response) = soon(tokio_tungstenite::client_async(request, connect().await)).await.unwrap();
    assert_eq!(response.status(), 101);
    common::until(|| gateway.metrics().open_sessions() == 1).await;
    // And nothing without.
    let plain = tokio::time::timeout(Duration::from_secs(5), get_raw(address)).await;
    assert!(!String::from_utf8_lossy(&plain.unwrap()).contains("HTTP/1.1 200"));
}

async fn get_raw(address: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {DESCRIPTION_PATH} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

/// A directory that is removed with the value.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("torque-gateway-http-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("web")).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.0.join(name), content).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
