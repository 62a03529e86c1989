use super::*;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Look-ups of `slow` take until they are let go.
static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
static SLOW: AtomicUsize = AtomicUsize::new(0);

/// Opens the gate, also if the test fails.
struct Opener;

impl Drop for Opener {
    fn drop(&mut self) {
        *GATE.0.lock().unwrap() = true;
        GATE.1.notify_all();
    }
}

fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host == "slow" {
        SLOW.fetch_add(1, Ordering::SeqCst);
        drop(GATE.1.wait_while(GATE.0.lock().unwrap(), |is_open| !*is_open));
        SLOW.fetch_sub(1, Ordering::SeqCst);
    }
    Ok(vec![SocketAddr::new(ip("192.0.2.1"), port)])
}

#[tokio::test]
async fn a_clients_look_ups_are_limited_and_do_not_hold_up_others() {
    let opener = Opener;
    let resolver = Resolver::new(look_up);
    let slow: Vec<_> = (0..100)
        .map(|_| {
            let client = resolver.of_client(ip("198.51.100.1"));
            tokio::spawn(async move { client.resolve("slow", 1).await })
        })
        .collect();
    while SLOW.load(Ordering::SeqCst) < OF_CLIENT_AT_ONCE {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(resolver.of_client(ip("198.51.100.2")).resolve("quick", 1).await.len(), 1);
    // Nobody waits for the client's look-ups, and its sessions are gone: running ones still count.
    slow.iter().for_each(tokio::task::JoinHandle::abort);
    for look_up in slow {
        assert!(look_up.await.unwrap_err().is_cancelled());
    }
    assert_eq!(resolver.of_client(ip("198.51.100.1")).of_client.available_permits(), 0);
    assert_eq!(resolver.all.available_permits(), AT_ONCE - OF_CLIENT_AT_ONCE);
    assert_eq!(SLOW.load(Ordering::SeqCst), OF_CLIENT_AT_ONCE);
    drop(opener);
    let client = resolver.of_client(ip("198.51.100.1"));
    assert_eq!(client.resolve("slow", 1).await.len(), 1);
}

#[tokio::test]
async fn addresses_need_no_look_up() {
    let resolver = Resolver::new(|_, _| Err(io::ErrorKind::Other.into()));
    let client = resolver.of_client(ip("198.51.100.1"));
    let found = client.resolve("::ffff:127.0.0.1", 5).await;
    assert_eq!(found[0].address, "127.0.0.1:5".parse().unwrap());
    assert_eq!(client.resolve("name", 5).await, []);
}
