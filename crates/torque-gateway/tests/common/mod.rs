//! Gateways, pages and hosts on loopback.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

pub mod host;
pub mod page;
pub mod page_socket;

use std::time::Duration;

use torque_gateway::{Config, Gateway};

/// The time that anything may take before a test fails.
pub const LIMIT: Duration = Duration::from_secs(20);
/// The origin of pages.
pub const ORIGIN: &str = "http://localhost:5173";

/// A gateway that lets pages of this machine reach these targets.
pub async fn gateway(targets: &str) -> Gateway {
    gateway_with(targets, |_| {}).await
}

/// The same with some changes.
pub async fn gateway_with(targets: &str, change: impl FnOnce(&mut Config)) -> Gateway {
    let mut config = Config::development(0);
    config.targets = targets.parse().unwrap();
    change(&mut config);
    Gateway::start(config).await.unwrap()
}

/// Waits for something that is to come soon.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("nothing came in time")
}

/// Waits until something is so.
pub async fn until(mut is_so: impl FnMut() -> bool) {
    until_async(async || is_so()).await;
}

/// The same if it takes waiting to find out.
pub async fn until_async(mut is_so: impl AsyncFnMut() -> bool) {
    soon(async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
