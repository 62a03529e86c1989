//! The running gateway: sockets, TLS, HTTP, carriers, and the tasks that drive sessions.

pub mod attest;
pub mod carrier;
pub mod certificates;
pub mod driver;
pub mod farewells;
pub mod gateway;
pub mod handle;
pub mod http;
pub mod listeners;
pub mod resolve;
pub mod session_log;
pub mod state;
pub mod udp;
pub mod websocket;
pub mod webtransport;
