//! The host's part of discovery.

use std::time::Instant;

use torque_proto::{Address, Event, PublicKey};

use super::source::{Budgets, Rate, Source};
use super::wire::{Answer, DiscoveryError, HostInfo, QUESTION_BYTES, Question, check_service};
use crate::socket::Socket;

/// Answers to everybody together.
const TO_ALL: Rate = Rate { burst: 40, per_second: 20 };
/// Answers to one source.
const TO_EACH: Rate = Rate { burst: 8, per_second: 2 };

/// Answers questions about this host, but not more than 20 a second in the long run, and 2 to one source (an IPv4
/// address, or an IPv6 /64), so that a source that asks without end does not silence the host for the others.
#[derive(Clone, Debug)]
pub struct Responder {
    service: String,
    info: HostInfo,
    budgets: Budgets,
}

impl Responder {
    /// Answers questions for `service`: the name that this game's hosts and seekers share, 1 to 32 bytes.
    ///
    /// # Errors
    /// A name or the data is too long.
    pub fn new(service: &str, info: HostInfo) -> Result<Self, DiscoveryError> {
        check_service(service)?;
        info.check()?;
        Ok(Self { service: service.to_owned(), info, budgets: Budgets::new(TO_ALL, TO_EACH) })
    }

    /// Tells something else from now on.
    ///
    /// # Errors
    /// The name or the data is too long; what was told before stays.
    pub fn set_info(&mut self, info: HostInfo) -> Result<(), DiscoveryError> {
        info.check()?;
        self.info = info;
        Ok(())
    }

    /// Answers `event` if it is a question of discovery. Returns whether it was one.
    pub fn handle(&mut self, socket: &mut Socket, event: &Event) -> bool {
        let Event::InfoPacket { remote, local, payload } = event else { return false };
        if Question::parse(payload).is_none() {
            return false;
        }
        if let Some(answer) = self.answer(*remote, socket.public_key(), payload) {
            // If too much waits to be sent, the one who asked will ask again.
            let _ = socket.send_info_from(*local, *remote, &answer);
        }
        true
    }

    /// The info packet that answers one from `remote`; `None` if that is not a question for this service, or if
    /// there were too many. Never longer than the question.
    pub fn answer(&mut self, remote: Address, public_key: PublicKey, packet: &[u8]) -> Option<Vec<u8>> {
        let question = Question::parse(packet)?;
        if question.service != self.service {
            return None;
        }
        if !self.budgets.spend(Source::of(remote), Instant::now()) {
            return None;
        }
        let answer = Answer { id: question.id, public_key, info: self.info.clone() }.write();
        debug_assert!(answer.len() <= QUESTION_BYTES);
        Some(answer)
    }
}
