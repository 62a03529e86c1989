//! The options of every subcommand that opens a socket.

use std::path::PathBuf;
use std::time::Duration;

use torque_socket::{Builder, Cipher, Config, LinkConfig, Settings, Socket};

use crate::failure::Failure;
use crate::key_files;

/// The options of a socket.
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Socket")]
pub struct SocketOptions {
    /// File with this socket's secret key; created if it does not exist (default: a new key each time)
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Application id that both sides must share, at most 32 bytes
    #[arg(long, value_name = "ID", default_value = "")]
    pub application: String,

    /// Settings to ask for: window=128;tag=8;ack_delay=50;max_packet=1150
    #[arg(long, value_name = "SETTINGS")]
    pub settings: Option<Settings>,

    /// Packet cipher to offer or allow: aes128-gcm-sst, aes128-gcm or chacha20-poly1305; may be repeated, best first
    #[arg(long, value_name = "NAME")]
    pub cipher: Vec<Cipher>,

    /// Seconds to wait for each answer in a handshake (default: 10)
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub timeout: Option<u32>,

    /// Simulate a bad network: perfect, home, mobile, terrible, or delay=40,jitter=10,loss=5%
    #[arg(long, value_name = "LINK")]
    pub link: Option<LinkConfig>,
}

impl SocketOptions {
    /// The configuration from these options.
    pub fn config(&self) -> Config {
        let mut config = Config::default();
        config.application_id = self.application.clone().into_bytes();
        if let Some(settings) = self.settings {
            // To ask for a shorter tag is to accept one.
            config.min_tag_bytes = config.min_tag_bytes.min(settings.tag_bytes);
            config.settings = settings;
        }
        if let Some(seconds) = self.timeout {
            config.handshake.wait = Duration::from_secs(u64::from(seconds));
        }
        if !self.cipher.is_empty() {
            config.ciphers.clone_from(&self.cipher);
        }
        config
    }

    /// A builder with everything set.
    pub fn builder(&self) -> Result<Builder, Failure> {
        let mut builder = Socket::builder().config(self.config());
        if let Some(path) = &self.key {
            builder = builder.key_pair(key_files::for_socket(path)?);
        }
        if let Some(link) = self.link {
            builder = builder.simulated_link(link);
        }
        Ok(builder)
    }
}
