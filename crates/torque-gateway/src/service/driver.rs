//! Runs one session: connects its UDP port, its carrier and its timers to the rules of [`Session`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use crate::metrics::{Direction, DropReason, Ending, Refusal};
use crate::policy::admission::Admitted;
use crate::policy::ports::SessionPort;
use crate::service::attest;
use crate::service::carrier::{Carrier, Received};
use crate::service::farewells::{Expected, Frames, PATIENCE};
use crate::service::resolve::ClientResolver;
use crate::service::session_log::Logged;
use crate::service::state::{Phase, State};
use crate::service::udp::{SessionSocket, is_of_a_remote, local_towards};
use crate::session::Session;
use crate::session::action::Action;
use crate::session::opening::Found;
use crate::wire::control::{ClosingCode, ToPage};
use crate::wire::form::MAX_DATAGRAM_BYTES;
use crate::wire::frame::MAX_CONTEXT_BYTES;

/// The most datagrams that are read from the port in one turn, so that the page gets its turn too.
const BATCH: usize = 32;
/// The number of consecutive errors of the port that ends the session.
const MAX_ERRORS: u32 = 16;

/// Runs a session until it ends.
pub async fn run<C: Carrier>(state: Arc<State>, mut carrier: C, socket: SessionSocket, admitted: Admitted) {
    let logged =
        Logged { carrier: C::KIND, client: admitted.client, origin: &admitted.origin, port: socket.port() };
    state.rules.metrics.session_opened(C::KIND);
    state.log.opened(logged);
    // A gateway that goes away waits for its subscribers.
    let _words_to_say = state.phase.subscribe();
    let ending = Driver::new(&state, socket, &admitted).drive(&mut carrier).await;
    // The port is free by now, while the last messages may still be under way.
    state.rules.metrics.session_ended(C::KIND, ending);
    state.log.ended(logged, ending);
    carrier.finish().await;
}

/// Tells a page why it gets no session. A foreign origin is refused by HTTP instead (GATEWAY.md 1).
pub async fn refuse<C: Carrier>(mut carrier: C, refusal: Refusal) {
    let (code, reason) = match refusal {
        Refusal::Origin => return,
        Refusal::Draining => {
            (ClosingCode::Draining, "the gateway is going away: connect to another one, or try again later")
        }
        Refusal::Full => (ClosingCode::Full, "all sessions of the gateway are in use: try again later"),
        Refusal::Client => (
            ClosingCode::TooManySessions,
            "all sessions for this network address are in use; the operator of the gateway can raise the limit",
        ),
        Refusal::NoPort => (ClosingCode::NoPort, "the gateway has no free UDP port for another session"),
    };
    let closing = ToPage::Closing { code, reason: reason.to_owned() };
    if carrier.send_control(&closing.to_bytes()).is_ok() {
        carrier.finish().await;
    }
}

struct Driver<'a> {
    state: &'a Arc<State>,
    origin: &'a str,
    session: Session,
    resolver: ClientResolver,
    resolving: JoinSet<(u32, Vec<Found>)>,
    errors: u32,
    farewell: Option<Expected>,
    socket: SessionSocket,
    _port: SessionPort,
}

impl<'a> Driver<'a> {
    fn new(state: &'a Arc<State>, socket: SessionSocket, admitted: &'a Admitted) -> Self {
        let ip = state.address_towards(admitted.client).unwrap_or(admitted.client.ip());
        let welcome = ToPage::Welcome {
            public_key: *state.key_pair.public().as_bytes(),
            address: SocketAddr::new(ip, socket.port()),
        };
        Self {
            state,
            origin: &admitted.origin,
            session: Session::new(
                Arc::clone(&state.rules),
                admitted.client.ip(),
                random,
                welcome,
                Instant::now(),
            ),
            resolver: state.resolver.of_client(admitted.client.ip()),
            resolving: JoinSet::new(),
            errors: 0,
            farewell: None,
            _port: state.rules.ports.register(socket.port()),
            socket,
        }
    }

    async fn drive<C: Carrier>(mut self, carrier: &mut C) -> Ending {
        let mut phase = self.state.phase.subscribe();
        phase.mark_changed();
        let mut set_for = Instant::now();
        let mut timer = std::pin::pin!(sleep_until(set_for.into()));
        loop {
            if let Err(ending) = self.act(carrier) {
                return ending;
            }
            // A deadline that moves back does not move the timer: it fires, finds nothing due, and is set again.
            let deadline = self.session.deadline();
            if deadline < set_for || timer.is_elapsed() {
                timer.as_mut().reset(deadline.into());
                set_for = deadline;
            }
            tokio::select! {
                received = carrier.receive() => match received {
                    Ok(Received::Datagram(frame)) => self.page_datagram(&frame),
                    Ok(Received::Control(message)) => self.session.control(&message, Instant::now()),
                    Ok(Received::Malformed(why)) => self.session.end(ClosingCode::Protocol, why),
                    Err(ending) => {
                        self.wait_for_farewell(ending, phase).await;
                        return ending;
                    }
                },
                frames = farewell(&mut self.farewell) => self.say_farewell(frames),
                ready = self.socket.readable() => {
                    if let Err(ending) = self.remote_datagrams(carrier, ready) {
                        return ending;
                    }
                }
                () = timer.as_mut() => self.session.handle_timeout(Instant::now()),
                Some(Ok((context, found))) = self.resolving.join_next() => {
                    self.session.resolved(context, found, Instant::now());
                }
                changed = phase.changed() => match (changed, *phase.borrow_and_update()) {
                    (Ok(()), Phase::Open) => {}
                    (Ok(()), Phase::Draining { until }) => self.session.drain(until, Instant::now()),
                    (Err(_), _) | (_, Phase::Over) => {
                        self.session.end(ClosingCode::Draining, "the gateway has gone away");
                    }
                },
            }
        }
    }

    /// Carries out the tasks of the session.
    fn act<C: Carrier>(&mut self, carrier: &mut C) -> Result<(), Ending> {
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Tell(message) => carrier.send_control(&message.to_bytes())?,
                Action::Probe { remote, datagram } => {
                    // A probe lost here is repeated like one lost elsewhere.
                    if self.socket.try_send(&datagram, remote).is_ok() {
                        self.state.rules.metrics.probe_sent();
                    }
                }
                Action::Resolve { context, host, port } => {
                    let resolver = self.resolver.clone();
                    self.resolving.spawn(async move { (context, resolver.resolve(&host, port).await) });
                }
                Action::Attest { request, remote, initiator, host } => {
                    let address = self.state.address_towards(remote);
                    let address = address.map(|ip| SocketAddr::new(ip, self.socket.port()));
                    let token = attest::token(self.state, self.origin, address, &initiator, &host);
                    carrier.send_control(&ToPage::Attested { request, token }.to_bytes())?;
                }
                Action::ExpectFarewell(key) => self.farewell = self.state.farewells.expect(key),
                Action::Close(code, reason) => {
                    carrier.send_control(&ToPage::Closing { code, reason: reason.to_owned() }.to_bytes())?;
                    return Err(code.into());
                }
            }
        }
        Ok(())
    }

    /// Waits for the farewell of a page that left. Its remotes know the page by this session's port.
    async fn wait_for_farewell(&mut self, ending: Ending, mut phase: watch::Receiver<Phase>) {
        let may_come = self.farewell.is_some() && ending == Ending::Left;
        if !may_come || *phase.borrow_and_update() != Phase::Open {
            return;
        }
        let said = tokio::select! {
            said = timeout(PATIENCE, farewell(&mut self.farewell)) => said.ok(),
            _ = phase.changed() => None,
        };
        if let Some(frames) = said {
            self.say_farewell(frames);
        }
    }

    fn say_farewell(&mut self, frames: Frames) {
        self.farewell = None;
        frames.for_each(|frame| self.page_datagram(&frame));
    }

    fn page_datagram(&mut self, frame: &[u8]) {
        let Some((remote, datagram)) = self.session.page_datagram(frame, Instant::now()) else { return };
        let metrics = &self.state.rules.metrics;
        match self.socket.try_send(datagram, remote) {
            Ok(()) => metrics.passed(Direction::ToRemote, datagram.len()),
            Err(_) => metrics.dropped(Direction::ToRemote, DropReason::Network),
        }
    }

    /// Reads a bounded number of datagrams from the port.
    fn remote_datagrams<C: Carrier>(&mut self, carrier: &mut C, ready: io::Result<()>) -> Result<(), Ending> {
        if ready.is_err() {
            self.port_failed();
            return Ok(());
        }
        // Space for the context before the datagram, and for one byte that shows that it is too long.
        let mut buffer = [0; MAX_CONTEXT_BYTES + MAX_DATAGRAM_BYTES + 1];
        for _ in 0..BATCH {
            let (length, remote) = match self.socket.try_receive(&mut buffer[MAX_CONTEXT_BYTES..]) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_of_a_remote(&error) => continue,
                Err(_) => {
                    self.errors += 1;
                    if self.errors >= MAX_ERRORS {
                        self.port_failed();
                        return Ok(());
                    }
                    continue;
                }
            };
            self.errors = 0;
            let datagram = &buffer[MAX_CONTEXT_BYTES..MAX_CONTEXT_BYTES + length];
            let local = || local_towards(remote);
            let Some(prefix) = self.session.remote_datagram(remote, datagram, local, Instant::now()) else {
                continue;
            };
            self.act(carrier)?;
            let start = MAX_CONTEXT_BYTES - prefix.as_bytes().len();
            buffer[start..MAX_CONTEXT_BYTES].copy_from_slice(prefix.as_bytes());
            let metrics = &self.state.rules.metrics;
            match carrier.send_datagram(&buffer[start..MAX_CONTEXT_BYTES + length]) {
                Ok(()) => metrics.passed(Direction::ToPage, length),
                Err(why) => metrics.dropped(Direction::ToPage, why),
            }
        }
        Ok(())
    }

    fn port_failed(&mut self) {
        self.session.end(ClosingCode::NoPort, "the session's UDP port failed: connect again");
    }
}

/// Waits for a farewell, for ever if none is expected.
async fn farewell(expected: &mut Option<Expected>) -> Frames {
    match expected {
        Some(expected) => expected.frames().await,
        None => std::future::pending().await,
    }
}

/// A random nonce; `None` if the operating system has none.
fn random() -> Option<[u8; 16]> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).ok().map(|()| nonce)
}
