//! quinn: QUIC datagrams in a tokio runtime. Each end has a current-thread runtime of its own, so that a job
//! decides on which thread it works, and a task for each connection that reads its datagrams, as its users write it.
//! Options as for quinn-proto.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use quinn::{Connection, Endpoint, EndpointConfig, TokioRuntime};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::quinn_proto::{client_config, server_config};
use super::{End, Invitation, Load, Peer, Protocol, Take, plain, tls};
use crate::failure::Result;

pub const PEER: Peer = Peer {
    name: "quinn",
    package: Some("quinn"),
    about: "QUIC datagrams in a tokio runtime; otherwise as quinn-proto",
    protocol: || Box::new(Quinn),
    lock_step: false,
};

struct Quinn;

impl Protocol for Quinn {
    fn host(&self, load: &Load) -> Result<(Box<dyn End>, Invitation)> {
        let (config, key) = server_config(load)?;
        let end = QuinnEnd::new(Some(config))?;
        let SocketAddr::V4(address) = end.endpoint.local_addr()? else { return Err("not IPv4".into()) };
        let (endpoint, shared) = (end.endpoint.clone(), Arc::clone(&end.shared));
        end.runtime.spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    if let Ok(connection) = incoming.await {
                        read(connection, &shared).await;
                    }
                });
            }
        });
        Ok((Box::new(end), Invitation { address, key }))
    }

    fn client(&self, invitation: &Invitation, load: &Load) -> Result<Box<dyn End>> {
        let mut end = QuinnEnd::new(None)?;
        end.endpoint.set_default_client_config(client_config(&invitation.key, load)?);
        end.remote = Some(invitation.address.into());
        Ok(Box::new(end))
    }
}

/// What the tasks of one end tell it.
#[derive(Default)]
struct Shared {
    connections: Mutex<Vec<Connection>>,
    received: Mutex<Vec<(usize, Bytes)>>,
    news: Notify,
}

/// Reads the datagrams of a connection until it ends.
async fn read(connection: Connection, shared: &Shared) {
    let index = {
        let mut connections = shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.push(connection.clone());
        connections.len() - 1
    };
    shared.news.notify_one();
    while let Ok(datagram) = connection.read_datagram().await {
        shared.received.lock().unwrap_or_else(PoisonError::into_inner).push((index, datagram));
        shared.news.notify_one();
    }
}

struct QuinnEnd {
    runtime: Runtime,
    endpoint: Endpoint,
    shared: Arc<Shared>,
    /// Copies of the handles in `shared`.
    connections: Vec<Connection>,
    remote: Option<SocketAddr>,
}

impl QuinnEnd {
    fn new(server: Option<quinn::ServerConfig>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let endpoint = {
            let _inside = runtime.enter();
            Endpoint::new(EndpointConfig::default(), server, plain::bind()?, Arc::new(TokioRuntime))?
        };
        Ok(Self { runtime, endpoint, shared: Arc::default(), connections: Vec::new(), remote: None })
    }

    fn know_connections(&mut self) {
        let all = self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.connections.len();
        self.connections.extend(all.iter().skip(known).cloned());
    }
}

impl End for QuinnEnd {
    fn start(&mut self) -> Result {
        if let Some(remote) = self.remote.take() {
            let _inside = self.runtime.enter();
            let connecting = self.endpoint.connect(remote, tls::NAME)?;
            let shared = Arc::clone(&self.shared);
            self.runtime.spawn(async move {
                if let Ok(connection) = connecting.await {
                    read(connection, &shared).await;
                }
            });
        }
        self.flush()
    }

    fn established(&self) -> usize {
        self.connections.len()
    }

    fn send(&mut self, connection: usize, payload: &[u8]) -> Result<bool> {
        let connection = &self.connections[connection];
        // `send_datagram` would throw older packets away.
        if connection.datagram_send_buffer_space() < payload.len() {
            return Ok(false);
        }
        connection.send_datagram(Bytes::copy_from_slice(payload))?;
        Ok(true)
    }

    /// Lets the tasks that drive connections run.
    fn flush(&mut self) -> Result {
        self.runtime.block_on(yield_now());
        Ok(())
    }

    fn receive(&mut self, _: usize, take: Take<'_>) -> Result {
        // quinn receives for some 50 µs at a time, so the runtime has its turns until nothing new comes of them. The
        // first lets it look at the socket, the next two let tasks do what follows.
        let shared = &self.shared;
        self.runtime.block_on(async {
            let count = || shared.received.lock().unwrap_or_else(PoisonError::into_inner).len();
            loop {
                let before = count();
                for _ in 0..3 {
                    yield_now().await;
                }
                if count() == before {
                    break;
                }
            }
        });
        if self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner).len()
            > self.connections.len()
        {
            self.know_connections();
        }
        let mut received = self.shared.received.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, bytes) in received.drain(..) {
            take(index, &bytes);
        }
        Ok(())
    }

    fn wait(&mut self) -> Result {
        let news = self.shared.news.notified();
        // That nothing came is no error.
        let _ = self.runtime.block_on(async { tokio::time::timeout(plain::WAIT, news).await });
        Ok(())
    }
}
