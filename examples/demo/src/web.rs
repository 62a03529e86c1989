//! The web part of the demo: the arena, its bots, the lobby and the parrot of the chat, and the gateway that serves the pages and lends them UDP ports.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use torque_gateway::{Config, Gateway, Handle};

use crate::arena::{Arena, Board, Bots, MAX_PLAYERS, Standing};
use crate::args::Args;
use crate::clients;
use crate::failure::{Failure, join};
use crate::lobby::Lobby;
use crate::output::{DIM, GOOD, NAME, Output};
use crate::parrot::Parrot;
use crate::stop;

/// The file beside the pages that tells them where the arena, the lobby and the parrot are.
const DESCRIPTION: &str = "demo.json";
/// The interval at which the standings are read.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The time in which pages must leave when the demo ends.
const DRAIN: Duration = Duration::from_secs(1);

/// Runs the web part, and the clients beside it unless the user wants only the web part.
pub fn run(args: &Args, files: &Path, output: &Output) -> Result<(), Failure> {
    let web = Web::start(args, files, output)?;
    let shown = if args.web.web_only {
        web.watch(args.seconds, output)
    } else {
        clients::run(args, Some(web.page.clone()), output)
    };
    let ended = web.end();
    shown.and(ended)
}

/// The running web part. Dropping it ends the arena.
struct Web {
    gateway: Option<Handle>,
    board: Arc<Board>,
    /// Ends the lobby and the parrot.
    stop_chat: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// The URL of the arena, for players.
    arena: String,
    /// The URL of the page, for people.
    page: String,
}

impl Web {
    fn start(args: &Args, files: &Path, output: &Output) -> Result<Self, Failure> {
        let arena = Arena::open()?;
        let bots = Bots::open(args.web.bots, args.link(), args.seed.unwrap_or(1))?;
        let (lobby, parrot) = (Lobby::open()?, Parrot::open()?);
        let targets = [arena.address(), lobby.address()];
        let gateway = Gateway::spawn(config(args, files, &targets)?)
            .map_err(|error| Failure::new(format!("the gateway cannot start: {error}")))?;
        let (board, url) = (Arc::new(Board::default()), arena.url());
        let stop_chat = Arc::new(AtomicBool::new(false));
        let lobby_url = lobby.url();
        describe(
            files,
            &json!({ "url": url, "players": MAX_PLAYERS, "lobby": lobby_url, "parrot": parrot.room() }),
        )?;
        let page = format!("http://localhost:{}/", gateway.local_addr().port());
        let threads = vec![
            thread::spawn({
                let board = Arc::clone(&board);
                move || arena.run(&board)
            }),
            thread::spawn({
                let (board, url) = (Arc::clone(&board), url.clone());
                move || bots.run(&url, &board)
            }),
            thread::spawn({
                let stop = Arc::clone(&stop_chat);
                move || lobby.run(&stop)
            }),
            thread::spawn({
                let stop = Arc::clone(&stop_chat);
                move || parrot.run(&lobby_url, &stop)
            }),
        ];
        let web = Self { gateway: Some(gateway), board, stop_chat, threads, arena: url, page };
        web.announce(output)?;
        Ok(web)
    }

    fn announce(&self, output: &Output) -> Result<(), Failure> {
        output.line(format_args!(
            "{GOOD}arena{GOOD:#}  {NAME}{}{NAME:#}  {DIM}open it in two tabs{DIM:#}",
            self.page
        ))?;
        output.line(format_args!("       {}", self.arena))?;
        output.record(|| {
            json!({
                "event": "web",
                "page": self.page,
                "arena": self.arena,
                "gateway_key": self.gateway.as_ref().map(|gateway| gateway.public_key().to_string()),
            })
        })
    }

    /// Reports players who join and leave, until stopped or for `seconds`.
    fn watch(&self, seconds: Option<u64>, output: &Output) -> Result<(), Failure> {
        let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let mut known: Vec<Standing> = Vec::new();
        while !stop::requested() && end.is_none_or(|end| Instant::now() < end) {
            let now = self.board.standings();
            for (word, event, some, others) in
                [("has joined", "joined", &now, &known), ("has left", "left", &known, &now)]
            {
                for one in some.iter().filter(|one| others.iter().all(|other| other.player != one.player)) {
                    output.line(format_args!("{NAME}{}{NAME:#} {word}, {} points", one.name, one.points))?;
                    output.record(|| {
                        json!({
                            "event": event, "player": one.player, "name": one.name, "bot": one.bot, "points": one.points,
                        })
                    })?;
                }
            }
            known = now;
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Asks the threads to end.
    fn stop(&self) {
        self.board.stop();
        self.stop_chat.store(true, Ordering::Relaxed);
    }

    /// Ends the web part. Pages are warned first.
    fn end(mut self) -> Result<(), Failure> {
        if let Some(gateway) = self.gateway.take() {
            gateway.drain(DRAIN);
        }
        self.stop();
        self.threads.drain(..).try_for_each(join)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A gateway for this machine, through which pages reach the targets and each other.
fn config(args: &Args, files: &Path, targets: &[SocketAddr]) -> Result<Config, Failure> {
    let mut config = Config::development(args.web.web_port);
    let texts: Vec<String> = targets.iter().map(SocketAddr::to_string).collect();
    config.targets = texts
        .join(",")
        .parse()
        .map_err(|error| Failure::new(format!("an address of the demo is no target: {error}")))?;
    // A chat without the lobby runs from page to page.
    config.allow_sessions = true;
    config.files = Some(files.to_owned());
    Ok(config)
}

/// Writes what pages are to know of this program into their directory.
fn describe(files: &Path, description: &Value) -> Result<(), Failure> {
    let path = files.join(DESCRIPTION);
    let text = format!("{description:#}\n");
    std::fs::write(&path, text).map_err(|error| {
        Failure::new(format!(
            "{} cannot be written: {error}\n--web names the directory of the built pages, which cargo xtask demo makes",
            path.display()
        ))
    })
}
