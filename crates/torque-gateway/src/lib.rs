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

mod config;
mod metrics;
mod policy;
mod service;
mod session;
mod weak_map;
pub mod wire;

pub use config::{CertificateError, Certificates, Config, DEFAULT_PORT, StartError};
pub use metrics::{CarrierKind, Direction, DropReason, Ending, Metrics, Refusal};
pub use policy::origins::{OriginError, Origins};
pub use policy::pacing::Rate;
pub use policy::rules::{Limits, Strangers};
pub use policy::targets::{Target, TargetError, Targets};
pub use service::gateway::Gateway;
pub use service::handle::Handle;
pub use service::http::{DESCRIPTION_PATH, FAREWELL_PATH, WEBSOCKET_PATH};

/// The README's example has to work.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
