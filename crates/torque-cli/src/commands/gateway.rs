//! `torque gateway`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use torque_gateway::{
    Certificates, Config, DEFAULT_PORT, Gateway, Handle, Limits, Origins, Rate, Strangers, Targets,
};

use crate::failure::Failure;
use crate::key_files;
use crate::logs;
use crate::output::{DIM, GOOD, NAME, Output, WARN};
use crate::stop::{self, LOOK_EVERY};

const EXAMPLES: &str = "\
Examples:
  torque gateway --allow-target localhost:28000
                              for development: pages of this machine reach the host of this machine
  torque gateway --files web --allow-target localhost:28000
                              the same, and serves the pages in web/ at http://localhost:4433
  torque gateway --certificate /etc/letsencrypt/live/gw.example/fullchain.pem \\
      --certificate-key /etc/letsencrypt/live/gw.example/privkey.pem --key gateway.key \\
      --allow-origin https://game.example --allow-target game.example:28000
                              for the public: the pages of one site, and one host
  torque gateway ... --strangers public
                              the same, and pages can be hosts for anyone
  torque gateway ... --metrics 127.0.0.1:9281
                              counters at http://127.0.0.1:9281/metrics

Targets: name:port, ip:port, [ip6]:port, network/bits:ports; ports are N, N-M or *. A name reaches only
public addresses. Private ones and those of this machine must be listed themselves (localhost means 127.0.0.1 and [::1]).

Logs go to standard error, with a time in UTC and a level. RUST_LOG=warn shows only what needs attention,
RUST_LOG=torque_gateway=debug also how connections ended.

Hosts that want to know the site of a page must trust the gateway's public key. It is printed at the start, and is
permanent with --key.
";

/// Lend web pages UDP ports, over WebTransport or WebSocket
///
/// A page's socket runs in the page, keys included; this moves its datagrams, which it cannot read or forge. It is
/// no open proxy: it passes only what has the form of TorqueSocket, to targets on your list, that have shown that they
/// want it. Ends on Ctrl-C or SIGTERM, once pages have left or --drain is over.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Address and port, for UDP and TCP; may be repeated [default: localhost:4433 in development, else [::]:4433]
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    listen: Vec<Listen>,

    /// Allow pages of this origin (https://game.example, http://localhost:*, or * for all); may be repeated [default
    /// in development: this machine's, else none]
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<Origins>,

    /// Allow pages to reach this target (host:port, ip:*, network/bits:first-last); may be repeated
    #[arg(long, value_name = "TARGET")]
    allow_target: Vec<Targets>,

    /// Allow pages to reach other pages through this gateway
    #[arg(long)]
    allow_sessions: bool,

    /// Let remotes that are not on the list write to a page first, and be answered, so that pages can be hosts [default
    /// in development: any, else none]
    #[arg(long, value_name = "WHICH")]
    strangers: Option<StrangersOption>,

    /// PEM file with the certificate and those that signed it; read again when it changes
    #[arg(long, value_name = "FILE", requires = "certificate_key", conflicts_with = "development")]
    certificate: Option<PathBuf>,

    /// PEM file with the certificate's private key
    #[arg(long, value_name = "FILE", requires = "certificate")]
    certificate_key: Option<PathBuf>,

    /// Use certificates that the gateway makes, for pages of http://localhost (the default without --certificate)
    #[arg(long)]
    development: bool,

    /// File with the gateway's secret key, which signs origin tokens; made if it does not exist (default: a fresh
    /// key, forgotten afterwards)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// Address by which remotes see this machine, if it is behind address translation; one of each family
    #[arg(long, value_name = "IP")]
    public_ip: Vec<IpAddr>,

    /// Serve the files of this directory at the same TCP port
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,

    /// Serve Prometheus metrics over HTTP at this address; it is not protected, so keep it on a private network
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,

    /// Time that pages have to finish after the request to end
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    drain: u64,

    #[command(flatten)]
    limits: LimitOptions,
}

/// The limits of sessions.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Limits")]
struct LimitOptions {
    /// The most sessions
    #[arg(long, value_name = "N", default_value_t = Limits::default().sessions)]
    max_sessions: u32,

    /// The most sessions of one client address (of IPv6, one network of 64 bits; of one of 48 bits four times as many, or a quarter of all if that is less)
    #[arg(long, value_name = "N", default_value_t = Limits::default().sessions_of_client)]
    max_sessions_of_client: u32,

    /// The most remotes of one session
    #[arg(long, value_name = "N", default_value_t = Limits::default().contexts)]
    max_contexts: u16,

    /// Datagrams a second of one session, in each direction
    #[arg(long, value_name = "N", default_value_t = Limits::default().session_rate.datagrams)]
    rate: u32,

    /// Bytes a second of one session, in each direction
    #[arg(long, value_name = "N", default_value_t = Limits::default().session_rate.bytes)]
    rate_bytes: u32,

    /// Datagrams a second of all sessions to one remote
    #[arg(long, value_name = "N", default_value_t = Limits::default().target_rate.datagrams)]
    target_rate: u32,

    /// Bytes a second of all sessions to one remote
    #[arg(long, value_name = "N", default_value_t = Limits::default().target_rate.bytes)]
    target_rate_bytes: u32,

    /// Datagrams a second of one client's sessions to one remote [default: a quarter of --target-rate]
    #[arg(long, value_name = "N")]
    target_rate_of_client: Option<u32>,

    /// Bytes a second of one client's sessions to one remote [default: a quarter of --target-rate-bytes]
    #[arg(long, value_name = "N")]
    target_rate_bytes_of_client: Option<u32>,

    /// Seconds after which a session without any datagram is ended, at most a day
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().idle.as_secs(), value_parser = clap::value_parser!(u64).range(1..=Limits::MAX_IDLE.as_secs()))]
    idle: u64,
}

/// Which remotes may write first.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum StrangersOption {
    /// None: pages reach what is on the list, and are hosts to nobody else
    None,
    /// Those with public addresses. A page and its helper there can then send each other anything through the gateway
    Public,
    /// Those with private and local addresses too
    Any,
}

impl From<StrangersOption> for Strangers {
    fn from(option: StrangersOption) -> Self {
        match option {
            StrangersOption::None => Self::Refused,
            StrangersOption::Public => Self::Public,
            StrangersOption::Any => Self::Local,
        }
    }
}

/// The word of `--strangers`.
fn word(strangers: Strangers) -> &'static str {
    match strangers {
        Strangers::Refused => "none",
        Strangers::Public => "public",
        Strangers::Local => "any",
    }
}

/// Addresses of one `--listen`.
#[derive(Clone, Debug)]
struct Listen(Vec<SocketAddr>);

fn parse_listen(text: &str) -> Result<Listen, String> {
    if let Some(port) = text.strip_prefix("localhost:") {
        let port = port.parse().map_err(|_| format!("`{port}` is no port"))?;
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        return Ok(Listen(loopback.map(|ip| SocketAddr::new(ip, port)).to_vec()));
    }
    let address = text.parse().map_err(|_| "write IP:PORT, [IP6]:PORT or localhost:PORT".to_owned())?;
    Ok(Listen(vec![address]))
}

impl Args {
    fn config(&self) -> Result<Config, Failure> {
        let mut config = match (&self.certificate, &self.certificate_key) {
            (Some(chain), Some(key)) => {
                Config::with_certificates(Certificates::Files { chain: chain.clone(), key: key.clone() })
            }
            _ => Config::development(DEFAULT_PORT),
        };
        if !self.listen.is_empty() {
            config.listen = self.listen.iter().flat_map(|listen| listen.0.clone()).collect();
        }
        if !self.allow_origin.is_empty() {
            config.origins = Origins::default();
            self.allow_origin.iter().for_each(|origins| config.origins.extend(origins.clone()));
        }
        if config.origins.is_empty() {
            return Err(Failure::usage("no page could use this gateway")
                .next("name the origin of yours with --allow-origin, for example https://game.example"));
        }
        self.allow_target.iter().for_each(|targets| config.targets.extend(targets.clone()));
        config.key_pair = self.key.as_deref().map(key_files::for_socket).transpose()?;
        config.allow_sessions = self.allow_sessions;
        if let Some(strangers) = self.strangers {
            config.strangers = strangers.into();
        }
        config.public_ips = self.public_ips()?;
        config.files.clone_from(&self.files);
        config.metrics = self.metrics;
        config.limits = self.limits.limits();
        Ok(config)
    }

    /// The addresses of `--public-ip`, at most one of each family: remotes of a family see one.
    fn public_ips(&self) -> Result<Vec<IpAddr>, Failure> {
        let ips: Vec<_> = self.public_ip.iter().map(IpAddr::to_canonical).collect();
        for (family, is_of_family) in
            [("IPv4", IpAddr::is_ipv4 as fn(&IpAddr) -> bool), ("IPv6", IpAddr::is_ipv6)]
        {
            if ips.iter().filter(|ip| is_of_family(ip)).count() > 1 {
                return Err(Failure::usage(format!("--public-ip names more than one {family} address"))
                    .next("name the one by which remotes see this machine"));
            }
        }
        Ok(ips)
    }
}

impl LimitOptions {
    fn limits(&self) -> Limits {
        Limits {
            sessions: self.max_sessions,
            sessions_of_client: self.max_sessions_of_client,
            contexts: self.max_contexts,
            session_rate: Rate { datagrams: self.rate, bytes: self.rate_bytes },
            target_rate: Rate { datagrams: self.target_rate, bytes: self.target_rate_bytes },
            target_rate_of_client: Rate {
                datagrams: self.target_rate_of_client.unwrap_or(self.target_rate / 4),
                bytes: self.target_rate_bytes_of_client.unwrap_or(self.target_rate_bytes / 4),
            },
            idle: Duration::from_secs(self.idle),
        }
    }
}

pub fn run(args: Args, output: &Output) -> Result<(), Failure> {
    stop::watch()?;
    logs::show_gateway(output);
    let config = args.config()?;
    let facts = Facts {
        is_development: config.certificates == Certificates::Development,
        origins: config.origins.to_string(),
        targets: config.targets.to_string(),
        strangers: config.strangers,
    };
    let gateway = Gateway::spawn(config).map_err(|error| Failure::failed(error.to_string()))?;
    announce(&gateway, &facts, &args, output)?;
    while !stop::requested() {
        thread::sleep(LOOK_EVERY);
    }
    gateway.drain(Duration::from_secs(args.drain));
    Ok(())
}

/// The parts of the configuration that are printed.
struct Facts {
    is_development: bool,
    origins: String,
    targets: String,
    strangers: Strangers,
}

/// Says where the gateway is, and what pages give to `bind`.
fn announce(gateway: &Handle, facts: &Facts, args: &Args, output: &Output) -> Result<(), Failure> {
    let Facts { is_development, origins, targets, strangers } = facts;
    let (is_development, strangers) = (*is_development, *strangers);
    let port = gateway.local_addr().port();
    let url = match is_development {
        true => format!("http://localhost:{port}"),
        false => format!("https://THIS-MACHINE:{port}"),
    };
    let addresses: Vec<_> = gateway.local_addrs().iter().map(ToString::to_string).collect();
    output.line(format_args!("{GOOD}listening{GOOD:#} on {}", addresses.join(" and ")))?;
    output.line(format_args!("  pages:   socket.bind({NAME}\"{url}\"{NAME:#})"))?;
    output.line(format_args!("  key:     {NAME}{}{NAME:#}", gateway.public_key()))?;
    output.line(format_args!("  origins: {origins}"))?;
    match (targets.as_str(), strangers) {
        ("", Strangers::Refused) => output.line(format_args!(
            "  targets: {WARN}none{WARN:#}; pages can reach nobody (--allow-target), nor be hosts (--strangers)"
        ))?,
        ("", _) => output.line(format_args!(
            "  targets: {WARN}none{WARN:#}; pages can be hosts, and connect to nobody (--allow-target)"
        ))?,
        _ => output.line(format_args!("  targets: {targets}"))?,
    }
    if strangers != Strangers::Refused {
        output
            .line(format_args!("  hosts:   pages can be, for {} strangers (--strangers)", word(strangers)))?;
    }
    if let Some(files) = &args.files {
        output.line(format_args!("  files:   {} at {url}", files.display()))?;
    }
    if let Some(metrics) = gateway.metrics_addr() {
        output.line(format_args!("  metrics: http://{metrics}/metrics"))?;
    }
    if is_development {
        output.line(format_args!(
            "  {DIM}for development: browsers take it from pages of http://localhost only{DIM:#}"
        ))?;
    }
    output.record(|| {
        json!({
            "event": "listening",
            "addresses": addresses,
            "url": url,
            "public_key": gateway.public_key().to_string(),
            "development": is_development,
            "origins": origins,
            "targets": targets,
            "strangers": word(strangers),
            "metrics": gateway.metrics_addr().map(|address| address.to_string()),
            "description": serde_json::from_str::<Value>(gateway.description()).ok(),
        })
    })
}
