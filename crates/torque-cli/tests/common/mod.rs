//! Running the real command.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The command, without what the environment of the tests may ask of it.
pub fn torque() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_torque"));
    command.env_remove("TORQUE_KEYLOG").env_remove("RUST_LOG").env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Says what a test leaves out on this machine. In CI nothing is left out.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|text| text.is_empty()), "nothing is skipped in CI: {why}");
    eprintln!("SKIPPED: {why}");
}

/// The time after which a test stops waiting for a command.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Runs `torque` to its end.
pub fn run(arguments: &[&str]) -> Output {
    output(torque().args(arguments))
}

/// Runs a command to its end.
pub fn output(command: &mut Command) -> Output {
    finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// Waits for a command that ends by itself. Returns what is in its pipes.
pub fn finish(mut child: Child) -> Output {
    fn all(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).unwrap();
            bytes
        })
    }
    drop(child.stdin.take());
    let (out, err) = (child.stdout.take().map(all), child.stderr.take().map(all));
    let status = ended(&mut child);
    let bytes = |reader: Option<JoinHandle<Vec<u8>>>| reader.map(|reader| reader.join().unwrap());
    Output { status, stdout: bytes(out).unwrap_or_default(), stderr: bytes(err).unwrap_or_default() }
}

/// Waits until a process has ended. One that does not end is killed, and the test fails.
pub fn ended(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() >= end {
            child.kill().unwrap();
            panic!("it has not ended after {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs it, and expects an exit code. Returns standard output.
pub fn run_to(code: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "torque {arguments:?}\n{out}\n{err}");
    out.into_owned()
}

/// Runs it with `--json`, and expects an exit code.
pub fn json(code: i32, arguments: &[&str]) -> Vec<Value> {
    lines(&run_to(code, &[arguments, &["--json"]].concat()))
}

/// Every line as an object.
pub fn lines(text: &str) -> Vec<Value> {
    text.lines().map(event_of).collect()
}

fn event_of(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// The first object of an event.
pub fn event<'a>(objects: &'a [Value], name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["event"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {objects:#?}"))
}

/// A directory that is removed with the value.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("torque-cli-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The name of a file in it.
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts a command with `--json`. The test has its input and its output.
pub fn start(arguments: &[&str]) -> Child {
    torque().args(arguments).arg("--json").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// A command in the background, which ends by itself or with the value.
pub struct Running {
    pub child: Child,
    /// Its lines, which a thread reads as they come: a command whose pipe is full stands still.
    coming: mpsc::Receiver<String>,
    /// Its output so far.
    text: String,
}

impl Running {
    pub fn start(arguments: &[&str]) -> Self {
        Self::of(start(arguments))
    }

    /// One that was begun with a pipe as its output.
    pub fn of(mut child: Child) -> Self {
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (sender, coming) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            // Ends with the output, or with a test that does not wait for more.
            while out.read_line(&mut line).unwrap() > 0 && sender.send(std::mem::take(&mut line)).is_ok() {}
        });
        Self { child, coming, text: String::new() }
    }

    fn next_line(&self) -> String {
        self.coming.recv_timeout(LIMIT).unwrap_or_else(|error| panic!("no line: {error}: {}", self.text))
    }

    /// Waits for the next event of this name, and returns it.
    pub fn until(&mut self, name: &str) -> Value {
        loop {
            let line = self.next_line();
            self.text += &line;
            let event = event_of(&line);
            if event["event"] == name {
                return event;
            }
        }
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a command that ends by itself. Its exit code and what it told.
    pub fn end(mut self) -> (Option<i32>, Vec<Value>) {
        drop(self.child.stdin.take());
        let code = ended(&mut self.child).code();
        self.text.extend(self.coming.iter());
        (code, lines(&self.text))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A `torque host` that runs until the value is dropped.
pub struct Host {
    running: Running,
    pub listening: Value,
}

impl Host {
    /// A host on loopback at a free port.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = torque();
        command.args(["host", "--bind", "127.0.0.1:0"]);
        Self::start_with(command, arguments)
    }

    /// A host that is begun by this command.
    pub fn start_with(mut command: Command, arguments: &[&str]) -> Self {
        let running =
            Running::of(command.arg("--json").args(arguments).stdout(Stdio::piped()).spawn().unwrap());
        let listening = event_of(&running.next_line());
        Self { running, listening }
    }

    pub fn url(&self) -> &str {
        self.listening["url"].as_str().unwrap()
    }

    pub fn address(&self) -> &str {
        self.listening["address"].as_str().unwrap()
    }

    pub fn key(&self) -> &str {
        self.listening["public_key"].as_str().unwrap()
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Waits for the next event of this name, and returns it.
    pub fn until(&mut self, name: &str) -> Value {
        self.running.until(name)
    }

    /// Waits for a host that ends by itself. Its exit code and what it told.
    pub fn end(self) -> (Option<i32>, Vec<Value>) {
        self.running.end()
    }
}

/// Sends a signal, as Ctrl-C and service managers do.
#[cfg(unix)]
pub fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -{name} {pid}");
}

/// The answer of a host over HTTP.
pub fn get(host: &Host, path: &str) -> String {
    let mut stream = TcpStream::connect(host.listening["metrics"].as_str().unwrap()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
