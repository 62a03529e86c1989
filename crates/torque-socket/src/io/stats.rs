//! What the driver asked of the operating system, and what it got.

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $field:ident,)*) => {
        /// Counters of the I/O layer of one socket.
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        #[non_exhaustive]
        pub struct IoStats {
            $($(#[doc = $doc])* pub $field: u64,)*
        }

        impl IoStats {
            /// Every counter with its name, for metrics.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field),)*].into_iter()
            }

            /// What each counter counts, in the order of `iter`.
            pub(crate) fn help() -> impl Iterator<Item = &'static str> {
                [$(concat!($($doc),*),)*].into_iter().map(str::trim)
            }

            /// Adds the counters of another one, for a socket that is made of several.
            pub fn add(&mut self, other: &Self) {
                $(self.$field = self.$field.saturating_add(other.$field);)*
            }
        }
    };
}

counters! {
    /// System calls that sent, or tried to.
    send_calls,
    /// System calls that received, or tried to.
    receive_calls,
    /// Times that a wait ended: something to read, something to write, or a deadline.
    wakes,
    /// Datagrams that the operating system took.
    datagrams_sent,
    /// Datagrams that came.
    datagrams_received,
    /// Bytes of the datagrams taken, without IP and UDP headers.
    bytes_sent,
    /// Bytes of the datagrams that came.
    bytes_received,
    /// Times that the send buffer was full; the datagrams stayed queued.
    would_block,
    /// Datagrams lost because the network or host cannot be reached, as far as this machine knows, or never from this
    /// socket.
    unreachable,
    /// Reports that nothing listens at an address a datagram went to (ICMP port unreachable).
    refused,
    /// Datagrams lost because the operating system was out of buffers.
    no_buffers,
    /// Datagrams lost because the send buffer was half full, and they were for peers that do not answer, or answers to
    /// strangers: for all that is known, it was full of datagrams to machines of the local network that are not there.
    held_back,
    /// Datagrams lost because they were larger than the path takes.
    too_large,
    /// Datagrams lost to other errors of sending, a firewall of this machine for example.
    other_send_errors,
    /// Datagrams that the operating system dropped because the receive buffer was full: this program does not keep up.
    /// Known on Linux only, and when the next datagram comes.
    receive_buffer_full,
    /// Errors of receiving; none loses a datagram.
    receive_errors,
    /// Datagrams that were sent one by one after the system had refused a run of them; if it took all, it is not asked
    /// again for that destination.
    sent_singly,
    /// Datagrams that reached another shard than their own, and were handed on.
    handed_on,
    /// Datagrams lost because the inbox of the shard that they were to be handed on to was full.
    inbox_full,
    /// Copies of broadcasts that shards left to the one that owns them.
    broadcast_copies,
    /// Further ports opened against NATs that depend on the destination.
    ports_opened,
    /// Further ports that could not be opened: this program has no descriptor left, or the system no port.
    ports_not_opened,
    /// Datagrams lost because the further port that they were to leave from could not be opened, or was closed meanwhile.
    port_not_open,
    /// Datagrams that came to the observing port of an introducer and show nothing about a NAT.
    observing_strays,
    /// Times that this machine's network had changed, or its sleep had ended, while there were connections.
    network_changes,
}
