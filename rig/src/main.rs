//! Introductions through real NATs: routers and parties in network namespaces of Linux, with nftables (README.md).

#[cfg(target_os = "linux")]
mod beside;
#[cfg(target_os = "linux")]
mod chat;
#[cfg(target_os = "linux")]
mod kinds;
#[cfg(target_os = "linux")]
mod lab;
#[cfg(target_os = "linux")]
mod matrix;
mod node;
#[cfg(target_os = "linux")]
mod talk;

use std::process::ExitCode;

const USAGE: &str = "torque-rig chat [--nat [KIND [KIND]]] [--relay never|fallback|at-once] [--link LINK] [--seconds N] [--json]

  Two parties behind NATs chat, and a lobby introduces them.
  --nat KIND KIND  how each reaches the network (default: EI/APD EI/APD, two home routers)
  --relay WHEN     when the lobby relays (default at-once, until there is a direct path)
  --link LINK      delay and loss of each machine's link (default delay=10)
  --seconds N      ends after so many seconds of chat; without a terminal, after 4
  --json           one JSON object a line

torque-rig [--quick] [--runs N] [--only NAME]... [--hard-nat WHEN] [--json FILE] [--beside FILE]

  --quick       a few pairs, one run each
  --runs N      runs of each pair (default 10)
  --only NAME   only pairs with this kind of access; given twice, only the pair of both
  --hard-nat WHEN
                when parties try many ports: always (default), verified (once they are connected by a relay), never
  --json FILE   writes the rows to a file
  --beside FILE runs some pairs with iroh's program as well, and changes addresses (cargo xtask nat-matrix --beside iroh)

It needs Linux, root and nft. With TORQUE_RIG_VERBOSE=1 it shows what the nodes say.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        #[cfg(target_os = "linux")]
        ["chat", ref rest @ ..] => chat(rest),
        #[cfg(target_os = "linux")]
        ["one-of-chat", ref rest @ ..] => chat::people::run(rest),
        ["node", ref rest @ ..] => node::run(rest),
        ["--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => matrix(&words),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
fn chat(words: &[&str]) -> Result<(), String> {
    let choice = chat::Choice::parse(words).map_err(|error| format!("{error}\n\n{USAGE}"))?;
    chat::run(&choice)
}

#[cfg(target_os = "linux")]
fn matrix(words: &[&str]) -> Result<(), String> {
    let choice = matrix::Choice::parse(words).map_err(|error| format!("{error}\n\n{USAGE}"))?;
    match &choice.beside {
        None => matrix::run(&choice),
        Some(program) => beside::run(&choice, program),
    }
}

#[cfg(not(target_os = "linux"))]
fn matrix(_words: &[&str]) -> Result<(), String> {
    Err(format!("network namespaces need Linux\n\n{USAGE}"))
}
