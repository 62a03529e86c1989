//! The player's half of the arena: the newest state, the players, and the messages to the host. No socket.
//!
//! Bots use it, and tests compare it with the host's half. Pages have the same in TypeScript.

use std::collections::{BTreeMap, VecDeque};

use torque_socket::Sequence;

use super::delta;
use super::flight::Control;
use super::guaranteed::{Inbox, Letter, Outbox};
use super::guest::BASE_AGE;
use super::state::State;
use super::wire::{Deed, Input, News, Reader, Snapshot};

/// The most open letters of a player. Beyond it, the player waits.
const LETTERS: usize = 32;

/// A player.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Other {
    pub name: String,
    pub bot: bool,
    pub points: u16,
}

/// A player's knowledge.
#[derive(Debug, Default)]
pub struct View {
    pub players: BTreeMap<u8, Other>,
    /// Received states that the host may use as a base, oldest first.
    states: VecDeque<State>,
    inbox: Inbox,
    outbox: Outbox,
    under_way: VecDeque<(Sequence, Vec<Letter>)>,
    input: u32,
    /// Packets that could not be read, or whose state fails the check.
    pub faults: u64,
}

impl View {
    /// The newest state.
    pub fn state(&self) -> Option<&State> {
        self.states.back()
    }

    /// Handles a packet of the host. Returns the news in it.
    pub fn packet(&mut self, bytes: &[u8]) -> Vec<News> {
        let Some((state, letters)) = self.read(bytes) else {
            self.faults += 1;
            return Vec::new();
        };
        self.states.retain(|old| state.tick.wrapping_sub(old.tick) <= BASE_AGE);
        self.states.push_back(state);
        for letter in letters {
            self.faults += u64::from(!self.inbox.take(letter));
        }
        let mut all = Vec::new();
        while let Some((_, content)) = self.inbox.next() {
            match News::read(&content) {
                Some(news) => {
                    self.learn(&news);
                    all.push(news);
                }
                None => self.faults += 1,
            }
        }
        all
    }

    fn read(&self, bytes: &[u8]) -> Option<(State, Vec<Letter>)> {
        let mut input = Reader(bytes);
        let head = Snapshot::read(&mut input)?;
        let nothing = State::default();
        let base = match head.base_age {
            0 => &nothing,
            age => self.states.iter().find(|state| state.tick.wrapping_add(age) == head.tick)?,
        };
        if self.state().is_some_and(|newest| newest.tick >= head.tick) {
            return None;
        }
        let state = delta::read(&mut input, base, head.tick)?;
        let letters = input.letters()?;
        input.end((state, letters)).filter(|(state, _)| state.check() == head.check)
    }

    fn learn(&mut self, news: &News) {
        match news {
            News::Joined { player, bot, points, name } => {
                self.players.insert(*player, Other { name: name.clone(), bot: *bot, points: *points });
            }
            News::Left { player } => drop(self.players.remove(player)),
            News::Burst { by, .. } => {
                if let Some(other) = self.players.get_mut(by) {
                    other.points = other.points.saturating_add(1);
                }
            }
            News::Said { .. } => {}
        }
    }

    /// Queues a deed, to be done once. Returns `false` if too many are open.
    pub fn do_once(&mut self, deed: &Deed) -> bool {
        let may = self.outbox.len() < LETTERS;
        if may {
            self.outbox.push(deed.write());
        }
        may
    }

    /// The packet of this tick, and the letters to hand to [`sent`](Self::sent) or [`unsent`](Self::unsent).
    pub fn input(&mut self, control: Control, max_packet_size: usize) -> (Vec<u8>, Vec<Letter>) {
        self.input = self.input.wrapping_add(1);
        let mut input = Input { number: self.input, control, letters: Vec::new() };
        let room = max_packet_size.saturating_sub(input.write().len());
        input.letters = self.outbox.take(room);
        (input.write(), input.letters)
    }

    /// Notes that the packet was sent with this sequence.
    pub fn sent(&mut self, letters: Vec<Letter>, sequence: Sequence) {
        self.under_way.push_back((sequence, letters));
    }

    /// Notes that the packet could not be sent.
    pub fn unsent(&mut self, letters: Vec<Letter>) {
        self.outbox.return_unsent(letters);
    }

    /// Handles a verdict.
    pub fn verdict(&mut self, sequence: Sequence, delivered: bool) {
        if self.under_way.front().is_some_and(|(of, _)| *of == sequence)
            && let Some((_, letters)) = self.under_way.pop_front()
        {
            self.outbox.settle(letters, delivered);
        }
    }

    /// The number of letters that may not have arrived yet.
    #[cfg(test)]
    pub fn open(&self) -> usize {
        self.outbox.len()
    }
}
