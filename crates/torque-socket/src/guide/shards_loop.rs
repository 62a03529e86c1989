use std::time::Duration;
use torque_socket::{Event, SendError, ShardedSocket};

/// Sends back what comes, while `goes_on` says so: one thread for all shards.
fn serve(host: &ShardedSocket, mut goes_on: impl FnMut() -> bool) -> Result<(), SendError> {
    while goes_on() {
        while let Some(event) = host.wait_event(Duration::from_millis(10)) {
            match event {
                Event::ConnectRequest(request) => {
                    let _ = host.accept_connection(request.connection, b"welcome");
                }
                Event::Packet { connection, payload, .. } => match host.send(connection, &payload) {
                    // Too slow, or leaving: the others go on.
                    Ok(_) | Err(SendError::WindowFull | SendError::Blocked | SendError::Closed) => {}
                    Err(error) => return Err(error),
                },
                _ => {}
            }
            if !goes_on() {
                break;
            }
        }
    }
    Ok(())
}
