//! A gateway lends each web page a UDP port, which a page cannot open by itself. Pages reach it over WebTransport, or over
//! WebSocket where that is missing. A page keeps its `TorqueSocket` and its keys; the gateway moves datagrams that it can
//! neither read nor forge. `spec/GATEWAY.md` is the protocol between page and gateway. Items name the section that they
//! implement.
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
//! It is not an open proxy: [`Config`] lists what the operator must allow, and GATEWAY.md 4 what never passes.
//!
//! Inside, each folder uses only those before it: `wire`, `policy`, `session`, `service`.
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
