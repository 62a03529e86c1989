//! Connects as initiator, from the URL to an established connection, for `connect` and `ping`.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use torque_socket::{
    Address, ChallengeResponse, CloseCode, ClosedBy, ConnectOptions, ConnectionId, ConnectionStats, Event,
    PublicKey, Settings, Socket, Target, ToTarget, Trust,
};

use crate::failure::Failure;
use crate::handshake_text::{short_key, steps, steps_json};
use crate::key_files;
use crate::output::{DIM, GOOD, NAME, Output, WARN};
use crate::path_watch::PathWatch;
use crate::stop::{self, END_AT_MOST, LOOK_EVERY};
use crate::trust::{Named, TrustOptions};
use crate::units::{millis, millis_number, printable};

/// The time after which an attempt reports what seems to be wrong.
const HINT_AFTER: Duration = Duration::from_secs(1);

/// The target and the options of a connection.
pub struct Wish<'a> {
    pub target: &'a str,
    pub trust: &'a TrustOptions,
    pub settings: Option<Settings>,
    /// The application's connect data.
    pub data: &'a [u8],
    /// A credential to send before it.
    pub credential: Option<&'a Path>,
    /// See [`TrustOptions::decide`].
    pub harmless: bool,
}

/// An established connection.
pub struct Connected {
    pub id: ConnectionId,
    pub remote: Address,
    pub public_key: PublicKey,
    pub accept_data: Vec<u8>,
    pub settings: Settings,
    /// The connection with the lobby that introduced the two.
    pub lobby: Option<ConnectionId>,
}

impl Connected {
    /// The connection goes on by another path: this machine or the host has another address now, or a relayed connection has become
    /// direct. Notes it, and tells.
    pub fn moved(&mut self, remote: Address, round_trip: Duration, output: &Output) -> Result<(), Failure> {
        let old = std::mem::replace(&mut self.remote, remote);
        let text = match (old.is_circuit(), remote.is_circuit()) {
            (false, false) => format!("{WARN}another path{WARN:#} to the host, at {remote}"),
            (true, false) => format!("{GOOD}a direct path{GOOD:#} now, to {remote}"),
            (_, true) => format!("{WARN}relayed{WARN:#} by the lobby now"),
        };
        output.note(format_args!(
            "{text}: the connection goes on {DIM}(round trip {}){DIM:#}",
            millis(round_trip)
        ));
        output.record(|| {
            json!({
                "event": "path_changed",
                "remote": remote.to_string(),
                "path": path_name(remote),
                "path_before": path_name(old),
                "rtt_ms": millis_number(round_trip),
            })
        })
    }
}

/// The bytes of a credential for `key`, followed by the application's own. A useless credential is refused here.
pub fn with_credential(credential: Option<&Path>, key: PublicKey, data: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut bytes = match credential {
        Some(path) => key_files::credential_for(path, key)?.to_bytes(),
        None => Vec::new(),
    };
    bytes.extend_from_slice(data);
    Ok(bytes)
}

/// Connects, waits until the connection is established, and tells.
pub fn establish(socket: &mut Socket, wish: &Wish<'_>, output: &Output) -> Result<Connected, Failure> {
    let connected = connect(socket, wish, output)?;
    tell_established(socket, &connected, None, output)?;
    Ok(connected)
}

/// Connects, and waits until the connection is established.
pub fn connect(socket: &mut Socket, wish: &Wish<'_>, output: &Output) -> Result<Connected, Failure> {
    let host = Named::Host(host_name(wish.target)?);
    // Without a key in the URL the host's key is judged below.
    let trust = wish.target.to_target()?.key().is_none().then_some(Trust::Ask);
    let options = ConnectOptions::default()
        .with_trust(trust)
        .with_data(with_credential(wish.credential, socket.public_key(), wish.data)?)
        .with_settings(wish.settings);
    let id = socket.connect_with(wish.target, options)?;
    Attempt { id, host, trust: wish.trust, harmless: wish.harmless, lobby: None }.wait(socket, output)
}

/// An attempt that has begun.
pub struct Attempt<'a> {
    pub id: ConnectionId,
    pub host: Named,
    pub trust: &'a TrustOptions,
    /// See [`TrustOptions::decide`].
    pub harmless: bool,
    /// The connection with the lobby that introduces the two.
    pub lobby: Option<ConnectionId>,
}

impl Attempt<'_> {
    /// Waits until the connection is established.
    pub fn wait(&self, socket: &mut Socket, output: &Output) -> Result<Connected, Failure> {
        let begun = Instant::now();
        let mut is_hinted = false;
        let mut lobby_ended = None;
        let mut watch = self.lobby.map(|_| PathWatch::new(socket, self.id));
        loop {
            if stop::requested() {
                socket.close_all();
                socket.flush();
                return Err(Failure::failed("stopped before the connection was established"));
            }
            if !is_hinted && begun.elapsed() >= HINT_AFTER {
                is_hinted = tell_hint(socket.attempt_problem(self.id), output)?;
            }
            socket.wait(LOOK_EVERY);
            socket.poll();
            if let Some(watch) = &mut watch {
                watch.look(socket, output)?;
            }
            while let Some(event) = socket.next_event() {
                match event {
                    Event::ChallengeResponse(response) if response.connection == self.id => {
                        self.judge(socket, &response, output)?;
                    }
                    Event::Established {
                        connection: id, remote, public_key, accept_data, settings, ..
                    } if id == self.id => {
                        let lobby = self.lobby;
                        return Ok(Connected { id, remote, public_key, accept_data, settings, lobby });
                    }
                    Event::Close { connection, code, reason, .. } if connection == self.id => {
                        return Err(match lobby_ended {
                            Some(failure) if code == CloseCode::IntroducerGone => failure,
                            _ => Failure::closed(code, &reason),
                        });
                    }
                    // The attempt ends as well, if it needs the lobby still.
                    Event::Close { connection, code, reason, .. } if Some(connection) == self.lobby => {
                        lobby_ended = Some(Failure::closed(code, &reason));
                    }
                    _ => {}
                }
            }
        }
    }

    fn judge(
        &self,
        socket: &mut Socket,
        response: &ChallengeResponse,
        output: &Output,
    ) -> Result<(), Failure> {
        let (key, data) = (response.public_key, &response.challenge_response_data);
        if let Err(failure) = self.trust.decide(&self.host, key, data, self.harmless, output) {
            let _ = socket.close(self.id, b"");
            return Err(failure);
        }
        Ok(socket.accept_challenge(self.id)?)
    }
}

/// Tells that a connection is established. `lobby` is the key of the lobby that introduced the two.
pub fn tell_established(
    socket: &Socket,
    connected: &Connected,
    lobby: Option<PublicKey>,
    output: &Output,
) -> Result<(), Failure> {
    let Connected { id, remote, public_key, accept_data, settings, .. } = connected;
    let stats = socket.connection_stats(*id);
    let steps_text = stats.as_ref().map(steps).unwrap_or_default();
    let rtt = stats.as_ref().and_then(measured_rtt);
    let cipher = stats.as_ref().map(|stats| stats.cipher.to_string()).unwrap_or_default();
    let key = short_key(public_key);
    let place = if remote.is_circuit() { "through the lobby".into() } else { format!("to {remote}") };
    output.note(format_args!("{GOOD}connected{GOOD:#} {place} ({NAME}{key}{NAME:#}): {steps_text}"));
    if let Some(lobby) = lobby {
        let path = if remote.is_circuit() { "which relays for now" } else { "directly" };
        let round_trip = rtt.map(|rtt| format!(" {DIM}(round trip {}){DIM:#}", millis(rtt)));
        let round_trip = round_trip.unwrap_or_default();
        output.note(format_args!("introduced by {NAME}{}{NAME:#}, {path}{round_trip}", short_key(&lobby)));
    }
    output.note(format_args!("{DIM}{settings};cipher={cipher}{DIM:#}"));
    output.record(|| {
        json!({
            "event": "established",
            "remote": remote.to_string(),
            "path": path_name(*remote),
            "rtt_ms": rtt.map(millis_number),
            "introduced_by": lobby.map(|key| key.to_string()),
            "public_key": public_key.to_string(),
            "accept_data": printable(accept_data),
            "settings": settings.to_string(),
            "cipher": cipher,
            "handshake": stats.as_ref().map(steps_json),
        })
    })
}

/// Returns the name of a kind of path, for JSON.
pub fn path_name(remote: Address) -> &'static str {
    if remote.is_circuit() { "relayed" } else { "direct" }
}

/// Reports what seems to be wrong while the attempt goes on. Anyone can send a false answer, so only the end of the wait
/// decides. Returns whether there was anything to report.
fn tell_hint(problem: Option<CloseCode>, output: &Output) -> Result<bool, Failure> {
    let Some(code) = problem else { return Ok(false) };
    let text = match code {
        CloseCode::KeyMismatch => {
            "there is an answer, but not by the key in the URL: the key is wrong, or that is another host"
                .to_owned()
        }
        CloseCode::ApplicationMismatch => {
            "the host answers, but belongs to another application or another version of it: see --application"
                .to_owned()
        }
        code => format!("there is an answer, but none to go on with: {code}"),
    };
    output.note(format_args!("{WARN}{text}{WARN:#} {DIM}(still trying){DIM:#}"));
    output.record(|| json!({ "event": "hint", "hint": code.name(), "message": text }))?;
    Ok(true)
}

/// The last figures of a connection. The socket forgets them when a connection has ended.
#[derive(Default)]
pub struct LastFigures(Option<ConnectionStats>);

impl LastFigures {
    /// Takes the current figures. Call it in every turn.
    pub fn renew(&mut self, socket: &Socket, id: ConnectionId) {
        if let Some(stats) = socket.connection_stats(id) {
            self.0 = Some(stats);
        }
    }

    /// The round-trip time, if it was measured.
    pub fn rtt(&self) -> Option<Duration> {
        self.0.as_ref().and_then(measured_rtt)
    }
}

/// The round-trip time, if it was measured.
fn measured_rtt(stats: &ConnectionStats) -> Option<Duration> {
    (!stats.rtt_latest.is_zero()).then_some(stats.rtt)
}

/// Explains why a command stays a while after its connection has ended.
pub fn note_close(code: CloseCode, by: ClosedBy, output: &Output) {
    if by == ClosedBy::Remote && code != CloseCode::HostRestarted {
        output.note(format_args!(
            "{DIM}the host has closed the connection; staying a few seconds in case it missed the answer{DIM:#}"
        ));
    }
}

/// Ends a socket in order: closes the connection, and waits until every verdict is certain and the host needs no more
/// answers. Passes the remaining events to `show`, even if `ran`, the result so far, is a failure.
///
/// # Errors
/// The first failure of `ran` and `show`.
pub fn end(
    mut socket: Socket,
    id: ConnectionId,
    ran: Result<(), Failure>,
    mut show: impl FnMut(Event) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // If it has ended meanwhile, its close event is already queued.
    let _ = socket.close(id, b"");
    let mut told = ran;
    socket.shutdown(END_AT_MOST, |event| {
        let shown = show(event);
        if told.is_ok() {
            told = shown;
        }
    });
    told
}

/// The name of a host in the known hosts: name and port.
pub fn host_name(target: &str) -> Result<String, Failure> {
    Ok(match target.to_target()? {
        Target::Url(url) => format!("{}:{}", url.host, url.port),
        Target::Address(address) => address.to_string(),
        _ => target.to_owned(),
    })
}
