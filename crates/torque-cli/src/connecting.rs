//! One connection as initiator, from the URL to being established: what `connect` and `ping` begin with.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use torque_socket::{
    Address, ConnectOptions, ConnectionId, Event, PublicKey, Settings, Socket, Target, ToTarget,
};

use crate::failure::Failure;
use crate::handshake_text::{short_key, steps, steps_json};
use crate::key_files;
use crate::output::{DIM, GOOD, NAME, Output};
use crate::stop::{self, LOOK_EVERY};
use crate::trust::TrustOptions;
use crate::units::printable;

/// What to connect to and how.
pub struct Wish<'a> {
    pub target: &'a str,
    pub trust: &'a TrustOptions,
    pub settings: Option<Settings>,
    /// The application's connect data.
    pub data: &'a [u8],
    /// A credential to show before it.
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

/// The bytes of a credential in front of an application's own.
pub fn with_credential(credential: Option<&Path>, data: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut bytes = match credential {
        Some(path) => key_files::read_credential(path)?.to_bytes(),
        None => Vec::new(),
    };
    bytes.extend_from_slice(data);
    Ok(bytes)
}

/// Connects, and waits until that is done.
pub fn establish(socket: &mut Socket, wish: &Wish<'_>, output: &Output) -> Result<Connected, Failure> {
    let host = host_name(wish.target)?;
    let options = ConnectOptions {
        connect_data: with_credential(wish.credential, wish.data)?,
        settings: wish.settings,
        ..ConnectOptions::default()
    };
    let id = socket.connect(wish.target, options)?;
    loop {
        if stop::requested() {
            // It is given up either way.
            let _ = socket.close(id, b"");
            socket.flush();
            return Err(Failure::failed("stopped before the connection was established"));
        }
        socket.wait(LOOK_EVERY);
        socket.poll();
        while let Some(event) = socket.next_event() {
            match event {
                Event::ChallengeResponse { connection, public_key, challenge_response_data, .. } => {
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

/// Closes a connection, and waits until every verdict is certain. Events that come meanwhile are given to `event`.
pub fn close(socket: &mut Socket, id: ConnectionId, mut event: impl FnMut(Event)) {
    const AT_MOST: Duration = Duration::from_secs(10);
    // If it has ended meanwhile, its close event is there already.
    let _ = socket.close(id, b"");
    let end = Instant::now() + AT_MOST;
    while Instant::now() < end {
        while let Some(next) = socket.next_event() {
            let is_last = matches!(next, Event::Close { .. });
            event(next);
            if is_last {
                return;
            }
        }
        socket.wait(LOOK_EVERY);
        socket.poll();
    }
}

/// What a host is called in the known hosts: name and port.
fn host_name(target: &str) -> Result<String, Failure> {
    Ok(match target.to_target()? {
        Target::Url(url) => format!("{}:{}", url.host, url.port),
        Target::Address(address) => address.to_string(),
        _ => target.to_owned(),
    })
}
