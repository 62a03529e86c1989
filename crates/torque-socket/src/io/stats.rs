//! What the driver asked of the operating system, and what it got.

/// Counters of the I/O layer of one socket.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct IoStats {
    /// System calls that sent, or tried to.
    pub send_calls: u64,
    /// System calls that received, or tried to.
    pub receive_calls: u64,
    /// Times that a wait ended: something to read, something to write, or a deadline.
    pub wakes: u64,
    /// Datagrams that the operating system took.
    pub datagrams_sent: u64,
    /// Datagrams that came.
    pub datagrams_received: u64,
    /// Bytes of the datagrams taken, without IP and UDP headers.
    pub bytes_sent: u64,
    /// Bytes of the datagrams that came.
    pub bytes_received: u64,
    /// Times that the send buffer was full; the datagrams stayed queued.
    pub would_block: u64,
    /// Datagrams lost because the network or host cannot be reached, as far as this machine knows.
    pub unreachable: u64,
    /// Reports that nothing listens at an address a datagram went to (ICMP port unreachable).
    pub refused: u64,
    /// Datagrams lost because the operating system was out of buffers.
    pub no_buffers: u64,
    /// Datagrams lost because they were larger than the path takes.
    pub too_large: u64,
    /// Datagrams lost to other errors of sending, a firewall of this machine for example.
    pub other_send_errors: u64,
    /// Errors of receiving; none loses a datagram.
    pub receive_errors: u64,
    /// Datagrams that were sent one by one, with no source address, after a batch was refused.
    pub sent_singly: u64,
}
