//! The kinds of deadlines.

/// Why an endpoint wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum TimerKind {
    /// A handshake repeats a request, or a wait of it ends.
    Handshake,
    /// An epoch's secrets are to be erased.
    Epoch,
    /// A puzzle that nobody took is to be worked on.
    Puzzle,
    /// A delayed acknowledgment is due.
    Ack,
    /// The verdict on the last packets is overdue.
    Probe,
    /// The other side has been silent, or the round-trip time is stale.
    Ping,
    /// A control message is to be repeated or given up.
    Control,
    /// A connection looks after its paths.
    Path,
    /// An introduction is to go on: a message, a punch, or the end of a wait.
    Introduction,
    /// A close is to be repeated or given up.
    Close,
    /// A connection that has carried no data for a while gives memory back.
    Rest,
    /// A closed connection is to be forgotten.
    Linger,
}
