//! Applications that act in a world: they answer, send, drain and close as a test asks, and an oracle checks them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use torque_proto::{
    Address, CallError, ChallengeResponse, Config, ConnectOptions, ConnectRequest, ConnectionId, Endpoint,
    Event, Instant, KeyPair, PublicKey, SendError, Sequence, Setup, Stats, Trust,
};

use crate::oracle::{End, EndId, Oracle};
use crate::world::{NetworkId, NodeId, World};
use torque_netem::SimRng;

/// An application's answer to a question, and its delay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Yes, after this time.
    Accept(Duration),
    /// No, after this time.
    Close(Duration),
    /// No answer.
    Never,
}

/// The way in which an application takes its events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Draining {
    /// At once.
    Always,
    /// A number of them at each interval.
    Every(Duration, usize),
    /// Not at all.
    Never,
}

/// The traffic of an application on each connection: bursts with pauses, with sizes in a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sending {
    /// Pause between bursts: shortest and longest.
    pub pause: (Duration, Duration),
    /// Packets in a burst: least and most.
    pub burst: (u64, u64),
    /// Payload bytes: least and most.
    pub size: (usize, usize),
    /// Packets in all on each connection.
    pub packets: u64,
}

impl Sending {
    /// One packet of up to `size` bytes at each `pause`, for ever.
    pub fn steady(pause: Duration, size: usize) -> Self {
        Self { pause: (pause, pause), burst: (1, 1), size: (0, size), packets: u64::MAX }
    }
}

/// The behaviour of an application.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Answer to a challenge response.
    pub challenge: Answer,
    /// Answer to a connect request.
    pub request: Answer,
    /// The data that it sends when it accepts.
    pub accept_data: Vec<u8>,
    /// Its traffic, if any.
    pub sending: Option<Sending>,
    /// The way in which it takes its events.
    pub draining: Draining,
}

impl Default for Behaviour {
    /// Accepts everything at once, takes its events, and sends nothing.
    fn default() -> Self {
        Self {
            challenge: Answer::Accept(Duration::ZERO),
            request: Answer::Accept(Duration::ZERO),
            accept_data: Vec::new(),
            sending: None,
            draining: Draining::Always,
        }
    }
}

#[derive(Clone, Debug)]
enum Task {
    AcceptChallenge(ConnectionId),
    AcceptRequest(ConnectionId),
    Send(EndId),
    Drain,
    Refuse(ConnectionId),
    Close(ConnectionId, Vec<u8>),
}

struct App {
    config: Config,
    key_seed: [u8; 32],
    /// Where it observes parties as an introducer.
    observing: Option<SocketAddr>,
    behaviour: Behaviour,
    history: Vec<(Instant, Event)>,
    arrivals: Vec<Instant>,
    /// Set while a `Drain` task is planned.
    drain_planned: bool,
}

/// A world of endpoints with applications.
pub struct Play {
    /// The world. The oracle does not see direct calls to it.
    pub world: World<Endpoint>,
    /// The oracle.
    pub oracle: Oracle,
    /// For the test's own choices.
    pub rng: SimRng,
    apps: Vec<App>,
    agenda: BTreeMap<(Instant, u64), (NodeId, Task)>,
    planned: u64,
    attempts: u64,
    /// Ends by the mark that `connect` puts before the connect data.
    by_mark: BTreeMap<[u8; 12], EndId>,
}

/// The mark that `connect` puts before the connect data, to match a request with its attempt.
const MARK: &[u8; 4] = b"try ";

impl Play {
    /// An empty world.
    pub fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        let rng = world.fork_rng();
        Self {
            world,
            oracle: Oracle::new(seed),
            rng,
            apps: Vec::new(),
            agenda: BTreeMap::new(),
            planned: 0,
            attempts: 0,
            by_mark: BTreeMap::new(),
        }
    }

    /// Adds an endpoint with its application.
    pub fn add(&mut self, config: Config, behaviour: Behaviour) -> NodeId {
        self.add_with(config, behaviour, |world, setup| world.add(|now| endpoint(now, setup)))
    }

    /// Adds an endpoint with its application in a network of the world.
    pub fn add_in(&mut self, network: NetworkId, config: Config, behaviour: Behaviour) -> NodeId {
        self.add_with(config, behaviour, |world, setup| world.add_in(network, |now| endpoint(now, setup)))
    }

    fn add_with(
        &mut self,
        config: Config,
        behaviour: Behaviour,
        place: impl FnOnce(&mut World, Setup) -> NodeId,
    ) -> NodeId {
        let key_seed = self.rng.array();
        let setup = self.setup(&config, key_seed);
        let id = place(&mut self.world, setup);
        self.apps.push(App {
            config,
            key_seed,
            observing: None,
            behaviour: Behaviour::default(),
            history: Vec::new(),
            arrivals: Vec::new(),
            drain_planned: false,
        });
        self.set_behaviour(id, behaviour);
        id
    }

    /// Adds an endpoint whose application accepts everything and sends nothing.
    pub fn add_default(&mut self) -> NodeId {
        self.add(Config::default(), Behaviour::default())
    }

    /// Changes the behaviour of an application.
    pub fn set_behaviour(&mut self, node: NodeId, behaviour: Behaviour) {
        let draining = behaviour.draining;
        let place = node.place();
        self.apps[place].behaviour = behaviour;
        self.world.set_draining(node, draining == Draining::Always);
        if let Draining::Every(pause, _) = draining
            && !std::mem::replace(&mut self.apps[place].drain_planned, true)
        {
            self.plan(pause, node, Task::Drain);
        }
        self.act();
    }

    /// The current behaviour of an application.
    pub fn behaviour(&self, node: NodeId) -> &Behaviour {
        &self.apps[node.place()].behaviour
    }

    /// Crashes a node.
    pub fn crash(&mut self, node: NodeId) {
        self.act();
        self.world.crash(node);
        self.oracle.crashed(node);
    }

    /// Restarts a crashed node with the same identity and no other memory.
    pub fn restart(&mut self, node: NodeId) {
        let place = node.place();
        let setup = self.setup(&self.apps[place].config.clone(), self.apps[place].key_seed);
        self.world.restart(node, |now| endpoint(now, setup));
        self.tell_observing(node);
        self.set_behaviour(node, self.apps[place].behaviour.clone());
    }

    /// Gives an introducer a second port, or with `own_ip` a second IP address, to look at NATs.
    pub fn observe(&mut self, introducer: NodeId, own_ip: bool) {
        let address = self.world.add_observing_port(introducer, own_ip);
        self.apps[introducer.place()].observing = Some(address);
        self.tell_observing(introducer);
    }

    fn tell_observing(&mut self, node: NodeId) {
        if let Some(address) = self.apps[node.place()].observing {
            self.world.with(node, |endpoint, _| endpoint.set_observing_address(address));
        }
    }

    /// Gives a node another identity from its next restart on.
    pub fn change_key(&mut self, node: NodeId) {
        let place = node.place();
        self.apps[place].key_seed = self.rng.array();
    }

    /// The node's public key.
    pub fn key(&self, node: NodeId) -> PublicKey {
        KeyPair::from_seed(self.apps[node.place()].key_seed).public()
    }

    /// The seed of the node's identity key, for tests that steal it.
    pub fn key_seed(&self, node: NodeId) -> [u8; 32] {
        self.apps[node.place()].key_seed
    }

    /// The node's counters.
    pub fn stats(&mut self, node: NodeId) -> Stats {
        self.world.with(node, |endpoint, _| endpoint.stats().clone())
    }

    /// Starts a connection. Twelve bytes of the play precede the connect data.
    ///
    /// # Panics
    /// If the endpoint refuses the call.
    pub fn connect(&mut self, from: NodeId, to: NodeId, options: ConnectOptions) -> ConnectionId {
        self.try_connect(from, to, options).unwrap_or_else(|error| panic!("connect: {error}"))
    }

    /// Starts a connection, if the endpoint allows it.
    ///
    /// # Errors
    /// The errors of the endpoint.
    pub fn try_connect(
        &mut self,
        from: NodeId,
        to: NodeId,
        options: ConnectOptions,
    ) -> Result<ConnectionId, CallError> {
        let remote = self.world.address(to);
        self.connect_with(from, options, |endpoint, now, options| endpoint.connect(now, remote, options))
    }

    /// Starts a connection to a host that may have several addresses.
    ///
    /// # Errors
    /// The errors of the endpoint.
    pub fn connect_to(
        &mut self,
        from: NodeId,
        addresses: &[Address],
        options: ConnectOptions,
    ) -> Result<ConnectionId, CallError> {
        self.connect_with(from, options, |endpoint, now, options| {
            endpoint.connect_to(now, addresses, options)
        })
    }

    /// Starts a connection in another way, for example by an introducer: `connect` calls the endpoint.
    ///
    /// # Errors
    /// The errors of the endpoint.
    pub fn connect_with(
        &mut self,
        from: NodeId,
        mut options: ConnectOptions,
        connect: impl FnOnce(&mut Endpoint, Instant, ConnectOptions) -> Result<ConnectionId, CallError>,
    ) -> Result<ConnectionId, CallError> {
        self.attempts += 1;
        let mut mark = [0; 12];
        mark[..4].copy_from_slice(MARK);
        mark[4..].copy_from_slice(&self.attempts.to_be_bytes());
        options.connect_data.splice(0..0, mark);
        // The applications of a play have a behaviour for the question.
        options.trust.get_or_insert(Trust::Ask);
        let connection = self.world.with(from, |endpoint, now| connect(endpoint, now, options))?;
        let end = self.oracle.begin(from, connection);
        self.by_mark.insert(mark, end);
        self.act();
        Ok(connection)
    }

    /// Lets a host wait for one initiator that an introducer names: `wait` calls the endpoint, which has an id for the connection at
    /// once.
    ///
    /// # Errors
    /// The errors of the endpoint.
    pub fn wait_with(
        &mut self,
        host: NodeId,
        wait: impl FnOnce(&mut Endpoint, Instant) -> Result<ConnectionId, CallError>,
    ) -> Result<ConnectionId, CallError> {
        let connection = self.world.with(host, wait)?;
        self.oracle.begin_waiting(host, connection);
        self.act();
        Ok(connection)
    }

    /// Sends a packet.
    ///
    /// # Errors
    /// The errors of the endpoint.
    pub fn send(
        &mut self,
        node: NodeId,
        connection: ConnectionId,
        payload: &[u8],
    ) -> Result<Sequence, SendError> {
        let sequence = self.world.with(node, |endpoint, now| endpoint.send(now, connection, payload))?;
        self.oracle.sent(node, connection, sequence.0, payload);
        self.act();
        Ok(sequence)
    }

    /// Closes a connection, if it has not ended already.
    pub fn close(&mut self, node: NodeId, connection: ConnectionId, reason: &[u8]) {
        self.world.try_with(node, |endpoint, now| endpoint.close(now, connection, reason).ok());
        self.act();
    }

    /// Closes a connection after a delay.
    pub fn close_after(&mut self, delay: Duration, node: NodeId, connection: ConnectionId, reason: &[u8]) {
        self.plan(delay, node, Task::Close(connection, reason.to_vec()));
    }

    /// The events of the application without packets and verdicts, with the world's time.
    pub fn history(&self, node: NodeId) -> &[(Instant, Event)] {
        &self.apps[node.place()].history
    }

    /// The times, by the world's clock, at which the application received packets.
    pub fn arrivals(&self, node: NodeId) -> &[Instant] {
        &self.apps[node.place()].arrivals
    }

    /// The end that an application calls `connection`.
    pub fn end(&self, node: NodeId, connection: ConnectionId) -> &End {
        self.oracle.end(self.oracle.find(node, connection))
    }

    /// The connections at `node` that are established and have not ended.
    pub fn open_connections(&self, node: NodeId) -> Vec<ConnectionId> {
        let open = |end: &&End| end.node == node && end.established && end.closed.is_none() && !end.crashed;
        self.oracle.ends().filter(open).map(|end| end.connection).collect()
    }

    /// Connects and runs until both ends are established.
    ///
    /// # Panics
    /// If that takes more than 30 s.
    pub fn establish(&mut self, from: NodeId, to: NodeId) -> (ConnectionId, ConnectionId) {
        let at_initiator = self.connect(from, to, ConnectOptions::default());
        let end = self.oracle.find(from, at_initiator);
        let done = self.run_until(
            |play| {
                let peer = play.oracle.end(end).peer.map(|peer| play.oracle.end(peer).established);
                play.oracle.end(end).established && peer == Some(true)
            },
            Duration::from_secs(30),
        );
        let Some(peer) = self.oracle.end(end).peer.filter(|_| done) else {
            panic!("seed {}: not established: {:?}", self.world.seed(), self.history(from));
        };
        (at_initiator, self.oracle.end(peer).connection)
    }

    /// Performs the next step of the world, and lets the applications act. Returns `false` if nothing remains.
    pub fn step(&mut self) -> bool {
        let happened = self.world.step().is_some();
        self.act();
        happened
    }

    /// Runs until `done` returns true, called after every step. Returns whether it did within `limit`.
    pub fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool, limit: Duration) -> bool {
        let end = self.world.now() + limit;
        loop {
            if done(self) {
                return true;
            }
            if self.world.next_time().is_none_or(|time| time > end) {
                self.world.run_for(end.saturating_since(self.world.now()));
                return false;
            }
            self.step();
        }
    }

    /// Runs for a span of virtual time.
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(|_| false, span);
    }

    /// Stops all sending, lets every application take its events, runs until every connection has ended, and
    /// checks.
    ///
    /// # Panics
    /// If a connection has not ended after `limit`, or a promise was broken.
    pub fn finish(&mut self, limit: Duration) {
        for node in self.world.nodes() {
            let behaviour =
                Behaviour { sending: None, draining: Draining::Always, ..self.behaviour(node).clone() };
            self.set_behaviour(node, behaviour);
        }
        let ended = self.run_until(|play| play.oracle.all_ended(), limit);
        let open = self.oracle.ends().find(|end| end.closed.is_none() && !end.crashed);
        assert!(
            ended,
            "seed {}: after {limit:?} this has not ended: {:?}",
            self.world.seed(),
            open.map(|end| (end.node, end.connection, end.established, end.tally))
        );
        self.oracle.check();
    }

    /// Closes or gives up every connection at every end, refuses new ones, and finishes.
    ///
    /// # Panics
    /// As [`finish`](Self::finish).
    pub fn close_all_and_finish(&mut self, limit: Duration) {
        let no = Answer::Close(Duration::ZERO);
        for node in self.world.nodes() {
            let behaviour = Behaviour { challenge: no, request: no, ..self.behaviour(node).clone() };
            self.set_behaviour(node, behaviour);
        }
        let open = |end: &&End| end.closed.is_none() && !end.crashed;
        let ends: Vec<_> = self.oracle.ends().filter(open).map(|end| (end.node, end.connection)).collect();
        for (node, connection) in ends {
            self.close(node, connection, b"the end");
        }
        self.finish(limit);
    }

    fn setup(&mut self, config: &Config, key_seed: [u8; 32]) -> Setup {
        Setup {
            config: config.clone(),
            key_pair: Some(KeyPair::from_seed(key_seed)),
            seed: self.rng.array(),
            unix_millis: 1_800_000_000_000 + self.world.now().as_micros() / 1_000,
        }
    }

    fn plan(&mut self, delay: Duration, node: NodeId, task: Task) {
        let time = self.world.now() + delay;
        self.planned += 1;
        self.agenda.insert((time, self.planned), (node, task));
        self.world.wake_at(time);
    }

    /// Lets the applications do what is due and react to their events.
    fn act(&mut self) {
        loop {
            let mut idle = true;
            while let Some(entry) =
                self.agenda.first_entry().filter(|entry| entry.key().0 <= self.world.now())
            {
                let (node, task) = entry.remove();
                self.perform(node, task);
                idle = false;
            }
            for node in self.world.nodes() {
                while let Some(event) = self.world.next_event(node) {
                    self.take(node, event);
                    idle = false;
                }
            }
            if idle {
                return;
            }
        }
    }

    fn take(&mut self, node: NodeId, event: Event) {
        self.oracle.event(node, &event);
        let place = node.place();
        let behaviour = &self.apps[place].behaviour;
        match &event {
            Event::ChallengeResponse(ChallengeResponse { connection, .. }) => match behaviour.challenge {
                Answer::Accept(after) => self.plan(after, node, Task::AcceptChallenge(*connection)),
                Answer::Close(after) => self.plan(after, node, Task::Close(*connection, b"no".to_vec())),
                Answer::Never => {}
            },
            Event::ConnectRequest(ConnectRequest { connection, connect_data, .. }) => {
                let attempt = connect_data.first_chunk().and_then(|mark| self.by_mark.get(mark));
                if let Some(attempt) = attempt {
                    let end = self.oracle.find(node, *connection);
                    self.oracle.set_peer(end, *attempt);
                }
                match behaviour.request {
                    Answer::Accept(after) => self.plan(after, node, Task::AcceptRequest(*connection)),
                    Answer::Close(after) => self.plan(after, node, Task::Refuse(*connection)),
                    Answer::Never => {}
                }
            }
            Event::Established { connection, .. } if behaviour.sending.is_some() => {
                let end = self.oracle.find(node, *connection);
                self.plan(Duration::ZERO, node, Task::Send(end));
            }
            Event::Packet { .. } => {
                self.apps[place].arrivals.push(self.world.now());
                return;
            }
            Event::Verdict { .. } => return,
            _ => {}
        }
        let now = self.world.now();
        self.apps[place].history.push((now, event));
    }

    fn perform(&mut self, node: NodeId, task: Task) {
        let place = node.place();
        match task {
            // The connection may have ended meanwhile.
            Task::AcceptChallenge(connection) => {
                self.world.try_with(node, |endpoint, now| endpoint.accept_challenge(now, connection).ok());
            }
            Task::AcceptRequest(connection) => {
                let data = self.apps[place].behaviour.accept_data.clone();
                self.world
                    .try_with(node, |endpoint, now| endpoint.accept_connection(now, connection, &data).ok());
            }
            Task::Refuse(connection) => {
                self.world.try_with(node, |endpoint, now| endpoint.refuse(now, connection, b"no").ok());
            }
            Task::Close(connection, reason) => {
                self.world.try_with(node, |endpoint, now| endpoint.close(now, connection, &reason).ok());
            }
            Task::Drain => {
                self.apps[place].drain_planned = false;
                if let Draining::Every(pause, count) = self.apps[place].behaviour.draining {
                    self.apps[place].drain_planned = true;
                    self.world.drain_events(node, count);
                    self.plan(pause, node, Task::Drain);
                }
            }
            Task::Send(end) => self.send_burst(node, end),
        }
    }

    fn send_burst(&mut self, node: NodeId, end: EndId) {
        let Some(sending) = self.apps[node.place()].behaviour.sending else { return };
        let watched = self.oracle.end(end);
        if watched.closed.is_some() || watched.crashed || watched.tally.sent >= sending.packets {
            return;
        }
        let connection = watched.connection;
        for _ in 0..self.rng.between(sending.burst.0, sending.burst.1) {
            let len = self.rng.between(sending.size.0 as u64, sending.size.1 as u64) as usize;
            let payload = self.rng.bytes(len);
            match self.world.with(node, |endpoint, now| endpoint.send(now, connection, &payload)) {
                Ok(sequence) => self.oracle.sent(node, connection, sequence.0, &payload),
                Err(SendError::WindowFull) => break,
                Err(SendError::Closed) => return,
                Err(error) => panic!("seed {}: {node:?} {connection}: {error}", self.world.seed()),
            }
        }
        let (least, most) = sending.pause;
        let pause = least + self.rng.duration(most.saturating_sub(least));
        // Without a pause, time would stand still for ever.
        self.plan(pause.max(Duration::from_micros(1)), node, Task::Send(end));
    }
}

fn endpoint(now: Instant, setup: Setup) -> Endpoint {
    Endpoint::new(now, setup).unwrap_or_else(|error| panic!("the configuration is not valid: {error}"))
}
