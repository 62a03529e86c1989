use std::time::Duration;
use torque_socket::{Event, SendError, Socket};

/// Sends back what comes, while `goes_on` says so.
fn serve(socket: &mut Socket, mut goes_on: impl FnMut() -> bool) -> Result<(), SendError> {
    while goes_on() {
        socket.wait(Duration::from_millis(10)); // or draw a frame
        socket.poll(); // receive, run timers, send
        while let Some(event) = socket.next_event() {
            match event {
                Event::ConnectRequest(request) => {
                    // The client may be gone by now; `Close` will say so.
                    let _ = socket.accept_connection(request.connection, b"welcome");
                }
                Event::Packet { connection, payload, .. } => match socket.send(connection, &payload) {
                    // No room: this client does not keep up, and this packet is left out.
                    Ok(_) | Err(SendError::WindowFull | SendError::Blocked) => {}
                    // It is leaving: its `Close` comes behind its last packets.
                    Err(SendError::Closed) => {}
                    // A fault of this program.
                    Err(error) => return Err(error),
                },
                _ => {}
            }
        }
        socket.flush();
    }
    Ok(())
}
