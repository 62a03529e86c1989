//! Serves metrics for Prometheus over minimal HTTP. Every request gets the current figures.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// The time limit for each step: the client's request, the figures from the owner of the socket, and the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest request.
const MAX_REQUEST: usize = 8_192;
/// The most clients at a time. Further ones are turned away.
const MAX_CLIENTS: usize = 16;
/// The most clients of one IP address at a time, so that it does not keep others out.
const MAX_OF_ADDRESS: usize = 4;
/// The pause after accepting failed, perhaps for lack of descriptors.
const PAUSE: Duration = Duration::from_millis(250);

/// A request for the text of the metrics.
type Request = Sender<String>;

/// A listener. The owner of the socket answers its requests between two turns.
pub struct MetricsListener {
    pub address: SocketAddr,
    requests: Receiver<Request>,
}

impl MetricsListener {
    /// Starts to listen.
    pub fn bind(address: SocketAddr) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::failed(format!("listening for metrics on {address} failed: {error}"))
                .next("name another address with --metrics; port 0 takes a free one")
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (sender, requests) = channel();
        let name = "torque-metrics".to_owned();
        thread::Builder::new().name(name).spawn(move || listen(&listener, &sender)).map_err(failed)?;
        Ok(Self { address, requests })
    }

    /// Answers all requests since the last call.
    pub fn answer(&self, metrics: impl FnOnce() -> String) {
        let waiting: Vec<Request> = self.requests.try_iter().collect();
        if waiting.is_empty() {
            return;
        }
        let text = metrics();
        for request in waiting {
            // The client may have gone away.
            let _ = request.send(text.clone());
        }
    }
}

/// The addresses of the clients that are being served.
#[derive(Clone, Default)]
struct Clients(Arc<Mutex<Vec<IpAddr>>>);

/// The place of one client, given back when it is dropped.
struct Place {
    clients: Clients,
    address: IpAddr,
}

impl Clients {
    /// Takes a place. `None`: all are taken, or all that this address may have.
    fn place(&self, address: IpAddr) -> Option<Place> {
        let mut all = self.all();
        let of_address = all.iter().filter(|other| **other == address).count();
        if all.len() >= MAX_CLIENTS || of_address >= MAX_OF_ADDRESS {
            return None;
        }
        all.push(address);
        Some(Place { clients: self.clone(), address })
    }

    fn all(&self) -> MutexGuard<'_, Vec<IpAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.clients.all();
        if let Some(index) = all.iter().position(|other| *other == self.address) {
            all.swap_remove(index);
        }
    }
}

/// Gives each client its own thread, so that a slow one keeps nobody waiting.
fn listen(listener: &TcpListener, owner: &Sender<Request>) {
    let clients = Clients::default();
    loop {
        let Ok((stream, from)) = listener.accept() else {
            thread::sleep(PAUSE);
            continue;
        };
        let Some(place) = clients.place(from.ip().to_canonical()) else { continue };
        let owner = owner.clone();
        let served = thread::Builder::new().name("torque-metrics".into()).spawn(move || {
            // Errors concern this client only.
            let _ = serve(&stream, &owner);
            drop(place);
        });
        if served.is_err() {
            thread::sleep(PAUSE);
        }
    }
}

/// Reads one request and answers it.
fn serve(stream: &TcpStream, owner: &Sender<Request>) -> io::Result<()> {
    let head = read_head(stream)?;
    let mut words = head.lines().next().unwrap_or_default().split_ascii_whitespace();
    let (method, path) = (words.next(), words.next());
    let path = path.and_then(|path| path.split('?').next());
    let (status, body) = match (method, path) {
        (Some("GET" | "HEAD"), Some("/metrics" | "/")) => {
            let (sender, answer) = channel();
            // If the owner is gone, the process is about to end.
            let _ = owner.send(sender);
            match answer.recv_timeout(PATIENCE) {
                Ok(text) => ("200 OK", text),
                Err(_) => ("503 Service Unavailable", "the host is busy or ending\n".into()),
            }
        }
        (Some("GET" | "HEAD"), Some(_)) => ("404 Not Found", "the metrics are at /metrics\n".into()),
        _ => ("405 Method Not Allowed", String::new()),
    };
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if method != Some("HEAD") {
        answer.push_str(&body);
    }
    let mut left_over = answer.as_bytes();
    within(PATIENCE, |left| {
        stream.set_write_timeout(Some(left))?;
        let mut stream = stream;
        let written = stream.write(left_over)?;
        left_over = &left_over[written..];
        Ok(left_over.is_empty() || written == 0)
    })
}

/// The request line and headers.
fn read_head(stream: &TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    within(PATIENCE, |left| {
        stream.set_read_timeout(Some(left))?;
        let mut part = [0; 1_024];
        let mut stream = stream;
        let length = stream.read(&mut part)?;
        head.extend_from_slice(&part[..length]);
        let is_whole = head.windows(4).any(|four| four == b"\r\n\r\n" || four.ends_with(b"\n\n"));
        Ok(is_whole || length == 0 || head.len() >= MAX_REQUEST)
    })?;
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Repeats a step until it reports that it was the last, or the time is over.
fn within(time: Duration, mut step: impl FnMut(Duration) -> io::Result<bool>) -> io::Result<()> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if step(left)? {
            return Ok(());
        }
    }
}

/// Appends a metric with its values by label, as text that Prometheus reads.
pub fn family(text: &mut String, kind: &str, name: &str, help: &str, values: &[(&str, u64)]) {
    use fmt::Write;
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in values {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}
