//! Running the real program.

use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The demo, without colours and without input.
pub fn demo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_torque-demo"));
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// The time after which a test stops waiting for the demo.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs it to its end.
pub fn run(arguments: &[&str]) -> Output {
    finish(demo().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// Waits until the demo has ended. Returns what is in its pipes. One that does not end is killed, and the test fails.
pub fn finish(mut child: Child) -> Output {
    fn all(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).unwrap();
            bytes
        })
    }
    let (out, err) = (child.stdout.take().map(all), child.stderr.take().map(all));
    let end = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() >= end {
            child.kill().unwrap();
            panic!("it has not ended after {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let bytes = |reader: Option<JoinHandle<Vec<u8>>>| reader.map(|reader| reader.join().unwrap());
    Output { status, stdout: bytes(out).unwrap_or_default(), stderr: bytes(err).unwrap_or_default() }
}

/// Runs it, and expects an exit code. Returns standard output.
pub fn run_to(code: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "torque-demo {arguments:?}\n{out}\n{err}");
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
