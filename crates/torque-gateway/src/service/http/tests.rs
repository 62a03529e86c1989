use super::*;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::Instant as VirtualInstant;

/// A connection to a server of one large file.
fn connect() -> (DuplexStream, JoinHandle<Result<(), AnyError>>) {
    let (client, server) = duplex(4_096);
    let router = Router::new().route("/", get(|| async { vec![b'x'; 1 << 20] }));
    let address: SocketAddr = "192.0.2.1:5".parse().unwrap();
    let place = Quota::new(1, 1).take(address.ip()).unwrap();
    (client, tokio::spawn(requests(server, Client(address, Arc::new(place)), router)))
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_loses_its_connection() {
    let start = VirtualInstant::now();
    let (mut client, connection) = connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    // One byte now and then is not reading either.
    let reading = tokio::spawn(async move {
        while client.read_u8().await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    assert!(connection.await.unwrap().is_err());
    assert_eq!(start.elapsed().as_secs(), (CONNECTION + LAST_ANSWER).as_secs());
    reading.abort();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_on_its_way_may_come_to_its_end() {
    let (mut client, connection) = connect();
    tokio::time::sleep(Duration::from_secs(5)).await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(CONNECTION).await;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(answer.len() > 1 << 20, "{} bytes", answer.len());
    assert!(connection.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn heads_of_requests_are_bounded() {
    let (mut client, connection) = connect();
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nOrigin: {}\r\n\r\n", "o".repeat(20_000));
    // The answer comes before the whole request is there.
    let _ = timeout(Duration::from_secs(1), client.write_all(request.as_bytes())).await;
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
    drop(client);
    let _ = connection.await;
}
