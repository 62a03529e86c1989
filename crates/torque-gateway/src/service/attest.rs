//! Origin tokens, which tell hosts the origin of a page (GATEWAY.md 5).

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use torque_proto::identity::PublicKey;
use torque_proto::identity::origin::{OriginClaims, sign_origin};

use crate::service::state::State;

/// The lifetime of a token, in seconds.
const LIFE: u64 = 60;

/// Signs a token for a session at this address. It is empty if it cannot be made.
pub fn token(
    state: &State,
    origin: &str,
    address: Option<SocketAddr>,
    initiator: &[u8; 32],
    host: &[u8; 32],
) -> Vec<u8> {
    let sign = || {
        let (initiator, host) = (PublicKey::from_bytes(initiator).ok()?, PublicKey::from_bytes(host).ok()?);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let claims = OriginClaims {
            origin,
            initiator: &initiator,
            host: &host,
            address: address?,
            expires: now + LIFE,
        };
        sign_origin(&state.key_pair, &claims).ok()
    };
    let token = sign().unwrap_or_default();
    if !token.is_empty() {
        state.rules.metrics.token_signed();
    }
    token
}
