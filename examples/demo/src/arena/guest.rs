//! The host's half of a connection: what a player was sent, has and wants. No socket: a driver hands verdicts in.

use std::collections::VecDeque;
use std::sync::Arc;

use torque_socket::Sequence;

use super::delta;
use super::flight::Control;
use super::guaranteed::{Inbox, Letter, Outbox, letter_bytes};
use super::state::State;
use super::wire::{Deed, Input, News, Snapshot, put_letters};

/// Ticks for which a delivered state can be a base, as players keep it no longer: two seconds.
pub const BASE_AGE: u32 = 120;
/// The most inputs that wait for their tick. Beyond it the oldest are skipped.
const INPUTS: usize = 4;
/// The backlog of letters at which the host gives a player up.
const LETTERS_BEHIND: usize = 512;
/// The lines that a player may say at once, and the ticks until the next one.
const LINES: u32 = 4;
const LINE_EVERY: u32 = 60;

/// A packet without a verdict.
#[derive(Debug)]
struct UnderWay {
    sequence: Sequence,
    state: Arc<State>,
    letters: Vec<Letter>,
}

/// The host's knowledge of a player.
#[derive(Debug)]
pub struct Guest {
    pub player: u8,
    pub bot: bool,
    pub name: String,
    pub points: u16,
    /// Inputs that wait for their tick, oldest first.
    inputs: VecDeque<(u32, Control)>,
    control: Control,
    /// The newest input that was applied.
    input: u32,
    /// The newest state that was delivered.
    base: Option<Arc<State>>,
    under_way: VecDeque<UnderWay>,
    outbox: Outbox,
    inbox: Inbox,
    /// Ticks towards further lines of chat.
    lines: u32,
    /// The number of foreign packets.
    pub malformed: u64,
}

/// A packet to a player. Hand it to [`Guest::sent`] or [`Guest::unsent`].
#[derive(Debug)]
pub struct Packet {
    pub bytes: Vec<u8>,
    state: Arc<State>,
    letters: Vec<Letter>,
}

impl Guest {
    pub fn new(player: u8, bot: bool, name: String) -> Self {
        Self {
            player,
            bot,
            name,
            points: 0,
            inputs: VecDeque::new(),
            control: Control::default(),
            input: 0,
            base: None,
            under_way: VecDeque::new(),
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            lines: LINES * LINE_EVERY,
            malformed: 0,
        }
    }

    /// The news of this player's arrival.
    pub fn introduction(&self) -> News {
        let (player, bot, points) = (self.player, self.bot, self.points);
        News::Joined { player, bot, points, name: self.name.clone() }
    }

    /// Queues news for the player.
    pub fn tell(&mut self, news: &News) {
        self.outbox.push(news.write());
    }

    /// Returns whether the player's backlog is too long.
    pub fn is_behind(&self) -> bool {
        self.outbox.len() > LETTERS_BEHIND
    }

    /// Handles a packet of the player. Returns its deeds, each with the last byte of its number.
    pub fn packet(&mut self, bytes: &[u8]) -> Vec<(u8, Deed)> {
        let Some(input) = Input::read(bytes) else {
            self.malformed += 1;
            return Vec::new();
        };
        let newest = self.inputs.back().map_or(self.input, |(number, _)| *number);
        if input.number > newest {
            self.inputs.push_back((input.number, input.control));
            if self.inputs.len() > INPUTS {
                self.inputs.pop_front();
            }
        }
        for letter in input.letters {
            self.malformed += u64::from(!self.inbox.take(letter));
        }
        let mut deeds = Vec::new();
        while let Some((number, content)) = self.inbox.next() {
            match Deed::read(&content) {
                Some(deed) if self.may(&deed) => deeds.push((number as u8, deed)),
                Some(_) => {}
                None => self.malformed += 1,
            }
        }
        deeds
    }

    /// Limits lines of chat. The rules of the game limit shots.
    fn may(&mut self, deed: &Deed) -> bool {
        if !matches!(deed, Deed::Say { .. }) {
            return true;
        }
        let may = self.lines >= LINE_EVERY;
        self.lines -= if may { LINE_EVERY } else { 0 };
        may
    }

    /// The player's control in the next tick. Without a new input the last one holds, so the ship of a player whose packets
    /// are lost flies on.
    pub fn control(&mut self) -> Control {
        self.lines = (self.lines + 1).min(LINES * LINE_EVERY);
        if let Some((number, control)) = self.inputs.pop_front() {
            (self.input, self.control) = (number, control);
        }
        self.control
    }

    /// The packet with a state: its differences from the newest delivered one, and as many letters as fit.
    pub fn snapshot(&mut self, state: &Arc<State>, max_packet_size: usize) -> Packet {
        let nothing = State::default();
        let base = self.base.as_deref().filter(|base| state.tick.wrapping_sub(base.tick) <= BASE_AGE);
        let head = Snapshot {
            tick: state.tick,
            base_age: base.map_or(0, |base| state.tick.wrapping_sub(base.tick)),
            input: self.input,
            check: state.check(),
        };
        let mut bytes = Vec::with_capacity(256);
        head.write(&mut bytes);
        delta::write(&mut bytes, base.unwrap_or(&nothing), state);
        let letters = self.outbox.take(max_packet_size.saturating_sub(bytes.len() + 1));
        bytes.reserve(letters.iter().map(letter_bytes).sum::<usize>() + 1);
        put_letters(&mut bytes, &letters);
        Packet { bytes, state: Arc::clone(state), letters }
    }

    /// Notes that the packet was sent with this sequence.
    pub fn sent(&mut self, packet: Packet, sequence: Sequence) {
        let Packet { state, letters, .. } = packet;
        self.under_way.push_back(UnderWay { sequence, state, letters });
    }

    /// Notes that the packet could not be sent. Its letters wait for the next one.
    pub fn unsent(&mut self, packet: Packet) {
        self.outbox.return_unsent(packet.letters);
    }

    /// Handles a verdict. Verdicts come in the order of sending, so a base only gets newer.
    pub fn verdict(&mut self, sequence: Sequence, delivered: bool) {
        if self.under_way.front().is_none_or(|packet| packet.sequence != sequence) {
            return;
        }
        let Some(packet) = self.under_way.pop_front() else { return };
        if delivered {
            self.base = Some(packet.state);
        }
        self.outbox.settle(packet.letters, delivered);
    }
}

#[cfg(test)]
mod tests;
