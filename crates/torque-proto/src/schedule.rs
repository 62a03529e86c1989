//! When the addresses of one host are asked, by attempts here and by drivers that send probes (PROTOCOL.md 4.9, 5.5).

use core::time::Duration;

/// How long an address may stay silent before the next one is asked beside it; RFC 8305 calls it the connection
/// attempt delay.
pub const NEXT_CANDIDATE: Duration = Duration::from_millis(250);

/// The most addresses that one attempt asks. Further ones are left out.
pub const MAX_CANDIDATES: usize = 16;

/// When each address gets a probe, counted from the beginning, where probes decide between addresses.
pub const PROBES_AT: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(250), Duration::from_millis(750), Duration::from_millis(1_500)];

/// How long the addresses have to echo a probe. If none does, the best address is taken.
pub const PROBE_WAIT: Duration = Duration::from_secs(3);
