use super::*;

use wtransport::{ClientConfig, Endpoint as Page, tls::WEBTRANSPORT_ALPN};

use crate::config::Config;
use crate::service::gateway::Gateway;

/// Returns whether the gateway answers a program without an allowed origin, which it refuses by HTTP.
async fn is_answered(address: SocketAddr, gateway: &Gateway) -> bool {
    let description: serde_json::Value = serde_json::from_str(&gateway.description(None)).unwrap();
    let hash = description["certificate_hashes"][0].as_str().unwrap();
    let hash = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, hash).unwrap();
    let hash = wtransport::tls::Sha256Digest::new(hash.try_into().unwrap());
    let config = ClientConfig::builder().with_bind_default().with_server_certificate_hashes([hash]).build();
    let connecting = async { Page::client(config).unwrap().connect(format!("https://{address}/")).await };
    match timeout(Duration::from_secs(2), connecting).await {
        Ok(Err(wtransport::error::ConnectingError::SessionRejected)) => true,
        Ok(Ok(_)) => panic!("without an origin there is no session"),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_ends_is_opened_again_at_the_same_port() {
    let gateway = Gateway::start(Config::development(0)).await.unwrap();
    let socket = udp("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let tls = gateway.state().certificates.tls(WEBTRANSPORT_ALPN).unwrap();
    let listener = Arc::new(Listener::new(address, socket, tls).unwrap());
    let serving = tokio::spawn(serve(Arc::clone(gateway.state()), Arc::clone(&listener)));
    assert!(is_answered(address, &gateway).await);

    // That is how it looks from above when its driver has ended.
    let endpoint = listener.endpoint().clone();
    endpoint.unwrap().close(QuicVarInt::from_u32(0), b"");
    let again = async {
        while !gateway.metrics().text().contains("torque_gateway_listener_failures_total 1") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        while !is_answered(address, &gateway).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), again).await.expect("it is open again");
    assert!(!serving.is_finished());
    serving.abort();
}
