use alloc::string::ToString;
use core::net::{IpAddr, SocketAddr};

use super::*;
use crate::codes::{ClosedBy, Delivery};
use crate::id::Sequence;
use crate::payload::Pool;
use crate::{Extension, IntroductionId, IntroductionResult, KeyPair};

/// Every field of every kind stands in the flat event, and the other fields are empty.
#[test]
fn a_flat_event_holds_what_the_event_holds_and_nothing_else() {
    let id = |number| ConnectionId::from_u32(number).unwrap();
    let (connection, older) = (id(0x0010_0001), id(0x0010_0002));
    let public_key = KeyPair::from_seed([7; 32]).public();
    let remote = Address::from(SocketAddr::from(([192, 0, 2, 1], 28_000)));
    let mut pool = Pool::new(1);
    let data = b"data".to_vec();

    let event = Event::ChallengeResponse(ChallengeResponse {
        connection,
        public_key,
        challenge_response_data: data.clone(),
        difficulty: 12,
        cipher: Cipher::ChaCha20Poly1305,
        introduced_by: Some(older),
        introduced_data: b"table 4".to_vec(),
    });
    let mut wanted = FlatEvent::new(EventKind::ChallengeResponse, connection.get(), b"data");
    (wanted.public_key, wanted.difficulty) = (Some(&public_key), 12);
    wanted.cipher = Some(Cipher::ChaCha20Poly1305);
    (wanted.introduced_by, wanted.introduced_data) = (older.get(), b"table 4");
    assert_eq!(event.flat(), wanted);

    let event = Event::ConnectRequest(ConnectRequest {
        connection,
        remote,
        public_key,
        connect_data: data.clone(),
        extensions: alloc::vec![Extension { kind: 1, data: data.clone() }],
        origin: Some("https://example.org".to_string()),
        introduced_by: Some(older),
    });
    let mut wanted = FlatEvent::new(EventKind::ConnectRequest, connection.get(), b"data");
    (wanted.public_key, wanted.remote) = (Some(&public_key), Some(&remote));
    wanted.origin = "https://example.org";
    wanted.introduced_by = older.get();
    assert_eq!(event.flat(), wanted);

    let settings = Settings { packet_window: 512, ..Settings::default() };
    let event = Event::Established {
        connection,
        remote,
        public_key,
        accept_data: data.clone(),
        settings,
        replaces: Some(older),
        introduced_by: Some(older),
    };
    let mut wanted = FlatEvent::new(EventKind::Established, connection.get(), b"data");
    (wanted.public_key, wanted.remote) = (Some(&public_key), Some(&remote));
    (wanted.settings, wanted.replaces) = (Some(&settings), older.get());
    wanted.introduced_by = older.get();
    assert_eq!(event.flat(), wanted);

    let event = Event::IntroductionRequested { from: connection, to: older, from_is_host: true };
    let mut wanted = FlatEvent::new(EventKind::IntroductionRequested, connection.get(), &[]);
    (wanted.other, wanted.is_host) = (older.get(), true);
    assert_eq!(event.flat(), wanted);

    let introduction = IntroductionId::from_u64(5).unwrap();
    let (took, result) = (Duration::from_millis(80), IntroductionResult::Failed(CloseCode::NoPath));
    let event = Event::Introduced { introduction, initiator: connection, host: older, result, took };
    let mut wanted = FlatEvent::new(EventKind::Introduced, connection.get(), &[]);
    (wanted.other, wanted.introduction, wanted.round_trip) = (older.get(), 5, took);
    (wanted.result, wanted.code) = (255, 47);
    assert_eq!(event.flat(), wanted);

    let (code, by) = (CloseCode::NoAnswer, ClosedBy::Socket);
    let event = Event::Close { connection, code, by, reason: data };
    let mut wanted = FlatEvent::new(EventKind::Close, connection.get(), b"data");
    (wanted.code, wanted.closed_by) = (33, 2);
    assert_eq!((event.flat(), event.flat().close_code()), (wanted, Some(code)));

    let event = Event::Packet { connection, sequence: Sequence(1 << 40), payload: pool.fill(b"data") };
    let mut wanted = FlatEvent::new(EventKind::Packet, connection.get(), b"data");
    wanted.sequence = 1 << 40;
    assert_eq!((event.flat(), event.flat().close_code()), (wanted, None));

    for (delivery, number) in [(Delivery::Dropped, 0), (Delivery::Delivered, 1), (Delivery::Unknown, 2)] {
        let event = Event::Verdict { connection, sequence: Sequence(9), delivery };
        let mut wanted = FlatEvent::new(EventKind::Verdict, connection.get(), b"");
        (wanted.sequence, wanted.delivery) = (9, number);
        assert_eq!(event.flat(), wanted);
    }

    let local = Some(IpAddr::from([198, 51, 100, 1]));
    let event = Event::InfoPacket { remote, local, payload: pool.fill(b" data") };
    let mut wanted = FlatEvent::new(EventKind::InfoPacket, 0, b" data");
    (wanted.remote, wanted.local) = (Some(&remote), local.as_ref());
    assert_eq!(event.flat(), wanted);
}
