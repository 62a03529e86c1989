//! Draining, and certificates that change while a gateway runs.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use common::host::{Sink, challenge_request};
use common::page::{Got, Page, WebSocket, WebTransport, hashes};
use common::{LIMIT, ORIGIN, gateway, soon, until};
use torque_gateway::wire::control::{ClosingCode, ToPage};
use torque_gateway::{Certificates, Config, Ending, Gateway};

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_drains_tells_pages_for_how_long_and_waits_for_them() {
    for kind in [WebTransport, WebSocket] {
        let sink = Sink::start();
        let gateway = gateway(&sink.address.to_string()).await;
        let (address, hashes) = (gateway.local_addr(), hashes(&gateway));
        let mut page = Page::open(&gateway, kind).await;
        let context = page.context_of(sink.address).await;
        let draining = tokio::spawn(gateway.drain(LIMIT));
        let Got::Control(ToPage::Draining { millis }) = page.next().await else { panic!("it was not told") };
        let limit = LIMIT.as_millis() as u32;
        assert!((1..=limit).contains(&millis), "{millis} of {limit} ms");
        for other in [WebTransport, WebSocket] {
            let Err(why) = Page::try_open(address, &hashes, other, Some(ORIGIN)).await else {
                panic!("there are no new sessions")
            };
            assert!(why.contains("Draining"), "{why}");
        }
        // The session goes on.
        page.datagram(context, &challenge_request()).await;
        until(|| sink.take().contains(&challenge_request())).await;
        assert!(!draining.is_finished());
        page.leave().await;
        soon(draining).await.unwrap();
        until(|| TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_do_not_leave_are_told_their_end_when_the_time_is_over() {
    for kind in [WebTransport, WebSocket] {
        let gateway = gateway("").await;
        let mut page = Page::open(&gateway, kind).await;
        let draining = tokio::spawn(gateway.drain(Duration::from_millis(300)));
        assert!(matches!(page.next().await, Got::Control(ToPage::Draining { millis: 0..=300 })));
        assert!(matches!(
            page.next().await,
            Got::Control(ToPage::Closing { code: ClosingCode::Draining, .. })
        ));
        assert_eq!(page.next().await, Got::End);
        soon(draining).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_dropped_ends_its_sessions() {
    for kind in [WebTransport, WebSocket] {
        let gateway = gateway("").await;
        let mut page = Page::open(&gateway, kind).await;
        drop(gateway);
        while page.next().await != Got::End {}
    }
}

#[test]
fn a_gateway_runs_in_its_own_threads_without_a_runtime() {
    let mut config = Config::development(0);
    config.targets = "localhost:28000".parse().unwrap();
    let gateway = Gateway::spawn(config.clone()).unwrap();
    let address = gateway.local_addr();
    assert!(gateway.description().contains(&gateway.public_key().to_string()));
    let taken = Gateway::spawn(Config { listen: vec![address], ..config.clone() }).unwrap_err().to_string();
    assert!(taken.contains(&address.to_string()) && taken.contains("choose another port"), "{taken}");
    gateway.drain(Duration::from_secs(1));
    let again = Gateway::spawn(Config { listen: vec![address], ..config }).unwrap();
    assert_eq!(again.local_addr(), address, "the port is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_that_cannot_be_are_refused_with_what_to_do() {
    let start = async |change: fn(&mut Config)| {
        let mut config = Config::development(0);
        change(&mut config);
        Gateway::start(config).await.unwrap_err().to_string()
    };
    assert!(start(|config| config.listen.clear()).await.contains("address"));
    assert!(start(|config| config.listen[0].set_port(1)).await.contains("same port"));
    assert!(
        start(|config| config.files = Some("/no/such/directory".into())).await.contains("/no/such/directory")
    );
    let files = |config: &mut Config| {
        config.certificates =
            Certificates::Files { chain: "/no/chain.pem".into(), key: "/no/key.pem".into() };
    };
    assert!(start(files).await.contains("/no/chain.pem"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_file_that_changes_is_shown_without_ending_sessions() {
    let directory = Directory::new();
    let (first, second) = (directory.write(), wtransport::Identity::self_signed(["gw.example"]).unwrap());
    let mut config = Config::development(0);
    config.certificates =
        Certificates::Files { chain: directory.0.join("chain.pem"), key: directory.0.join("key.pem") };
    config.check_certificates_every = Duration::from_millis(50);
    let gateway = Gateway::start(config).await.unwrap();
    let open = async |hash| Page::try_open(gateway.local_addr(), &[hash], WebTransport, Some(ORIGIN)).await;
    let mut page = open(hash(&first)).await.unwrap();
    assert!(open(hash(&second)).await.is_err());
    assert!(!gateway.description(None).contains("certificate_hashes"));

    directory.write_identity(&second);
    until(|| gateway.metrics().text().contains("torque_gateway_certificates_total 1")).await;
    assert!(open(hash(&second)).await.is_ok());
    assert!(open(hash(&first)).await.is_err());
    // The session from before goes on.
    let (_, answer) = page.open_host("192.0.2.1", 1).await;
    assert!(matches!(answer, ToPage::Refused { .. }));
    assert_eq!(gateway.metrics().ended_for(Ending::Left), 1, "the second page's");

    let failures = || {
        let text = gateway.metrics().text();
        text.lines()
            .find_map(|line| line.strip_prefix("torque_gateway_certificate_failures_total ")?.parse().ok())
    };
    let before: Option<u64> = failures();
    std::fs::write(directory.0.join("chain.pem"), "rubbish").unwrap();
    until(|| failures() > before).await;
    assert!(open(hash(&second)).await.is_ok(), "it stays what it was");
}

fn hash(identity: &wtransport::Identity) -> [u8; 32] {
    *identity.certificate_chain().as_slice()[0].hash().as_ref()
}

/// A directory that is removed with the value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("torque-gateway-certificates-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self) -> wtransport::Identity {
        let identity = wtransport::Identity::self_signed(["gw.example"]).unwrap();
        self.write_identity(&identity);
        identity
    }

    fn write_identity(&self, identity: &wtransport::Identity) {
        let chain = identity.certificate_chain().as_slice()[0].to_pem();
        std::fs::write(self.0.join("key.pem"), identity.private_key().to_secret_pem()).unwrap();
        std::fs::write(self.0.join("chain.pem"), chain).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
