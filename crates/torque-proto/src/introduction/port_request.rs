//! Further local ports, which a party opens against NATs that depend on the destination (INTRODUCTIONS.md 9.2).

/// What an endpoint asks of its driver. A driver that does not open ports sets
/// [`further_ports`](crate::IntroductionConfig::further_ports) to 0, and is asked for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortRequest {
    /// Open a port of the system's choice. Datagrams from and to it have this number as their [`Path`](crate::Path)'s port. If it cannot be
    /// opened, those that leave from it are dropped.
    Open(u16),
    /// Close it. Datagrams that still leave from it are dropped.
    Close(u16),
}
