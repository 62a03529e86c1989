//! iroh in the rig of real NATs (../README.md): its relay, or one of two parties. Each is a process, which takes commands in lines on
//! its standard input, says in lines of JSON what it saw, and ends when its standard input does.

use std::error::Error;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use iroh::endpoint::{Connection, presets};
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayMap, RelayMode, RelayUrl};
use iroh_relay::server::testing::self_signed_tls_certs_and_config;
use iroh_relay::server::{CertConfig, QuicConfig, RelayConfig, Server, ServerConfig, TlsConfig};
use iroh_relay::tls::CaTlsConfig;
use iroh_relay::{RelayConfig as KnownRelay, RelayQuicConfig};
use n0_future::StreamExt;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin, stdin};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const PROTOCOL: &[u8] = b"torque-rig";
/// The relay's port for QUIC, by which parties learn their addresses.
const QUIC_PORT: u16 = 7_842;
/// The pause between packets.
const PAUSE: Duration = Duration::from_millis(10);
/// The time in which a party reaches its relay.
const ONLINE: Duration = Duration::from_secs(20);
/// A party gives up after this time without an end.
const LIMIT: Duration = Duration::from_secs(60);

/// It is ready: connected to its relay, or the relay itself.
#[derive(Serialize)]
struct Ready {
    /// What the other party needs to know.
    key: String,
}

/// What a party saw, with the names that the rig knows.
#[derive(Serialize)]
struct Report {
    way: &'static str,
    /// Milliseconds from the call.
    established: Option<f64>,
    first: Option<f64>,
    direct: Option<f64>,
    punches: u64,
    remark: String,
}

/// The longest time without a packet while the rig watched, in milliseconds.
#[derive(Serialize)]
struct Gap {
    longest: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["relay"] => relay().await,
        [role @ ("initiator" | "host"), relay, linger] => party(role == "host", relay, linger).await,
        _ => Err("relay, or initiator|host RELAY-IP LINGER-MS".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Lines are for the rig, which reads them at once.
fn say(line: &impl Serialize) -> Outcome {
    println!("{}", serde_json::to_string(line)?);
    Ok(())
}

async fn relay() -> Outcome {
    let all = IpAddr::from([0_u16; 8]);
    let (_, server_config) = self_signed_tls_certs_and_config();
    let mut relay = RelayConfig::new((all, 80));
    relay.tls = Some(TlsConfig::new((all, 443), CertConfig::Manual { server_config }));
    let mut config = ServerConfig::default();
    config.relay = Some(relay);
    config.quic = Some(QuicConfig::new((all, QUIC_PORT)));
    let _server = Server::spawn(config).await?;
    say(&Ready { key: String::new() })?;
    let mut lines = BufReader::new(stdin()).lines();
    while lines.next_line().await?.is_some() {}
    Ok(())
}

async fn party(is_host: bool, relay: &str, linger: &str) -> Outcome {
    let linger = Duration::from_millis(linger.parse()?);
    let url: RelayUrl = match relay.parse()? {
        IpAddr::V4(ip) => format!("https://{ip}"),
        IpAddr::V6(ip) => format!("https://[{ip}]"),
    }
    .parse()?;
    let relays: RelayMap = KnownRelay::new(url.clone(), Some(RelayQuicConfig::new(QUIC_PORT))).into();
    let endpoint = Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Custom(relays))
        .ca_tls_config(CaTlsConfig::insecure_skip_verify())
        .alpns(vec![PROTOCOL.to_vec()])
        .bind()
        .await?;
    tokio::time::timeout(ONLINE, endpoint.online()).await.map_err(|_| "the relay is out of reach")?;
    say(&Ready { key: endpoint.id().to_string() })?;
    let mut commands = BufReader::new(stdin()).lines();
    let (connection, began) = if is_host {
        let incoming = endpoint.accept().await.ok_or("the endpoint has ended")?;
        let began = Instant::now();
        (incoming.accept()?.await?, began)
    } else {
        let host: EndpointId = commands.next_line().await?.ok_or("no host was named")?.parse()?;
        let began = Instant::now();
        let address = EndpointAddr::new(host).with_relay_url(url);
        (endpoint.connect(address, PROTOCOL).await?, began)
    };
    Party { connection, began, linger, established: began.elapsed(), first: None, direct: None, heard: None }
        .run(commands)
        .await
}

struct Party {
    connection: Connection,
    began: Instant,
    linger: Duration,
    established: Duration,
    /// When the first packet arrived, and when a direct path was selected, after the beginning.
    first: Option<Duration>,
    direct: Option<Duration>,
    /// While the rig watches: when a packet arrived last, and the longest time without one before.
    heard: Option<(Instant, Duration)>,
}

impl Party {
    async fn run(mut self, mut commands: Lines<BufReader<Stdin>>) -> Outcome {
        let connection = self.connection.clone();
        let mut paths = connection.paths_stream();
        let mut ticks = tokio::time::interval(PAUSE);
        let mut is_reported = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    // Errors are told by what the other party hears.
                    let _ = connection.send_datagram(Bytes::from_static(b"hello"));
                }
                datagram = connection.read_datagram() => {
                    datagram?;
                    self.first.get_or_insert_with(|| self.began.elapsed());
                    self.hear();
                }
                Some(list) = paths.next() => {
                    if self.direct.is_none() && list.iter().any(|path| path.is_selected() && path.is_ip()) {
                        self.direct = Some(self.began.elapsed());
                    }
                }
                command = commands.next_line() => match command?.as_deref() {
                    Some("watch") => self.heard = Some((Instant::now(), Duration::ZERO)),
                    Some("tell") => {
                        self.hear();
                        let longest = self.heard.map(|(_, longest)| millis(longest));
                        say(&Gap { longest: longest.ok_or("nothing was watched")? })?;
                    }
                    Some(_) => return Err("watch, or tell".into()),
                    None => return Ok(()),
                },
            }
            if let Some(way) = self.way().filter(|_| !is_reported) {
                is_reported = true;
                self.report(way)?;
            }
        }
    }

    fn hear(&mut self) {
        if let Some((last, longest)) = &mut self.heard {
            *longest = last.elapsed().max(*longest);
            *last = Instant::now();
        }
    }

    /// What came of it. A relayed connection has a while to become direct.
    fn way(&self) -> Option<&'static str> {
        match (self.first, self.direct) {
            (Some(_), Some(_)) => Some("direct"),
            (Some(first), None) if self.began.elapsed() >= first + self.linger => Some("relayed"),
            _ if self.began.elapsed() >= LIMIT => Some("failed"),
            _ => None,
        }
    }

    fn report(&self, way: &'static str) -> Outcome {
        say(&Report {
            way,
            established: Some(millis(self.established)),
            first: self.first.map(millis),
            direct: self.direct.map(millis),
            punches: 0,
            remark: format!("{:?}", self.connection.paths()),
        })
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
