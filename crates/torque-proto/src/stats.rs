//! Counters of an endpoint and of a connection.

use core::time::Duration;

use crate::crypto::Cipher;
use crate::micros::Micros32;
use crate::settings::Settings;

macro_rules! counters {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $field:ident,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Debug, Default)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl $name {
            /// Every counter with its name, in the order of declaration, for metrics.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                // Names beside values, not pairs: a table and a copy are less code in pages than a store for each.
                const NAMES: &[&str] = &[$(stringify!($field)),*];
                NAMES.iter().copied().zip([$(self.$field),*])
            }

            /// The difference to `earlier`, an earlier look at the same counters.
            #[must_use]
            pub fn since(&self, earlier: &Self) -> Self {
                Self { $($field: self.$field.saturating_sub(earlier.$field),)* }
            }

            /// Adds the counters of another one, for a socket that is made of several.
            pub fn add(&mut self, other: &Self) {
                $(self.$field = self.$field.saturating_add(other.$field);)*
            }
        }
    };
}

counters! {
    /// Counters of an endpoint. Input that is dropped is counted here and raised nowhere.
    Stats {
        /// Datagrams handed in.
        datagrams_received,
        /// Bytes of them.
        bytes_received,
        /// Datagrams handed out.
        datagrams_sent,
        /// Bytes of them.
        bytes_sent,
        /// Datagrams that are not of the shape of their kind.
        malformed,
        /// Datagrams of a kind that is not used.
        reserved_kind,
        /// Packets from an address that no connection has.
        unknown_address,
        /// Handshake messages, and echoes of probes, that nobody waits for.
        stray_handshake,
        /// Our own datagrams, come back.
        reflected,
        /// Requests, and probes of strangers, while `accept_incoming` is off, or at another port than the bound one.
        not_accepting,
        /// Challenge requests of another protocol version.
        version_mismatch,
        /// Challenge requests of another application.
        application_mismatch,
        /// Challenge requests without a cipher that is allowed.
        no_common_cipher,
        /// Challenges answered.
        challenges_answered,
        /// Probes echoed.
        probes_answered,
        /// Connect requests whose epoch is over, or has no room for another token.
        stale_epoch,
        /// Connect requests with an identity token that was not made for them.
        false_token,
        /// Connect requests below the difficulty that is asked now.
        difficulty_too_low,
        /// Connect requests with a wrong puzzle solution.
        false_solution,
        /// Connect requests with a token that was used before.
        replayed_token,
        /// Connect requests for which the pending connections, or their source's share of them, had no room.
        busy,
        /// Pending connections given up for another source, because theirs held most of a full table; refused ones do not count.
        given_up,
        /// Connect requests that paid, but do not decrypt or carry a bad key.
        bad_request,
        /// Connect requests that differ from the one they repeat.
        changed_request,
        /// Connect requests with an introduction that does not exist.
        unknown_introduction,
        /// Connect requests refused because of their origin.
        origin_refused,
        /// Connect requests with an origin token that is not to be believed.
        origin_token_bad,
        /// Repeated requests that came too soon after an answer.
        repeated_too_soon,
        /// Requests that crossed an attempt of our own to the same address, which goes on instead.
        crossed_request,
        /// Challenge responses that were ignored (signature, key, version, cipher or difficulty).
        bad_challenge,
        /// Accepts, refusals and pending messages that do not open.
        bad_reply,
        /// Rejects heard; they are hints without authentication.
        rejects_heard,
        /// Packets whose tag is wrong, or whose ack is out of reach. Many of them mean that somebody is trying.
        forged,
        /// Packets that were late or duplicates.
        late_or_duplicate,
        /// Packets of a generation for which there are no keys.
        no_keys,
        /// Data packets dropped because their connection waits to take another one's place.
        displacing,
        /// Packets not taken because the application's queue was full.
        queue_full,
        /// Info packets given to the application.
        info_received,
        /// Info packets dropped because their queue was full.
        info_dropped,
        /// Info packets sent.
        info_sent,
        /// Punches sent, to open, check, keep and answer paths.
        punches_sent,
        /// Punches left out because too many were sent.
        punches_not_sent,
        /// Authentic punches.
        punches_received,
        /// Punches that were not authentic, or of no connection.
        punches_refused,
        /// Relayed datagrams of no circuit, or that no circuit carries.
        relayed_refused,
        /// Requests to be introduced of which the application was not told, because it had not taken as many as there may be.
        introductions_not_told,
        /// Senders from an unknown address that were asked who they are.
        who_are_you_sent,
        /// Resets sent for connections that this host does not know.
        resets_sent,
        /// Resets that said nothing about a connection here.
        resets_refused,
        /// Changes of the path that a connection takes.
        paths_changed,
        /// Outgoing datagrams dropped because too many waited.
        transmits_dropped,
        /// Connections begun by this side.
        connections_started,
        /// Requests shown to the application.
        connections_requested,
        /// Connections established.
        connections_established,
        /// Close events told.
        connections_closed,
    }
}

/// The counters of packets that did not open, which an endpoint and its connections both keep.
pub(crate) struct RefusalCounters<'a> {
    pub(crate) malformed: &'a mut u64,
    pub(crate) late_or_duplicate: &'a mut u64,
    pub(crate) no_keys: &'a mut u64,
    pub(crate) forged: &'a mut u64,
}

impl<'a> From<&'a mut Stats> for RefusalCounters<'a> {
    fn from(Stats { malformed, late_or_duplicate, no_keys, forged, .. }: &'a mut Stats) -> Self {
        Self { malformed, late_or_duplicate, no_keys, forged }
    }
}

impl<'a> From<&'a mut ConnectionCounters> for RefusalCounters<'a> {
    fn from(counters: &'a mut ConnectionCounters) -> Self {
        let ConnectionCounters { malformed, late_or_duplicate, no_keys, forged, .. } = counters;
        Self { malformed, late_or_duplicate, no_keys, forged }
    }
}

/// Figures of one connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// Smoothed round-trip time. Verdicts and pongs bring samples: as long as data is sent it is a round trip or two
    /// old, without data as old as the last ping.
    pub rtt: Duration,
    /// The latest sample of it; zero if there is none.
    pub rtt_latest: Duration,
    /// The least sample of the last 5 to 10 s with samples; zero if there is none.
    pub rtt_min: Duration,
    /// Mean deviation of the round-trip time.
    pub jitter: Duration,
    /// Packets delivered each second, averaged over the last span of a second or more between two reports.
    pub delivery_rate: u32,
    /// Counters.
    pub counters: ConnectionCounters,
    /// Packets that await their verdict, or whose verdict the application has not taken.
    pub in_flight: usize,
    /// The settings that both sides agreed on.
    pub settings: Settings,
    /// The packet cipher.
    pub cipher: Cipher,
    /// How the handshake went.
    pub handshake: HandshakeStats,
}

counters! {
    /// Counters of one connection.
    ConnectionCounters {
        /// Data packets sent.
        sent,
        /// Data packets delivered.
        delivered,
        /// Data packets dropped.
        dropped,
        /// Data packets without a verdict when the connection ended.
        unknown,
        /// Data packets taken into the event queue.
        received,
        /// Sequences of the other side that never came, or came too late.
        missed,
        /// Payload bytes sent.
        payload_sent,
        /// Payload bytes taken.
        payload_received,
        /// Datagrams sent, of every kind.
        datagrams_sent,
        /// Bytes of them.
        bytes_sent,
        /// Datagrams that authenticated, of every kind.
        datagrams_received,
        /// Bytes of them.
        bytes_received,
        /// Acks and reports sent.
        acks_sent,
        /// Pings sent, probes included.
        pings_sent,
        /// Packets whose tag is wrong, or that report what no packet of the other side can.
        forged,
        /// Packets that were late or duplicates.
        late_or_duplicate,
        /// Packets of a generation for which there are no keys.
        no_keys,
        /// Packets whose sealed content is not of the shape of its kind.
        malformed,
        /// Reports on packets that were never sent.
        reports_ignored,
        /// Packets not taken because the application's queue was full.
        queue_full,
    }
}

impl ConnectionStats {
    /// The share of sent packets that were lost, from 0.0 to 1.0, since the connection was established. See
    /// [`ConnectionCounters::loss`].
    pub fn loss(&self) -> f32 {
        self.counters.loss()
    }
}

impl ConnectionCounters {
    /// The share of sent packets that were lost, from 0.0 to 1.0: those dropped among those with a verdict. 0.0 if there
    /// was no verdict.
    ///
    /// For a recent figure take the difference of two looks:
    ///
    /// ```
    /// use core::time::Duration;
    /// use torque_proto::ConnectionCounters;
    ///
    /// /// The line that a game shows of its connection, once a second.
    /// fn show(before: &ConnectionCounters, now: &ConnectionCounters) -> String {
    ///     let passed = now.since(before);
    ///     let rate = passed.bytes_per_second(Duration::from_secs(1));
    ///     format!("{:.0} % lost, {} B/s up, {} B/s down", passed.loss() * 100.0, rate.sent, rate.received)
    /// }
    /// assert_eq!(show(&Default::default(), &Default::default()), "0 % lost, 0 B/s up, 0 B/s down");
    /// ```
    pub fn loss(&self) -> f32 {
        share(self.dropped, self.delivered)
    }

    /// The share of the other side's sequences that never came or came too late, from 0.0 to 1.0.
    pub fn loss_received(&self) -> f32 {
        share(self.missed, self.received)
    }

    /// The bytes of datagrams each second, if these counters are what was counted in `time`, which
    /// [`since`](Self::since) tells. Headers of UDP and IP are not among them.
    pub fn bytes_per_second(&self, time: Duration) -> ByteRate {
        let rate = |bytes: u64| {
            let nanos = time.as_nanos().max(1);
            u64::try_from(u128::from(bytes) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
        };
        ByteRate { sent: rate(self.bytes_sent), received: rate(self.bytes_received) }
    }
}

/// Bytes each second, in each direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ByteRate {
    /// Sent.
    pub sent: u64,
    /// Received.
    pub received: u64,
}

fn share(part: u64, rest: u64) -> f32 {
    match part.saturating_add(rest) {
        0 => 0.0,
        all => (part as f64 / all as f64) as f32,
    }
}

/// How a connection's handshake went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct HandshakeStats {
    /// Bits of client puzzle.
    pub difficulty: u8,
    /// Hashes that solving took; 0 at the host.
    pub puzzle_tries: u64,
    /// Time that solving took; zero at the host.
    pub puzzle_time: Duration,
    /// From the challenge request to its response; zero at the host.
    pub challenge_time: Duration,
    /// From `connect`, or from the request at the host, to being established.
    pub total_time: Duration,
    /// How often the host had the initiator begin again.
    pub restarts: u8,
}

/// [`HandshakeStats`] as a connection keeps them.
#[derive(Clone, Copy)]
pub(crate) struct HandshakeFigures {
    difficulty: u8,
    restarts: u8,
    puzzle_tries: u64,
    puzzle_time: Micros32,
    challenge_time: Micros32,
    pub(crate) total_time: Micros32,
}

impl From<HandshakeStats> for HandshakeFigures {
    fn from(stats: HandshakeStats) -> Self {
        let HandshakeStats { difficulty, puzzle_tries, puzzle_time, challenge_time, total_time, restarts } =
            stats;
        Self {
            difficulty,
            restarts,
            puzzle_tries,
            puzzle_time: puzzle_time.into(),
            challenge_time: challenge_time.into(),
            total_time: total_time.into(),
        }
    }
}

impl From<HandshakeFigures> for HandshakeStats {
    fn from(figures: HandshakeFigures) -> Self {
        let HandshakeFigures { difficulty, restarts, puzzle_tries, puzzle_time, challenge_time, total_time } =
            figures;
        Self {
            difficulty,
            puzzle_tries,
            puzzle_time: puzzle_time.into(),
            challenge_time: challenge_time.into(),
            total_time: total_time.into(),
            restarts,
        }
    }
}
