//! Looks at this socket's NAT, by introducers: what is sent for them, and who waits for what they saw (INTRODUCTIONS.md 9.1).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{ObserveOut, Ports};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::micros::Micros;
use crate::wire::introduction::{Tokens, observe};

/// When a token is sent, after its first time.
const SCHEDULE: [Micros; 4] =
    [Micros::ZERO, Micros::from_millis(100), Micros::from_millis(300), Micros::from_millis(700)];
/// Tokens of a look. What an introducer names beyond that is not sent.
const TOKENS: usize = 6;
/// Tokens that are sent from the bound port: one to where packets go, one to the second address.
const FROM_BOUND_PORT: usize = 2;
/// The pause between fresh ports, and how long each is open.
const PACE: Micros = Micros::from_millis(20);
const PORT_LIVES: Micros = Micros::from_secs(1);
/// The pause between looks of one introducer. It pauses for longer itself, if it is honest.
const LOOK_PAUSE: Micros = Micros::from_secs(5);
/// How long an application waits for what an introducer saw.
const ANSWER_WAIT: Micros = Micros::from_secs(4);

/// One look of an introducer.
struct Look {
    introducer: ConnectionId,
    /// When it may look again.
    again: Instant,
    /// What is sent, in the order of time.
    sends: VecDeque<(Instant, ObserveOut)>,
    /// Fresh ports, and when they are closed.
    ports: VecDeque<(Instant, u16)>,
}

/// An application waits for what an introducer sees.
struct Call {
    introducer: ConnectionId,
    /// Its number in messages, like that of an attempt.
    number: u32,
    until: Instant,
}

/// The looks of all introducers.
#[derive(Default)]
pub(super) struct Looks {
    looks: Vec<Look>,
    calls: Vec<Call>,
}

impl Looks {
    /// An application wants to know. Returns false if it waits for this introducer already: one answer is enough.
    pub(super) fn call(&mut self, now: Instant, introducer: ConnectionId, number: u32) -> bool {
        if self.calls.iter().any(|call| call.introducer == introducer) {
            return false;
        }
        self.calls.push(Call { introducer, number, until: now + ANSWER_WAIT });
        true
    }

    pub(super) fn has_call(&self, introducer: ConnectionId, number: u32) -> bool {
        self.calls.iter().any(|call| (call.introducer, call.number) == (introducer, number))
    }

    /// The application gets its answer. Returns false if it waits for none.
    pub(super) fn take_call(&mut self, introducer: ConnectionId, number: u32) -> bool {
        let before = self.calls.len();
        self.calls.retain(|call| (call.introducer, call.number) != (introducer, number));
        self.calls.len() < before
    }

    /// An introducer looks, unless it has just done so.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        introducer: ConnectionId,
        tokens: &Tokens,
        ports: &mut Ports,
        most_ports: usize,
    ) {
        if self.looks.iter().any(|look| look.introducer == introducer) {
            return;
        }
        let again = now + LOOK_PAUSE;
        let mut look = Look { introducer, again, sends: VecDeque::new(), ports: VecDeque::new() };
        let mut sends = Vec::new();
        for (place, token) in tokens.tokens.iter().enumerate().take(TOKENS) {
            let (mut port, mut began) = (0, now);
            if place >= FROM_BOUND_PORT {
                let Some(fresh) = ports.open(introducer, most_ports) else { break };
                began = now + PACE * (place - FROM_BOUND_PORT) as u64;
                port = fresh;
                look.ports.push_back((began + PORT_LIVES, port));
            }
            let to = if place == 1 { tokens.second } else { None };
            let send = ObserveOut { introducer, port, to, bytes: observe(token) };
            sends.extend(SCHEDULE.iter().map(|after| (began + *after, send)));
        }
        sends.sort_by_key(|(at, _)| *at);
        look.sends = sends.into();
        self.looks.push(look);
    }

    /// The connection with an introducer has ended.
    pub(super) fn on_introducer_ended(&mut self, introducer: ConnectionId, ports: &mut Ports) {
        self.looks.retain(|look| {
            let stays = look.introducer != introducer;
            if !stays {
                look.ports.iter().for_each(|(_, port)| ports.close(*port));
            }
            stays
        });
        self.calls.retain(|call| call.introducer != introducer);
    }

    /// Sends what is due, and closes ports. Returns the introducers that have not answered in time.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        ports: &mut Ports,
        observes: &mut Vec<ObserveOut>,
    ) -> Vec<ConnectionId> {
        for look in &mut self.looks {
            while let Some((_, send)) = take_due(&mut look.sends, now) {
                observes.push(send);
            }
            while let Some((_, port)) = take_due(&mut look.ports, now) {
                ports.close(port);
            }
        }
        self.looks.retain(|look| look.again > now);
        let mut unanswered = Vec::new();
        self.calls.retain(|call| {
            let is_over = call.until <= now;
            if is_over {
                unanswered.push(call.introducer);
            }
            !is_over
        });
        unanswered
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let sends = self.looks.iter().filter_map(|look| look.sends.front()).map(|(at, _)| *at);
        let ports = self.looks.iter().filter_map(|look| look.ports.front()).map(|(at, _)| *at);
        let ends = self.looks.iter().map(|look| look.again).chain(self.calls.iter().map(|call| call.until));
        sends.chain(ports).chain(ends).min()
    }

    /// How many looks there are, and applications that wait.
    pub(super) fn len(&self) -> usize {
        self.looks.len() + self.calls.len()
    }
}

fn take_due<T>(list: &mut VecDeque<(Instant, T)>, now: Instant) -> Option<(Instant, T)> {
    if list.front()?.0 <= now { list.pop_front() } else { None }
}

/// The address to observe at: an unspecified IP address stands for the one at which the introducer is reached.
pub(crate) fn second_address(second: SocketAddr, introducer: SocketAddr) -> SocketAddr {
    let ip = if second.ip().is_unspecified() { introducer.ip() } else { second.ip() };
    SocketAddr::new(ip, second.port())
}
