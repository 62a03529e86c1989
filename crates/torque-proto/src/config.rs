//! Every limit and figure that an application may set, with units and defaults.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::crypto::Cipher;
use crate::id::ConnectionId;
use crate::identity::PublicKey;
use crate::identity::origin::check_origin;
use crate::introduction::IntroductionConfig;
use crate::settings::Settings;

/// Figures and limits of one endpoint. Start from `Config::default()` and change what you need.
///
/// ```
/// use torque_proto::Config;
///
/// let config = Config::default().with_application_id("pond 3").with(|config| config.limits.pending = 64);
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Up to 32 bytes that both programs must share, for example a game's name and wire version
    /// (default empty). Never sent; a mismatch is reported by name.
    pub application_id: Vec<u8>,
    /// Lets others connect to this socket (default true).
    pub accept_incoming: bool,
    /// Wishes for each connection of this socket.
    pub settings: Settings,
    /// The shortest tag that this side takes, in bytes (default 8; 4 to 7 only where a forged packet now
    /// and then does no harm, see SECURITY.md).
    pub min_tag_bytes: u8,
    /// Ciphers that an initiator offers, best first, and that a host allows.
    pub ciphers: Vec<Cipher>,
    /// Handshake timing.
    pub handshake: HandshakeConfig,
    /// The client puzzle.
    pub puzzle: PuzzleConfig,
    /// Which web pages may connect to this socket.
    pub origins: OriginPolicy,
    /// Bounds on memory.
    pub limits: Limits,
    /// How long the other side may be silent before it is pinged (default 5 s).
    pub ping_interval: Duration,
    /// The same while a sent packet has no verdict (default 1.5 s): the other side is missed after 9 s if it is gone.
    pub busy_ping_interval: Duration,
    /// How many pings in a row may go unanswered (default 5).
    pub ping_limit: u8,
    /// How long a close waits for the other side's last report (default 3 s).
    pub close_wait: Duration,
    /// Follows the other sides of connections when they move to another address (default true): asks who sends from where no
    /// connection is, and punches (PATHS.md). A socket that is one of several at one address cannot: what comes from elsewhere may
    /// reach another one.
    pub roaming: bool,
    /// Says that no other socket has this socket's identity (default false). As a host it then tells initiators whose connections it
    /// has lost that it was restarted: they end at once, with `host_restarted`, instead of after their time-out. Set it for a host with a stored key, unless
    /// other machines or processes use the same key (PATHS.md 8).
    pub sole_identity: bool,
    /// Introductions, by this socket and of it.
    pub introduction: IntroductionConfig,
    /// Shard number of this endpoint within a sharded socket (default 0), below 64.
    pub shard: u8,
}

/// Handshake timing (PROTOCOL.md 11).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HandshakeConfig {
    /// First pause before a request is repeated (default 250 ms); it doubles.
    pub retry_first: Duration,
    /// Longest pause between repeats (default 2 s).
    pub retry_max: Duration,
    /// Limit of each wait for the other socket (default 10 s).
    pub wait: Duration,
    /// Limit of each wait for an application, here or there (default 120 s).
    pub application_wait: Duration,
    /// Age from which an initiator fetches a fresh challenge before it goes on (default 20 s).
    pub challenge_age: Duration,
    /// How often a host asks an initiator to begin again before the attempt fails (default 3).
    pub max_restarts: u8,
    /// How long a host uses one epoch key (default 30 s); it is erased when twice as old.
    pub epoch_lifetime: Duration,
}

/// The client puzzle (PROTOCOL.md 5.3, 5.7). Difficulties are in bits; each doubles the work.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PuzzleConfig {
    /// Difficulty of a quiet host (default 4).
    pub difficulty_min: u8,
    /// Difficulty of a host under the heaviest load (default 20).
    pub difficulty_max: u8,
    /// Connect requests per second that count as quiet (default 64).
    pub quiet_rate: u32,
    /// The most that this side solves as initiator (default 22).
    pub difficulty_limit: u8,
}

/// Which web pages a host admits, by the origin that a gateway attests (GATEWAY.md 5). By default everybody, and no
/// gateway is believed.
///
/// This keeps other sites' pages out, as browsers' same-origin policy does. It restrains no program, and with
/// [`allow_native`](Self::allow_native) also no page that leaves its token out.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OriginPolicy {
    /// The gateways whose word is taken. What others attest counts as nothing.
    pub trusted_gateways: Vec<PublicKey>,
    /// The origins that are admitted, each as browsers write it: `https://game.example`. If there are none,
    /// everybody is.
    pub allowed_origins: Vec<String>,
    /// Admits requests without an attested origin beside those of `allowed_origins`.
    pub allow_native: bool,
}

impl OriginPolicy {
    /// Returns whether a request with this attested origin, or without any, is admitted.
    pub(crate) fn admits(&self, origin: Option<&str>) -> bool {
        self.allowed_origins.is_empty()
            || origin.map_or(self.allow_native, |origin| {
                self.allowed_origins.iter().any(|allowed| allowed == origin)
            })
    }

    /// Checks that what is allowed can be met.
    fn validate(&self) -> Result<(), ConfigError> {
        if !self.allowed_origins.iter().all(|origin| is_browsers_form(origin)) {
            return Err(ConfigError(
                "origins.allowed_origins: scheme://host or scheme://host:port, lower case, without a path",
            ));
        }
        if !self.allowed_origins.is_empty() && self.trusted_gateways.is_empty() {
            return Err(ConfigError(
                "origins.allowed_origins admits no page without origins.trusted_gateways: add the gateway's public key",
            ));
        }
        Ok(())
    }
}

/// Returns whether a browser could write an origin so: no path, not even a slash at the end, and no capitals.
fn is_browsers_form(origin: &str) -> bool {
    // By a character: a search for a text takes three kilobytes of program in pages.
    let host = origin.split_once(':').and_then(|(_, rest)| rest.strip_prefix("//")).unwrap_or("");
    check_origin(origin).is_ok()
        && !host.is_empty()
        && !host.contains('/')
        && !origin.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Bounds on memory. Each has a counter in [`Stats`](crate::Stats) for what it turned away.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections, pending ones included (default 16,384; at most 2^20).
    pub connections: usize,
    /// Connections that one IPv4 address or IPv6 /64 has begun (default: no limit, because all pages of a
    /// gateway have its address). A host without a gateway is not filled by one machine if this is a small part.
    pub connections_per_network: usize,
    /// Pending connections as host (default 1,024).
    pub pending: usize,
    /// Pending connections from one address and port (default 4).
    pub pending_per_address: usize,
    /// Pending connections from one IPv4 address or IPv6 /64, once half of `pending` (or of `connections`, if that is less) is
    /// taken (default 64). When all are taken, the IPv4 address or IPv6 /48 that holds most gives one up for the
    /// newcomer. Refused ones do not count.
    pub pending_per_network: usize,
    /// Tokens remembered in each epoch (default 65,536; 16 bytes each).
    pub replay_tokens: usize,
    /// Received packets of one connection that the application has not taken yet (default 1,024), but
    /// never more than there are places left for all.
    pub queued_packets: usize,
    /// Received packets of all connections that the application has not taken yet (default 65,536).
    pub queued_packets_total: usize,
    /// Info packets that the application has not taken yet (default 64), of which a quarter from one IPv4 address or
    /// IPv6 /64.
    pub queued_info_packets: usize,
    /// Datagrams of this side that wait to be sent (default 8,192); then `send` fails with `Blocked`. Answers to
    /// peers, and answers to strangers, have another quarter of that each, and are dropped beyond it.
    pub queued_transmits: usize,
    /// The same in bytes (default 16 MiB).
    pub queued_transmit_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            application_id: Vec::new(),
            accept_incoming: true,
            settings: Settings::default(),
            min_tag_bytes: 8,
            ciphers: Cipher::DEFAULT_OFFER.to_vec(),
            handshake: HandshakeConfig::default(),
            puzzle: PuzzleConfig::default(),
            origins: OriginPolicy::default(),
            limits: Limits::default(),
            ping_interval: Duration::from_secs(5),
            busy_ping_interval: Duration::from_millis(1_500),
            ping_limit: 5,
            close_wait: Duration::from_secs(3),
            roaming: true,
            sole_identity: false,
            introduction: IntroductionConfig::default(),
            shard: 0,
        }
    }
}

impl Default for HandshakeConfig {
    fn default() -> Self {
        Self {
            retry_first: Duration::from_millis(250),
            retry_max: Duration::from_secs(2),
            wait: Duration::from_secs(10),
            application_wait: Duration::from_secs(120),
            challenge_age: Duration::from_secs(20),
            max_restarts: 3,
            epoch_lifetime: Duration::from_secs(30),
        }
    }
}

impl Default for PuzzleConfig {
    fn default() -> Self {
        Self { difficulty_min: 4, difficulty_max: 20, quiet_rate: 64, difficulty_limit: 22 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_network: ConnectionId::MAX_CONNECTIONS,
            pending: 1_024,
            pending_per_address: 4,
            pending_per_network: 64,
            replay_tokens: 65_536,
            queued_packets: 1_024,
            queued_packets_total: 65_536,
            queued_info_packets: 64,
            queued_transmits: 8_192,
            queued_transmit_bytes: 16 << 20,
        }
    }
}

/// A configuration that cannot work; the text says which figure and what it may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConfigError(pub(crate) &'static str);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for ConfigError {}

impl Config {
    /// The same with up to 32 bytes that both programs must share, for example a game's name and wire version.
    #[must_use]
    pub fn with_application_id(mut self, application_id: impl Into<Vec<u8>>) -> Self {
        self.application_id = application_id.into();
        self
    }

    /// The same with wishes for each connection.
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The same with any figures changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks every figure.
    ///
    /// # Errors
    /// Names the first figure that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = |good: bool, text| if good { Ok(()) } else { Err(ConfigError(text)) };
        check(self.application_id.len() <= 32, "application_id is at most 32 bytes")?;
        check(
            self.settings.is_valid(),
            "settings: window 8 to 32768, tag 4 to 16, ack_delay up to 1 s, max_packet 1150 or more",
        )?;
        let tags = Settings::MIN_TAG_BYTES..=Settings::MAX_TAG_BYTES;
        check(tags.contains(&self.min_tag_bytes), "min_tag_bytes is 4 to 16")?;
        check(
            self.settings.tag_bytes >= self.min_tag_bytes,
            "settings.tag_bytes is below min_tag_bytes; lower min_tag_bytes if you mean it",
        )?;
        let longest = Duration::from_secs(600);
        check(self.introduction.wait <= longest, "introduction.wait is at most 10 minutes")?;
        check(!self.ciphers.is_empty(), "ciphers: offer at least one")?;
        check(
            self.ciphers.iter().enumerate().all(|(i, cipher)| !self.ciphers[..i].contains(cipher)),
            "ciphers: each at most once",
        )?;
        check(self.puzzle.difficulty_min <= self.puzzle.difficulty_max, "puzzle: min is above max")?;
        check(self.puzzle.difficulty_max <= 32, "puzzle.difficulty_max is at most 32 bits")?;
        check(self.puzzle.quiet_rate > 0, "puzzle.quiet_rate is at least 1 request per second")?;
        self.origins.validate()?;
        check(
            (1..=ConnectionId::MAX_CONNECTIONS).contains(&self.limits.connections),
            "limits.connections is 1 to 1048576",
        )?;
        check(self.limits.queued_packets > 0, "limits.queued_packets is at least 1")?;
        check(self.ping_limit > 0, "ping_limit is at least 1")?;
        check(usize::from(self.shard) < ConnectionId::MAX_SHARDS, "shard is below 64")?;
        let positive = [
            self.handshake.retry_first,
            self.handshake.retry_max,
            self.handshake.wait,
            self.handshake.application_wait,
            self.handshake.epoch_lifetime,
            self.ping_interval,
            self.busy_ping_interval,
            self.close_wait,
        ];
        check(positive.iter().all(|d| *d >= Duration::from_millis(1)), "every interval is at least 1 ms")
    }
}
