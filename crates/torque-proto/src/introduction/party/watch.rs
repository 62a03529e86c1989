//! What programs show of an attempt.

use alloc::vec::Vec;

use super::Party;
use super::attempt::State;
use crate::id::ConnectionId;
use crate::introduction::{PathSearch, SearchStage};

impl Party {
    /// The search of an attempt; `None` once its connection is established.
    pub(crate) fn search(&self, connection: ConnectionId) -> Option<PathSearch> {
        let empty = |stage| PathSearch {
            stage,
            candidates: Vec::new(),
            sources: Vec::new(),
            working: Vec::new(),
            has_circuit: false,
        };
        Some(match &self.attempts[self.index(connection)?].state {
            State::Asking { .. } => empty(SearchStage::Asking),
            State::Waiting { .. } => empty(SearchStage::Waiting),
            State::Meeting(meeting) => PathSearch {
                stage: SearchStage::Meeting,
                candidates: meeting.punching.candidates().collect(),
                sources: meeting.punching.sources().map(|path| path.remote).collect(),
                working: meeting.punching.valid_paths().map(|path| path.remote).collect(),
                has_circuit: meeting.circuit.is_some(),
            },
        })
    }
}
