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
use crate::stop::{self, END_AT_MOST, LOOK_EVERY};
use crate::trust::TrustOptions;
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

/// Connects, and waits until the connection is established.
pub fn establish(socket: &mut Socket, wish: &Wish<'_>, output: &Output) -> Result<Connected, Failure> {
    let host = host_name(wish.target)?;
    // Without a key in the URL the host's key is judged below.
    let trust = wish.target.to_target()?.key().is_none().then_some(Trust::Ask);
    let options = ConnectOptions::default()
        .with_trust(trust)
        .with_data(with_credential(wish.credential, socket.public_key(), wish.data)?)
        .with_settings(wish.settings);
    let id = socket.connect_with(wish.target, options)?;
    let begun = Instant::now();
    let mut is_hinted = false;
    loop {
        if stop::requested() {
            // It is given up either way.
            let _ = socket.close(id, b"");
            socket.flush();
            return Err(Failure::failed("stopped before the connection was established"));
        }
        if !is_hinted && begun.elapsed() >= HINT_AFTER {
            is_hinted = tell_hint(socket.attempt_problem(id), output)?;
        }
        socket.wait(LOOK_EVERY);
        socket.poll();
        while let Some(event) = socket.next_event() {
            match event {
                Event::ChallengeResponse(ChallengeResponse {
                    connection,
                    public_key,
                    challenge_response_data,
                    ..
                }) => {
                    let data = &challenge_response_data;
                    if let Err(failure) = wish.trust.decide(&host, public_key, data, wish.harmless, output) {
                        let _ = socket.close(connection, b"");
                        return Err(failure);
                    }
                    socket.accept_challenge(connection)?;
                }
                Event::Established { connection, remote, public_key, accept_data, settings, .. } => {
                    let stats = socket.connection_stats(connection);
                    let steps_text = stats.as_ref().map(steps).unwrap_or_default();
                    let cipher = stats.as_ref().map(|stats| stats.cipher.to_string()).unwrap_or_default();
                    output.note(format_args!(
                        "{GOOD}connected{GOOD:#} to {remote} ({NAME}{}{NAME:#}): {steps_text}",
                        short_key(&public_key)
                    ));
                    output.note(format_args!("{DIM}{settings};cipher={cipher}{DIM:#}"));
                    output.record(|| {
                        json!({
                            "event": "established",
                            "remote": remote.to_string(),
                            "public_key": public_key.to_string(),
                            "accept_data": printable(&accept_data),
                            "settings": settings.to_string(),
                            "cipher": cipher,
                            "handshake": stats.as_ref().map(steps_json),
                        })
                    })?;
                    return Ok(Connected { id: connection, remote, public_key, accept_data });
                }
                Event::Close { code, reason, .. } => return Err(Failure::closed(code, &reason)),
                _ => {}
            }
        }
    }
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
        self.0.as_ref().filter(|stats| !stats.rtt_latest.is_zero()).map(|stats| stats.rtt)
    }
}

/// Tells that the connection goes on by another path: this machine or the host has another address now.
pub fn tell_path_change(remote: Address, round_trip: Duration, output: &Output) -> Result<(), Failure> {
    output.note(format_args!(
        "{WARN}another path{WARN:#} to the host at {remote}: the connection goes on {DIM}(round trip {}){DIM:#}",
        millis(round_trip)
    ));
    output.record(|| {
        json!({
            "event": "path_changed",
            "remote": remote.to_string(),
            "rtt_ms": millis_number(round_trip),
        })
    })
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
fn host_name(target: &str) -> Result<String, Failure> {
    Ok(match target.to_target()? {
        Target::Url(url) => format!("{}:{}", url.host, url.port),
        Target::Address(address) => address.to_string(),
        _ => target.to_owned(),
    })
}
