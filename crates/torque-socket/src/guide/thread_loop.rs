use std::time::{Duration, Instant};
use torque_socket::{Event, SendError, ThreadedSocket};

/// 60 frames a second.
const FRAME: Duration = Duration::from_micros(16_667);

/// Sends the state of each frame to all players, until the game gives none.
fn play(socket: &ThreadedSocket, mut game: impl FnMut() -> Option<Vec<u8>>) -> Result<(), SendError> {
    let mut players = Vec::new();
    let mut next_frame = Instant::now();
    loop {
        // Whatever has happened, without waiting.
        while let Some(event) = socket.next_event() {
            match event {
                Event::ConnectRequest(request) => {
                    let _ = socket.accept_connection(request.connection, b"welcome");
                }
                Event::Established { connection, .. } => players.push(connection),
                Event::Close { connection, .. } => players.retain(|player| *player != connection),
                _ => {}
            }
        }
        let Some(state) = game() else { return Ok(()) };
        for player in &players {
            match socket.send(*player, &state) {
                // Too slow, or leaving: the others go on.
                Ok(_) | Err(SendError::WindowFull | SendError::Blocked | SendError::Closed) => {}
                Err(error) => return Err(error),
            }
        }
        // The packets of this frame, in one go.
        socket.flush();
        // After a stall the next frame is due now, and those that were missed are left out.
        next_frame = (next_frame + FRAME).max(Instant::now());
        std::thread::sleep(next_frame.saturating_duration_since(Instant::now()));
    }
}
