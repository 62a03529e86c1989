use std::time::{Duration, Instant};
use torque_socket::{Event, SendError, Socket};

/// 60 frames a second.
const FRAME: Duration = Duration::from_micros(16_667);

/// Sends the state of each frame to all players, until the game gives none.
fn play(socket: &mut Socket, mut game: impl FnMut() -> Option<Vec<u8>>) -> Result<(), SendError> {
    let mut players = Vec::new();
    let mut next_frame = Instant::now();
    loop {
        socket.poll();
        while let Some(event) = socket.next_event() {
            match event {
                Event::ConnectRequest(request) => {
                    // The client may be gone by now; `Close` will say so.
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
                // No room: this player does not keep up, and sees a later frame instead.
                Ok(_) | Err(SendError::WindowFull | SendError::Blocked) => {}
                // It is leaving: its `Close` comes.
                Err(SendError::Closed) => {}
                // A fault of this program: the state is too large.
                Err(error) => return Err(error),
            }
        }
        socket.flush();
        // After a stall the next frame is due now, and those that were missed are left out.
        next_frame = (next_frame + FRAME).max(Instant::now());
        std::thread::sleep(next_frame.saturating_duration_since(Instant::now()));
    }
}
