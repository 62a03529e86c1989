//! The chat of three: Ann and Ben, behind NATs, and a lobby that introduces them. It shows how they find each other, carries what they
//! say, and checks at the end that all of it arrived, by a direct path if there can be one.

mod news;
pub mod people;

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use patchbay::Device;
use serde_json::json;

use self::news::{News, Who};
use crate::kinds::Pair;
use crate::lab::Net;

/// How long the two may take until they are connected.
const MEETING: Duration = Duration::from_secs(60);
/// How long a relayed connection has to become direct where it can.
const UPGRADE: Duration = Duration::from_secs(25);
/// How long the three may take to end.
const ENDING: Duration = Duration::from_secs(10);
/// The pause between lines of the script.
const PAUSE: Duration = Duration::from_millis(300);
/// What the two say where nobody types.
const SCRIPT: [(Who, &str); 6] = [
    (Who::Ann, "Hello, Ben! Can you hear me?"),
    (Who::Ben, "Yes. Who relays this?"),
    (Who::Ann, "The lobby did, if anybody. It cannot read it."),
    (Who::Ben, "And now?"),
    (Who::Ann, "Now it goes from my router to yours, if they let it."),
    (Who::Ben, "No server between us, then."),
];

/// What is to happen.
pub struct Choice {
    pair: Pair,
    relay: String,
    link: String,
    seconds: Option<u64>,
    json: bool,
}

impl Choice {
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let mut kinds = Vec::new();
        let (mut relay, mut link, mut seconds) = ("at-once".to_owned(), "delay=10".to_owned(), None);
        let mut json = false;
        let mut rest = words.iter().peekable();
        while let Some(word) = rest.next() {
            if *word == "--nat" {
                while let Some(kind) = rest.next_if(|next| !next.starts_with("--")) {
                    kinds.push(*kind);
                }
                continue;
            }
            let mut value =
                || rest.next().map(|text| (*text).to_owned()).ok_or(format!("{word} wants a value"));
            match *word {
                "--relay" => relay = value()?,
                "--link" => link = value()?,
                "--seconds" => {
                    seconds = Some(value()?.parse().map_err(|error| format!("--seconds: {error}"))?);
                }
                "--json" => json = true,
                _ => return Err(format!("unknown option `{word}`")),
            }
        }
        people::relaying(&relay)?;
        Ok(Self { pair: pair(&kinds)?, relay, link, seconds, json })
    }
}

/// The pair with these kinds of access, in this order or the other one.
fn pair(kinds: &[&str]) -> Result<Pair, String> {
    let names = match *kinds {
        [] => ["EI/APD"; 2],
        [both] => [both; 2],
        [first, second] => [first, second],
        _ => return Err("--nat takes two kinds, Ann's and Ben's".to_owned()),
    };
    let all = Pair::all();
    let found = all.iter().find_map(|pair| match (pair.names() == names, *pair) {
        (true, pair) => Some(pair),
        (false, Pair::Apart(first, second)) if [second.name, first.name] == names => {
            Some(Pair::Apart(second, first))
        }
        _ => None,
    });
    found.ok_or_else(|| {
        let mut known: Vec<&str> = all.iter().flat_map(Pair::names).collect();
        known.sort_unstable();
        known.dedup();
        format!("there is no pair {} with {}; known are: {}", names[0], names[1], known.join(", "))
    })
}

/// Runs the chat.
///
/// # Errors
/// No network can be made, or the two did not hear each other as they should.
pub fn run(choice: &Choice) -> Result<(), String> {
    let mut net = Net::new()?;
    let [ann, ben] = net.parties(&choice.pair)?;
    let screen = Screen::new(choice.json);
    screen.remark(&format!("ann: {}; ben: {}", choice.pair.names()[0], choice.pair.names()[1]));
    let (sender, news) = channel();
    let mut lobby = Person::start(Who::Lobby, net.introducer(), &["lobby", &choice.link], &sender)?;
    let mut chat = Chat { screen, news, sides: Default::default() };
    let key = chat.wait_for_key()?;
    let mut people = Vec::new();
    for (who, place) in Who::PARTIES.into_iter().zip([&ann, &ben]) {
        let address = net.address_for(place)?.to_string();
        let words = [who.name(), &address, &key, &choice.relay, &choice.link];
        people.push(Person::start(who, place, &words, &sender)?);
    }
    drop(sender);
    chat.wait_until(MEETING, |sides| sides.iter().all(|side| side.is_established))?;
    let typed = choice.seconds.is_none() && std::io::stdin().is_terminal();
    match typed {
        true => chat.carry_typed(&mut people)?,
        false => chat.play(&mut people, Duration::from_secs(choice.seconds.unwrap_or(4)))?,
    }
    // The search for a direct path goes on for long, and so does a busy machine.
    if choice.pair.meets() {
        let are_direct = |sides: &[Side; 2]| sides.iter().all(|side| !side.is_relayed);
        chat.wait_until(UPGRADE, are_direct)
            .map_err(|_| "these two NATs let direct paths through, but none was found".to_owned())?;
    }
    // Both end when they are told nothing more; the lobby is there to the last.
    people.iter_mut().for_each(Person::end);
    chat.wait_until(ENDING, |sides| sides.iter().all(|side| side.has_ended))?;
    lobby.end();
    chat.judge(choice, typed)
}

/// What is known of Ann or Ben.
#[derive(Default)]
struct Side {
    is_established: bool,
    has_ended: bool,
    was_relayed: bool,
    is_relayed: bool,
    said: Vec<String>,
    heard: Vec<String>,
    delivered: usize,
}

struct Chat {
    screen: Screen,
    /// `None`: a process has ended.
    news: Receiver<(Who, Option<News>)>,
    /// Ann's and Ben's.
    sides: [Side; 2],
}

impl Chat {
    /// The lobby's first news is its key.
    fn wait_for_key(&mut self) -> Result<String, String> {
        match self.news.recv_timeout(ENDING) {
            Ok((who, Some(news))) => {
                self.screen.show(who, &news);
                match news {
                    News::Listening { key } => Ok(key),
                    other => Err(format!("the lobby begins with {other:?}")),
                }
            }
            _ => Err("the lobby cannot begin".to_owned()),
        }
    }

    /// Shows what happens until something is so.
    fn wait_until(
        &mut self,
        limit: Duration,
        mut is_so: impl FnMut(&[Side; 2]) -> bool,
    ) -> Result<(), String> {
        let end = Instant::now() + limit;
        while !is_so(&self.sides) {
            if !self.show_next(end)? {
                return Err("the two wait for something that does not come".to_owned());
            }
        }
        Ok(())
    }

    /// Shows the next news. Returns false if there is none until `end`.
    fn show_next(&mut self, end: Instant) -> Result<bool, String> {
        let (who, news) = match self.news.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(news) => news,
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => return Err("nobody is there any more".to_owned()),
        };
        if let Some(news) = &news {
            self.screen.show(who, news);
        }
        let Some(index) = Who::PARTIES.into_iter().position(|party| party == who) else { return Ok(true) };
        let side = &mut self.sides[index];
        match news {
            None if !side.is_established => return Err(format!("{} has ended", who.name())),
            None => side.has_ended = true,
            Some(News::Established { way, .. }) => {
                (side.is_established, side.is_relayed) = (true, way.is_relayed);
                side.was_relayed = way.is_relayed;
            }
            Some(News::PathChanged { way, .. }) => side.is_relayed = way.is_relayed,
            Some(News::Says { text }) => side.said.push(text),
            Some(News::Hears { text, .. }) => side.heard.push(text),
            Some(News::Delivered { .. }) => side.delivered += 1,
            Some(News::Closed { code, .. }) if !side.is_established => {
                return Err(format!("{} has failed: {code}", who.name()));
            }
            Some(_) => {}
        }
        Ok(true)
    }

    /// Has the two say the script's lines.
    fn play(&mut self, people: &mut [Person], time: Duration) -> Result<(), String> {
        let end = Instant::now() + time;
        let mut lines = SCRIPT.into_iter().cycle();
        while Instant::now() < end {
            let (who, line) = lines.next().expect("it has no end");
            people.iter_mut().filter(|person| person.who == who).try_for_each(|person| person.say(line))?;
            let next = end.min(Instant::now() + PAUSE);
            while self.show_next(next)? {}
        }
        Ok(())
    }

    /// Has the two say what is typed.
    fn carry_typed(&mut self, people: &mut [Person]) -> Result<(), String> {
        self.screen.remark("Ann says what you type, and Ben what you type after `ben:`. Control-D ends.");
        let (sender, typed) = channel();
        std::thread::spawn(move || {
            let lines = std::io::stdin().lock().lines();
            let _ = lines.map_while(Result::ok).try_for_each(|line| sender.send(line));
        });
        loop {
            let line = match typed.try_recv() {
                Ok(line) => line,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return Ok(()),
                Err(std::sync::mpsc::TryRecvError::Empty) => {
                    self.show_next(Instant::now() + Duration::from_millis(20))?;
                    continue;
                }
            };
            let (who, line) = match line.split_once(':') {
                Some((name, line)) if Who::named(name).is_some_and(|who| who != Who::Lobby) => {
                    (Who::named(name).unwrap_or(Who::Ann), line.trim())
                }
                _ => (Who::Ann, line.trim()),
            };
            if !line.is_empty() {
                people
                    .iter_mut()
                    .filter(|person| person.who == who)
                    .try_for_each(|person| person.say(line))?;
            }
        }
    }

    /// Says how it went, and whether that was as expected.
    fn judge(&self, choice: &Choice, typed: bool) -> Result<(), String> {
        let [ann, ben] = &self.sides;
        let is_direct = self.sides.iter().all(|side| !side.is_relayed);
        let path = match (ann.was_relayed || ben.was_relayed, is_direct) {
            (true, true) => "relayed at first, then direct",
            (false, true) => "direct",
            (_, false) => "relayed",
        };
        if choice.json {
            self.screen.record(json!({
                "event": "summary",
                "path": path,
                "said": [ann.said.len(), ben.said.len()],
                "heard": [ann.heard.len(), ben.heard.len()],
                "delivered": [ann.delivered, ben.delivered],
            }));
        }
        // A link that loses takes lines with it; then the verdicts have to say so.
        for (who, side, other) in [("ann", ann, ben), ("ben", ben, ann)] {
            if side.delivered != other.heard.len() {
                let (delivered, heard) = (side.delivered, other.heard.len());
                return Err(format!("of {who}'s lines {heard} were heard, but {delivered} delivered"));
            }
            if !typed && !choice.link.contains("loss") && side.said != other.heard {
                return Err(format!("{who} said {:?}, and the other heard {:?}", side.said, other.heard));
            }
        }
        let lines = ann.said.len() + ben.said.len();
        self.screen.remark(&format!("chat ok: {lines} lines said, {path}"));
        Ok(())
    }
}

/// Where news appear.
struct Screen {
    began: Instant,
    json: bool,
    has_colours: bool,
}

impl Screen {
    fn new(json: bool) -> Self {
        let has_colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { began: Instant::now(), json, has_colours }
    }

    fn show(&self, who: Who, news: &News) {
        let at = self.began.elapsed();
        if self.json {
            let mut object = serde_json::to_value(news).unwrap_or_default();
            object["from"] = json!(who);
            object["at_ms"] = json!((at.as_secs_f64() * 1e6).round() / 1e3);
            return self.record(object);
        }
        let (on, off) = match (self.has_colours, who) {
            (false, _) => ("", ""),
            (true, Who::Lobby) => ("\x1b[2m", "\x1b[0m"),
            (true, Who::Ann) => ("\x1b[36m", "\x1b[0m"),
            (true, Who::Ben) => ("\x1b[33m", "\x1b[0m"),
        };
        println!("{:8.3}  {on}{:<6}{off}{news}", at.as_secs_f64(), who.name());
    }

    fn record(&self, object: serde_json::Value) {
        println!("{object}");
    }

    fn remark(&self, text: &str) {
        if !self.json {
            println!("{text}");
        }
    }
}

/// A process of the chat, which ends with this.
struct Person {
    who: Who,
    process: Child,
    input: Option<ChildStdin>,
}

impl Person {
    fn start(
        who: Who,
        place: &Device,
        words: &[&str],
        news: &Sender<(Who, Option<News>)>,
    ) -> Result<Self, String> {
        let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
        command.arg("one-of-chat").args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = place.spawn_command_sync(command).map_err(|error| format!("{error:?}"))?;
        let input = process.stdin.take();
        let output = process.stdout.take().ok_or("no pipe from a process")?;
        let news = news.clone();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            for told in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                if news.send((who, Some(told))).is_err() {
                    return;
                }
            }
            let _ = news.send((who, None));
        });
        Ok(Self { who, process, input })
    }

    fn say(&mut self, line: &str) -> Result<(), String> {
        let input = self.input.as_mut().ok_or("it has ended")?;
        writeln!(input, "{line}").map_err(|error| format!("{}: {error}", self.who.name()))
    }

    /// Tells it that no more comes. It ends in order.
    fn end(&mut self) {
        self.input = None;
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        // One that was told to end has its time.
        let end = Instant::now() + Duration::from_secs(1);
        while self.input.is_none() && Instant::now() < end {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
