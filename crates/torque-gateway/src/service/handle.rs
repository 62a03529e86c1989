//! A gateway with its own threads, for programs without a tokio runtime.

use std::fmt;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use torque_proto::PublicKey;

use crate::config::{Config, StartError};
use crate::service::gateway::Gateway;

/// The time in which the runtime must end the remaining tasks of a gateway.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// A gateway that runs in its own threads. Dropping it ends all sessions at once; [`drain`](Self::drain) warns pages first.
pub struct Handle {
    local_addrs: Vec<SocketAddr>,
    metrics_addr: Option<SocketAddr>,
    public_key: PublicKey,
    description: String,
    /// Sends the patience of a drain. `None` once it was sent.
    end: Option<oneshot::Sender<Duration>>,
    thread: Option<JoinHandle<()>>,
}

impl Gateway {
    /// Starts a gateway in its own threads.
    ///
    /// # Errors
    /// [`StartError`] says what to change.
    pub fn spawn(config: Config) -> Result<Handle, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("torque-gateway")
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let (started, start) = mpsc::sync_channel(1);
        let (end, ended) = oneshot::channel();
        let main = async move {
            let gateway = match Self::start(config).await {
                Ok(gateway) => gateway,
                Err(error) => {
                    // The caller waits for this.
                    let _ = started.send(Err(error));
                    return;
                }
            };
            let facts = (
                gateway.local_addrs().to_vec(),
                gateway.metrics_addr(),
                gateway.public_key(),
                gateway.description(None),
            );
            let _ = started.send(Ok(facts));
            if let Ok(patience) = ended.await {
                gateway.drain(patience).await;
            }
        };
        let thread = std::thread::Builder::new()
            .name("torque-gateway".into())
            .spawn(move || {
                runtime.block_on(main);
                runtime.shutdown_timeout(SHUTDOWN);
            })
            .map_err(StartError::Runtime)?;
        let gone = |_| StartError::Runtime(std::io::Error::other("the gateway's thread ended"));
        let (local_addrs, metrics_addr, public_key, description) = start.recv().map_err(gone)??;
        Ok(Handle {
            local_addrs,
            metrics_addr,
            public_key,
            description,
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Handle {
    /// The first address that it listens at. If the port was 0, this has the port that was found.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addrs[0]
    }

    /// All addresses that it listens at.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// The address that serves metrics, if any.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_addr
    }

    /// Its public key, which signs origin tokens.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// The description that it had when it started (GATEWAY.md 6), as JSON. Certificates change, so pages request it themselves.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Stops giving sessions, tells pages when the gateway goes away, and waits until they have left, for `patience` at
    /// most. 49 days is the longest patience.
    pub fn drain(mut self, patience: Duration) {
        if let Some(end) = self.end.take() {
            // If its thread is gone, so are its sessions.
            let _ = end.send(patience);
        }
        self.join();
    }

    fn join(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.join();
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("local_addrs", &self.local_addrs)
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}
