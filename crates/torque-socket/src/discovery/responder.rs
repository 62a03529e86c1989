//! The host's part of discovery.

use std::time::Instant;

use torque_proto::{Event, PublicKey};

use super::wire::{Answer, DiscoveryError, HostInfo, QUESTION_BYTES, Question, check_service};
use crate::socket::Socket;

/// Answers in a row, and answers per second in the long run.
const BURST: u32 = 40;
const PER_SECOND: u32 = 20;

/// Answers questions about this host, but not more than 20 a second in the long run.
#[derive(Clone, Debug)]
pub struct Responder {
    service: String,
    info: HostInfo,
    /// Answers that may be given now.
    allowance: f64,
    counted_at: Instant,
}

impl Responder {
    /// Answers questions for `service`: the name that this game's hosts and seekers share, 1 to 32 bytes.
    ///
    /// # Errors
    /// A name or the data is too long.
    pub fn new(service: &str, info: HostInfo) -> Result<Self, DiscoveryError> {
        check_service(service)?;
        info.check()?;
        Ok(Self {
            service: service.to_owned(),
            info,
            allowance: f64::from(BURST),
            counted_at: Instant::now(),
        })
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
        if let Some(answer) = self.answer(socket.public_key(), payload) {
            // If too much waits to be sent, whoever asks will ask again.
            let _ = socket.send_info_from(*local, *remote, &answer);
        }
        true
    }

    /// The info packet that answers an info packet; `None` if that is no question for this service, or if
    /// there were too many. Never longer than the question.
    pub fn answer(&mut self, public_key: PublicKey, packet: &[u8]) -> Option<Vec<u8>> {
        let question = Question::parse(packet)?;
        if question.service != self.service {
            return None;
        }
        let now = Instant::now();
        let since = now.saturating_duration_since(self.counted_at).as_secs_f64();
        self.allowance = (self.allowance + since * f64::from(PER_SECOND)).min(f64::from(BURST));
        self.counted_at = now;
        if self.allowance < 1.0 {
            return None;
        }
        self.allowance -= 1.0;
        let answer = Answer { id: question.id, public_key, info: self.info.clone() }.write();
        debug_assert!(answer.len() <= QUESTION_BYTES);
        Some(answer)
    }
}
