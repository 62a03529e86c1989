//! The bounds of `torque host`.

use torque_socket::{Builder, Config, ConnectionId};

/// The most that a host spends on others. The metrics count what they turned away.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Limits")]
pub struct LimitOptions {
    /// The most connections, over all shards; further initiators are told that the host is full
    #[arg(long = "max", value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,

    /// The most connections from one IPv4 address or IPv6 /64, in each shard (default: no limit; pages that come through a gateway share its address)
    #[arg(long = "max-per-network", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    per_network: Option<u16>,

    /// The most requests that are neither let in nor refused yet [counter: busy]
    #[arg(long = "max-pending", value_name = "N", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pending: u32,

    /// The most such requests from one address and port
    #[arg(long = "max-pending-per-address", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pending_per_address: u32,

    /// The most such requests from one IPv4 address or IPv6 /64, once half of --max-pending is taken [counter: busy]
    #[arg(long = "max-pending-per-network", value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pending_per_network: u32,

    /// The most received packets of one connection that wait for this program; further ones are reported as dropped [counter: queue_full]
    #[arg(long = "max-queued", value_name = "N", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    queued: u32,

    /// The same for all connections together
    #[arg(long = "max-queued-total", value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    queued_total: u32,

    /// The most datagrams that wait to be sent [counter: transmits_dropped]
    #[arg(long = "max-unsent", value_name = "N", default_value_t = 8_192, value_parser = clap::value_parser!(u32).range(16..=10_000_000))]
    unsent: u32,

    /// The same in bytes
    #[arg(long = "max-unsent-bytes", value_name = "BYTES", default_value_t = 16 << 20, value_parser = clap::value_parser!(u32).range(65_536..=1_073_741_824))]
    unsent_bytes: u32,

    /// Tokens of served requests that are remembered in each epoch of 30 seconds, 16 bytes each [counter: stale_epoch]
    #[arg(long = "max-tokens", value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(64..=10_000_000))]
    tokens: u32,

    /// Bits of client puzzle when the host is quiet; each bit doubles an initiator's work
    #[arg(long, value_name = "BITS", default_value_t = 4, value_parser = clap::value_parser!(u8).range(0..=32))]
    puzzle_min: u8,

    /// Bits of client puzzle under the heaviest load
    #[arg(long, value_name = "BITS", default_value_t = 20, value_parser = clap::value_parser!(u8).range(0..=32))]
    puzzle_max: u8,

    /// Bytes that the operating system may hold for this program to receive; it may give less [counter: io_receive_buffer_full]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(4_096..=1_073_741_824))]
    receive_buffer: Option<u32>,

    /// Bytes that the operating system may hold for sending; it may give less [counter: io_would_block]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(4_096..=1_073_741_824))]
    send_buffer: Option<u32>,
}

impl LimitOptions {
    /// Puts them into a configuration.
    pub fn apply(&self, config: &mut Config) {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let limits = &mut config.limits;
        limits.pending = size(self.pending);
        limits.connections_per_network = self.per_network.map_or(limits.connections_per_network, usize::from);
        limits.pending_per_address = size(self.pending_per_address);
        limits.pending_per_network = size(self.pending_per_network);
        limits.queued_packets = size(self.queued);
        limits.queued_packets_total = size(self.queued_total);
        limits.queued_transmits = size(self.unsent);
        limits.queued_transmit_bytes = size(self.unsent_bytes);
        limits.replay_tokens = size(self.tokens);
        // Room beside the connections for those that are pending, and for those that have ended and answer for a
        // few seconds more, so that --max is what binds. All of them may be of one shard.
        let needed = 2 * usize::from(self.connections) + limits.pending;
        limits.connections = limits.connections.max(needed).min(ConnectionId::MAX_CONNECTIONS);
        config.puzzle.difficulty_min = self.puzzle_min;
        config.puzzle.difficulty_max = self.puzzle_max;
    }

    /// Sets the operating system's buffers.
    pub fn buffers(&self, mut builder: Builder) -> Builder {
        if let Some(bytes) = self.receive_buffer {
            builder = builder.receive_buffer_size(bytes as usize);
        }
        if let Some(bytes) = self.send_buffer {
            builder = builder.send_buffer_size(bytes as usize);
        }
        builder
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        limits: LimitOptions,
    }

    fn config(arguments: &[&str]) -> Config {
        let mut config = Config::default();
        Only::parse_from([&["x"], arguments].concat()).limits.apply(&mut config);
        config
    }

    #[test]
    fn the_limit_of_connections_leaves_space_for_pending_and_ended_ones() {
        for connections in [1, 256, 16_384, 30_000, 65_535] {
            let config = config(&["--max", &connections.to_string()]);
            assert!(config.limits.connections >= 2 * connections + config.limits.pending, "{connections}");
            assert!(config.validate().is_ok());
        }
        let most = config(&["--max", "65535", "--max-pending", "1000000"]);
        assert!(most.validate().is_ok());
    }

    #[test]
    fn what_no_option_changes_is_as_the_library_has_it() {
        let (options, library) = (config(&[]), Config::default());
        assert_eq!(format!("{:?}", options.limits), format!("{:?}", library.limits));
        assert_eq!(format!("{:?}", options.puzzle), format!("{:?}", library.puzzle));
    }
}
