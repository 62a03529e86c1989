use std::time::{Duration, Instant};
use torque_socket::{Event, SendError, ThreadedSocket};

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
        next_frame += Duration::from_micros(16_667);
        std::thread::sleep(next_frame.saturating_duration_since(Instant::now()));
    }
}
