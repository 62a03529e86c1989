//! The phases of a connection and how it ends (PROTOCOL.md 10).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::incoming::MAX_REPORT;
use super::{Connection, Outbox, Output};
use crate::codes::CloseCode;
use crate::event::{ClosedBy, Delivery};
use crate::instant::Instant;
use crate::micros::Micros;
use crate::timer::TimerKind;
use crate::wire::control::ControlMessage;

/// First and longest pause between pings of an initiator that has not heard the host (9.2).
const FIRST_PAUSE: Micros = Micros::from_millis(250);
const MAX_PAUSE: Micros = Micros::from_secs(2);
/// Least time to linger: as long as the other side's close wait, so that it hears an answer while it still asks.
const MIN_LINGER: Micros = Micros::from_secs(3);
/// Least time between answers meanwhile.
const ANSWER_PAUSE: Micros = Micros::from_millis(50);

/// The end of a connection, for the application's close event.
#[derive(Debug)]
pub(crate) struct Ended {
    pub code: CloseCode,
    pub by: ClosedBy,
    pub reason: Vec<u8>,
}

/// The state of an initiator that has not heard its host's packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unheard {
    /// The time for which it pings until it gives up.
    pub wait: Duration,
    /// True if the accept came from the address that was asked. Another one gets nothing but pings before it is heard.
    pub was_asked: bool,
}

/// The phase of a connection's life.
#[derive(Debug)]
pub(super) enum Phase {
    /// At the initiator: the host has accepted, but may not have heard of it.
    Unheard {
        until: Instant,
        next: Instant,
        pause: Micros,
        was_asked: bool,
    },
    Open,
    /// This side closes, and waits for the other's last report.
    Closing(Box<Closing>),
    /// The other side closes, and its last report is not complete yet.
    Leaving(Box<Leaving>),
    /// Everything is settled; answers what still comes.
    Lingering {
        until: Instant,
        answered: Instant,
    },
    Gone,
}

#[derive(Debug)]
pub(super) struct Closing {
    code: CloseCode,
    by: ClosedBy,
    reason: Vec<u8>,
    until: Instant,
    next: Instant,
    pause: Micros,
    /// False while the other side's address may get nothing but pings.
    sends_close: bool,
    /// How far both sides' packets were settled at the last close_ack that brought it further: ours, theirs.
    settled: (u64, u64),
}

impl Closing {
    fn ended(&mut self) -> Ended {
        Ended { code: self.code, by: self.by, reason: core::mem::take(&mut self.reason) }
    }
}

#[derive(Debug)]
pub(super) struct Leaving {
    until: Instant,
    code: CloseCode,
    reason: Vec<u8>,
}

impl Leaving {
    fn ended(&mut self) -> Ended {
        Ended { code: self.code, by: ClosedBy::Remote, reason: core::mem::take(&mut self.reason) }
    }
}

impl Phase {
    pub(super) fn new(now: Instant, unheard: Option<Unheard>) -> Self {
        match unheard {
            Some(Unheard { wait, was_asked }) => {
                Self::Unheard { until: now + wait, next: now, pause: FIRST_PAUSE, was_asked }
            }
            None => Self::Open,
        }
    }

    /// Returns whether the host has not been heard yet.
    pub(super) fn is_unheard(&self) -> bool {
        matches!(self, Self::Unheard { .. })
    }

    /// Returns whether more than pings may leave, for the same reason.
    pub(super) fn may_punch(&self) -> bool {
        match self {
            Self::Unheard { was_asked, .. } => *was_asked,
            Self::Closing(closing) => closing.sends_close,
            _ => true,
        }
    }

    /// Returns whether data may leave. An address that was not asked has proven nothing until its packets are heard (5.5).
    pub(super) fn sends_data(&self) -> bool {
        matches!(self, Self::Open | Self::Unheard { was_asked: true, .. })
    }

    pub(super) fn takes_data(&self) -> bool {
        matches!(self, Self::Unheard { .. } | Self::Open)
    }

    /// A packet of the other side was opened: its address gets what waited for that.
    #[inline]
    pub(super) fn heard(&mut self) {
        if !matches!(self, Self::Open) {
            self.heard_while_not_open();
        }
    }

    #[cold]
    fn heard_while_not_open(&mut self) {
        match self {
            Self::Unheard { .. } => *self = Self::Open,
            Self::Closing(closing) if !closing.sends_close => {
                closing.sends_close = true;
                // Due at once.
                closing.next = Instant::ZERO;
            }
            _ => {}
        }
    }

    pub(super) fn deadline(&self) -> Option<(Instant, TimerKind)> {
        match self {
            Self::Unheard { until, next, .. } => Some(((*next).min(*until), TimerKind::Handshake)),
            Self::Open | Self::Gone => None,
            Self::Closing(closing) => Some((closing.next.min(closing.until), TimerKind::Close)),
            Self::Leaving(leaving) => Some((leaving.until, TimerKind::Close)),
            Self::Lingering { until, .. } => Some((*until, TimerKind::Linger)),
        }
    }
}

impl Connection {
    /// Begins to close. Does nothing if the connection is already on its way out.
    pub(crate) fn close(
        &mut self,
        now: Instant,
        code: CloseCode,
        by: ClosedBy,
        reason: &[u8],
        outbox: &mut Outbox<'_>,
    ) {
        if !self.phase.takes_data() {
            return;
        }
        let pause = self.probe_time();
        self.phase = Phase::Closing(Box::new(Closing {
            code,
            by,
            reason: reason.to_vec(),
            until: now + self.close_wait.get(),
            next: now + pause,
            pause,
            sends_close: self.phase.sends_data(),
            settled: (self.outgoing.settled(), 0),
        }));
        self.ack_at = None;
        self.send_close(now, outbox);
    }

    /// Takes the end of the connection, which is told once.
    pub(crate) fn take_ended(&mut self) -> Option<Box<Ended>> {
        self.ended.take()
    }

    /// Returns whether the application can still use the connection.
    pub(crate) fn is_open(&self) -> bool {
        self.phase.takes_data()
    }

    /// Returns whether the connection has ended and only answers what still comes, if that.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Lingering { .. } | Phase::Gone)
    }

    /// Returns whether there is nothing left to do for it.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Gone)
    }

    /// Ends at once, without a word to the other side; what has no verdict stays unknown.
    pub(crate) fn abandon(&mut self, code: CloseCode, by: ClosedBy, output: &mut impl Output) {
        if self.is_over() {
            self.phase = Phase::Gone;
            return;
        }
        // What either application said is not lost when another connection takes the address meanwhile.
        let ended = match &mut self.phase {
            Phase::Leaving(leaving) => leaving.ended(),
            Phase::Closing(closing) => closing.ended(),
            _ => Ended { code, by, reason: Vec::new() },
        };
        self.end_unknown(ended, output);
    }

    pub(super) fn time_out(&mut self, output: &mut impl Output) {
        self.abandon(CloseCode::TimedOut, ClosedBy::Socket, output);
    }

    pub(super) fn on_close(
        &mut self,
        now: Instant,
        is_final: bool,
        code: u16,
        reason: &[u8],
        output: &mut impl Output,
        outbox: &mut Outbox<'_>,
    ) {
        if is_final {
            self.settle_rest(Delivery::Dropped, output);
        }
        // A lingering side answers at its own pace, in `answer_while_lingering`.
        let answer_now = !matches!(self.phase, Phase::Lingering { .. });
        if matches!(self.phase, Phase::Unheard { .. } | Phase::Open) {
            self.phase = Phase::Leaving(Box::new(Leaving {
                until: now + self.close_wait.get(),
                code: CloseCode::from_wire(code),
                reason: reason.to_vec(),
            }));
            self.ack_at = None;
        }
        if let Phase::Leaving(leaving) = &mut self.phase
            && is_final
        {
            self.ended = Some(Box::new(leaving.ended()));
            self.linger(now);
        }
        if answer_now {
            self.send_close_ack(outbox);
        }
    }

    pub(super) fn on_close_ack(
        &mut self,
        now: Instant,
        is_final: bool,
        settled: u64,
        output: &mut impl Output,
        outbox: &mut Outbox<'_>,
    ) {
        if is_final {
            self.settle_rest(Delivery::Dropped, output);
        }
        if self.finish_if_settled(now, settled) {
            return;
        }
        let pause = self.probe_time();
        let settled_here = self.outgoing.settled();
        if let Phase::Closing(closing) = &mut self.phase
            && (settled_here > closing.settled.0 || settled > closing.settled.1)
        {
            // It got further: what is left goes at once, and a loss from here on is found out as soon as the first.
            closing.settled = (settled_here, closing.settled.1.max(settled));
            closing.pause = pause;
            closing.next = now + pause;
            self.send_close(now, outbox);
        }
    }

    /// Ends a closing connection when both sides have all verdicts. Returns whether it did.
    fn finish_if_settled(&mut self, now: Instant, settled_there: u64) -> bool {
        let all_settled =
            settled_there >= self.incoming.known() && self.outgoing.settled() == self.outgoing.last();
        let Phase::Closing(closing) = &mut self.phase else { return false };
        if !all_settled {
            return false;
        }
        self.ended = Some(Box::new(closing.ended()));
        self.linger(now);
        true
    }

    fn linger(&mut self, now: Instant) {
        let until = now + (self.probe_time() * 3).max(MIN_LINGER);
        self.phase = Phase::Lingering { until, answered: now };
    }

    /// Tells a side that goes on sending that this one has closed.
    pub(super) fn answer_while_lingering(&mut self, now: Instant, outbox: &mut Outbox<'_>) {
        if let Phase::Lingering { answered, .. } = &mut self.phase
            && now >= *answered + ANSWER_PAUSE
        {
            *answered = now;
            self.send_close_ack(outbox);
        }
    }

    pub(super) fn handle_phase_timeout(
        &mut self,
        now: Instant,
        output: &mut impl Output,
        outbox: &mut Outbox<'_>,
    ) {
        match &mut self.phase {
            Phase::Open | Phase::Gone => {}
            Phase::Unheard { until, .. } if *until <= now => self.time_out(output),
            Phase::Unheard { next, pause, .. } => {
                if *next <= now {
                    *next = now + *pause;
                    *pause = (*pause * 2).min(MAX_PAUSE);
                    self.send_ping(now, outbox);
                }
            }
            Phase::Closing(closing) if closing.until <= now => {
                let ended = closing.ended();
                self.end_unknown(ended, output);
            }
            Phase::Closing(closing) => {
                if closing.next <= now {
                    closing.pause = closing.pause * 2;
                    closing.next = now + closing.pause;
                    self.send_close(now, outbox);
                }
            }
            Phase::Leaving(leaving) => {
                if leaving.until <= now {
                    let ended = leaving.ended();
                    self.end_unknown(ended, output);
                }
            }
            Phase::Lingering { until, .. } => {
                if *until <= now {
                    self.phase = Phase::Gone;
                }
            }
        }
    }

    fn end_unknown(&mut self, ended: Ended, output: &mut impl Output) {
        self.settle_rest(Delivery::Unknown, output);
        self.ended = Some(Box::new(ended));
        self.phase = Phase::Gone;
    }

    fn probe_time(&self) -> Micros {
        // A round-trip time that was measured while a program was held up may be minutes.
        (self.path.rtt.overdue() + self.peer_ack_delay.get()).min(MAX_PAUSE)
    }

    /// Returns whether a report written now reaches R.
    pub(super) fn report_is_final(&self) -> bool {
        self.incoming.report(MAX_REPORT).ack == self.incoming.known()
    }

    /// Sends the close, or a ping to an address that was not asked and has not been heard (5.5).
    fn send_close(&mut self, now: Instant, outbox: &mut Outbox<'_>) {
        let Phase::Closing(closing) = &mut self.phase else { return };
        if !closing.sends_close {
            return self.send_ping(now, outbox);
        }
        let (code, reason) = (closing.code.number(), core::mem::take(&mut closing.reason));
        let is_final = self.report_is_final();
        let settled = self.outgoing.settled();
        self.send_control(&[ControlMessage::Close { is_final, settled, code, reason: &reason }], outbox);
        if let Phase::Closing(closing) = &mut self.phase {
            closing.reason = reason;
        }
    }

    fn send_close_ack(&mut self, outbox: &mut Outbox<'_>) {
        let is_final = self.report_is_final();
        let settled = self.outgoing.settled();
        self.send_control(&[ControlMessage::CloseAck { is_final, settled }], outbox);
    }
}
