//! Stands between a client and a host and counts what passes, so that bytes on the wire are counted in the same way
//! for every peer, whatever it says of itself.

use std::io;
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::failure::Result;
use crate::peers::plain;
use crate::sys;

/// How often a thread looks whether it should end.
const LOOK: Duration = Duration::from_millis(20);

/// What a segment of TCP has more than a datagram of UDP: a header of 32 bytes, with its time stamps, instead of 8.
const TCP_HEADER_MORE: u64 = 24;

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

/// A relay for one client, over UDP or TCP.
pub struct Relay {
    /// Where the client sends to.
    pub front: SocketAddrV4,
    host: Arc<OnceLock<SocketAddrV4>>,
    there: Arc<Counter>,
    back: Arc<Counter>,
    finished: Arc<AtomicBool>,
    /// The connection of a client over TCP.
    stream: Arc<OnceLock<TcpStream>>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    pub fn start() -> Result<Self> {
        let (front, listener) = bind_both()?;
        let behind = plain::bind()?;
        front.set_read_timeout(Some(LOOK))?;
        behind.set_read_timeout(Some(LOOK))?;
        let mut relay = Self {
            front: plain::address_of(&front)?,
            host: Arc::default(),
            there: Arc::default(),
            back: Arc::default(),
            finished: Arc::default(),
            stream: Arc::default(),
            threads: Vec::new(),
        };
        let (host, finished, stream) = (relay.host.clone(), relay.finished.clone(), relay.stream.clone());
        relay.threads.push(thread::spawn(move || {
            // A client whose connection fails says so itself.
            let _ = pass_streams(&listener, &host, &finished, &stream);
        }));
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

    /// Of TCP, what the kernel says about the client's connection: all segments, with what their headers have more
    /// than UDP's.
    pub fn passed(&self) -> Passed {
        let tcp = self.stream.get().and_then(|stream| sys::tcp_count(stream.as_fd()).ok());
        if let Some(tcp) = tcp {
            return Passed {
                datagrams_there: tcp.segments_in,
                bytes_there: tcp.bytes_in + tcp.segments_in * TCP_HEADER_MORE,
                datagrams_back: tcp.segments_out,
                bytes_back: tcp.bytes_out + tcp.segments_out * TCP_HEADER_MORE,
            };
        }
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

/// A UDP and a TCP socket with the same port.
fn bind_both() -> Result<(UdpSocket, TcpListener)> {
    // The port that is free for UDP may be taken for TCP.
    for _ in 0..64 {
        let udp = plain::bind()?;
        if let Ok(tcp) = TcpListener::bind(plain::address_of(&udp)?) {
            tcp.set_nonblocking(true)?;
            return Ok((udp, tcp));
        }
    }
    Err("no port is free for both UDP and TCP".into())
}

/// Waits for one client and passes its stream on, both ways.
fn pass_streams(
    listener: &TcpListener,
    host: &OnceLock<SocketAddrV4>,
    finished: &AtomicBool,
    stream: &OnceLock<TcpStream>,
) -> io::Result<()> {
    let client = loop {
        match listener.accept() {
            Ok((client, _)) => break client,
            Err(_) if finished.load(Ordering::SeqCst) => return Ok(()),
            Err(_) => thread::sleep(LOOK),
        }
    };
    let behind = TcpStream::connect(host.get().ok_or(io::ErrorKind::NotConnected)?)?;
    for socket in [&client, &behind] {
        socket.set_nonblocking(false)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(LOOK))?;
    }
    let counted = client.try_clone()?;
    stream.get_or_init(|| counted);
    thread::scope(|scope| {
        scope.spawn(|| pass_stream(&client, &behind, finished));
        pass_stream(&behind, &client, finished);
    });
    Ok(())
}

/// Passes a stream on in one direction until it ends or all does.
fn pass_stream(mut from: &TcpStream, mut to: &TcpStream, finished: &AtomicBool) {
    let mut buffer = vec![0; 65_536];
    while !finished.load(Ordering::SeqCst) {
        match io::Read::read(&mut from, &mut buffer) {
            Ok(0) => break,
            Ok(len) => {
                if io::Write::write_all(&mut to, &buffer[..len]).is_err() {
                    break;
                }
            }
            Err(error) => {
                if plain::unless_idle(error).is_err() {
                    break;
                }
            }
        }
    }
    // The other side may have gone already.
    let _ = to.shutdown(Shutdown::Write);
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
