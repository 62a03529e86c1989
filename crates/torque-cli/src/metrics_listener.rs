//! Metrics for Prometheus over as much HTTP as that takes: every request gets the counters of the moment.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::failure::Failure;

/// How long a request may take, and its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// No request that means well is longer.
const MAX_REQUEST: u64 = 8_192;

/// Asks for the text of the metrics.
type Request = Sender<String>;

/// A listener whose requests the owner of the socket answers, between two turns.
pub struct MetricsListener {
    pub address: SocketAddr,
    requests: Receiver<Request>,
}

impl MetricsListener {
    /// Begins to listen.
    pub fn bind(address: SocketAddr) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::failed(format!("listening for metrics on {address} failed: {error}"))
                .next("name another address with --metrics; port 0 takes a free one")
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (sender, requests) = channel();
        thread::Builder::new()
            .name("torque-metrics".into())
            .spawn(move || {
                for stream in listener.incoming().filter_map(Result::ok) {
                    // One at a time is enough; a request that goes wrong is its sender's loss.
                    if !serve(&stream, &sender).unwrap_or(true) {
                        return;
                    }
                }
            })
            .map_err(failed)?;
        Ok(Self { address, requests })
    }

    /// Answers whoever asked since the last call.
    pub fn answer(&self, metrics: impl FnOnce() -> String) {
        let waiting: Vec<Request> = self.requests.try_iter().collect();
        if waiting.is_empty() {
            return;
        }
        let text = metrics();
        for request in waiting {
            // Whoever asked may have gone away.
            let _ = request.send(text.clone());
        }
    }
}

/// Reads one request and answers it. Whether the owner is still there.
fn serve(stream: &TcpStream, owner: &Sender<Request>) -> std::io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.take(MAX_REQUEST));
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 0 && !header.trim().is_empty() {
        header.clear();
    }
    let mut words = first.split_ascii_whitespace();
    let (method, path) = (words.next(), words.next());
    let path = path.and_then(|path| path.split('?').next());
    let (status, body) = match (method, path) {
        (Some("GET" | "HEAD"), Some("/metrics" | "/")) => {
            let (sender, answer) = channel();
            if owner.send(sender).is_err() {
                return Ok(false);
            }
            match answer.recv_timeout(PATIENCE) {
                Ok(text) => ("200 OK", text),
                Err(_) => ("503 Service Unavailable", String::new()),
            }
        }
        (Some("GET" | "HEAD"), Some(_)) => ("404 Not Found", "the metrics are at /metrics\n".into()),
        _ => ("405 Method Not Allowed", String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    stream.write_all(head.as_bytes())?;
    if method != Some("HEAD") {
        stream.write_all(body.as_bytes())?;
    }
    stream.flush()?;
    Ok(true)
}
