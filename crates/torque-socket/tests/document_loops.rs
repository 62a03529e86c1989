//! The loops of the documents go on whatever one client does: stall, leave in the middle, ask and vanish.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::LIMIT;
use torque_socket::{Config, ConnectionId, Delivery, Event, PublicKey, SendError, Settings, Socket, Trust};

mod echo {
    include!("../src/guide/echo_loop.rs");
    pub fn run(socket: &mut Socket, goes_on: impl FnMut() -> bool) -> Result<(), SendError> {
        serve(socket, goes_on)
    }
}
mod frame {
    include!("../src/guide/frame_loop.rs");
    pub fn run(socket: &mut Socket, game: impl FnMut() -> Option<Vec<u8>>) -> Result<(), SendError> {
        play(socket, game)
    }
}
mod thread {
    include!("../src/guide/thread_loop.rs");
    pub fn run(socket: &ThreadedSocket, game: impl FnMut() -> Option<Vec<u8>>) -> Result<(), SendError> {
        play(socket, game)
    }
}
#[cfg(feature = "tokio")]
mod in_tokio {
    include!("../src/guide/tokio_loop.rs");
    pub async fn run(
        socket: &mut AsyncSocket,
        game: impl FnMut() -> Option<Vec<u8>>,
    ) -> Result<(), SendError> {
        play(socket, game).await
    }
}
mod shards {
    include!("../src/guide/shards_loop.rs");
    pub fn run(host: &ShardedSocket, goes_on: impl FnMut() -> bool) -> Result<(), SendError> {
        serve(host, goes_on)
    }
}
mod each_shard {
    include!("../src/guide/shard_loop.rs");
    pub fn run(host: &ShardedSocket, goes_on: impl Fn() -> bool + Sync) {
        serve_each(host, goes_on);
    }
}

mod introduction {
    include!("../src/guide/introduction.rs");
    pub fn lobby(socket: &mut Socket, initiator: ConnectionId, host: ConnectionId) {
        introduce(socket, initiator, host).unwrap();
    }
    pub fn party(socket: &mut Socket, lobby: ConnectionId, told: &[u8]) -> ConnectionId {
        meet(socket, lobby, std::str::from_utf8(told).unwrap()).unwrap()
    }
}

const WINDOW: u16 = 16;

fn config() -> Config {
    let mut config = Config::default();
    config.settings = Settings { packet_window: WINDOW, ..Settings::default() };
    config
}

fn host() -> Socket {
    Socket::builder().config(config()).bind("127.0.0.1:0").unwrap()
}

/// A client of the host under test.
struct Client {
    socket: Socket,
    id: ConnectionId,
}

impl Client {
    fn connect(url: &str) -> Self {
        let mut client = Self::ask(url);
        while !matches!(client.next(), Event::Established { .. }) {}
        client
    }

    /// Has begun to connect.
    fn ask(url: &str) -> Self {
        let mut socket = Socket::client().unwrap();
        let id = socket.connect(url, Trust::Anyone).unwrap();
        socket.flush();
        Self { socket, id }
    }

    fn next(&mut self) -> Event {
        match self.socket.wait_event(LIMIT).expect("the host goes on") {
            Event::Close { code, .. } => panic!("the host ended the connection: {code}"),
            event => event,
        }
    }

    /// Waits for `packets` packets of the host, and, if `asks`, sends one for each.
    fn takes(&mut self, packets: usize, asks: bool) {
        let mut taken = 0;
        while taken < packets {
            if asks {
                self.socket.send(self.id, b"again").unwrap();
            }
            while !matches!(self.next(), Event::Packet { .. }) {}
            taken += 1;
        }
    }
}

/// Everything that a client may do to a host, while an honest one wants its packets. `echoes`: the host sends back what
/// comes, and nothing else.
fn trouble(url: &str, echoes: bool) {
    let mut honest = Client::connect(url);
    honest.takes(3, echoes);
    // Is let in, and takes nothing from then on: it fills the host's window for it.
    let mut stalling = Client::connect(url);
    if echoes {
        for _ in 0..WINDOW {
            stalling.socket.send(stalling.id, b"and never hears").unwrap();
        }
        stalling.socket.flush();
    }
    // Sends and leaves at once, so that its packets and its close come together.
    let mut leaving = Client::connect(url);
    for _ in 0..WINDOW {
        leaving.socket.send(leaving.id, b"good bye").unwrap();
    }
    leaving.socket.close(leaving.id, b"").unwrap();
    leaving.socket.flush();
    // Asks, and is gone before it is answered.
    for _ in 0..3 {
        drop(Client::ask(url));
    }
    honest.takes(4 * usize::from(WINDOW), echoes);
    drop(stalling);
    honest.takes(3, echoes);
    honest.socket.shutdown(LIMIT, |event| {
        assert!(!matches!(event, Event::Verdict { delivery: Delivery::Unknown, .. }));
    });
}

fn url_of(key: PublicKey, address: std::net::SocketAddr) -> String {
    format!("torque://{key}@{address}")
}

/// Runs `host` with what tells it to go on until the clients are done with it.
fn beside(url: &str, echoes: bool, host: impl FnOnce(&(dyn Fn() -> bool + Sync)) + Send) {
    let done = AtomicBool::new(false);
    let end = Instant::now() + 2 * LIMIT;
    std::thread::scope(|threads| {
        threads.spawn(|| host(&|| !done.load(Ordering::Relaxed) && Instant::now() < end));
        let clients = std::panic::catch_unwind(|| trouble(url, echoes));
        done.store(true, Ordering::Relaxed);
        if let Err(panic) = clients {
            std::panic::resume_unwind(panic);
        }
    });
}

fn state(goes_on: &dyn Fn() -> bool) -> Option<Vec<u8>> {
    goes_on().then(|| b"ducks".to_vec())
}

#[test]
fn the_echo_loop() {
    let mut host = host();
    let url = url_of(host.public_key(), host.local_addr());
    beside(&url, true, move |goes_on| echo::run(&mut host, goes_on).unwrap());
}

#[test]
fn the_frame_loop() {
    let mut host = host();
    let url = url_of(host.public_key(), host.local_addr());
    beside(&url, false, move |goes_on| frame::run(&mut host, || state(goes_on)).unwrap());
}

#[test]
fn the_loop_beside_a_thread() {
    let host = host().spawn().unwrap();
    let url = url_of(host.public_key(), host.local_addr());
    beside(&url, false, move |goes_on| thread::run(&host, || state(goes_on)).unwrap());
}

#[cfg(feature = "tokio")]
#[test]
fn the_loop_in_tokio() {
    let host = host();
    let url = url_of(host.public_key(), host.local_addr());
    beside(&url, false, move |goes_on| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut host = torque_socket::AsyncSocket::new(host).unwrap();
            in_tokio::run(&mut host, || state(goes_on)).await.unwrap();
        });
    });
}

#[test]
fn the_loop_for_all_shards() {
    let host = Socket::builder().config(config()).shards(2).bind("127.0.0.1:0").unwrap();
    let url = url_of(host.public_key(), host.local_addr());
    beside(&url, true, move |goes_on| shards::run(&host, goes_on).unwrap());
}

#[test]
fn the_loop_of_each_shard() {
    let host = Socket::builder().config(config()).shards(2).bind("127.0.0.1:0").unwrap();
    let url = url_of(host.public_key(), host.local_addr());
    beside(&url, true, move |goes_on| each_shard::run(&host, goes_on));
}

#[test]
fn a_fault_of_the_program_is_not_hidden() {
    let mut host = host();
    let url = url_of(host.public_key(), host.local_addr());
    let client = std::thread::spawn(move || {
        let mut client = Client::connect(&url);
        while client.socket.wait_event(Duration::from_millis(100)).is_none() {}
    });
    let end = Instant::now() + LIMIT;
    let too_large = || (Instant::now() < end).then(|| vec![0; 2_000]);
    assert!(matches!(frame::run(&mut host, too_large), Err(SendError::TooLarge { .. })));
    host.shutdown(LIMIT, |_| {});
    client.join().unwrap();
}

/// Makes a game that stalls for a second. After 30 more frames it ends, and tells how long these took.
fn stalling_game(took: &mut Duration) -> impl FnMut() -> Option<Vec<u8>> {
    let (mut frames, mut went_on) = (0, Instant::now());
    move || {
        frames += 1;
        if frames == 5 {
            std::thread::sleep(Duration::from_secs(1));
            went_on = Instant::now();
        }
        *took = went_on.elapsed();
        (frames < 35).then(|| b"ducks".to_vec())
    }
}

#[test]
fn frames_that_a_stall_has_missed_are_left_out() {
    let [mut frame, mut thread] = [Duration::ZERO; 2];
    frame::run(&mut host(), stalling_game(&mut frame)).unwrap();
    thread::run(&host().spawn().unwrap(), stalling_game(&mut thread)).unwrap();
    // Else all of the 60 frames would follow at once.
    let least = 25 * Duration::from_micros(16_667);
    assert!(frame > least && thread > least, "{frame:?}, {thread:?}");
    #[cfg(feature = "tokio")]
    {
        let mut took = Duration::ZERO;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut host = torque_socket::AsyncSocket::new(host()).unwrap();
            in_tokio::run(&mut host, stalling_game(&mut took)).await.unwrap();
        });
        assert!(took > least, "{took:?}");
    }
}

#[test]
fn two_parties_meet_as_the_documents_say() {
    let mut config = Config::default();
    config.introduction.introduces = true;
    let mut lobby = Socket::builder().config(config).bind("127.0.0.1:0").unwrap();
    let (mut ann, mut ben) = (Socket::client().unwrap(), Socket::client().unwrap());
    let (to_lobby, at_lobby): (Vec<_>, Vec<_>) =
        [&mut ann, &mut ben].map(|party| common::connect(&mut lobby, party)).into_iter().unzip();
    introduction::lobby(&mut lobby, at_lobby[0], at_lobby[1]);
    let mut ids = [None; 2];
    let mut up = [false; 2];
    common::turns(&mut [&mut ann, &mut ben, &mut lobby], |socket, index, event| {
        match event {
            Event::Packet { payload, .. } => {
                ids[index] = Some(introduction::party(socket, to_lobby[index], &payload));
            }
            Event::ConnectRequest(request) => {
                assert_eq!((index, Some(request.connection)), (1, ids[1]));
                socket.accept_connection(request.connection, b"").unwrap();
            }
            Event::Established { connection, .. } => {
                assert_eq!(Some(connection), ids[index]);
                up[index] = true;
            }
            Event::Verdict { .. } | Event::Introduced { .. } | Event::IntroductionRequested { .. } => {}
            other => panic!("{other:?}"),
        }
        up == [true; 2]
    });
    // The figures say so, too.
    assert_eq!((lobby.introducer_stats().completed, ann.party_stats().introduced), (1, 1));
    assert!(lobby.metrics().contains("\ntorque_introducer_completed_total 1\n"), "{}", lobby.metrics());
    assert!(ben.metrics().contains("\ntorque_party_introduced_total 1\n"), "{}", ben.metrics());
}

#[test]
fn the_documents_show_the_introduction_that_was_run() {
    let code = include_str!("../src/guide/introduction.rs");
    for (name, document) in [
        ("README.md", include_str!("../../../README.md")),
        ("docs/introductions.md", include_str!("../../../docs/introductions.md")),
    ] {
        assert!(document.contains(code), "{name} has another introduction");
    }
}

#[test]
fn the_interfaces_document_shows_the_loop_that_was_run() {
    let document = include_str!("../../../spec/API.md");
    assert!(document.contains(include_str!("../src/guide/echo_loop.rs")), "API.md 9 has another loop");
}
