//! The bytes between page and gateway, and the datagrams that may pass (GATEWAY.md 2, 3, 4).

pub mod control;
pub(crate) mod form;
pub mod frame;
