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

impl IoStats {
    /// Every counter with its name, for metrics.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("send_calls", self.send_calls),
            ("receive_calls", self.receive_calls),
            ("wakes", self.wakes),
            ("datagrams_sent", self.datagrams_sent),
            ("datagrams_received", self.datagrams_received),
            ("bytes_sent", self.bytes_sent),
            ("bytes_received", self.bytes_received),
            ("would_block", self.would_block),
            ("unreachable", self.unreachable),
            ("refused", self.refused),
            ("no_buffers", self.no_buffers),
            ("too_large", self.too_large),
            ("other_send_errors", self.other_send_errors),
            ("receive_errors", self.receive_errors),
            ("sent_singly", self.sent_singly),
        ]
        .into_iter()
    }
}
