//! A gateway lends web pages, which cannot open a UDP socket, a UDP port each: over WebTransport, or over WebSocket where that
//! is missing. The page's `TorqueSocket`, keys included, stays in the page; the gateway moves datagrams that it can neither
//! read nor forge. The protocol between page and gateway is `spec/GATEWAY.md`; items name the section that they implement.
//!
//! ```no_run
//! use torque_gateway::{Config, Gateway};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let mut config = Config::development(4433);
//! config.targets = "127.0.0.1:28000".parse()?;
//! let gateway = Gateway::start(config).await?;
//! println!("pages of this machine bind to http://localhost:{}", gateway.local_addr().port());
//! gateway.drain(std::time::Duration::from_secs(10)).await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It is no open proxy: see [`Config`] for what has to be allowed, and GATEWAY.md 4 for what never passes.
#![forbid(unsafe_code)]

mod admission;
mod attest;
mod carrier;
mod certificates;
mod client;
mod config;
mod consent;
mod contexts;
pub mod control;
mod driver;
mod farewells;
mod forbidden;
mod form;
pub mod frame;
mod gateway;
mod handle;
mod http;
mod metrics;
mod opening;
mod origins;
mod pacing;
mod places;
mod ports;
mod resolve;
mod rules;
mod session;
mod session_log;
mod shared;
mod sources;
mod targets;
mod udp;
mod websocket;
mod webtransport;

pub use config::{CertificateError, Certificates, Config, DEFAULT_PORT, StartError};
pub use gateway::Gateway;
pub use handle::Handle;
pub use http::{DESCRIPTION_PATH, FAREWELL_PATH, WEBSOCKET_PATH};
pub use metrics::{CarrierKind, Direction, DropReason, Ending, Metrics, Refusal};
pub use origins::{OriginError, Origins};
pub use pacing::Rate;
pub use rules::{Limits, Strangers};
pub use targets::{Target, TargetError, Targets};
