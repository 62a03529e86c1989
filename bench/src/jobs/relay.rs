//! Stands between a client and a host and counts what passes, so that bytes on the wire are counted in the same way
//! for every peer, whatever it says of itself.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::failure::Result;
use crate::peers::plain;

/// How often a thread looks whether it should end.
const LOOK: Duration = Duration::from_millis(20);

/// Datagrams and their bytes, UDP and IP headers not counted.
#[derive(Default)]
struct Counter {
    datagrams: AtomicU64,
    bytes: AtomicU64,
}

/// What passed in both directions.
#[derive(Clone, Copy, Default, Debug)]
pub struct Passed {
    pub datagrams_there: u64,
    pub bytes_there: u64,
    pub datagrams_back: u64,
    pub bytes_back: u64,
}

impl Passed {
    pub fn since(self, before: Self) -> Self {
        Self {
            datagrams_there: self.datagrams_there - before.datagrams_there,
            bytes_there: self.bytes_there - before.bytes_there,
            datagrams_back: self.datagrams_back - before.datagrams_back,
            bytes_back: self.bytes_back - before.bytes_back,
        }
    }
}

/// A relay for one client.
pub struct Relay {
    /// Where the client sends to.
    pub front: SocketAddrV4,
    host: Arc<OnceLock<SocketAddrV4>>,
    there: Arc<Counter>,
    back: Arc<Counter>,
    finished: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    pub fn start() -> Result<Self> {
        let (front, behind) = (plain::bind()?, plain::bind()?);
        front.set_read_timeout(Some(LOOK))?;
        behind.set_read_timeout(Some(LOOK))?;
        let mut relay = Self {
            front: plain::address_of(&front)?,
            host: Arc::default(),
            there: Arc::default(),
            back: Arc::default(),
            finished: Arc::default(),
            threads: Vec::new(),
        };
        let client = Arc::new(OnceLock::new());
        let (a, b) = (front.try_clone()?, behind.try_clone()?);
        let (host, counter, finished) = (relay.host.clone(), relay.there.clone(), relay.finished.clone());
        let learned = Arc::clone(&client);
        relay.threads.push(thread::spawn(move || {
            pass(&front, &behind, &counter, &finished, |from| {
                learned.get_or_init(|| from);
                host.get().copied().map(SocketAddr::V4)
            });
        }));
        let (counter, finished) = (relay.back.clone(), relay.finished.clone());
        relay.threads.push(thread::spawn(move || {
            pass(&b, &a, &counter, &finished, |_| client.get().copied());
        }));
        Ok(relay)
    }

    /// Says where the host is.
    pub fn set_host(&self, host: SocketAddrV4) {
        self.host.get_or_init(|| host);
    }

    pub fn passed(&self) -> Passed {
        Passed {
            datagrams_there: self.there.datagrams.load(Ordering::SeqCst),
            bytes_there: self.there.bytes.load(Ordering::SeqCst),
            datagrams_back: self.back.datagrams.load(Ordering::SeqCst),
            bytes_back: self.back.bytes.load(Ordering::SeqCst),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.finished.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            // What it has not passed on is of no interest any more.
            let _ = thread.join();
        }
    }
}

/// Passes datagrams on until told to end.
fn pass(
    from: &UdpSocket,
    to: &UdpSocket,
    counter: &Counter,
    finished: &AtomicBool,
    mut destination: impl FnMut(SocketAddr) -> Option<SocketAddr>,
) {
    let mut buffer = vec![0; 65_536];
    while !finished.load(Ordering::SeqCst) {
        let received: io::Result<_> = from.recv_from(&mut buffer);
        let Ok((len, source)) = received else { continue };
        counter.datagrams.fetch_add(1, Ordering::SeqCst);
        counter.bytes.fetch_add(len as u64, Ordering::SeqCst);
        if let Some(destination) = destination(source) {
            // What does not arrive is lost, as on any network.
            let _ = to.send_to(&buffer[..len], destination);
        }
    }
}
