//! Running the real command.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

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

/// Runs `torque` to its end.
pub fn run(arguments: &[&str]) -> Output {
    torque().args(arguments).output().unwrap()
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
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
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

/// A `torque host` that runs until the value is dropped.
pub struct Host {
    child: Child,
    /// Reads the rest of its output as it comes: a host whose pipe is full stands still.
    rest: Option<JoinHandle<String>>,
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
        let mut child = command.arg("--json").args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        let listening = serde_json::from_str(&first).unwrap_or_else(|error| panic!("{error}: {first}"));
        let rest = thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, rest: Some(rest), listening }
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
        self.child.id()
    }

    /// Waits for a host that ends by itself. Its exit code and what it told.
    pub fn end(mut self) -> (Option<i32>, Vec<Value>) {
        let text = self.rest.take().unwrap().join().unwrap();
        (self.child.wait().unwrap().code(), lines(&text))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal, as Ctrl-C and service managers do.
#[cfg(unix)]
pub fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -{name} {pid}");
}

/// What a host answers over HTTP.
pub fn get(host: &Host, path: &str) -> String {
    let mut stream = TcpStream::connect(host.listening["metrics"].as_str().unwrap()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
