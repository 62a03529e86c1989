//! A socket in the tokio runtime: the same behaviour, and no wake-up without a reason.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::time::Duration;

use common::{LIMIT, hasty, loopback};
use torque_socket::{
    AsyncSocket, CallError, CloseCode, Config, ConnectionId, Delivery, Event, SendError, Socket, Trust,
};

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, test).await.expect("nothing more happened") })
}

fn socket(config: Config) -> AsyncSocket {
    AsyncSocket::new(Socket::builder().config(config).bind("127.0.0.1:0").unwrap()).unwrap()
}

async fn connect(host: &mut AsyncSocket, client: &mut AsyncSocket) -> (ConnectionId, ConnectionId) {
    let at_client = client.connect(host.local_addr(), Trust::Pinned(host.public_key())).unwrap();
    let (mut here, mut there) = (None, None);
    while here.is_none() || there.is_none() {
        tokio::select! {
            Some(event) = host.wait_event(None) => match event {
                Event::ConnectRequest(request) => host.accept_connection(request.connection, b"").unwrap(),
                Event::Established { connection, .. } => there = Some(connection),
                other => panic!("{other:?}"),
            },
            Some(event) = client.wait_event(None) => match event {
                Event::Established { connection, .. } => here = Some(connection),
                other => panic!("{other:?}"),
            },
        }
    }
    assert_eq!(here, Some(at_client));
    (at_client, there.unwrap())
}

#[test]
fn packets_and_verdicts_pass_between_two_tasks() {
    run(async {
        let (mut host, mut client) = (socket(Config::default()), socket(Config::default()));
        let (at_client, _) = connect(&mut host, &mut client).await;
        let echo = async {
            loop {
                match host.wait_event(None).await.unwrap() {
                    Event::Packet { connection, payload, .. } => match host.send(connection, &payload) {
                        Ok(_) | Err(SendError::WindowFull) => {}
                        Err(error) => panic!("{error}"),
                    },
                    Event::Close { code, .. } => return code,
                    _ => {}
                }
            }
        };
        let talk = async {
            let (mut sent, mut verdicts, mut echoes) = (0, 0, 0);
            while verdicts < 1_000 || echoes < 1_000 {
                while sent < 1_000 && sent - verdicts.min(echoes) < 100 {
                    client.send(at_client, &[sent as u8; 50]).unwrap();
                    sent += 1;
                }
                match client.wait_event(None).await.unwrap() {
                    Event::Verdict { delivery, .. } => {
                        assert_eq!(delivery, Delivery::Delivered);
                        verdicts += 1;
                    }
                    Event::Packet { .. } => echoes += 1,
                    other => panic!("{other:?}"),
                }
            }
            client.close(at_client, b"enough").unwrap();
            while !matches!(client.wait_event(None).await.unwrap(), Event::Close { .. }) {}
        };
        let (code, ()) = tokio::join!(echo, talk);
        assert_eq!(code, CloseCode::Closed);
    });
}

#[test]
fn an_idle_socket_wakes_only_for_its_pings() {
    run(async {
        let mut config = Config::default();
        config.ping_interval = Duration::from_millis(200);
        let (mut host, mut client) = (socket(config), socket(Config::default()));
        connect(&mut host, &mut client).await;
        let settle = Duration::from_millis(300);
        assert!(matches!(tokio::join!(host.wait_event(settle), client.wait_event(settle)), (None, None)));
        let (before, before_client) = (host.io_stats().wakes, client.io_stats().wakes);
        let time = Duration::from_millis(2_000);
        assert!(matches!(tokio::join!(host.wait_event(time), client.wait_event(time)), (None, None)));
        let wakes = host.io_stats().wakes - before;
        let client_wakes = client.io_stats().wakes - before_client;
        // Ten intervals pass: a wake-up for each ping and one for each pong, and a little room.
        assert!((10..=24).contains(&wakes), "{wakes} wake-ups in ten ping intervals");
        assert!((8..=24).contains(&client_wakes), "{client_wakes} wake-ups of the other side");
    });
}

#[test]
fn an_unbound_peer_times_out_in_the_runtime_too() {
    run(async {
        let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut client = socket(hasty());
        client.connect(gone, Trust::Anyone).unwrap();
        let event = client.wait_event(None).await.unwrap();
        assert!(matches!(event, Event::Close { code: CloseCode::NoAnswer, .. }), "{event:?}");
    });
}

#[test]
fn a_name_wakes_the_runtime_when_it_is_resolved() {
    run(async {
        let (mut host, mut client) = (socket(Config::default()), socket(Config::default()));
        let url = format!("torque://{}@localhost:{}", host.public_key(), host.local_addr().port());
        let id = client.connect(url, None).unwrap();
        loop {
            tokio::select! {
                Some(event) = host.wait_event(None) => if let Event::ConnectRequest(request) = event {
                    host.accept_connection(request.connection, b"").unwrap();
                },
                Some(event) = client.wait_event(None) => match event {
                    Event::Established { connection, .. } => break assert_eq!(connection, id),
                    other => panic!("{other:?}"),
                },
            }
        }
    });
}

#[test]
fn a_shutdown_gives_out_every_packet_that_was_reported_delivered() {
    run(async {
        let (mut host, mut client) = (loopback(), loopback());
        let (at_client, _) = common::connect(&mut host, &mut client);
        for number in 0..100_u8 {
            client.send(at_client, &[number]).unwrap();
        }
        let mut delivered = 0;
        while delivered < 100 {
            // Takes no events.
            host.poll();
            match client.wait_event(Duration::from_millis(1)) {
                Some(Event::Verdict { delivery: Delivery::Delivered, .. }) => delivered += 1,
                None => {}
                other => panic!("{other:?}"),
            }
        }
        let [host, mut client] = [host, client].map(|socket| AsyncSocket::new(socket).unwrap());
        let (mut shown, mut closes) = (Vec::new(), 0);
        let (shutdown, event) = tokio::join!(
            host.shutdown(LIMIT, |event| match event {
                Event::Packet { payload, .. } => shown.push(payload[0]),
                Event::Close { .. } => closes += 1,
                other => panic!("{other:?}"),
            }),
            client.wait_event(None),
        );
        assert!(matches!(event, Some(Event::Close { code: CloseCode::ShuttingDown, .. })), "{event:?}");
        assert_eq!((shown, closes, shutdown.unfinished), ((0..100).collect(), 1, 0));
        // The host may still ask the client, which waits for that.
        assert_eq!(client.shutdown(LIMIT, |event| panic!("{event:?}")).await.unfinished, 0);
    });
}

#[test]
fn each_task_awaits_the_verdicts_on_what_it_sent() {
    run(async {
        let (mut host, mut client) = (socket(Config::default()), socket(Config::default()));
        let (at_client, at_host) = connect(&mut host, &mut client).await;
        let talkers: Vec<_> = (0..4_u8)
            .map(|number| {
                let connection = client.connection(at_client);
                tokio::spawn(async move {
                    for _ in 0..25 {
                        assert_eq!(connection.send(&[number]).unwrap().await, Delivery::Delivered);
                    }
                    // Nobody waits for this one, which is sent all the same.
                    drop(connection.send(b"last").unwrap());
                })
            })
            .collect();
        let mut taken = 0;
        while taken < 104 {
            tokio::select! {
                Some(event) = host.wait_event(None) => match event {
                    Event::Packet { .. } => taken += 1,
                    other => panic!("{other:?}"),
                },
                Some(event) = client.wait_event(None) => panic!("verdicts went elsewhere: {event:?}"),
            }
        }
        for talker in talkers {
            talker.await.unwrap();
        }
        // Verdicts on what the socket itself sends are events, as before.
        client.send(at_client, b"from the socket").unwrap();
        let told = loop {
            tokio::select! {
                Some(_) = host.wait_event(None) => {}
                told = client.wait_event(LIMIT) => break told,
            }
        };
        assert!(matches!(told, Some(Event::Verdict { delivery: Delivery::Delivered, .. })), "{told:?}");
        // A handle closes its connection, too, and the socket's task sends that.
        let connection = host.connection(at_host);
        assert_eq!(connection.peer().unwrap().public_key, client.public_key());
        connection.close(b"enough").unwrap();
        let code = loop {
            tokio::select! {
                Some(_) = host.wait_event(None) => {}
                Some(event) = client.wait_event(None) => if let Event::Close { code, .. } = event { break code },
            }
        };
        assert_eq!(code, CloseCode::Closed);
    });
}

#[test]
fn a_handle_of_a_connection_that_has_ended_sends_on_no_other() {
    run(async {
        let (mut host, mut client) = (socket(hasty()), socket(hasty()));
        let (at_client, _) = connect(&mut host, &mut client).await;
        let old = client.connection(at_client);
        client.close(at_client, b"").unwrap();
        while !matches!(client.wait_event(None).await, Some(Event::Close { .. })) {}
        assert_eq!(old.send(b"?").unwrap_err(), SendError::Closed);
        // Ids come round: here until the next one is the same.
        let passing = |client: &mut AsyncSocket| {
            let id = client.connect("127.0.0.1:9", Trust::Anyone).unwrap();
            // An attempt has handles, too.
            client.connection(id).close(b"").unwrap();
            while !matches!(client.next_event(), Some(Event::Close { .. })) {}
            id
        };
        let rest = (0..).find(|_| passing(&mut client) == at_client).unwrap();
        for _ in 0..rest {
            passing(&mut client);
        }
        // Also one that is asked for only now.
        let late = client.connection(at_client);
        assert_eq!(late.send(b"?").unwrap_err(), SendError::Closed);
        let mut other = socket(hasty());
        let (again, _) = connect(&mut other, &mut client).await;
        assert_eq!(again, at_client);
        for handle in [old, late] {
            assert_eq!(handle.send(b"not for you").unwrap_err(), SendError::Closed);
            assert_eq!(handle.close(b""), Err(CallError::Closed));
            assert_eq!((handle.peer(), handle.max_packet_size()), (None, None));
            assert!(handle.connection_stats().is_none());
        }
        // One of the new connection does.
        assert!(client.connection(again).send(b"for you").is_ok());
    });
}

#[test]
fn a_branch_that_is_always_ready_does_not_keep_a_socket_from_its_events() {
    run(async {
        let (mut host, mut client) = (socket(Config::default()), socket(Config::default()));
        let (at_client, _) = connect(&mut host, &mut client).await;
        for _ in 0..20 {
            client.send(at_client, b"?").unwrap();
        }
        client.flush();
        // They come together, so others wait when the first one is given out.
        let event = host.wait_event(None).await;
        assert!(matches!(event, Some(Event::Packet { .. })), "{event:?}");
        // Long enough for the socket to need its turn.
        tokio::time::sleep(Duration::from_millis(50)).await;
        for _ in 0..1_000 {
            tokio::select! {
                biased;
                event = host.wait_event(None) => {
                    assert!(matches!(event, Some(Event::Packet { .. })), "{event:?}");
                    return;
                }
                () = std::future::ready(()) => {}
            }
        }
        panic!("the socket never had its turn");
    });
}

#[test]
fn a_verdict_is_unknown_when_the_socket_is_dropped_and_sending_is_over() {
    run(async {
        let (mut host, mut client) = (socket(Config::default()), socket(Config::default()));
        let (at_client, _) = connect(&mut host, &mut client).await;
        let connection = client.connection(at_client);
        let verdict = connection.send(b"?").unwrap();
        drop(client);
        assert_eq!(verdict.await, Delivery::Unknown);
        assert_eq!(connection.send(b"?").unwrap_err(), SendError::Closed);
    });
}

#[test]
fn waiting_for_an_event_ends_when_its_time_has_passed() {
    run(async {
        let mut socket = socket(Config::default());
        assert!(socket.next_event().is_none());
        assert!(socket.wait_event(Duration::ZERO).await.is_none());
        assert!(socket.wait_event(Duration::from_millis(30)).await.is_none());
    });
}

#[test]
fn other_tasks_run_while_one_takes_many_events() {
    run(async {
        let mut config = Config::default();
        config.settings.packet_window = 512;
        let (mut host, mut client) = (socket(config.clone()), socket(config));
        let (at_client, _) = connect(&mut host, &mut client).await;
        for _ in 0..250 {
            client.send(at_client, b"?").unwrap();
        }
        client.flush();
        let has_run = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let other = std::sync::Arc::clone(&has_run);
        tokio::spawn(async move { other.store(true, std::sync::atomic::Ordering::Release) });
        for number in 0..250 {
            let event = host.wait_event(None).await;
            assert!(matches!(event, Some(Event::Packet { .. })), "{number}: {event:?}");
        }
        assert!(has_run.load(std::sync::atomic::Ordering::Acquire), "the only thread was never given up");
    });
}
