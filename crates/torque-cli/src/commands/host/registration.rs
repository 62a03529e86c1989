//! The connection of a host with a lobby, under a name that others ask for (`--via`, `--as`).

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use torque_socket::{
    ChallengeResponse, ClosedBy, Config, ConnectOptions, ConnectionId, Event, IntroducedOptions, PublicKey,
    Socket, ToTarget, Trust,
};

use crate::connecting;
use crate::failure::Failure;
use crate::handshake_text::short_key;
use crate::lobby::{ACCEPTED, Name, Other, REGISTERED, Request, TAKEN_OVER};
use crate::logs::{Level, Logs};
use crate::output::{DIM, NAME};
use crate::refusals::Refusals;
use crate::trust::{Named, TrustOptions};
use crate::via::{PathOptions, not_a_lobby};

/// The pause before the first attempt to connect with a lobby again. It doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The options of `torque host` for introductions.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Introduction")]
pub struct RegistrationOptions {
    /// Register at this lobby (`torque introduce`), which introduces guests through NATs: torque://[KEY@]HOST[:PORT].
    /// The host is an ordinary one as well
    #[arg(long, value_name = "URL", requires = "name_at_lobby")]
    via: Option<String>,

    /// The name at the lobby: guests give it to `torque connect --via`
    #[arg(long = "as", id = "name_at_lobby", value_name = "NAME", requires = "via")]
    name: Option<Name>,

    #[command(flatten)]
    paths: PathOptions,

    /// Trust the lobby's key on the first visit and expect it afterwards; keys are kept in this file. Without it, and without
    /// a key in the URL, the person is asked
    #[arg(long, value_name = "FILE", requires = "via")]
    known_hosts: Option<PathBuf>,

    /// Trust any lobby: anyone who can answer in its place can introduce guests
    #[arg(long, requires = "via")]
    trust_anyone: bool,
}

impl RegistrationOptions {
    /// Puts the options into the configuration of the socket.
    pub fn configure(&self, config: &mut Config) {
        self.paths.configure(config);
    }

    /// The registration that these options ask for.
    pub fn registration<'a>(&self, logs: &'a Logs<'a>) -> Result<Option<Registration<'a>>, Failure> {
        let (Some(url), Some(name)) = (&self.via, &self.name) else { return Ok(None) };
        let trust = TrustOptions {
            known_hosts: self.known_hosts.clone(),
            trust_anyone: self.trust_anyone,
            ..TrustOptions::default()
        };
        Ok(Some(Registration {
            logs,
            lobby_name: connecting::host_name(url)?,
            url: url.clone(),
            name: name.clone(),
            trust,
            introduced: self.paths.apply(IntroducedOptions::host())?,
            state: State::Waiting(Instant::now()),
            pause: PAUSE,
            lobby_key: None,
            coming: HashSet::new(),
            named: Refusals::new("asked_for_more"),
        }))
    }
}

/// The state of the connection with the lobby.
enum State {
    /// Not connected until then.
    Waiting(Instant),
    Connecting(ConnectionId),
    Registered(ConnectionId),
    /// Another host with the same key has the name now.
    TakenOver,
}

/// A name at a lobby, which is registered again when the connection with the lobby ends.
pub struct Registration<'a> {
    logs: &'a Logs<'a>,
    url: String,
    /// The lobby as the known hosts name it.
    lobby_name: String,
    name: Name,
    trust: TrustOptions,
    introduced: IntroducedOptions,
    state: State,
    pause: Duration,
    /// The key of the lobby that registered the name: the only one from then on.
    lobby_key: Option<PublicKey>,
    /// Guests that are being introduced.
    coming: HashSet<ConnectionId>,
    /// Keeps a lobby that names guests in a loop out of the logs.
    named: Refusals,
}

impl Registration<'_> {
    /// Connects with the lobby, if it is time to. Call it in every turn.
    ///
    /// # Errors
    /// The first attempt cannot begin. Later ones are tried again.
    pub fn renew(&mut self, socket: &mut Socket) -> Result<(), Failure> {
        self.named.tell_if_due(self.logs)?;
        let State::Waiting(until) = self.state else { return Ok(()) };
        if Instant::now() < until {
            return Ok(());
        }
        let trust = match self.lobby_key {
            Some(key) => Some(Trust::Pinned(key)),
            None => self.url.as_str().to_target()?.key().is_none().then_some(Trust::Ask),
        };
        let request = Request::Host(self.name.clone()).to_string();
        let options = ConnectOptions::default().with_trust(trust).with_data(request);
        match socket.connect_with(self.url.as_str(), options) {
            Ok(id) => {
                self.state = State::Connecting(id);
                Ok(())
            }
            Err(error) => self.lost(error.into()),
        }
    }

    fn lobby(&self) -> Option<ConnectionId> {
        match self.state {
            State::Waiting(_) | State::TakenOver => None,
            State::Connecting(id) | State::Registered(id) => Some(id),
        }
    }

    /// Takes an event that concerns the lobby. Returns those that the host has to handle. `socket` is none when it shuts down.
    ///
    /// # Errors
    /// The lobby does not register the name at the first time.
    pub fn event(&mut self, socket: Option<&mut Socket>, event: Event) -> Result<Option<Event>, Failure> {
        let connection = event.connection();
        if connection.is_none() || connection != self.lobby() {
            self.guest_event(&event)?;
            return Ok(Some(event));
        }
        match event {
            Event::ChallengeResponse(response) => {
                if let Some(socket) = socket {
                    self.judge(socket, &response)?;
                }
            }
            Event::Established { connection, accept_data, .. } if accept_data != ACCEPTED.as_bytes() => {
                if let Some(socket) = socket {
                    // It is given up either way.
                    let _ = socket.close(connection, b"");
                }
                self.lost(not_a_lobby(&self.lobby_name))?;
            }
            Event::Packet { connection, payload, .. } => match socket {
                Some(socket) if *payload == *REGISTERED.as_bytes() => self.registered(socket, connection)?,
                Some(socket) => {
                    if let Some(other) = Other::parse_packet(&payload) {
                        self.introduce(socket, other)?;
                    }
                }
                None => {}
            },
            Event::Close { by: ClosedBy::Application, .. } => {}
            Event::Close { reason, .. } if reason == TAKEN_OVER.as_bytes() => {
                self.state = State::TakenOver;
                self.tell_taken_over()?;
            }
            Event::Close { code, reason, .. } => self.lost(Failure::closed(code, &reason))?,
            _ => {}
        }
        Ok(None)
    }

    fn judge(&mut self, socket: &mut Socket, response: &ChallengeResponse) -> Result<(), Failure> {
        let host = Named::Host(self.lobby_name.clone());
        let data = &response.challenge_response_data;
        let output = self.logs.output();
        match self.trust.decide(&host, response.public_key, data, false, output) {
            Ok(()) => Ok(socket.accept_challenge(response.connection)?),
            Err(failure) => {
                // It is given up either way.
                let _ = socket.close(response.connection, b"");
                self.lost(failure)
            }
        }
    }

    /// Tells at once of guests that got no line.
    pub fn tell_last(&mut self) -> Result<(), Failure> {
        self.named.tell(self.logs)
    }

    /// Asks for the guest that the lobby has named.
    fn introduce(&mut self, socket: &mut Socket, other: Other) -> Result<(), Failure> {
        let Some(lobby) = self.lobby() else { return Ok(()) };
        let asked = socket.connect_introduced(lobby, other.number, self.introduced.clone());
        if let Ok(id) = asked {
            self.coming.insert(id);
        }
        if !self.named.is_told() {
            return Ok(());
        }
        let key = other.key;
        match asked {
            Ok(id) => self.logs.event(
                Level::Info,
                "asked_for",
                format_args!("{id} {NAME}{key}{NAME:#} {DIM}by the lobby's word{DIM:#}"),
                || json!({ "connection": id.to_string(), "named_key": key.to_string() }),
            ),
            // The guest is told by the lobby that this host did not ask.
            Err(error) => self.logs.event(
                Level::Warn,
                "introduction_failed",
                format_args!("{NAME}{key}{NAME:#} {error}"),
                || json!({ "connection": null, "named_key": key.to_string(), "reason": error.to_string() }),
            ),
        }
    }

    /// Notices what becomes of guests that are being introduced.
    fn guest_event(&mut self, event: &Event) -> Result<(), Failure> {
        match event {
            Event::Established { connection, .. } => {
                self.coming.remove(connection);
                Ok(())
            }
            Event::Close { connection, code, .. }
                if self.coming.remove(connection) && self.named.is_told() =>
            {
                self.logs.event(
                    Level::Warn,
                    "introduction_failed",
                    format_args!("{connection} {code} {DIM}({}){DIM:#}", code.name()),
                    || json!({ "connection": connection.to_string(), "reason": code.name() }),
                )
            }
            _ => Ok(()),
        }
    }

    /// The lobby has given the name to this connection.
    fn registered(&mut self, socket: &Socket, connection: ConnectionId) -> Result<(), Failure> {
        let Some(peer) = socket.peer(connection) else { return Ok(()) };
        if matches!(self.state, State::Registered(_)) {
            return Ok(());
        }
        self.state = State::Registered(connection);
        self.lobby_key = Some(peer.public_key);
        self.pause = PAUSE;
        self.tell_registered(socket.public_key(), peer.public_key, &peer.address.to_string())
    }

    fn tell_registered(&self, own: PublicKey, lobby: PublicKey, remote: &str) -> Result<(), Failure> {
        let Self { name, lobby_name, .. } = self;
        let url = format!("torque://{lobby}@{lobby_name}");
        self.logs.event(
            Level::Info,
            "registered",
            format_args!("as {name} at the lobby {remote} {NAME}{}{NAME:#}", short_key(&lobby)),
            || {
                json!({
                    "name": name.as_str(),
                    "lobby": remote,
                    "lobby_key": lobby.to_string(),
                    "via": url,
                    "target": format!("{own}@{name}"),
                })
            },
        )?;
        self.logs.output().line(format_args!("  torque connect --via {NAME}{url} {own}@{name}{NAME:#}"))
    }

    fn tell_taken_over(&self) -> Result<(), Failure> {
        let name = &self.name;
        self.logs.event(
            Level::Warn,
            "name_taken_over",
            format_args!("{name}: another host with this key has registered it, so the lobby brings no more guests here"),
            || json!({ "name": name.as_str() }),
        )
    }

    /// The connection with the lobby has ended or cannot begin. It is tried again, unless the lobby never registered the name: then something is
    /// wrong that a person has to see to.
    fn lost(&mut self, failure: Failure) -> Result<(), Failure> {
        if self.lobby_key.is_none() {
            return Err(failure);
        }
        self.state = State::Waiting(Instant::now() + self.pause);
        let pause = self.pause.as_secs();
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.logs.event(
            Level::Warn,
            "lobby_lost",
            format_args!("{failure} {DIM}(again in {pause} s){DIM:#}"),
            || json!({ "reason": failure.to_string(), "again_in_seconds": pause }),
        )
    }
}
