use std::time::Duration;
use torque_socket::{Event, SendError, ShardedSocket};

/// Sends back what comes, while `goes_on` says so: one thread for each shard, where the application's own work is what
/// fills a core.
fn serve_each(host: &ShardedSocket, goes_on: impl Fn() -> bool + Sync) {
    std::thread::scope(|threads| {
        for shard in host.shards() {
            threads.spawn(|| {
                while goes_on() {
                    match shard.wait_event(Duration::from_millis(10)) {
                        Some(Event::ConnectRequest(request)) => {
                            let _ = shard.accept_connection(request.connection, b"welcome");
                        }
                        Some(Event::Packet { connection, payload, .. }) => {
                            match shard.send(connection, &payload) {
                                // Too slow, or leaving: the others go on.
                                Ok(_)
                                | Err(SendError::WindowFull | SendError::Blocked | SendError::Closed) => {}
                                Err(error) => eprintln!("not sent to {connection}: {error}"),
                            }
                        }
                        _ => {}
                    }
                }
            });
        }
    });
}
