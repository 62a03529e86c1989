//! Running the real program.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The demo, without colours and without input.
pub fn demo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_torque-demo"));
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn run(arguments: &[&str]) -> Output {
    demo().args(arguments).output().unwrap()
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
