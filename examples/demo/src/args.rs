//! The command line.

use std::time::Duration;

use torque_socket::{Cipher, Config, LinkConfig, Settings};

const EXAMPLES: &str = "\
Examples:
  cargo xtask demo                          four clients on a link that loses 3 %, and an arena for web pages
  cargo xtask demo --link mobile            on something like a mobile network
  cargo xtask demo --clients 16 --rate 120  more of everything
  cargo xtask demo --link perfect --seconds 10 --json
                                            what the protocol costs when nothing is lost

The link delays and loses in both directions. `overhead_bytes` is what goes over the wire for each
data packet beyond its payload: header, tag, acknowledgments, pings and close.

It succeeds only if every verdict agrees with what the receiver got.
";

/// Watch a host and its clients talk over a lossy link, and check every verdict
///
/// On a terminal it runs until q is pressed; elsewhere it prints a line a second and ends after ten.
#[derive(clap::Parser, Debug)]
#[command(name = "torque-demo", version, after_long_help = EXAMPLES)]
pub struct Args {
    /// One JSON object a line instead of text
    #[arg(long)]
    pub json: bool,

    /// The number of clients that connect
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub clients: u16,

    /// End after this many seconds of traffic
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,

    /// Packets a second, each way on each connection
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,

    /// Bytes of payload
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u16).range(8..=1_150))]
    pub size: u16,

    /// The link: perfect, home, mobile, terrible, or a text like delay=40,jitter=10,loss=5%
    #[arg(long, value_name = "LINK", default_value = "delay=20,jitter=5,loss=3%")]
    pub link: LinkConfig,

    /// Loss in each direction instead of the link's own, for example 10%
    #[arg(long, value_name = "PERCENT", value_parser = parse_loss)]
    pub loss: Option<f64>,

    /// Delay in each direction instead of the link's own, in milliseconds
    #[arg(long, value_name = "MS", value_parser = parse_delay)]
    pub delay: Option<Duration>,

    /// Bits of client puzzle that the host demands
    #[arg(long, value_name = "BITS", default_value_t = 4, value_parser = clap::value_parser!(u8).range(0..=22))]
    pub difficulty: u8,

    /// Wishes for the connections: window=128;tag=8;ack_delay=50;max_packet=1150
    #[arg(long, value_name = "SETTINGS")]
    pub settings: Option<Settings>,

    /// The packet cipher: aes128-gcm-sst, aes128-gcm or chacha20-poly1305
    #[arg(long, value_name = "NAME")]
    pub cipher: Option<Cipher>,

    /// Seed of the link, to lose the same packets again as far as timing allows
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// Lines instead of the live view, on a terminal too
    #[arg(long)]
    pub plain: bool,

    #[cfg(feature = "gateway")]
    #[command(flatten)]
    pub web: WebArgs,
}

fn parse_loss(text: &str) -> Result<f64, String> {
    let link: LinkConfig = format!("loss={text}").parse().map_err(|error| format!("{error}"))?;
    Ok(link.loss)
}

fn parse_delay(text: &str) -> Result<Duration, String> {
    let link: LinkConfig = format!("delay={text}").parse().map_err(|error| format!("{error}"))?;
    Ok(link.delay)
}

impl Args {
    /// The link with the changes of the other options.
    pub fn link(&self) -> LinkConfig {
        let mut link = self.link;
        link.loss = self.loss.unwrap_or(link.loss);
        link.delay = self.delay.unwrap_or(link.delay);
        link
    }

    /// The configuration of the host and the clients.
    pub fn config(&self) -> Config {
        let mut config = Config::default();
        config.application_id = b"torque demo".to_vec();
        if let Some(settings) = self.settings {
            // To ask for a shorter tag is to accept one.
            config.min_tag_bytes = config.min_tag_bytes.min(settings.tag_bytes);
            config.settings = settings;
        }
        if let Some(cipher) = self.cipher {
            config.ciphers = vec![cipher];
        }
        config
    }

    /// The time between two packets of one end of a connection.
    pub fn period(&self) -> Duration {
        Duration::from_secs(1) / self.rate
    }
}

/// The options of the web part.
#[cfg(feature = "gateway")]
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Web pages")]
pub struct WebArgs {
    /// Also host an arena for web pages, with a gateway that serves the built pages of this directory
    #[arg(long = "web", id = "web", value_name = "DIR")]
    pub files: Option<std::path::PathBuf>,

    /// Port of the pages and the gateway, TCP and UDP; 0 finds a free one
    #[arg(long, value_name = "PORT", default_value_t = torque_gateway::DEFAULT_PORT, requires = "web")]
    pub web_port: u16,

    /// Number of bots in the arena, behind the link
    #[arg(long, value_name = "N", default_value_t = 4, requires = "web", value_parser = clap::value_parser!(u8).range(0..=16))]
    pub bots: u8,

    /// Only the arena and the gateway, until stopped: no clients in the terminal
    #[arg(long, requires = "web")]
    pub web_only: bool,
}
