//! Finds the owner of a datagram.

use super::Endpoint;
use super::setup::Datagram;
use crate::event::Event;
use crate::handshake::DropReason;
use crate::instant::Instant;
use crate::path::Path;
use crate::transmits::Cause;
use crate::wire::{DatagramKind, parse_probe, probe_echo};

impl Endpoint {
    /// Takes a datagram that came from the network. Whatever it holds, it does no worse than being counted.
    pub fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) {
        let Datagram { path, bytes } = datagram;
        self.stats.datagrams_received += 1;
        self.stats.bytes_received += bytes.len() as u64;
        self.take_datagram(now, path, bytes);
    }

    /// Finds the owner of a datagram that came from the network, or out of a circuit.
    #[inline]
    pub(super) fn take_datagram(&mut self, now: Instant, path: Path, bytes: &mut [u8]) {
        let kind = DatagramKind::of(bytes);
        match kind {
            DatagramKind::Packet => self.on_packet(now, path, bytes),
            DatagramKind::ChallengeRequest => self.on_challenge_request(now, path, bytes),
            DatagramKind::ConnectRequest => self.on_connect_request(now, path, bytes),
            DatagramKind::ChallengeResponse
            | DatagramKind::ConnectAccept
            | DatagramKind::ConnectRefuse
            | DatagramKind::ConnectPending
            | DatagramKind::Reject => self.on_reply(now, path, kind, bytes),
            DatagramKind::Punch => self.on_punch(now, path, bytes),
            DatagramKind::WhoAreYou => self.on_who_are_you(now, path, bytes),
            DatagramKind::Reset => self.on_reset(now, path, bytes),
            DatagramKind::Observe => self.on_observe(now, path, bytes),
            DatagramKind::Relayed => self.on_relayed(now, path, bytes),
            DatagramKind::Info => self.on_info(path, bytes),
            DatagramKind::Probe => self.on_probe(path, bytes),
            // Endpoints send no probes, and an echo that were answered could go round for ever.
            DatagramKind::ProbeEcho => self.stats.stray_handshake += 1,
            DatagramKind::Reserved | DatagramKind::Empty => self.stats.reserved_kind += 1,
        }
    }

    /// Echoes a probe if datagrams from there are welcome (4.9): at the bound port with `accept_incoming` those from
    /// everywhere, else only those from an address that has an attempt or a connection, or where the other party of an introduction
    /// may be.
    fn on_probe(&mut self, path: Path, bytes: &[u8]) {
        let Ok(nonce) = parse_probe(bytes) else { return self.stats.malformed += 1 };
        let remote = &path.remote;
        let is_known = self.attempts.asking(remote).is_some() || self.connections.get(remote).is_some();
        if !self.hosts_at(path) && !is_known && !self.introductions.expects(*remote) {
            return self.stats.not_accepting += 1;
        }
        if !self.transmits.takes_answers() {
            return self.transmits.count_unanswered();
        }
        self.transmits.push(Cause::Stranger, path, |out| out.extend_from_slice(&probe_echo(nonce)));
        self.stats.probes_answered += 1;
    }

    fn on_info(&mut self, path: Path, bytes: &[u8]) {
        if !self.events.has_room_for_info(path.remote, &self.config.limits) {
            self.stats.info_dropped += 1;
            return;
        }
        self.stats.info_received += 1;
        let payload = self.pool.fill(bytes);
        self.events.push(Event::InfoPacket { remote: path.remote, local: path.local, payload });
    }

    /// Counts a handshake datagram that came to nothing.
    pub(super) fn count_drop(&mut self, reason: DropReason) {
        trace_event!(TRACE, ?reason, "handshake datagram dropped");
        let stats = &mut self.stats;
        let counter = match reason {
            DropReason::FalseToken => &mut stats.false_token,
            DropReason::FalseSolution => &mut stats.false_solution,
            DropReason::ReplayedToken => &mut stats.replayed_token,
            DropReason::HandshakeRejected => &mut stats.bad_request,
            DropReason::UnknownIntroduction => &mut stats.unknown_introduction,
            DropReason::ChangedRequest => &mut stats.changed_request,
            DropReason::TooSoon => &mut stats.repeated_too_soon,
            DropReason::Stray => &mut stats.stray_handshake,
            DropReason::BadChallenge => &mut stats.bad_challenge,
            DropReason::Forged => &mut stats.bad_reply,
        };
        *counter += 1;
    }
}
