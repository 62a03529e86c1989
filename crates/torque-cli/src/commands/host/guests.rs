//! The answers of a host to events: who may connect, echoes, and the log of them.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use torque_socket::discovery::{HostInfo, Responder};
use torque_socket::{Address, ConnectRequest, ConnectionId, Credential, Delivery, Event, PublicKey};

use super::Args;
use super::figures::Figures;
use crate::connecting::path_name;
use crate::failure::Failure;
use crate::host_socket::HostSocket;
use crate::logs::{Level, Logs};
use crate::output::{BAD, DIM, GOOD, NAME};
use crate::refusals::Refusals;
use crate::units::{hex, millis, millis_number, printable, text_or_hex};

/// The connections of a host.
pub struct Guests<'a> {
    args: &'a Args,
    logs: &'a Logs<'a>,
    responder: Responder,
    guests: HashMap<ConnectionId, Guest>,
    refusals: Refusals,
    figures: Figures,
    /// Connections that were let in and have ended.
    pub ended: u64,
}

#[derive(Default)]
struct Guest {
    is_established: bool,
    echoed: u64,
    held_back: u64,
}

/// A remark on a guest that was introduced.
fn introduced_text(introduced_by: Option<ConnectionId>) -> &'static str {
    if introduced_by.is_some() { "introduced " } else { "" }
}

/// Somebody who asks to come in.
struct Request<'a> {
    connection: ConnectionId,
    remote: Address,
    public_key: PublicKey,
    connect_data: &'a [u8],
    origin: Option<&'a str>,
    introduced_by: Option<ConnectionId>,
}

impl<'a> Guests<'a> {
    pub fn new(args: &'a Args, logs: &'a Logs<'a>) -> Result<Self, Failure> {
        let responder = Responder::new(&args.service, HostInfo::default())
            .map_err(|error| Failure::usage(error.to_string()))?;
        let mut guests = Self {
            args,
            logs,
            responder,
            guests: HashMap::new(),
            refusals: Refusals::new("refused_more"),
            figures: Figures { limit: args.limits.connections.into(), ..Figures::default() },
            ended: 0,
        };
        guests.tell_info()?;
        Ok(guests)
    }

    /// Those that were let in, established or not yet.
    pub fn count(&self) -> usize {
        self.guests.len()
    }

    fn established(&self) -> usize {
        self.guests.values().filter(|guest| guest.is_established).count()
    }

    /// The counters, as text for the metrics.
    pub fn metrics(&self) -> String {
        let established = self.established();
        self.figures.text(established, self.guests.len() - established)
    }

    /// `socket` is none when it shuts down: then nothing can be answered any more.
    pub fn event(&mut self, socket: Option<&mut HostSocket>, event: Event) -> Result<(), Failure> {
        match event {
            Event::InfoPacket { remote, local, payload } => {
                if let Some(socket) = socket
                    && let Some(answer) = self.responder.answer(remote, socket.public_key(), &payload)
                {
                    // If too much waits to be sent, the question will come again.
                    let _ = socket.send_info_from(local, remote, &answer);
                }
                Ok(())
            }
            Event::ConnectRequest(ConnectRequest {
                connection,
                remote,
                public_key,
                connect_data,
                origin,
                introduced_by,
                ..
            }) => {
                let Some(socket) = socket else { return Ok(()) };
                let (connect_data, origin) = (&connect_data[..], origin.as_deref());
                let request = Request { connection, remote, public_key, connect_data, origin, introduced_by };
                self.request(socket, &request)
            }
            Event::Established { connection, remote, public_key, settings, introduced_by, .. } => {
                self.guests.entry(connection).or_default().is_established = true;
                self.tell_info()?;
                self.logs.event(
                    Level::Info,
                    "established",
                    format_args!(
                        "{connection} {remote} {NAME}{public_key}{NAME:#} {}{DIM}{settings}{DIM:#}",
                        introduced_text(introduced_by)
                    ),
                    || {
                        json!({
                            "connection": connection.to_string(),
                            "remote": remote.to_string(),
                            "path": path_name(remote),
                            "introduced_by": introduced_by.map(|lobby| lobby.to_string()),
                            "public_key": public_key.to_string(),
                            "settings": settings.to_string(),
                        })
                    },
                )
            }
            Event::Packet { connection, sequence, payload } => {
                self.figures.received += 1;
                let is_echoed = socket.is_some_and(|socket| socket.send(connection, &payload).is_ok());
                // An echo is not worth a queue: the window is full, or the connection is closing.
                let counter = if is_echoed { &mut self.figures.echoed } else { &mut self.figures.held_back };
                *counter += 1;
                if let Some(guest) = self.guests.get_mut(&connection) {
                    *(if is_echoed { &mut guest.echoed } else { &mut guest.held_back }) += 1;
                }
                if !self.logs.wants(Level::Debug) {
                    return Ok(());
                }
                self.logs.event(
                    Level::Debug,
                    "packet",
                    format_args!("{connection} {sequence} {}", text_or_hex(&payload)),
                    || {
                        json!({
                            "connection": connection.to_string(),
                            "sequence": sequence.0,
                            "text": String::from_utf8_lossy(&payload),
                            "hex": hex(&payload),
                        })
                    },
                )
            }
            Event::Verdict { connection, sequence, delivery } => {
                let (counter, word) = match delivery {
                    Delivery::Delivered => (&mut self.figures.delivered, "delivered"),
                    Delivery::Dropped => (&mut self.figures.dropped, "dropped"),
                    Delivery::Unknown => (&mut self.figures.unknown, "unknown"),
                };
                *counter += 1;
                let text = format_args!("{connection} {sequence} {word}");
                self.logs.event(Level::Debug, "verdict", text, || {
                    json!({
                        "connection": connection.to_string(),
                        "sequence": sequence.0,
                        "delivery": word,
                    })
                })
            }
            Event::PathChanged { connection, remote, round_trip } => self.logs.event(
                Level::Info,
                "path_changed",
                format_args!("{connection} {remote} {DIM}round trip {}{DIM:#}", millis(round_trip)),
                || {
                    json!({
                        "connection": connection.to_string(),
                        "remote": remote.to_string(),
                        "path": path_name(remote),
                        "rtt_ms": millis_number(round_trip),
                    })
                },
            ),
            Event::Close { connection, code, reason, .. } => self.closed(connection, code.name(), &reason),
            _ => Ok(()),
        }
    }

    /// Tells of refusals that got no line, when their second is over. Call it in every turn.
    pub fn tell_refusals(&mut self) -> Result<(), Failure> {
        self.refusals.tell_if_due(self.logs)
    }

    /// Tells of them at once.
    pub fn tell_last_refusals(&mut self) -> Result<(), Failure> {
        self.refusals.tell(self.logs)
    }

    fn request(&mut self, socket: &mut HostSocket, request: &Request<'_>) -> Result<(), Failure> {
        let verdict = self.judge(request.public_key, request.connect_data);
        let connection = request.connection;
        let is_told = match &verdict {
            Ok(()) => true,
            Err(_) => {
                self.figures.refused += 1;
                self.refusals.is_told()
            }
        };
        if is_told {
            self.tell_request(request, verdict.as_ref().err().map_or("", String::as_str))?;
        }
        // The request may have been given up meanwhile; its close event tells.
        let _ = match verdict {
            Ok(()) => {
                self.guests.insert(connection, Guest::default());
                socket.accept_connection(connection, self.args.accept_data.as_bytes())
            }
            Err(why) => socket.refuse(connection, why.as_bytes()),
        };
        Ok(())
    }

    /// `refusal`: why it is refused; empty if it is accepted.
    fn tell_request(&self, request: &Request<'_>, refusal: &str) -> Result<(), Failure> {
        let Request { connection, remote, public_key, connect_data, origin, introduced_by } = *request;
        let (level, style, word) = match refusal {
            "" => (Level::Info, GOOD, "accepted"),
            _ => (Level::Warn, BAD, "refused"),
        };
        // What initiators send with their request may be a password.
        let data = self.args.log_connect_data.then(|| printable(connect_data));
        self.logs.event(
            level,
            "request",
            format_args!(
                "{connection} {remote} {NAME}{public_key}{NAME:#} {style}{word}{style:#} {}{} {refusal} {DIM}{}{DIM:#}",
                introduced_text(introduced_by),
                origin.unwrap_or_default(),
                data.as_deref().unwrap_or_default(),
            ),
            || {
                let mut fields = json!({
                    "connection": connection.to_string(),
                    "remote": remote.to_string(),
                    "public_key": public_key.to_string(),
                    "origin": origin,
                    "introduced_by": introduced_by.map(|lobby| lobby.to_string()),
                    "connect_data_bytes": connect_data.len(),
                    "accepted": refusal.is_empty(),
                    "reason": refusal,
                });
                if let Some(data) = data.as_deref() {
                    fields["connect_data"] = json!(data);
                }
                fields
            },
        )
    }

    /// Decides whether the initiator may connect. If not, returns what it is told.
    fn judge(&self, key: PublicKey, connect_data: &[u8]) -> Result<(), String> {
        let args = self.args;
        if self.guests.len() >= usize::from(args.limits.connections) {
            return Err("the host is full".into());
        }
        let (credential, data) = match Credential::parse_prefix(connect_data) {
            Ok((credential, rest)) => (Some(credential), rest),
            Err(_) => (None, connect_data),
        };
        if args.require_data.as_ref().is_some_and(|wanted| wanted.as_bytes() != data) {
            return Err("the connect data is not what this host wants".into());
        }
        if args.accept_key.is_empty() && args.authority.is_empty() {
            return Ok(());
        }
        if args.accept_key.iter().any(|accepted| accepted.same_identity(&key)) {
            return Ok(());
        }
        if args.authority.is_empty() {
            return Err("this key is not on the list".into());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        match credential {
            None => Err("no credential was shown".into()),
            Some(credential) => {
                credential.verify(key, &args.authority, now).map_err(|error| error.to_string())
            }
        }
    }

    fn closed(&mut self, connection: ConnectionId, code: &str, reason: &[u8]) -> Result<(), Failure> {
        // What never got in was told as refused.
        let Some(guest) = self.guests.remove(&connection) else { return Ok(()) };
        self.ended += 1;
        self.tell_info()?;
        let Guest { echoed, held_back, .. } = guest;
        self.logs.event(
            Level::Info,
            "closed",
            format_args!(
                "{connection} {code} {} {DIM}({echoed} packets echoed, {held_back} not){DIM:#}",
                printable(reason)
            ),
            || {
                json!({
                    "connection": connection.to_string(),
                    "code": code,
                    "reason": printable(reason),
                    "echoed": echoed,
                    "held_back": held_back,
                })
            },
        )
    }

    /// Renews what queries are told.
    fn tell_info(&mut self) -> Result<(), Failure> {
        let established = self.established();
        let info = HostInfo {
            name: self.args.name.clone(),
            players: u16::try_from(established).unwrap_or(u16::MAX),
            max_players: self.args.limits.connections,
            data: Vec::new(),
        };
        self.responder.set_info(info).map_err(|error| Failure::usage(error.to_string()))
    }
}
