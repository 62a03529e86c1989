use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use torque_socket::{CloseCode, ConnectOptions, LinkConfig};

use super::super::Bots;
use super::super::flight::Control;
use super::super::view::View;
use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// An arena on a thread, which ends with the value.
struct Running {
    board: Arc<Board>,
    url: String,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Running {
    fn new(bots: u8, link: LinkConfig) -> Self {
        let arena = Arena::open().unwrap();
        let (board, url) = (Arc::new(Board::default()), arena.url());
        let bots = Bots::open(bots, link, 1).unwrap();
        let threads = vec![
            thread::spawn({
                let board = Arc::clone(&board);
                move || arena.run(&board)
            }),
            thread::spawn({
                let (board, url) = (Arc::clone(&board), url.clone());
                move || bots.run(&url, &board)
            }),
        ];
        Self { board, url, threads }
    }

    fn connect(&self, link: LinkConfig, connect_data: &[u8]) -> (Socket, ConnectionId) {
        let mut config = Config::default();
        config.application_id = APPLICATION.into();
        let mut socket = Socket::builder().config(config).simulated_link(link).bind("127.0.0.1:0").unwrap();
        let options = ConnectOptions::default().with_data(connect_data.to_vec());
        let connection = socket.connect_with(self.url.as_str(), options).unwrap();
        (socket, connection)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.board.stop();
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn hello(name: &str) -> Vec<u8> {
    Hello { bot: false, name: name.into() }.write()
}

/// The end of the connection.
fn close_of(socket: &mut Socket) -> (CloseCode, String) {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(Event::Close { code, reason, .. }) = socket.wait_event(Duration::from_millis(50)) {
            return (code, String::from_utf8_lossy(&reason).into_owned());
        }
    }
    panic!("it does not end");
}

#[test]
fn over_a_lossy_link_a_player_sees_bots_shoot_and_knows_the_points() {
    let link: LinkConfig = "delay=10,jitter=3,loss=10%".parse().unwrap();
    let running = Running::new(4, link);
    let (mut socket, connection) = running.connect(link, &hello("Ada"));
    let (mut view, mut shots_seen, mut told) = (View::default(), 0, None);
    let (end, mut turns) = (Instant::now() + PATIENCE, Turns::new(TICK_RATE));
    // Until somebody has a point, and this player knows it.
    while Instant::now() < end && told.is_none() {
        socket.wait(turns.left());
        socket.poll();
        while let Some(event) = socket.next_event() {
            match event {
                Event::Packet { payload, .. } => drop(view.packet(&payload)),
                Event::Verdict { sequence, delivery, .. } => {
                    view.verdict(sequence, delivery.is_delivered());
                }
                Event::Close { code, .. } => panic!("{code:?}"),
                _ => {}
            }
        }
        for _ in 0..turns.due() {
            shots_seen += view.state().map_or(0, |state| state.shots.len());
            if let Some(room) = socket.max_packet_size(connection) {
                let (packet, letters) = view.input(Control::default(), room);
                match socket.send(connection, &packet) {
                    Ok(sequence) => view.sent(letters, sequence),
                    Err(_) => view.unsent(letters),
                }
            }
        }
        let seen: u16 = view.players.values().map(|other| other.points).sum();
        told = (seen > 0).then_some(seen);
    }
    assert_eq!(view.faults, 0);
    let names: Vec<&str> = view.players.values().map(|other| other.name.as_str()).collect();
    for name in ["Ada", "Euler", "Noether", "Hooke", "Kepler"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(shots_seen > 0 && told.is_some(), "{view:?}");
    let counted = || running.board.standings().iter().map(|standing| standing.points).sum::<u16>();
    while counted() == 0 && Instant::now() < end {
        thread::sleep(Duration::from_millis(50));
    }
    assert!(counted() > 0 && running.board.standings().len() == 5);
}

#[test]
fn guests_without_a_name_or_a_free_seat_are_refused_with_a_reason() {
    let perfect = LinkConfig::perfect();
    let running = Running::new(MAX_PLAYERS, perfect);
    let (mut socket, _) = running.connect(perfect, b"");
    let nameless = (CloseCode::Refused, "connect_data is no name for the arena".to_owned());
    assert_eq!(close_of(&mut socket), nameless);
    let end = Instant::now() + PATIENCE;
    while running.board.standings().len() < usize::from(MAX_PLAYERS) && Instant::now() < end {
        thread::sleep(Duration::from_millis(50));
    }
    let (mut socket, _) = running.connect(perfect, &hello("Ada"));
    assert_eq!(close_of(&mut socket), (CloseCode::Refused, "the arena is full".to_owned()));
}

#[test]
fn who_sends_nonsense_is_told_to_go_and_the_others_play_on() {
    let perfect = LinkConfig::perfect();
    let running = Running::new(1, perfect);
    let (mut socket, connection) = running.connect(perfect, &hello("Mallory"));
    let end = Instant::now() + PATIENCE;
    let mut ended = None;
    while ended.is_none() && Instant::now() < end {
        let _ = socket.send(connection, b"nonsense");
        if let Some(Event::Close { code, reason, .. }) = socket.wait_event(Duration::from_millis(2)) {
            ended = Some((code, reason));
        }
    }
    let (code, reason) = ended.expect("it ends");
    assert_eq!(code, CloseCode::Closed);
    assert_eq!(reason, b"too many packets that are none of this game");
    let (mut socket, _) = running.connect(perfect, &hello("Ada"));
    let mut seen = View::default();
    while seen.players.len() < 2 && Instant::now() < end {
        if let Some(Event::Packet { payload, .. }) = socket.wait_event(Duration::from_millis(50)) {
            seen.packet(&payload);
        }
    }
    assert_eq!(seen.players.values().map(|other| other.name.as_str()).collect::<Vec<_>>().len(), 2);
}
