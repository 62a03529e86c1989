//! The `TorqueSocket` of a page: the protocol's core with a page's session below it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use torque_gateway::wire::control::{FromPage, ToPage};
use torque_proto::{Address, Config, Datagram, Endpoint, Event, Instant, Path, Setup};

use super::page::{Got, Page};
use super::soon;

/// A page's socket.
pub struct PageSocket {
    pub page: Page,
    pub endpoint: Endpoint,
    addresses: HashMap<u32, SocketAddr>,
    contexts: HashMap<SocketAddr, u32>,
    start: std::time::Instant,
    /// Tokens that have come.
    pub tokens: Vec<Vec<u8>>,
}

impl PageSocket {
    pub fn new(page: Page) -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        let unix_millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let setup = Setup { config: Config::default(), key_pair: None, seed, unix_millis };
        Self {
            page,
            endpoint: Endpoint::new(Instant::from_micros(0), setup).unwrap(),
            addresses: HashMap::new(),
            contexts: HashMap::new(),
            start: std::time::Instant::now(),
            tokens: Vec::new(),
        }
    }

    pub fn now(&self) -> Instant {
        Instant::from_micros(self.start.elapsed().as_micros() as u64)
    }

    /// Has the gateway open a context for a host.
    pub async fn open(&mut self, address: SocketAddr) -> u32 {
        let context = self.page.context_of(address).await;
        self.learn(context, address);
        context
    }

    /// Asks for an origin token for a host, and returns it when it has come.
    pub async fn attest(&mut self, context: u32, host: &[u8; 32]) -> Vec<u8> {
        let initiator = *self.endpoint.public_key().as_bytes();
        self.page.control(FromPage::Attest { request: 7, context, initiator, host: *host }).await;
        while self.tokens.is_empty() {
            self.turn().await;
        }
        self.tokens.remove(0)
    }

    fn learn(&mut self, context: u32, address: SocketAddr) {
        self.addresses.insert(context, address);
        self.contexts.insert(address, context);
    }

    /// The next event.
    pub async fn event(&mut self) -> Event {
        soon(async {
            loop {
                if let Some(event) = self.endpoint.poll_event() {
                    self.flush().await;
                    return event;
                }
                self.turn().await;
            }
        })
        .await
    }

    /// Sends what the endpoint has for the network.
    pub async fn flush(&mut self) {
        let mut out = Vec::new();
        for transmit in self.endpoint.transmits().iter() {
            out.push((transmit.path.remote, transmit.bytes.to_vec()));
        }
        let count = out.len();
        self.endpoint.transmits().consume(count);
        for (remote, bytes) in out {
            if let Some(context) = remote.socket_addr().and_then(|address| self.contexts.get(&address)) {
                self.page.datagram(*context, &bytes).await;
            }
        }
    }

    /// Sends, waits a little for something to come, and runs timers.
    pub async fn turn(&mut self) {
        self.flush().await;
        match self.page.next_within(Duration::from_millis(5)).await {
            Some(Got::Control(ToPage::Context { context, address })) => self.learn(context, address),
            Some(Got::Control(ToPage::Attested { token, .. })) => self.tokens.push(token),
            Some(Got::Datagram(context, mut bytes)) => {
                if let Some(address) = self.addresses.get(&context) {
                    let remote = Address::from(*address);
                    let now = self.now();
                    self.endpoint
                        .handle_datagram(now, Datagram { path: Path::to(remote), bytes: &mut bytes });
                }
            }
            Some(Got::End) => panic!("the session has ended"),
            _ => {}
        }
        let now = self.now();
        self.endpoint.handle_timeout(now);
        self.flush().await;
    }
}
