//! Connections that move, have several paths, or have lost their host (PATHS.md).
//!
//! What a connection with one path needs for it is its key and ids, in the slot. Everything else is here, and exists only while it is
//! needed: packets of other connections pay nothing for it.

mod recent;
#[cfg(feature = "introductions")]
mod runs;
#[cfg(feature = "introductions")]
mod search;

use alloc::boxed::Box;
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use self::recent::Recent;
use super::maps::{AddressMap, Seeded};
use super::slot::{Connected, Displacing, Slot};
use super::{Endpoint, boxed};
use crate::address::Address;
use crate::codes::CloseCode;
use crate::connection::control::reliable::ControlEvent;
use crate::event::{ClosedBy, Event};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::micros::Micros;
use crate::path::{Ask, Path, PathId, PathSet, Sharing, Step};
use crate::transmits::Cause;
use crate::wire::control::reliable::ReliableKind;
use crate::wire::{Punch, WHO_ARE_YOU, parse_path_id, parse_reset, path_id, reset};

/// Punches that none asked for, in a second: of all connections, of one, and to one network.
const MAX_PUNCHES: [usize; 3] = [1_024, 32, 64];
/// Datagrams of each kind to strangers in a second: to all, to one address, and to one network.
const MAX_TO_STRANGERS: [usize; 3] = [64, 1, 8];
/// Connections that may receive from an address beside its owner.
const MAX_CLAIMS: usize = 4;
/// How long a set of paths is kept after it was last of use, so that its limits last.
const LINGERS: Micros = Micros::from_secs(5);

/// What is kept for a connection that looks after its paths.
pub(super) struct Tracked {
    set: PathSet,
    kept_until: Instant,
    /// The time of its timer that counts; others of it are out of date.
    armed: Option<Instant>,
    /// Addresses from which it receives beside that of the active path.
    claims: Vec<Address>,
    /// A path whose address another connection has: does that one still answer?
    contest: Option<(Path, Displacing)>,
    /// When the host said that it has lost the connection.
    reset: Option<Instant>,
}

impl Tracked {
    fn new(now: Instant, set: PathSet) -> Box<Self> {
        boxed(Self { set, kept_until: now, armed: None, claims: Vec::new(), contest: None, reset: None })
    }
}

impl Connected {
    /// The addresses other than that of the active path where it has a valid path.
    pub(super) fn other_addresses(&self) -> impl Iterator<Item = Address> + '_ {
        let sets = self.tracked.iter().map(|tracked| &tracked.set);
        sets.flat_map(PathSet::standbys).map(|path| path.remote)
    }
}

/// What an endpoint keeps about the paths of all its connections.
pub(super) struct Paths {
    /// Connections by their ids, which stand here as addresses of a carrier: the same kind of map finds owners.
    ids: AddressMap<ConnectionId>,
    timers: BinaryHeap<Reverse<(Instant, ConnectionId)>>,
    punches: Recent,
    asked: Recent,
    resets: Recent,
}

impl Paths {
    pub(super) fn new(seeded: Seeded) -> Self {
        Self {
            ids: AddressMap::with_hasher(seeded),
            timers: BinaryHeap::new(),
            punches: Recent::default(),
            asked: Recent::default(),
            resets: Recent::default(),
        }
    }

    fn owner(&self, id: u64) -> Option<ConnectionId> {
        self.ids.get(&Address::from_virtual(id)).copied()
    }

    /// Returns whether a connection has this id.
    pub(super) fn has_id(&self, id: u64) -> bool {
        self.owner(id).is_some()
    }

    /// Notes the id of a connection, unless another one has it.
    pub(super) fn add_id(&mut self, id: u64, owner: ConnectionId) -> bool {
        id != 0 && *self.ids.entry(Address::from_virtual(id)).or_insert(owner) == owner
    }

    fn remove_id(&mut self, id: u64, owner: ConnectionId) {
        if self.owner(id) == Some(owner) {
            self.ids.remove(&Address::from_virtual(id));
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Sees to it that a connection is run at this time at the latest.
    fn arm(&mut self, id: ConnectionId, tracked: &mut Tracked, at: Instant) {
        if tracked.armed.is_none_or(|armed| at < armed) {
            tracked.armed = Some(at);
            self.timers.push(Reverse((at, id)));
        }
    }
}

impl Endpoint {
    /// Tells that the machine's network has changed: an interface has another address, or the machine was asleep. Each
    /// connection makes sure that its path still works, and looks for the other side if not (PATHS.md 7).
    ///
    /// Drivers that notice it call this. Nothing is lost if nobody does, but it takes longer. Does nothing without
    /// [`Config::roaming`](crate::Config::roaming).
    pub fn network_changed(&mut self, now: Instant) {
        self.introductions.network_changed(now);
        if !self.config.roaming {
            return;
        }
        let ids: Vec<_> = self.connections().collect();
        for id in ids {
            if let Some(connected) = self.connected_mut(id) {
                connected.punching.ids.moved();
            }
            self.with_paths(now, id, &mut |set, step| {
                set.network_changed(step);
                false
            });
        }
    }

    /// A datagram to `remote` could not leave this machine.
    pub(super) fn doubt_path_to(&mut self, now: Instant, remote: Address) {
        if self.config.roaming
            && let Some(id) = self.connections.get(&remote).copied()
        {
            self.with_paths(now, id, &mut |set, step| {
                set.obstacle(step);
                false
            });
        }
    }

    pub(super) fn on_punch(&mut self, now: Instant, path: Path, bytes: &[u8]) {
        let Ok((punch, tag)) = Punch::parse(bytes) else { return self.stats.malformed += 1 };
        if !punch.is_of_connection {
            return self.on_introduction_punch(now, path, &punch, &tag);
        }
        let owner = self.paths.owner(punch.id);
        let Some(id) = owner else { return self.on_unknown_punch(now, path, &punch) };
        let Some(connected) = self.connected_mut(id) else { return self.stats.punches_refused += 1 };
        let is_right_way = connected.is_host != punch.is_from_host;
        if !is_right_way || !connected.punching.key.verifies(&punch, &tag) {
            return self.stats.punches_refused += 1;
        }
        self.stats.punches_received += 1;
        self.on_id_used(now, id, punch.id);
        self.with_paths(now, id, &mut |set, step| set.on_punch(step, path, punch.number, punch.echo));
    }

    /// A host that was restarted says so (PATHS.md 8).
    fn on_unknown_punch(&mut self, now: Instant, path: Path, punch: &Punch) {
        let may_reset = self.config.sole_identity
            && self.hosts_at(path)
            && !punch.is_from_host
            && self.transmits.takes_answers();
        if !may_reset || !self.paths.resets.takes(now, 0, path.remote, MAX_TO_STRANGERS) {
            return self.stats.punches_refused += 1;
        }
        let token = self.key_pair.reset_token(punch.id);
        self.transmits.push(Cause::Stranger, path, |out| out.extend_from_slice(&reset(token)));
        self.stats.resets_sent += 1;
    }

    /// The other side gets packets from an address that it does not know: one punch tells it who this is.
    pub(super) fn on_who_are_you(&mut self, now: Instant, path: Path, bytes: &[u8]) {
        if bytes.len() != WHO_ARE_YOU.len() {
            return self.stats.malformed += 1;
        }
        match self.connections.get(&path.remote).copied() {
            Some(id) if self.config.roaming => self.with_paths(now, id, &mut |set, step| {
                set.poke(step);
                false
            }),
            _ => self.stats.unknown_address += 1,
        }
    }

    /// The host says that it has lost the connection. That counts only if it is silent as well.
    pub(super) fn on_reset(&mut self, now: Instant, path: Path, bytes: &[u8]) {
        let Ok(token) = parse_reset(bytes) else { return self.stats.malformed += 1 };
        let owner = self.connections.get(&path.remote).copied();
        let is_known = |connected: &mut Connected| {
            !connected.is_host && connected.connection.is_open() && connected.punching.ids.has_token(&token)
        };
        let Some(id) = owner.filter(|id| self.connected_mut(*id).is_some_and(is_known)) else {
            return self.stats.resets_refused += 1;
        };
        // It answers a punch, and the set of paths outlives that.
        let Some(tracked) = self.tracked_mut(id) else { return self.stats.resets_refused += 1 };
        tracked.reset = Some(now);
        tracked.kept_until = now + LINGERS;
        self.run_paths_of(now, id);
    }

    /// Asks who sends packets from an address where no connection is, or where they do not open.
    pub(super) fn ask_who(&mut self, now: Instant, path: Path) {
        if self.config.roaming
            && !path.remote.is_circuit()
            && self.transmits.takes_answers()
            && self.paths.asked.takes(now, 0, path.remote, MAX_TO_STRANGERS)
        {
            self.transmits.push(Cause::Stranger, path, |out| out.extend_from_slice(&WHO_ARE_YOU));
            self.stats.who_are_you_sent += 1;
        }
    }

    /// A probe or ping was sent, or something else was due: if an answer is overdue, the path is in doubt.
    pub(super) fn look_for_answer(&mut self, now: Instant, id: ConnectionId) {
        if self.config.roaming
            && let Some(connected) = self.connected_mut(id)
            && connected.tracked.is_none()
            && connected.connection.facts(now).is_overdue(now)
        {
            self.with_paths(now, id, &mut |set, step| {
                set.begin_doubt(step);
                false
            });
        }
    }

    /// Runs what is due.
    pub(super) fn run_paths(&mut self, now: Instant) {
        while let Some((id, event)) = self.control.take_own() {
            match event.attempt() {
                PATHS => self.on_path_id_event(id, event),
                _ => self.on_introduction_message(now, id, event),
            }
        }
        let mut due = Vec::new();
        while let Some(Reverse((at, id))) =
            self.paths.timers.peek().copied().filter(|Reverse((at, _))| *at <= now)
        {
            self.paths.timers.pop();
            if let Some(tracked) = self.tracked_mut(id).filter(|tracked| tracked.armed == Some(at)) {
                tracked.armed = None;
                due.push(id);
            }
        }
        for id in due {
            self.run_paths_of(now, id);
        }
    }

    /// Punches where the other side of an introduced connection may be reachable, too.
    pub(super) fn look_for_direct_path(
        &mut self,
        now: Instant,
        id: ConnectionId,
        paths: Vec<Path>,
        sources: &[Path],
    ) {
        self.with_paths(now, id, &mut |set, step| {
            set.introduce(step, paths.clone(), sources);
            false
        });
    }

    /// There is no way to this address any more.
    pub(super) fn lose_path(&mut self, now: Instant, id: ConnectionId, remote: Address) {
        self.with_paths(now, id, &mut |set, step| {
            set.lose(step, remote);
            false
        });
    }

    /// Forgets everything of a connection that ends.
    pub(super) fn forget_paths(&mut self, id: ConnectionId) {
        if let Some(Slot::Connected(connected)) = self.slots.get(id).map(|entry| &entry.slot) {
            connected.punching.ids.all().for_each(|number| self.paths.remove_id(number, id));
        }
        self.untrack(id);
    }

    fn run_paths_of(&mut self, now: Instant, id: ConnectionId) {
        self.decide_contest(now, id);
        let Some(connected) = self.connected_mut(id) else { return };
        let Some(tracked) = &connected.tracked else { return };
        let reset = tracked.reset;
        let is_overdue = connected.connection.facts(now).is_overdue(now);
        let heard = connected.connection.last_heard();
        if reset.is_some_and(|at| heard <= at) && is_overdue {
            return self.drive(id, Cause::Own, |connection, sink, _| {
                connection.abandon(CloseCode::HostRestarted, ClosedBy::Remote, sink);
            });
        }
        self.with_paths(now, id, &mut |set, step| set.handle_timeout(step));
    }

    /// Lets the set of paths of a connection act, and does what follows. One function for all acts: none is on the way of a packet.
    fn with_paths(
        &mut self,
        now: Instant,
        id: ConnectionId,
        act: &mut dyn FnMut(&mut PathSet, &mut Step<'_>) -> bool,
    ) {
        let Some(Slot::Connected(connected)) = self.slots.get_mut(id).map(|entry| &mut entry.slot) else {
            return;
        };
        // An address that may be somebody else's gets pings alone (PROTOCOL.md 5.5), and without an id nobody is known by a punch.
        if !connected.connection.may_punch() || connected.punching.ids.sends() == 0 {
            return;
        }
        let (active, facts) = (connected.path, connected.connection.facts(now));
        let tracked =
            connected.tracked.get_or_insert_with(|| Tracked::new(now, PathSet::new(now, active, facts)));
        let set = &mut tracked.set;
        set.follow(active);
        let mut step = Step::new(now, facts, &mut self.rng);
        let has_changed = act(set, &mut step);
        let asks = step.asks;
        let wants_ping = set.take_ping();
        if !asks.is_empty() {
            tracked.kept_until = now + LINGERS;
        }
        if has_changed {
            self.switch(now, id, active);
        }
        self.send_punches(now, id, &asks);
        self.after_paths(now, id);
        if wants_ping {
            self.drive(id, Cause::Own, |connection, _, outbox| {
                if connection.is_open() {
                    connection.send_ping(now, outbox);
                }
            });
        }
    }

    fn untrack(&mut self, id: ConnectionId) {
        let Some(tracked) = self.connected_mut(id).and_then(|connected| connected.tracked.take()) else {
            return;
        };
        for address in tracked.claims {
            self.disclaim(address, id);
        }
    }

    /// Sends on the path that is active now, unless its address belongs to another connection that may still be there.
    fn switch(&mut self, now: Instant, id: ConnectionId, old: Path) {
        let Some(set) = self.tracked_mut(id).map(|tracked| &tracked.set) else { return };
        let (new, round_trip) = (set.active(), set.round_trip());
        let owner = self.connections.get(&new.remote).copied().filter(|owner| *owner != id);
        let other = owner.and_then(|owner| self.connected_mut(owner)).map(|other| &other.connection);
        let wait = other.filter(|other| !other.is_over()).map(|other| other.displacement_wait());
        if let (Some(owner), Some(wait)) = (owner, wait) {
            let Some(Tracked { set, contest, .. }) = self.tracked_mut(id) else { return };
            set.go_back(now, old);
            if contest.is_none() {
                *contest = Some((new, Displacing::begin(now, owner, wait)));
                self.drive(owner, Cause::Own, |connection, _, outbox| connection.send_ping(now, outbox));
            }
            return;
        }
        if owner.is_some() {
            self.displace_owner(new.remote);
        }
        let Some(connected) = self.connected_mut(id) else { return };
        if let Some(tracked) = &mut connected.tracked {
            tracked.contest = None;
        }
        connected.path = new;
        connected.connection.path_changed(now, round_trip);
        let was_told = core::mem::replace(&mut connected.path_told, true);
        if self.connections.get(&old.remote) == Some(&id) {
            self.connections.remove(&old.remote);
        }
        self.connections.insert(new.remote, id);
        self.stats.paths_changed += 1;
        trace_event!(DEBUG, connection = %id, remote = %new.remote, "path changed");
        // A peer that moves about fills no queue.
        let (remote, round_trip) = (new.remote, round_trip.into());
        if was_told {
            self.events.tell_newer_path(id, remote, round_trip);
        } else {
            self.events.push(Event::PathChanged { connection: id, remote, round_trip });
        }
        self.rearm(id);
        self.after_path_change(now, id, new, old.remote.is_circuit());
    }

    /// Asks the owner of an address again, or decides when it has had its time to answer.
    fn decide_contest(&mut self, now: Instant, id: ConnectionId) {
        let Some((path, displacing)) = self.tracked_mut(id).and_then(|tracked| tracked.contest.as_mut())
        else {
            return;
        };
        let (asks, path, Displacing { owner, since, until, .. }) =
            (displacing.take_ask(now), *path, *displacing);
        if now < until {
            if asks {
                self.drive(owner, Cause::Own, |connection, _, outbox| connection.send_ping(now, outbox));
            }
            return;
        }
        // It may have moved itself meanwhile.
        let is_owner = self.connections.get(&path.remote) == Some(&owner);
        let connection = self.slots.get(owner).and_then(|entry| entry.slot.connection());
        let is_alive = connection.is_some_and(|owner| !owner.is_over() && owner.last_heard() > since);
        let Some(tracked) = self.tracked_mut(id) else { return };
        tracked.contest = None;
        let old = tracked.set.active();
        if is_owner && is_alive {
            tracked.set.forget(path.remote);
        } else if !tracked.set.has_echoed_since(since) && tracked.set.go_back(now, path) {
            if is_owner {
                self.displace_owner(path.remote);
            }
            self.switch(now, id, old);
        }
    }

    fn send_punches(&mut self, now: Instant, id: ConnectionId, asks: &[Ask]) {
        for ask in asks {
            let Some(Slot::Connected(connected)) = self.slots.get_mut(id).map(|entry| &mut entry.slot) else {
                return;
            };
            // What answers is limited by what asks, and by the set of paths.
            let takes =
                ask.echo != 0 || self.paths.punches.takes(now, id.get(), ask.path.remote, MAX_PUNCHES);
            if !takes {
                self.stats.punches_not_sent += 1;
                continue;
            }
            // From the first punch on, the host may give other ids.
            connected.connection.enable_reliable();
            let punch = Punch {
                is_from_host: connected.is_host,
                is_of_connection: true,
                id: connected.punching.ids.sends(),
                number: ask.number,
                echo: ask.echo,
            };
            let bytes = connected.punching.key.seal(&punch);
            let cause = if ask.echo == 0 { Cause::Own } else { Cause::Peer };
            self.transmits.push(cause, ask.path, |out| out.extend_from_slice(&bytes));
            self.stats.punches_sent += 1;
        }
    }

    /// Receives from the paths that there are now, and sees to the next deadline.
    fn after_paths(&mut self, now: Instant, id: ConnectionId) {
        let Some(tracked) = self.tracked_mut(id) else { return };
        let set = &tracked.set;
        let active = set.active().remote;
        let mut wanted: Vec<Address> = Vec::new();
        for other in set.others().map(|path| path.remote) {
            if other != active && !wanted.contains(&other) {
                wanted.push(other);
            }
        }
        if set.is_needless() && tracked.kept_until <= now && tracked.contest.is_none() {
            return self.untrack(id);
        }
        let mut at = set.deadline();
        if set.is_needless() && tracked.kept_until > now {
            at = at.min(tracked.kept_until);
        }
        if let Some((_, displacing)) = &tracked.contest {
            at = at.min(displacing.deadline());
        }
        // What is due again at once must not hold the caller up.
        let at = at.max(now + Micros::from_millis(1));
        let old = core::mem::take(&mut tracked.claims);
        for address in old.iter().filter(|address| !wanted.contains(address)) {
            self.disclaim(*address, id);
        }
        wanted.retain(|address| old.contains(address) || self.claim(*address, id));
        if let Some(Slot::Connected(connected)) = self.slots.get_mut(id).map(|entry| &mut entry.slot)
            && let Some(tracked) = &mut connected.tracked
        {
            tracked.claims = wanted;
            self.paths.arm(id, tracked, at);
        }
    }

    fn claim(&mut self, address: Address, id: ConnectionId) -> bool {
        let waiting = self.claims.entry(address).or_default();
        let takes = waiting.len() < MAX_CLAIMS;
        if takes {
            waiting.push(id);
        }
        takes
    }

    pub(super) fn disclaim(&mut self, address: Address, id: ConnectionId) {
        if let Some(waiting) = self.claims.get_mut(&address) {
            waiting.retain(|other| *other != id);
            if waiting.is_empty() {
                self.claims.remove(&address);
            }
        }
    }

    /// The other side has used an id. The host sees to it that there is another one for the next network.
    fn on_id_used(&mut self, now: Instant, id: ConnectionId, number: u64) {
        let Some(Slot::Connected(connected)) = self.slots.get_mut(id).map(|entry| &mut entry.slot) else {
            return;
        };
        if let Some(old) = connected.punching.ids.was_used(number) {
            self.paths.remove_id(old, id);
        }
        if !connected.is_host || !connected.connection.is_open() {
            return;
        }
        let ids = &mut connected.punching.ids;
        if !ids.has_spare() {
            let spare = self.rng.u64();
            if !self.paths.add_id(spare, id) {
                return;
            }
            ids.add_spare(PathId { id: spare, token: self.key_pair.reset_token(spare) }, Sharing::Untold);
        }
        let Some(spare) = ids.untold() else { return };
        let body = path_id(spare.id, spare.token);
        let mut sent = None;
        self.drive(id, Cause::Own, |connection, _, outbox| {
            // If it finds no room, the next punch has it tried again.
            sent = connection.send_reliable(now, PATHS, ReliableKind::PATH_ID, &body, outbox).ok();
        });
        if let (Some(serial), Some(connected)) = (sent, self.connected_mut(id)) {
            connected.punching.ids.spare_was_told(serial);
        }
    }

    /// What became of a path_id.
    fn on_path_id_event(&mut self, id: ConnectionId, event: ControlEvent) {
        let Some(Slot::Connected(connected)) = self.slots.get_mut(id).map(|entry| &mut entry.slot) else {
            return;
        };
        let ids = &mut connected.punching.ids;
        match event {
            ControlEvent::Received { serial, .. } => ids.spare_was_received(serial),
            ControlEvent::Failed { serial, .. } => ids.spare_was_lost(serial),
            ControlEvent::Message { kind: ReliableKind::PATH_ID, body, .. } if !connected.is_host => {
                let Ok((number, token)) = parse_path_id(&body) else { return self.stats.malformed += 1 };
                // Also if this connection has it, which would lose it when the older id is forgotten.
                if !self.paths.has_id(number)
                    && self.paths.add_id(number, id)
                    && let Some(old) = ids.take_spare(PathId { id: number, token })
                {
                    self.paths.remove_id(old, id);
                }
            }
            ControlEvent::Message { .. } => self.stats.malformed += 1,
        }
    }

    #[cfg(test)]
    pub(super) fn ids_of(&mut self, id: ConnectionId) -> Vec<u64> {
        self.connected_mut(id).map(|connected| connected.punching.ids.all().collect()).unwrap_or_default()
    }

    fn tracked_mut(&mut self, id: ConnectionId) -> Option<&mut Tracked> {
        self.connected_mut(id)?.tracked.as_deref_mut()
    }

    fn connected_mut(&mut self, id: ConnectionId) -> Option<&mut Connected> {
        match self.slots.get_mut(id).map(|entry| &mut entry.slot) {
            Some(Slot::Connected(connected)) => Some(connected),
            _ => None,
        }
    }
}

/// The attempt number of messages about the connection itself.
pub(super) const PATHS: u32 = 0;
