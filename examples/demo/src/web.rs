//! The web part of the demo: the arena, its bots, and the gateway that serves the pages and lends them UDP ports.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;
use torque_gateway::{Config, Gateway, Handle};

use crate::arena::{Arena, Board, Bots, MAX_PLAYERS, Standing};
use crate::args::Args;
use crate::clients;
use crate::failure::{Failure, join};
use crate::output::{DIM, GOOD, NAME, Output};
use crate::stop;

/// The file beside the pages that tells them where the arena is.
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
        let gateway = Gateway::spawn(config(args, files, arena.address())?)
            .map_err(|error| Failure::new(format!("the gateway cannot start: {error}")))?;
        let (board, url) = (Arc::new(Board::default()), arena.url());
        describe(files, &url)?;
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
        ];
        let web = Self { gateway: Some(gateway), board, threads, arena: url, page };
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

    /// Ends the web part. Pages are warned first.
    fn end(mut self) -> Result<(), Failure> {
        if let Some(gateway) = self.gateway.take() {
            gateway.drain(DRAIN);
        }
        self.board.stop();
        self.threads.drain(..).try_for_each(join)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.board.stop();
    }
}

/// A gateway for this machine, through which pages reach the arena and each other.
fn config(args: &Args, files: &Path, arena: SocketAddr) -> Result<Config, Failure> {
    let mut config = Config::development(args.web.web_port);
    config.targets = arena
        .to_string()
        .parse()
        .map_err(|error| Failure::new(format!("the arena's address is no target: {error}")))?;
    // The chat runs from page to page.
    config.allow_sessions = true;
    config.files = Some(files.to_owned());
    Ok(config)
}

/// Writes the arena's URL into the directory of the pages.
fn describe(files: &Path, arena: &str) -> Result<(), Failure> {
    let path = files.join(DESCRIPTION);
    let text = format!("{:#}\n", json!({ "url": arena, "players": MAX_PLAYERS }));
    std::fs::write(&path, text).map_err(|error| {
        Failure::new(format!(
            "{} cannot be written: {error}\n--web names the directory of the built pages, which cargo xtask demo makes",
            path.display()
        ))
    })
}
