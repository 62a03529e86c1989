//! Which web page a request comes from, and whether the host admits it (GATEWAY.md 5).

use alloc::borrow::ToOwned;
use alloc::string::String;

use super::Endpoint;
use crate::address::Address;
use crate::event::Extension;
use crate::identity::PublicKey;
use crate::identity::origin::{EXTENSION_ORIGIN, OriginToken};
use crate::instant::Instant;

impl Endpoint {
    /// The origin that a trusted gateway attests for a request; the first token counts.
    pub(super) fn attested_origin(
        &mut self,
        now: Instant,
        remote: Address,
        initiator: &PublicKey,
        extensions: &[Extension],
    ) -> Option<String> {
        let gateways = &self.config.origins.trusted_gateways;
        // Without trusted gateways there is nothing to look for, and no gateway can attest a carrier's number.
        if gateways.is_empty() {
            return None;
        }
        let remote = remote.socket_addr()?;
        let token = extensions.iter().find(|extension| extension.kind == EXTENSION_ORIGIN)?;
        let host = self.key_pair.public();
        let unix_seconds = self.host.unix_millis(now) / 1_000;
        let believed = OriginToken::parse(&token.data)
            .ok()
            .filter(|token| gateways.contains(&token.gateway()))
            .filter(|token| token.verify(initiator, &host, remote, unix_seconds).is_ok());
        if believed.is_none() {
            self.stats.origin_token_bad += 1;
        }
        believed.map(|token| token.origin().to_owned())
    }
}
