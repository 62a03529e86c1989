//! The state of one session. It decides what may pass, and what to tell the page. It has no socket, clock or randomness:
//! the driver hands in datagrams, messages and the time, and takes [`Action`]s out after each call.

pub mod action;
pub mod consent;
pub mod contexts;
pub mod opening;
pub mod sources;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use torque_proto::wire::probe;

use crate::metrics::{Direction, DropReason};
use crate::policy::client::network;
use crate::policy::pacing::{Budget, FloodGauge, Meter, Pace};
use crate::policy::rules::Rules;
use crate::policy::targets::normal_name;
use crate::session::action::Action;
use crate::session::contexts::Contexts;
use crate::session::opening::{Found, Opening, Stage};
use crate::session::sources::{Sources, most_consenting, most_strangers};
use crate::wire::control::{ClosingCode, FromPage, RefuseCode, ToPage};
use crate::wire::form::Form;
use crate::wire::frame::{self, CONTEXT_LIMIT, Prefix};

/// The silence after which the gateway sends *alive*.
const ALIVE_EVERY: Duration = Duration::from_secs(2);
/// The interval at which idle contexts are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// The most contexts that a page may wait for at a time.
const MAX_OPENING: usize = 16;
/// The pace of a page's control messages. Each may cost a signature or a look-up.
const CONTROL: Pace = Pace::new(32, Duration::from_secs(4));

/// A session of a page.
#[derive(Debug)]
pub struct Session {
    rules: Arc<Rules>,
    client: IpAddr,
    random: fn() -> Option<[u8; 16]>,
    contexts: Contexts,
    openings: Vec<Opening>,
    /// The last context of the page. They only grow.
    last_of_page: u32,
    next_of_gateway: u32,
    to_remotes: Meter,
    to_page: Meter,
    sources: Sources,
    flood: FloodGauge,
    greetings: Budget,
    control: Budget,
    actions: VecDeque<Action>,
    alive_at: Instant,
    sweep_at: Instant,
    idle_at: Instant,
    has_farewell_key: bool,
    is_draining: bool,
    is_over: bool,
}

impl Session {
    /// A session of a client, which begins with *welcome*. `random` makes nonces for probes, and may fail.
    pub fn new(
        rules: Arc<Rules>,
        client: IpAddr,
        random: fn() -> Option<[u8; 16]>,
        welcome: ToPage,
        now: Instant,
    ) -> Self {
        let limits = rules.limits;
        Self {
            client,
            random,
            contexts: Contexts::default(),
            openings: Vec::new(),
            last_of_page: 0,
            next_of_gateway: 1,
            to_remotes: Meter::new(limits.session_rate, now),
            to_page: Meter::new(limits.session_rate, now),
            sources: Sources::new(limits.session_rate, now),
            flood: FloodGauge::new(now),
            greetings: Budget::full(now),
            control: Budget::full(now),
            actions: VecDeque::from([Action::Tell(welcome)]),
            alive_at: now + ALIVE_EVERY,
            sweep_at: now + SWEEP_EVERY,
            idle_at: limits.idle_at(now),
            has_farewell_key: false,
            is_draining: false,
            is_over: false,
            rules,
        }
    }

    /// The next task for the driver. Call it after every other call, until it returns `None`.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The time at which [`handle_timeout`](Self::handle_timeout) must be called.
    pub fn deadline(&self) -> Instant {
        let due = self.openings.iter().filter_map(Opening::deadline);
        due.chain([self.alive_at, self.idle_at])
            .chain((self.contexts.len() > 0).then_some(self.sweep_at))
            .min()
            .unwrap_or(self.alive_at)
    }

    /// Judges a frame of the page. Returns the destination and the datagram without its context, if it may pass.
    pub fn page_datagram<'a>(&mut self, frame: &'a [u8], now: Instant) -> Option<(SocketAddr, &'a [u8])> {
        if self.is_over {
            return None;
        }
        if self.flood.count(self.rules.limits.session_rate, frame.len(), now) {
            self.close(ClosingCode::Flooding, "the page sent ten times the rate of a session");
            return None;
        }
        self.judge_of_page(frame, now)
            .inspect_err(|why| self.rules.metrics.dropped(Direction::ToRemote, *why))
            .ok()
    }

    fn judge_of_page<'a>(
        &mut self,
        frame: &'a [u8],
        now: Instant,
    ) -> Result<(SocketAddr, &'a [u8]), DropReason> {
        let (context, datagram) = frame::split(frame).ok_or(DropReason::Context)?;
        let form = Form::of(datagram).ok_or(DropReason::Form)?;
        let (address, remote) = self.contexts.remote(context).ok_or(DropReason::Context)?;
        if !self.to_remotes.take(datagram.len(), now) {
            return Err(DropReason::SessionRate);
        }
        self.idle_at = self.rules.limits.idle_at(now);
        remote.addressed(now);
        let nonce = match remote.is_asked_for {
            true => remote.consent.probe(self.random, now),
            false => remote.consent.probe_stranger(self.random, now),
        };
        if let Some(nonce) = nonce {
            self.actions.push_back(Action::Probe { remote: address, datagram: probe(nonce) });
        }
        // The page did not ask for a stranger, so anything that it sends there is an answer, greetings included.
        let greetings = remote.is_asked_for.then_some(&mut self.greetings);
        if !remote.consent.allows(form, datagram.len(), greetings, now) {
            return Err(DropReason::Consent);
        }
        if !remote.meter.take(datagram.len(), now) {
            return Err(DropReason::TargetRate);
        }
        Ok((address, datagram))
    }

    /// Judges a datagram of a remote. Returns the prefix for the page if it may pass. Take the actions first: they may announce
    /// the context. `local` returns the address from which this machine would send to the remote.
    pub fn remote_datagram(
        &mut self,
        remote: SocketAddr,
        datagram: &[u8],
        local: impl FnOnce() -> Option<IpAddr>,
        now: Instant,
    ) -> Option<Prefix> {
        if self.is_over {
            return None;
        }
        match self.judge_of_remote(remote, datagram, local, now) {
            Ok(prefix) => prefix,
            Err(why) => {
                self.rules.metrics.dropped(Direction::ToPage, why);
                None
            }
        }
    }

    fn judge_of_remote(
        &mut self,
        address: SocketAddr,
        datagram: &[u8],
        local: impl FnOnce() -> Option<IpAddr>,
        now: Instant,
    ) -> Result<Option<Prefix>, DropReason> {
        let form = Form::of(datagram).ok_or(DropReason::Form)?;
        if let Form::Echo { nonce } = form {
            return if self.echo(address, &nonce, now) { Ok(None) } else { Err(DropReason::Form) };
        }
        if self.contexts.at(address).is_none() {
            self.meet(address, local, now)?;
        }
        let remote = self.contexts.at(address).ok_or(DropReason::Stranger)?;
        // Strangers, whose addresses may be forged, have their own budget, so that they cannot use up that of others.
        let has_left = match remote.is_stranger(now) {
            true => self.sources.take(&remote.source, datagram.len(), now),
            false => self.to_page.take(datagram.len(), now),
        };
        if !has_left {
            return Err(DropReason::SessionRate);
        }
        self.idle_at = self.rules.limits.idle_at(now);
        remote.heard(datagram.len(), now);
        Ok(Some(remote.prefix))
    }

    /// Notes an echo. Returns whether it answers a probe of this session.
    fn echo(&mut self, address: SocketAddr, nonce: &[u8; 16], now: Instant) -> bool {
        if let Some(index) = self.openings.iter().position(|opening| opening.is_answered(address, nonce)) {
            let opening = self.openings.swap_remove(index);
            self.opened(opening.context, address, now);
            if let Some(remote) = self.contexts.at(address) {
                remote.consent.grant(now);
            }
        } else if !self.contexts.at(address).is_some_and(|remote| remote.consent.echoed(nonce, now)) {
            return false;
        }
        self.rules.metrics.consented();
        true
    }

    /// Gives a remote that writes first a context, if it may have one.
    fn meet(
        &mut self,
        address: SocketAddr,
        local: impl FnOnce() -> Option<IpAddr>,
        now: Instant,
    ) -> Result<(), DropReason> {
        let source = self.sources.of(address, now);
        let most_contexts = self.rules.limits.contexts;
        // Refused strangers use up no budget.
        let is_welcome = self.next_of_gateway < CONTEXT_LIMIT
            && self.sources.may_arrive(&source, now)
            && self.contexts.consenting(network(address.ip()), now) < most_consenting(most_contexts)
            && self.rules.allow_stranger(address, local);
        if !is_welcome {
            return Err(DropReason::Stranger);
        }
        match self.contexts.displaced(address, most_strangers(most_contexts), now) {
            Some(context) => {
                self.contexts.remove(context);
                self.tell(ToPage::Forgotten { context }, now);
            }
            None if self.is_full() => return Err(DropReason::Stranger),
            None => {}
        }
        self.sources.arrived(&source, now);
        let context = self.next_of_gateway;
        self.next_of_gateway += 2;
        self.insert(context, address, false, now);
        self.tell(ToPage::Context { context, address }, now);
        Ok(())
    }

    /// Handles a control message of the page.
    pub fn control(&mut self, message: &[u8], now: Instant) {
        if self.is_over {
            return;
        }
        if !self.control.take(CONTROL, 1, now) {
            return self.close(ClosingCode::Flooding, "too many control messages");
        }
        match FromPage::parse(message) {
            Err(_) => self.close(ClosingCode::Protocol, "a control message is malformed"),
            Ok(None) => {}
            Ok(Some(FromPage::Open { context, host, port })) => self.open(context, host, port, now),
            Ok(Some(FromPage::Forget { context })) => {
                self.openings.retain_mut(|opening| opening.context != context || opening.forget());
                self.contexts.remove(context);
            }
            Ok(Some(FromPage::Attest { request, context, initiator, host })) => {
                match self.contexts.address(context) {
                    Some(remote) => {
                        self.actions.push_back(Action::Attest { request, remote, initiator, host });
                    }
                    None => self.tell(ToPage::Attested { request, token: Vec::new() }, now),
                }
            }
            Ok(Some(FromPage::Farewell { key })) => {
                if !std::mem::replace(&mut self.has_farewell_key, true) {
                    self.actions.push_back(Action::ExpectFarewell(key));
                }
            }
        }
    }

    fn open(&mut self, context: u32, host: &str, port: u16, now: Instant) {
        let is_next = context.is_multiple_of(2) && context > self.last_of_page && context < CONTEXT_LIMIT;
        if !is_next {
            return self.close(
                ClosingCode::Protocol,
                "a context must be even, below 2^30, and above the ones before",
            );
        }
        self.last_of_page = context;
        let address: Option<IpAddr> = host.parse().ok();
        let name = normal_name(host).filter(|_| address.is_none());
        let is_named = name.as_ref().is_some_and(|name| self.rules.targets.names(name, port));
        if self.is_draining {
            return self.refuse(context, RefuseCode::TooMany, "the gateway is going away", now);
        }
        if self.is_full() || self.openings.len() >= MAX_OPENING {
            return self.refuse(context, RefuseCode::TooMany, "the session uses all of its contexts", now);
        }
        let Some(host) = address.map(|ip| ip.to_string()).or(name) else {
            return self.refuse(
                context,
                RefuseCode::NameNotFound,
                "the host is neither a name nor an address",
                now,
            );
        };
        if port == 0 || !(is_named || self.rules.may_have_address(port)) {
            return self.refuse_target(context, now);
        }
        self.openings.push(Opening { context, is_named, stage: Stage::Resolving });
        self.actions.push_back(Action::Resolve { context, host, port });
    }

    /// Hands in the addresses of a host, best first, after [`Action::Resolve`].
    pub fn resolved(&mut self, context: u32, found: Vec<Found>, now: Instant) {
        let Some(index) = self.openings.iter().position(|opening| opening.context == context) else {
            return;
        };
        match self.openings[index].stage {
            Stage::Resolving => {}
            Stage::Forgotten => return drop(self.openings.swap_remove(index)),
            Stage::Probing { .. } => return,
        }
        let is_named = self.openings[index].is_named;
        if found.is_empty() && is_named {
            self.openings.swap_remove(index);
            return self.refuse(context, RefuseCode::NameNotFound, "the name has no address", now);
        }
        let allowed: Vec<_> = found
            .into_iter()
            .filter(|found| self.rules.allow(found.address, is_named, found.local))
            .collect();
        let reachable: Vec<_> =
            allowed.iter().filter(|found| found.local.is_some()).map(|found| found.address).collect();
        match reachable[..] {
            [only] => {
                self.openings.swap_remove(index);
                self.opened(context, only, now);
            }
            [_, _, ..] => self.openings[index].probe_all(&reachable, self.random, now),
            [] => {
                self.openings.swap_remove(index);
                // A page that may not reach a name learns nothing about it.
                if allowed.is_empty() {
                    self.refuse_target(context, now);
                } else {
                    self.refuse(
                        context,
                        RefuseCode::NoRoute,
                        "the gateway has no route to that address",
                        now,
                    );
                }
            }
        }
        self.openings_due(now);
    }

    /// Does what is due. See [`deadline`](Self::deadline).
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_over {
            return;
        }
        self.openings_due(now);
        if self.sweep_at <= now {
            self.sweep_at = now + SWEEP_EVERY;
            for context in self.contexts.forget_idle(now) {
                self.tell(ToPage::Forgotten { context }, now);
            }
        }
        if self.idle_at <= now {
            return self.close(ClosingCode::Idle, "the session was idle for too long");
        }
        if self.alive_at <= now {
            self.tell(ToPage::Alive, now);
        }
    }

    /// Sends the probes that are due, and takes the best address where none has answered.
    fn openings_due(&mut self, now: Instant) {
        let mut undecided = Vec::new();
        for opening in &mut self.openings {
            let address = opening.due(now, &mut self.actions);
            undecided.extend(address.map(|address| (opening.context, address)));
        }
        for (context, address) in undecided {
            self.openings.retain(|opening| opening.context != context);
            self.opened(context, address, now);
        }
    }

    /// Tells the page that the gateway goes away at `until`. The session goes on until it is [ended](Self::end).
    pub fn drain(&mut self, until: Instant, now: Instant) {
        if !self.is_over && !self.is_draining {
            self.is_draining = true;
            let millis = until.saturating_duration_since(now).as_millis();
            self.tell(ToPage::Draining { millis: u32::try_from(millis).unwrap_or(u32::MAX) }, now);
        }
    }

    /// Ends the session for a reason outside these rules.
    pub fn end(&mut self, code: ClosingCode, reason: &'static str) {
        if !self.is_over {
            self.close(code, reason);
        }
    }

    fn is_full(&self) -> bool {
        self.contexts.len() + self.openings.len() >= self.rules.limits.contexts.into()
    }

    fn insert(&mut self, context: u32, address: SocketAddr, is_asked_for: bool, now: Instant) {
        let meter = || self.rules.target_meters.of(self.client, address, now);
        let source = || self.sources.of(address, now);
        self.contexts.insert(context, address, is_asked_for, meter, source, now);
        self.rules.metrics.context_opened();
    }

    fn opened(&mut self, context: u32, address: SocketAddr, now: Instant) {
        self.insert(context, address, true, now);
        self.tell(ToPage::Opened { context, address }, now);
    }

    fn refuse_target(&mut self, context: u32, now: Instant) {
        let reason = "the operator of the gateway does not allow this address or port";
        self.refuse(context, RefuseCode::TargetNotAllowed, reason, now);
    }

    fn refuse(&mut self, context: u32, code: RefuseCode, reason: &str, now: Instant) {
        self.rules.metrics.context_refused(code);
        self.tell(ToPage::Refused { context, code, reason: reason.to_owned() }, now);
    }

    fn tell(&mut self, message: ToPage, now: Instant) {
        self.alive_at = now + ALIVE_EVERY;
        self.actions.push_back(Action::Tell(message));
    }

    fn close(&mut self, code: ClosingCode, reason: &'static str) {
        self.is_over = true;
        self.actions.push_back(Action::Close(code, reason));
    }
}

#[cfg(test)]
mod tests;
