//! The connections of a lobby: hosts with their names, and those that ask for them.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;
use torque_socket::{
    Address, CloseCode, ConnectRequest, ConnectionId, Event, IntroductionId, IntroductionResult, PublicKey,
    Socket,
};

use super::Args;
use super::figures::{Figures, Now, failure_name, result_name};
use super::names::{Holder, Names};
use super::notices::Notices;
use crate::failure::Failure;
use crate::lobby::{ACCEPTED, Name, Other, REGISTERED, Request, TAKEN_OVER};
use crate::logs::{Level, Logs};
use crate::output::{BAD, DIM, NAME};
use crate::refusals::Refusals;
use crate::units::{millis, millis_number, printable};

/// A connection that was let in.
struct Guest {
    key: PublicKey,
    role: Role,
}

enum Role {
    /// Holds this name, once it is established.
    Host(Name),
    Asks {
        name: Name,
        /// The connection that held the name when this one was let in.
        host: ConnectionId,
        progress: Progress,
    },
    /// Has its NAT looked at.
    Looks,
}

/// How far the introduction of one that asks is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    NotBegun,
    Begun,
    Over,
}

impl Role {
    fn name(&self) -> Option<&Name> {
        match self {
            Self::Host(name) | Self::Asks { name, .. } => Some(name),
            Self::Looks => None,
        }
    }
}

/// The connections of a lobby.
pub struct Guests<'a> {
    args: &'a Args,
    logs: &'a Logs<'a>,
    guests: HashMap<ConnectionId, Guest>,
    names: Names,
    notices: Notices,
    refusals: Refusals,
    figures: Figures,
}

impl<'a> Guests<'a> {
    pub fn new(args: &'a Args, logs: &'a Logs<'a>) -> Self {
        Self {
            args,
            logs,
            guests: HashMap::new(),
            names: Names::new(args.names_per_network),
            notices: Notices::default(),
            refusals: Refusals::new("refused_more"),
            figures: Figures::default(),
        }
    }

    /// Those that were let in, established or not yet.
    pub fn count(&self) -> usize {
        self.guests.len()
    }

    /// The counters, as text for the metrics.
    pub fn metrics(&self, socket: &Socket) -> String {
        let now = Now {
            names: self.names.count(),
            connections: self.guests.len(),
            connections_limit: self.args.connections,
        };
        self.figures.text(&now, socket.introducer_stats())
    }

    /// Does what is to be done in every turn.
    pub fn turn(&mut self, socket: &mut Socket) -> Result<(), Failure> {
        self.notices.send(socket);
        self.refusals.tell_if_due(self.logs)
    }

    /// Tells of refusals that got no line.
    pub fn tell_last_refusals(&mut self) -> Result<(), Failure> {
        self.refusals.tell(self.logs)
    }

    /// `socket` is none when it shuts down: then nothing can be answered any more.
    pub fn event(&mut self, socket: Option<&mut Socket>, event: Event) -> Result<(), Failure> {
        match (event, socket) {
            (Event::ConnectRequest(request), Some(socket)) => self.request(socket, &request),
            (Event::Established { connection, remote, .. }, Some(socket)) => {
                self.established(socket, connection, remote)
            }
            (Event::IntroductionRequested { from, to, .. }, Some(socket)) => {
                if !self.is_under_way(from, to) && !self.is_under_way(to, from) {
                    // It may be over by now.
                    let _ = socket.refuse_introduction(from, to);
                }
                Ok(())
            }
            (Event::Verdict { connection, sequence, delivery }, _) => {
                self.notices.verdict(connection, sequence, delivery);
                Ok(())
            }
            (Event::Introduced { introduction, initiator, result, took, .. }, _) => {
                self.introduced(introduction, initiator, result, took)
            }
            (Event::Close { connection, code, reason, .. }, _) => self.closed(connection, code, &reason),
            _ => Ok(()),
        }
    }

    fn request(&mut self, socket: &mut Socket, request: &ConnectRequest) -> Result<(), Failure> {
        let (id, key) = (request.connection, request.public_key);
        // The request may have been given up meanwhile; its close event tells.
        match self.judge(request) {
            Ok((role, accept_data)) => {
                self.guests.insert(id, Guest { key, role });
                let _ = socket.accept_connection(id, accept_data.as_bytes());
                Ok(())
            }
            Err(reason) => {
                let _ = socket.refuse(id, reason.as_bytes());
                self.figures.refused += 1;
                if !self.refusals.is_told() {
                    return Ok(());
                }
                let remote = request.remote;
                self.logs.event(
                    Level::Warn,
                    "refused",
                    format_args!("{id} {remote} {NAME}{key}{NAME:#} {BAD}refused{BAD:#} {reason}"),
                    || {
                        json!({
                            "connection": id.to_string(),
                            "remote": remote.to_string(),
                            "public_key": key.to_string(),
                            "reason": reason,
                        })
                    },
                )
            }
        }
    }

    /// Decides whether a client may connect, and what it is told: the accept data, or the reason of the refusal.
    fn judge(&self, request: &ConnectRequest) -> Result<(Role, String), String> {
        let key = request.public_key;
        if self.guests.len() >= usize::try_from(self.args.connections).unwrap_or(usize::MAX) {
            return Err("the lobby is full".into());
        }
        let allowed = &self.args.allow_key;
        if !allowed.is_empty() && !allowed.iter().any(|other| other.same_identity(&key)) {
            return Err("this key is not on the lobby's list".into());
        }
        match Request::parse(&request.connect_data)? {
            Request::Host(name) => {
                self.names.check(&name, key, request.remote.into())?;
                Ok((Role::Host(name), ACCEPTED.to_owned()))
            }
            Request::Ask(name) => {
                let Some(holder) = self.names.get(&name) else {
                    return Err(format!("nobody is here under the name {name}"));
                };
                let other = Other { number: holder.connection.get(), key: holder.key };
                let host = holder.connection;
                Ok((Role::Asks { name, host, progress: Progress::NotBegun }, other.to_string()))
            }
            Request::Look => Ok((Role::Looks, ACCEPTED.to_owned())),
        }
    }

    fn established(&mut self, socket: &mut Socket, id: ConnectionId, remote: Address) -> Result<(), Failure> {
        let Some(guest) = self.guests.get_mut(&id) else { return Ok(()) };
        let key = guest.key;
        match &mut guest.role {
            Role::Host(name) => {
                let name = name.clone();
                match self.names.take(&name, Holder { connection: id, key, network: remote.into() }) {
                    Ok(None) => {}
                    Ok(Some(before)) => {
                        let _ = socket.close(before, TAKEN_OVER.as_bytes());
                    }
                    // Another one was faster.
                    Err(reason) => {
                        let _ = socket.close(id, reason.as_bytes());
                        return Ok(());
                    }
                }
                self.notices.add(id, None, REGISTERED.to_owned());
                self.notices.send(socket);
                self.tell_guest("registered", id, remote, key, Some(&name))
            }
            Role::Asks { name, host, progress } => {
                let (name, host) = (name.clone(), *host);
                if self.names.get(&name).is_none_or(|holder| holder.connection != host) {
                    let _ = socket.close(id, format!("{name} has left just now").as_bytes());
                    return Ok(());
                }
                if let Err(error) = socket.introduce(id, host, self.args.relay()) {
                    let _ = socket.close(id, error.to_string().as_bytes());
                    return Ok(());
                }
                *progress = Progress::Begun;
                self.figures.introduced += 1;
                self.notices.add(host, Some(id), Other { number: id.get(), key }.to_packet());
                self.notices.send(socket);
                self.tell_guest("asked", id, remote, key, Some(&name))
            }
            Role::Looks => self.tell_guest("looks", id, remote, key, None),
        }
    }

    /// Returns whether `asks` is being introduced to `host`.
    fn is_under_way(&self, asks: ConnectionId, host: ConnectionId) -> bool {
        self.guests.get(&asks).is_some_and(|guest| match guest.role {
            Role::Asks { host: other, progress, .. } => other == host && progress == Progress::Begun,
            Role::Host(_) | Role::Looks => false,
        })
    }

    fn introduced(
        &mut self,
        introduction: IntroductionId,
        initiator: ConnectionId,
        result: IntroductionResult,
        took: Duration,
    ) -> Result<(), Failure> {
        self.figures.count(result, took);
        let word = result_name(result);
        let (level, reason) = match word {
            "failed" => (Level::Warn, Some(failure_name(result))),
            _ => (Level::Info, None),
        };
        let mut name = None;
        if let Some(Guest { role: Role::Asks { name: asked, progress, .. }, .. }) =
            self.guests.get_mut(&initiator)
        {
            *progress = Progress::Over;
            name = Some(asked.clone());
        }
        let shown = name.as_ref().map_or("-", Name::as_str);
        let why = reason.map(|reason| format!(" {reason}")).unwrap_or_default();
        self.logs.event(
            level,
            "introduced",
            format_args!(
                "{introduction} {initiator} to {shown}: {word}{why} {DIM}after {}{DIM:#}",
                millis(took)
            ),
            || {
                json!({
                    "introduction": introduction.to_string(),
                    "connection": initiator.to_string(),
                    "name": name.as_ref().map(Name::as_str),
                    "result": word,
                    "reason": reason,
                    "took_ms": millis_number(took),
                })
            },
        )
    }

    fn closed(&mut self, id: ConnectionId, code: CloseCode, reason: &[u8]) -> Result<(), Failure> {
        // What never got in was told as refused.
        let Some(guest) = self.guests.remove(&id) else { return Ok(()) };
        let name = guest.role.name().map(Name::as_str);
        let shown = name.unwrap_or("-");
        if let Role::Host(name) = &guest.role {
            self.names.free(name, id);
        }
        self.notices.forget(id);
        let code = code.name();
        self.logs.event(
            Level::Info,
            "closed",
            format_args!("{id} {shown} {code} {}", printable(reason)),
            || {
                json!({
                    "connection": id.to_string(),
                    "name": name,
                    "code": code,
                    "reason": printable(reason),
                })
            },
        )
    }

    fn tell_guest(
        &self,
        event: &'static str,
        id: ConnectionId,
        remote: Address,
        key: PublicKey,
        name: Option<&Name>,
    ) -> Result<(), Failure> {
        let name = name.map(Name::as_str);
        let shown = name.unwrap_or("-");
        let text = format_args!("{id} {remote} {NAME}{key}{NAME:#} {shown}");
        self.logs.event(Level::Info, event, text, || {
            json!({
                "connection": id.to_string(),
                "number": id.get(),
                "remote": remote.to_string(),
                "public_key": key.to_string(),
                "name": name,
            })
        })
    }
}
