//! Decides who gets a session, and what a session may reach and send (GATEWAY.md 4). No sockets.

pub mod admission;
pub mod client;
pub mod forbidden;
pub mod network;
pub mod origins;
pub mod pacing;
pub mod ports;
pub mod quota;
pub mod rules;
pub mod targets;
